"""A caller's own limit: on every wait, and on nothing else."""

import asyncio

import pytest

from sidecar.errors import UpstreamTimeoutError
from sidecar.patience import due, hurried, patience, patience_until


async def pieces(*stalls_s):
    """Numbers, each after a while."""
    for number, stall_s in enumerate(stalls_s):
        await asyncio.sleep(stall_s)
        yield number


async def test_what_was_waited_already_counts():
    """The limit began when the request came."""
    now = asyncio.get_running_loop().time()
    assert due(1.5, 500.0) == pytest.approx(now + 1.0, abs=0.1)
    assert due(None, 500.0) is None


async def test_a_wait_that_is_too_long_ends_with_our_error():
    """By the word of the trail."""
    with pytest.raises(UpstreamTimeoutError) as raised:
        async with patience(0.01):
            await asyncio.sleep(60)
    assert (raised.value.reason, raised.value.status) == ("timeout_client", 504)


async def test_without_a_limit_there_is_no_end():
    """None waits."""
    async with patience(None):
        await asyncio.sleep(0)


async def test_another_s_timeout_is_not_ours():
    """What failed inside in time keeps its own name."""
    with pytest.raises(TimeoutError, match="another"):
        async with patience(60):
            raise TimeoutError("another")


async def test_who_leaves_is_not_late():
    """A cancelled caller stays cancelled."""

    async def waits():
        async with patience(60):
            await asyncio.sleep(60)

    caller = asyncio.ensure_future(waits())
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.wait([caller])
    assert caller.cancelled()


async def test_the_last_piece_is_under_the_limit_too():
    """Those before it came."""
    source, came = pieces(0, 0, 60), []

    async def read():
        async for piece in hurried(source, due(0.05)):
            came.append(piece)  # noqa: PERF401  what came before the error counts

    with pytest.raises(UpstreamTimeoutError):
        await read()
    assert came == [0, 1]
    assert source.ag_frame is None


async def test_what_the_reader_does_meanwhile_is_not_under_it():
    """It is not interrupted, and what is there already is still given."""

    async def ready():
        for number in range(3):
            yield number

    came = []
    async for piece in hurried(ready(), due(0.02)):
        await asyncio.sleep(0.05)
        came.append(piece)
    assert came == [0, 1, 2]


async def test_a_reader_that_leaves_closes_the_source():
    """Here and now."""
    source = pieces(0, 60)
    reading = hurried(source, due(60))
    assert await anext(reading) == 0
    await reading.aclose()
    assert source.ag_frame is None


async def test_without_a_limit_the_pieces_are_handed_on():
    """At no cost."""
    source = pieces(0)
    assert hurried(source, None) is source
    assert [piece async for piece in source] == [0]


async def test_a_limit_that_is_over_before_the_wait_ends_it_at_once():
    """No second chance."""
    with pytest.raises(UpstreamTimeoutError):
        async with patience_until(asyncio.get_running_loop().time() - 1):
            await asyncio.sleep(60)
