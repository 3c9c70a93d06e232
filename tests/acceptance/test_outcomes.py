"""The contract's table of outcomes, and what a client may say about the cache."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from .running import Provider, Reply, Sidecar, until

ASKED = "How do I reset my password?"
NEAR = "How can I reset my password?"
STREAM = {"stream": True}
WAYS = pytest.mark.parametrize("fields", [{}, STREAM], ids=["whole", "stream"])


def seen(reply: Reply) -> tuple[str, str]:
    """What the head says of the cache; a hit's time to live left out."""
    status = "; ".join(
        part for part in reply.headers["cache-status"].split("; ") if not part.startswith("ttl=")
    )
    return reply.cache, status


@WAYS
def test_served_from_the_exact_tier(running: Sidecar, fields: Any) -> None:
    """`exact`, a hit with what is left of its time."""
    running.ask(ASKED)
    hit = running.ask(ASKED, **fields)
    assert seen(hit) == ("exact", "sidecar; hit; detail=exact")
    assert hit.headers["cache-status"].endswith(("; ttl=86399", "; ttl=86400", "; ttl=86398"))
    assert hit.headers["age"] in "012"
    assert hit.reason == ""


@WAYS
def test_served_from_the_semantic_tier(running: Sidecar, fields: Any) -> None:
    """`semantic`, likewise."""
    running.ask(ASKED)
    hit = running.ask(NEAR, **fields)
    assert seen(hit) == ("semantic", "sidecar; hit; detail=semantic")
    assert "; ttl=" in hit.headers["cache-status"]


def test_looked_and_not_found(running: Sidecar) -> None:
    """`miss`; a whole reply says that it was stored."""
    miss = running.ask(ASKED)
    assert seen(miss) == ("miss", "sidecar; fwd=miss; stored")
    assert (miss.reason, miss.headers["x-sidecar-attempts"]) == ("not_found", "1")


def test_looked_and_not_found_for_a_stream(running: Sidecar) -> None:
    """A stream's head does not know yet whether it will be stored."""
    miss = running.ask(ASKED, **STREAM)
    assert seen(miss) == ("miss", "sidecar; fwd=miss")
    assert "x-sidecar-attempts" not in miss.headers


@WAYS
def test_no_cache(running: Sidecar, provider: Provider, fields: Any) -> None:
    """Not read, but written: the next one gets the fresh answer, in both tiers."""
    reply = running.ask(ASKED, {"Cache-Control": "no-cache"}, **fields)
    stored = "" if fields else "; stored"
    assert seen(reply) == ("miss", f"sidecar; fwd=request{stored}")
    assert reply.reason == "no_cache"
    assert [running.ask(asked).cache for asked in (ASKED, NEAR)] == ["exact", "semantic"]
    running.ask(ASKED, {"Cache-Control": "no-cache"}, **fields)
    assert provider.calls == 2
    assert running.cache["entries"] == 1


@WAYS
def test_no_store(running: Sidecar, provider: Provider, fields: Any) -> None:
    """Neither read nor written."""
    replies = [running.ask(ASKED, {"Cache-Control": "no-store"}, **fields) for _ in range(2)]
    assert {seen(reply) for reply in replies} == {
        ("bypass", "sidecar; fwd=bypass; detail=no_store")
    }
    assert (provider.calls, running.cache["entries"]) == (2, 0)


def test_only_if_cached(running: Sidecar, provider: Provider) -> None:
    """504 where nothing is cached; a hit of either tier where something is."""
    only = {"Cache-Control": "only-if-cached"}
    missed = running.ask(ASKED, only)
    assert (missed.status, *seen(missed)) == (504, "miss", "sidecar; fwd=miss")
    running.ask(ASKED)
    assert [running.ask(asked, only).cache for asked in (ASKED, NEAR)] == ["exact", "semantic"]
    assert provider.calls == 1


