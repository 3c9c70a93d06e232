"""One flight a key: who asks the same at the same time gets the one answer, or the one error."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from .leaving import called, read_until, reset
from .relay import Relay, relaying
from .running import Provider, Reply, Sidecar, asking, until
from .streams import assert_valid, told

ASKED = "How do I reset my password?"
STREAM = {"stream": True, "stream_options": {"include_usage": True}}
SAME = asking(ASKED)
Ask = Callable[..., Any]


@pytest.fixture(scope="module")
def relay(shared_provider: Provider) -> Iterator[Relay]:
    """Holds the provider's answers back, so that a flight lasts as long as a test wants."""
    with relaying(urlsplit(shared_provider.url).port or 0) as relay:
        yield relay


@pytest.fixture(scope="module")
def shared_sidecar(serve: Callable[..., Sidecar], relay: Relay) -> Sidecar:
    """A sidecar that asks through the relay."""
    return serve(providers={"p": {"kind": "openai", "base_url": f"{relay.url}/v1"}})


@pytest.fixture
async def ask(running: Sidecar) -> AsyncIterator[Ask]:
    """Ask in the background, as many at once as wanted."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def one(headers: dict[str, str] | None = None, **fields: Any) -> Reply:
            url, body = f"{running.url}/chat/completions", asking(ASKED, **fields)
            async with session.post(url, json=body, headers=headers) as answer:
                content = await answer.read()
            named = {name.lower(): value for name, value in answer.headers.items()}
            return Reply(answer.status, named, content)

        yield lambda *given, **fields: asyncio.ensure_future(one(*given, **fields))


async def in_flight(running: Sidecar, count: int) -> None:
    """Wait until so many requests are being answered."""
    await asyncio.to_thread(
        until, lambda: running.gauge("sidecar_in_flight") == count, f"{count} requests in flight"
    )


@pytest.mark.parametrize(
    "kinds", [({},), (STREAM,), ({}, STREAM)], ids=["whole", "stream", "mixed"]
)
async def test_a_hundred_at_once(
    running: Sidecar, provider: Provider, relay: Relay, ask: Ask, kinds: Any
) -> None:
    """A hundred equal misses are one call, and every client gets the whole answer."""
    relay.hold()
    asked = [ask(**kinds[number % len(kinds)]) for number in range(100)]
    await in_flight(running, 100)
    relay.release()
    replies = await asyncio.gather(*asked)
    assert provider.calls == 1
    assert sorted(reply.cache for reply in replies) == ["coalesced"] * 99 + ["miss"]
    assert len({str(told(reply)) for reply in replies}) == 1


async def test_followers_are_told_so(
    running: Sidecar, provider: Provider, relay: Relay, ask: Ask
) -> None:
    """A follower's head says `fwd=miss; collapsed`, and its row names the leader."""
    relay.hold()
    leader = ask()
    await in_flight(running, 1)
    follower = ask()
    await in_flight(running, 2)
    relay.release()
    led, followed = await leader, await follower
    assert followed.headers["cache-status"] == "sidecar; fwd=miss; collapsed; stored"
    row = await asyncio.to_thread(running.row, followed)
    joined = next(d for d in row["decisions"] if d["stage"] == "flight")
    assert joined["detail"] == {"leader": led.headers["x-sidecar-request-id"]}


async def test_a_late_follower_of_a_stream(
    running: Sidecar, provider: Provider, relay: Relay, ask: Ask
) -> None:
    """Who joins in the middle of a stream gets all of it, from the first chunk."""
    relay.hold(after_bytes=1500)
    with called(running, asking(ASKED, **STREAM)) as leader:
        read_until(leader, b"data: ")
        follower = ask(**STREAM)
        await in_flight(running, 2)
        relay.release()
        reply = await follower
    assert (reply.cache, provider.calls) == ("coalesced", 1)
    assert_valid(reply, include_usage=True)


@pytest.mark.parametrize("fields", [{}, STREAM], ids=["whole", "stream"])
async def test_the_leader_leaves(
    running: Sidecar, provider: Provider, relay: Relay, ask: Ask, fields: Any
) -> None:
    """The flight belongs to the group: followers get the answer, and it is stored."""
    relay.hold()
    leader = called(running, asking(ASKED, **fields))
    await in_flight(running, 1)
    followers = [ask(**fields) for _ in range(5)]
    await in_flight(running, 6)
    reset(leader)
    await in_flight(running, 5)
    relay.release()
    replies = await asyncio.gather(*followers)
    assert (provider.calls, provider.outcomes) == (1, ["completed"])
    assert {told(reply)["finish"] for reply in replies} == {"stop"}
    assert running.ask(ASKED).cache == "exact"


