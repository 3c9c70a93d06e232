"""How long a caller waits, to the last word; and who accounts for a flight that was left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest

from .leaving import called
from .relay import Relay, relaying
from .running import DONE, Provider, Reply, Sidecar, asking, send, simulated, until
from .watching import request_ids, row_of, sent

ASKED = "How do I reset my password?"
STREAM = {"stream": True, "stream_options": {"include_usage": True}}
WAYS = pytest.mark.parametrize("fields", [{}, STREAM], ids=["whole", "stream"])
LIMIT_MS = 500
HURRIED = {"x-sidecar-timeout-ms": str(LIMIT_MS)}


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """A provider whose answers begin at once and last for seconds."""
    with simulated(tmp_path_factory.mktemp("slow"), tokens_per_s=10) as provider:
        yield provider


@pytest.fixture(scope="module")
def before_slow(serve: Callable[..., Sidecar], slow: Provider) -> Sidecar:
    """A sidecar that asks it."""
    return serve(providers={"p": {"kind": "openai", "base_url": slow.base_url}})


@pytest.fixture(scope="module")
def relay(shared_provider: Provider) -> Iterator[Relay]:
    """Holds the provider's answers back."""
    with relaying(urlsplit(shared_provider.url).port or 0) as relay:
        yield relay


@pytest.fixture(scope="module")
def shared_sidecar(serve: Callable[..., Sidecar], relay: Relay) -> Sidecar:
    """A sidecar that asks through the relay."""
    return serve(providers={"p": {"kind": "openai", "base_url": f"{relay.url}/v1"}})


def post(running: Sidecar, path: str, body: Any, headers: Any) -> Reply:
    """A request in any format."""
    return send("POST", f"{running.url}/{path}", body, headers)


STREAMS = {
    "chat/completions": asking(ASKED, stream=True),
    "messages": {"model": "gpt-4o", "max_tokens": 90, "messages": asking(ASKED)["messages"]},
    "responses": {"model": "gpt-4o", "input": ASKED},
}


@pytest.mark.parametrize("path", STREAMS)
def test_the_limit_holds_for_the_last_word_too(
    before_slow: Sidecar, slow: Provider, path: str
) -> None:
    """A stream that began in time and lasts too long ends with an error, at the limit."""
    slow.forget()
    began = time.monotonic()
    reply = post(before_slow, path, {**STREAMS[path], "stream": True}, HURRIED)
    assert LIMIT_MS / 1e3 <= time.monotonic() - began < 3
    assert reply.status == 200
    last = reply.body.decode().strip().rpartition("\n\n")[2]
    assert '"error"' in last
    assert "x-sidecar-timeout-ms" in last
    assert not any(end in reply.body.decode() for end in (DONE, "message_stop", ".completed"))
    row = before_slow.row(reply)
    assert (row["error"], row["stored"]) == ("upstream_timeout", False)
    assert [told["reason"] for told in row["attempts"]] == ["cancelled"]
    until(lambda: slow.outcomes == ["left"], "the provider sees its reader leave")


def test_who_has_time_reads_on(before_slow: Sidecar, slow: Provider) -> None:
    """One passenger's limit cuts its own stream and nobody else's."""
    slow.forget()
    with ThreadPoolExecutor(2) as pool:
        patient = pool.submit(before_slow.ask, ASKED, **STREAM, max_tokens=12)
        until(lambda: slow.calls == 1, "a flight")
        hurried = before_slow.ask(ASKED, HURRIED, **STREAM, max_tokens=12)
        assert hurried.cache == "coalesced"
        assert DONE not in hurried.events
        assert patient.result().events[-1] == DONE
    assert slow.outcomes == ["completed"]


