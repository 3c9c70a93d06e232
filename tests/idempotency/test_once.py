"""The same key and body is answered once, in whatever order it is asked."""

import asyncio
from contextlib import contextmanager

import pytest

from sidecar.errors import IdempotencyMismatchError, SidecarError
from sidecar.idempotency.once import Made, Once, joined_of
from sidecar.idempotency.recorded import place_of
from sidecar.singleflight import FlightAbandonedError

KEY, OTHER = place_of("", "", "", "key"), place_of("", "", "", "other")


class Maker:
    """Makes an answer when it is told to, and counts how often it was asked."""

    def __init__(self, made: Made) -> None:
        self.made = made
        self.times = 0
        self.go = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self, emit) -> Made:
        """The answer, once `go` is set."""
        self.times += 1
        emit({"x-head": "1"})
        emit(b"piece")
        await self.go.wait()
        if self.error:
            raise self.error
        return self.made


@pytest.fixture
def once(make, tasks) -> Once:
    """Nothing was asked yet."""
    return Once(make(), tasks)


@pytest.fixture
def maker(answer) -> Maker:
    """An answer that waits to be made."""
    return Maker(Made(answer()))


async def asked(once: Once, maker: Maker, asked: bytes = b"asked", place=KEY):
    """What this key and body is answered with."""
    with once.answering(place, asked, maker) as flight:
        return await flight.result()


async def test_who_asks_later_gets_what_was_kept(once, maker):
    """Made once, kept before it is given."""
    maker.go.set()
    first, second = await asked(once, maker), await asked(once, maker)
    assert (first, maker.times) == (second, 1)


async def test_who_asks_at_the_same_time_waits_for_the_same(once, maker, tasks):
    """Fifty at once, one answer."""
    waiting = [tasks.start(asked(once, maker), name="asks", awaited=True) for _ in range(50)]
    await asyncio.sleep(0.01)
    maker.go.set()
    assert {(await each).body for each in waiting} == {maker.made.answer.body}
    assert maker.times == 1


async def test_who_joins_late_gets_the_pieces_so_far(once, maker):
    """The head first."""
    with once.answering(KEY, b"asked", maker) as first:
        await first.departure()
        with once.answering(KEY, b"asked", maker) as flight:
            maker.go.set()
            assert [piece async for piece in flight.events()] == [{"x-head": "1"}, b"piece"]


@pytest.mark.parametrize("when", ["during", "after"])
async def test_another_body_is_refused(once, maker, when):
    """While the first is made and when it is kept; the first is not disturbed."""
    with once.answering(KEY, b"asked", maker) as flight:
        if when == "after":
            maker.go.set()
            await flight.result()
        with pytest.raises(IdempotencyMismatchError):
            await asked(once, maker, b"else")
        maker.go.set()
        assert await flight.result() == maker.made.answer
    assert maker.times == 1


async def test_another_key_is_another_answer(once, maker):
    """Also for the same body."""
    maker.go.set()
    await asked(once, maker)
    await asked(once, maker, place=OTHER)
    assert maker.times == 2


async def test_the_answer_is_made_when_its_client_has_left(once, maker, tasks):
    """And given when it comes back."""
    first = tasks.start(asked(once, maker), name="leaves", awaited=True)
    await asyncio.sleep(0.01)
    first.cancel()
    await asyncio.wait([first])
    again = tasks.start(asked(once, maker), name="again", awaited=True)
    maker.go.set()
    assert (await again, maker.times) == (maker.made.answer, 1)


async def test_errors_are_not_kept(once, maker):
    """Everyone who waited gets it; who asks then is answered anew."""
    maker.go.set()
    maker.error = SidecarError("it broke")
    with pytest.raises(SidecarError):
        await asked(once, maker)
    maker.error = None
    assert await asked(once, maker) == maker.made.answer
    assert maker.times == 2


async def test_what_broke_in_the_middle_is_not_kept(once, answer):
    """It is given, for its client has half of it already, and made again when asked again."""
    broken = Maker(Made(answer(), is_whole=False))
    broken.go.set()
    await asked(once, broken)
    await asked(once, broken)
    assert broken.times == 2


async def test_what_was_forgotten_meanwhile_is_not_kept(make, tasks, maker):
    """A purge means what is still being made as well: it was asked for before."""
    store = make()
    once = Once(store, tasks)
    with once.answering(KEY, b"asked", maker) as flight:
        await flight.departure()
        await store.forget("all", "", dry_run=False)
        maker.go.set()
        assert await flight.result() == maker.made.answer
    await asked(once, maker)
    assert maker.times == 2


async def test_who_joined_is_told_whom(once, maker):
    """By the id of the request that the answer is made for; that one has joined nobody."""
    with (
        once.answering(KEY, b"asked", maker, "req_1") as first,
        once.answering(KEY, b"asked", maker, "req_2") as second,
    ):
        assert (joined_of(first, "req_1"), joined_of(second, "req_2")) == ("", "req_1")
        maker.go.set()
        await second.result()


@pytest.mark.parametrize("end", ["made", "kept", "failed"])
async def test_a_request_is_held_for_as_long_as_it_is_worked_on(once, maker, tasks, end):
    """From before the first look until after the end, whoever leaves; a passenger's never is."""
    held: list[str] = []

    @contextmanager
    def holding(name: str):
        held.append(name)
        try:
            yield
        finally:
            held.remove(name)

    maker.error = SidecarError("it broke") if end == "failed" else None
    if end == "kept":
        maker.go.set()
        await asked(once, maker)
    with once.answering(KEY, b"asked", maker, "req_1", holding("first")):
        await asyncio.sleep(0)
        with once.answering(KEY, b"asked", maker, "req_2", holding("second")):
            assert held == ["first"]
    if end != "kept":
        await asyncio.sleep(0.01)
        assert held == ["first"]
    maker.go.set()
    while held:
        await asyncio.sleep(0.001)
    assert maker.times == 1


async def test_the_end_of_the_process_is_told_to_who_waits(once, maker, tasks):
    """As an error that asks to call again."""
    with once.answering(KEY, b"asked", maker) as flight:
        await flight.departure()
        await tasks.close()
        with pytest.raises(FlightAbandonedError):
            await flight.result()
