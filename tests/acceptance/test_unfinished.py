"""An answer that did not come to its end is never stored, never told again, never tidied up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from .leaving import called, read_until
from .running import DONE, Provider, Reply, Sidecar, asking, simulated, until
from .streams import assert_valid
from .upstream import Upstream, answering

ASKED = "How do I reset my password?"
NEAR = "How can I reset my password?"
STREAM = {"stream": True, "stream_options": {"include_usage": True}}
WAYS = pytest.mark.parametrize("fields", [{}, STREAM], ids=["whole", "stream"])
CHUNK = b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":'
BEGUN = CHUNK + b'[{"index":0,"delta":{"role":"assistant","content":"Hel"}}]}\n\n'


def assert_never_told_again(running: Sidecar) -> None:
    """Nothing is kept, for the same question or a near one."""
    assert running.cache["entries"] == 0
    assert running.ask(ASKED, {"Cache-Control": "only-if-cached"}).status == 504
    assert running.ask(NEAR, {"Cache-Control": "only-if-cached"}).status == 504


def assert_ends_with_an_error(reply: Reply) -> None:
    """A stream tells a typed error and no end; before its first chunk the status tells it."""
    if reply.status == 200:
        assert DONE not in reply.events
        assert reply.chunks[-1]["error"]["code"] in {"all_targets_failed", "upstream_invalid"}
        assert not any(chunk.get("usage") for chunk in reply.chunks)
    else:
        assert reply.json["error"]["code"] in {"all_targets_failed", "upstream_invalid"}


@pytest.mark.parametrize("fields", [{"stream": True}, STREAM], ids=["bare", "usage"])
def test_a_stream_cut_at_every_event(running: Sidecar, provider: Provider, fields: Any) -> None:
    """Wherever the provider breaks off, the client hears an error and nothing is kept.

    Before the first content, here its second event, no stream has begun yet.
    """
    whole = len(running.ask(ASKED, {"Cache-Control": "no-store"}, **STREAM).events)
    for events in range(whole):
        provider.script({"cut_after_events": events})
        reply = running.ask(ASKED, **fields)
        assert reply.cache == "miss"
        assert_ends_with_an_error(reply)
        assert (reply.status == 200) is (events > 1)
    assert_never_told_again(running)


def test_a_whole_answer_cut(running: Sidecar, provider: Provider) -> None:
    """Half a body is an error, not half an answer."""
    provider.script({"cut_after_events": 1})
    reply = running.ask(ASKED)
    assert (reply.status, reply.json["error"]["code"]) == (503, "all_targets_failed")
    assert_never_told_again(running)


@WAYS
@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        (None, "unfinished"),
        ("length", "truncated"),
        ("content_filter", "filtered"),
        ("tool_calls", "unfinished"),
        ("paused", "unfinished"),
    ],
)
def test_an_irregular_finish(
    running: Sidecar, provider: Provider, finish: str | None, reason: str, fields: Any
) -> None:
    """The client gets what came, with its finish; the cache keeps nothing and says why."""
    provider.script({"finish_reason": finish})
    reply = running.ask(ASKED, **fields)
    assert (reply.status, reply.cache) == (200, "miss")
    assert running.row(reply)["store_reason"] == reason
    assert_never_told_again(running)


def test_a_token_limit(running: Sidecar, provider: Provider) -> None:
    """An answer cut at the client's own limit is cut for the next one as well."""
    reply = running.ask(ASKED, max_tokens=3)
    assert reply.json["choices"][0]["finish_reason"] == "length"
    assert "stored" not in reply.headers["cache-status"]
    assert running.ask(ASKED, max_tokens=3).cache == "miss"
    assert provider.calls == 2


def test_a_false_end(running: Sidecar, provider: Provider) -> None:
    """`[DONE]` without a finish proves nothing."""
    provider.script({"false_done": True})
    reply = running.ask(ASKED, **STREAM)
    assert running.row(reply)["stored"] is False
    assert not any(c["finish_reason"] for chunk in reply.chunks for c in chunk.get("choices", ()))
    assert_never_told_again(running)


@WAYS
@pytest.mark.parametrize("status", [429, 500, 503, 529])
def test_an_error_status(running: Sidecar, provider: Provider, status: int, fields: Any) -> None:
    """An error is told once and asked anew, never replayed."""
    provider.script({"status": status})
    assert running.ask(ASKED, **fields).status in (429, 503)
    assert_never_told_again(running)


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    """A provider that says what it is told to."""
    with answering() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def odd(serve: Callable[..., Sidecar], upstream: Upstream) -> Sidecar:
    """A sidecar that asks it."""
    return serve(providers={"p": {"kind": "openai", "base_url": upstream.base_url}})


@WAYS
@pytest.mark.parametrize(
    "body",
    [
        b'{"error":{"message":"overloaded","type":"server_error"}}',
        b'{"error":"overloaded"}',
        b'{"choices":[]}',
        b'{"choices":[{"index":0}]}',
        b"{}",
        b"null",
        b"",
        b"<html>",
        b'{"choices":[{"message":{"role":"assistant","content":"\xff"},"finish_reason":"stop"}]}',
    ],
    ids=["error", "word", "empty", "hollow", "nothing", "null", "silence", "page", "bytes"],
)
def test_a_200_that_is_no_answer(
    odd: Sidecar, upstream: Upstream, body: bytes, fields: Any
) -> None:
    """A failure that calls itself 200 is a failure, and the next call asks again."""
    upstream.say(body)
    replies = [odd.ask(ASKED, **fields) for _ in range(2)]
    assert {reply.status for reply in replies} <= {502, 503}
    assert (upstream.calls, odd.cache["entries"]) == (2, 0)


@pytest.mark.parametrize(
    "rest",
    [
        b"",
        b'data: {"error":{"message":"overloaded"}}\n\n',
        b'data: {"error":{"message":"overloaded"}}\n\ndata: [DONE]\n\n',
        b"data: {not json\n\ndata: [DONE]\n\n",
        b"data: [DONE",
    ],
    ids=["nothing", "error", "error-and-end", "garbage", "half-an-end"],
)
def test_a_stream_that_goes_wrong(odd: Sidecar, upstream: Upstream, rest: bytes) -> None:
    """After the first chunk too, what is wrong ends in an error and stays out of the cache."""
    upstream.say(BEGUN + rest, "text/event-stream")
    reply = odd.ask(ASKED, **STREAM)
    assert (reply.status, reply.text) == (200, "Hel")
    assert_ends_with_an_error(reply)
    assert odd.cache["entries"] == 0


@pytest.fixture(scope="module")
def slow_provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """A provider that needs a second for an answer."""
    with simulated(tmp_path_factory.mktemp("slow"), tokens_per_s=60) as provider:
        yield provider


@pytest.fixture(scope="module")
def behind_slow(serve: Callable[..., Sidecar], slow_provider: Provider) -> Sidecar:
    """A sidecar that asks it."""
    return serve(providers={"p": {"kind": "openai", "base_url": slow_provider.base_url}})


def test_a_client_that_leaves(behind_slow: Sidecar, slow_provider: Provider) -> None:
    """A client that closes in the middle of a stream ends the call, and nothing is kept."""
    with called(behind_slow, asking(ASKED, **STREAM)) as client:
        read_until(client, b"data: ", times=3)
    until(lambda: slow_provider.outcomes == ["left"], "the provider sees its reader leave")
    behind_slow.idle()
    assert behind_slow.cache["entries"] == 0
    again = behind_slow.ask(ASKED, **STREAM)
    assert again.cache == "miss"
    assert_valid(again, include_usage=True)