@WAYS
def test_a_limit_names_what_was_under_way(
    running: Sidecar, provider: Provider, relay: Relay, fields: Any
) -> None:
    """The error, its header and the row tell of the same attempt; an SDK is told to stop."""
    relay.hold()
    try:
        reply = running.ask(ASKED, HURRIED, **fields)
    finally:
        relay.release()
    error = reply.json["error"]
    assert (reply.status, error["code"]) == (504, "upstream_timeout")
    assert [told["reason"] for told in error["attempts"]] == ["cancelled"]
    assert error["attempts"] == told_of(running.row(reply)["attempts"])
    assert (reply.headers["x-sidecar-attempts"], reply.headers["x-should-retry"]) == ("1", "false")
    until(lambda: provider.calls == 1, "the one call")


def told_of(attempts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What an error tells of a row's attempts: all but what they cost."""
    kept = ("provider", "model", "status", "reason", "ms")
    return [{name: each[name] for name in kept} for each in attempts]


def test_a_follower_that_waits_no_longer_names_what_the_flight_has_tried(
    serve: Callable[..., Sidecar], provider: Provider
) -> None:
    """Though another began it."""
    target = {"targets": [{"provider": "p", "model": "m"}], "retry": {"attempts": 2}}
    running = serve(models={"gpt-4o": target})
    provider.script({"status": 503, "retry_after": 2, "times": 1})
    with ThreadPoolExecutor(1) as pool:
        patient = pool.submit(running.ask, ASKED)
        until(lambda: provider.outcomes == ["refused"], "the first attempt")
        hurried = running.ask(ASKED, HURRIED)
        told = [each["reason"] for each in hurried.json["error"]["attempts"]]
        assert (hurried.status, told) == (504, ["overloaded"])
        assert told_of(running.row(hurried)["attempts"]) == hurried.json["error"]["attempts"]
        assert patient.result().status == 200
    assert provider.calls == 2


@WAYS
def test_what_a_leader_left_is_accounted_for_by_who_stayed(
    running: Sidecar, provider: Provider, relay: Relay, fields: Any
) -> None:
    """One call is one attempt in the metrics and its tokens count once, whoever left."""
    counted = ("sidecar_provider_attempts_total", "sidecar_tokens_total")
    before = [running.gauge(name) for name in counted]
    known = set(request_ids(running))
    relay.hold()
    leader = called(running, asking(ASKED, **fields))
    until(lambda: running.gauge("sidecar_in_flight") == 1, "the leader's flight")
    with ThreadPoolExecutor(3) as pool:
        others = [pool.submit(running.ask, ASKED, **fields) for _ in range(3)]
        until(lambda: running.gauge("sidecar_in_flight") == 4, "three followers")
        leader.close()
        until(lambda: running.gauge("sidecar_in_flight") == 3, "the leader is gone")
        relay.release()
        replies = [each.result() for each in others]
    running.idle()
    assert {reply.cache for reply in replies} == {"coalesced"}
    assert provider.calls == 1
    rows = [row_of(running, each) for each in request_ids(running) if each not in known]
    assert sorted(sent(row) for row in rows) == [[], [], [], ["ok"]]
    usage = replies[0].json["usage"] if not fields else replies[0].chunks[-1]["usage"]
    after = [running.gauge(name) for name in counted]
    assert [b - a for a, b in zip(before, after, strict=True)] == [1, usage["total_tokens"]]


@WAYS
def test_when_all_leave_the_last_accounts_for_it(
    running: Sidecar, provider: Provider, relay: Relay, fields: Any
) -> None:
    """The call that was ended for nobody is told once."""
    known = set(request_ids(running))
    relay.hold()
    clients = [called(running, asking(ASKED, **fields)) for _ in range(3)]
    until(lambda: running.gauge("sidecar_in_flight") == 3, "three in one flight")
    until(lambda: provider.calls == 1, "the one call")
    for number, client in enumerate(clients, 1):
        client.close()
        until(lambda left=3 - number: running.gauge("sidecar_in_flight") == left, "one less")
    relay.release()
    rows = [row_of(running, each) for each in request_ids(running) if each not in known]
    assert sorted(sent(row) for row in rows) == [[], [], ["cancelled"]]