async def test_the_leader_leaves_in_mid_stream(
    running: Sidecar, provider: Provider, relay: Relay, ask: Ask
) -> None:
    """Also after its first chunks went out."""
    relay.hold(after_bytes=1500)
    leader = called(running, asking(ASKED, **STREAM))
    read_until(leader, b"data: ")
    follower = ask(**STREAM)
    await in_flight(running, 2)
    reset(leader)
    await in_flight(running, 1)
    relay.release()
    assert_valid(await follower, include_usage=True)
    assert provider.outcomes == ["completed"]


async def test_a_follower_leaves(
    running: Sidecar, provider: Provider, relay: Relay, ask: Ask
) -> None:
    """Nobody else notices."""
    relay.hold()
    leader = ask()
    await in_flight(running, 1)
    follower = called(running, SAME)
    await in_flight(running, 2)
    reset(follower)
    await in_flight(running, 1)
    relay.release()
    assert (await leader).cache == "miss"
    assert provider.outcomes == ["completed"]


async def test_everyone_leaves(running: Sidecar, provider: Provider, relay: Relay) -> None:
    """Then the call at the provider ends, nothing is kept, and the next one flies anew."""
    relay.hold()
    clients = [called(running, asking(ASKED, **STREAM)) for _ in range(5)]
    await in_flight(running, 5)
    held = relay.open_connections
    for client in clients:
        reset(client)
    await in_flight(running, 0)
    await asyncio.to_thread(
        until, lambda: relay.open_connections == held - 1, "the connection is closed"
    )
    relay.release()
    assert running.cache["entries"] == 0
    assert running.ask(ASKED).cache == "miss"


@pytest.mark.parametrize("fields", [{}, STREAM], ids=["whole", "stream"])
async def test_the_leader_fails(
    running: Sidecar, provider: Provider, relay: Relay, ask: Ask, fields: Any
) -> None:
    """Everyone gets the one error at once; no follower tries again in turn."""
    provider.script({"status": 500})
    relay.hold()
    asked = [ask(**fields) for _ in range(20)]
    await in_flight(running, 20)
    relay.release()
    replies = await asyncio.gather(*asked)
    assert provider.calls == 1
    assert {reply.status for reply in replies} == {503}
    assert {reply.json["error"]["code"] for reply in replies} == {"all_targets_failed"}


async def test_a_stream_fails_in_the_middle(
    running: Sidecar, provider: Provider, relay: Relay, ask: Ask
) -> None:
    """Every follower of a stream that breaks gets what came, then the error."""
    provider.script({"cut_after_events": 5})
    relay.hold()
    asked = [ask(**STREAM) for _ in range(10)]
    await in_flight(running, 10)
    relay.release()
    replies = await asyncio.gather(*asked)
    assert provider.calls == 1
    assert len({reply.body for reply in replies}) == 1
    assert replies[0].chunks[-1]["error"]["code"] == "all_targets_failed"


@pytest.mark.parametrize("directive", ["no-cache", "no-store"])
async def test_who_may_not_read_flies_alone(
    running: Sidecar, provider: Provider, relay: Relay, ask: Ask, directive: str
) -> None:
    """A call that wants a fresh answer does not get another one's."""
    relay.hold()
    asked = [ask({"Cache-Control": directive}) for _ in range(3)] + [ask()]
    await in_flight(running, 4)
    relay.release()
    replies = await asyncio.gather(*asked)
    assert provider.calls == 4
    assert "coalesced" not in {reply.cache for reply in replies}


async def test_scopes_fly_apart(
    running: Sidecar, provider: Provider, relay: Relay, ask: Ask
) -> None:
    """Two tenants that ask the same at once are two flights."""
    relay.hold()
    asked = [ask({"x-sidecar-tenant": tenant}) for tenant in ("a", "b", "a", "b")]
    await in_flight(running, 4)
    relay.release()
    replies = await asyncio.gather(*asked)
    assert provider.calls == 2
    assert sorted(reply.cache for reply in replies) == ["coalesced"] * 2 + ["miss"] * 2