def test_max_age(running: Sidecar, provider: Provider) -> None:
    """An entry older than the client's limit is not served, and is replaced."""
    running.ask(ASKED)
    until(lambda: int(running.ask(ASKED).headers["age"]) >= 1, "an age of a second")
    assert running.ask(ASKED, {"Cache-Control": "max-age=60"}).cache == "exact"
    reply = running.ask(NEAR, {"Cache-Control": "max-age=0, only-if-cached"})
    assert (reply.status, reply.reason) == (504, "too_old")
    assert running.ask(ASKED, {"Cache-Control": "max-age=0"}).cache == "miss"
    assert provider.calls == 2


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"temperature": 0.31}, "temperature"),
        ({"temperature": 2}, "temperature"),
        ({"n": 2}, "several_choices"),
        ({"logprobs": True}, "logprobs"),
        ({"logprobs": True, "top_logprobs": 2}, "logprobs"),
        ({"modalities": ["text", "audio"], "audio": {"voice": "a"}}, "media"),
    ],
)
def test_policy_says_neither(
    running: Sidecar, provider: Provider, fields: Any, reason: str
) -> None:
    """What chance decides, or what has no one answer, is neither read nor written."""
    replies = [running.ask(ASKED, **fields) for _ in range(2)]
    expected = ("bypass", f"sidecar; fwd=bypass; detail={reason}")
    assert {seen(reply) for reply in replies} == {expected}
    assert {reply.reason for reply in replies} == {reason}
    assert (provider.calls, running.cache["entries"]) == (2, 0)


@pytest.mark.parametrize("temperature", [None, 0, 0.0, 0.3])
def test_a_low_temperature_uses_both_tiers(running: Sidecar, temperature: float | None) -> None:
    """Absent, or at most `max_temperature`."""
    fields = {} if temperature is None else {"temperature": temperature}
    running.ask(ASKED, **fields)
    outcomes = [running.ask(asked, **fields).cache for asked in (ASKED, NEAR)]
    assert outcomes == ["exact", "semantic"]


def test_the_ttl_of_a_client(running: Sidecar, provider: Provider) -> None:
    """Shortens the time to live; once it is over the entry is gone from both tiers."""
    running.ask(ASKED, {"x-sidecar-cache-ttl": "1"})
    only = {"Cache-Control": "only-if-cached"}
    until(lambda: running.ask(ASKED, only).status == 504, "the entry expires")
    assert running.ask(NEAR, only).status == 504
    assert running.ask(ASKED).cache == "miss"


def test_the_ttl_is_clamped(running: Sidecar) -> None:
    """A client can't keep an answer longer than config does."""
    running.ask(ASKED, {"x-sidecar-cache-ttl": "999999999"})
    status = running.ask(ASKED).headers["cache-status"]
    assert 0 < int(status.rpartition("ttl=")[2]) <= 86_400


def test_a_ttl_of_nothing(running: Sidecar) -> None:
    """Reads, and does not write."""
    reply = running.ask(ASKED, {"x-sidecar-cache-ttl": "0"})
    assert (reply.cache, reply.headers["cache-status"]) == ("miss", "sidecar; fwd=miss")
    assert running.row(reply)["store_reason"] == "ttl_zero"
    assert running.cache["entries"] == 0


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("x-sidecar-cache-ttl", "soon"),
        ("x-sidecar-cache-ttl", "-1"),
        ("x-sidecar-cache-scope", "everyone"),
        ("x-sidecar-cache-tags", "a b"),
        ("x-sidecar-max-wrong", "2"),
        ("x-sidecar-timeout-ms", "0"),
        ("x-sidecar-user", "x" * 1000),
    ],
)
def test_a_header_that_says_nothing(
    running: Sidecar, provider: Provider, header: str, value: str
) -> None:
    """400 that names the header, and no call."""
    reply = running.ask(ASKED, {header: value})
    assert (reply.status, reply.json["error"]["param"]) == (400, header)
    assert provider.calls == 0


def test_similarity_is_withheld(serve: Callable[..., Sidecar], provider: Provider) -> None:
    """With `disclose: false` a hit does not tell how near it was, nor a near miss."""
    quiet = serve(cache={"disclose": False})
    quiet.ask("List the top 5 cheeses of France")
    hit = quiet.ask("List the top five cheeses of France")
    near_miss = quiet.ask("List the top 50 cheeses of France")
    assert (hit.cache, near_miss.cache) == ("semantic", "miss")
    told = {*hit.headers, *near_miss.headers}
    assert not told & {"x-sidecar-similarity", "x-sidecar-confidence", "x-sidecar-entry", "age"}
