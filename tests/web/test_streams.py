"""Answers as server-sent events: live as they come, stored as if they did."""

import asyncio
import logging
from collections.abc import AsyncIterator

import orjson
import pytest
from aiohttp import web

from sidecar.clock import ManualClock
from sidecar.domain import Choice, Chunk, Completion, Delta, Usage
from sidecar.errors import UpstreamError
from sidecar.singleflight import FlightAbandonedError
from sidecar.trail import Trail
from sidecar.web.streams import replayed, write_live
from sidecar.wire.format import EventWriter
from sidecar.wire.openai_format import OpenAIFormat

USAGE = Usage(10, 5)
DONE = b"data: [DONE]"
ANSWER = Completion("chatcmpl-1", 7, "gpt-4o", (Choice(0, "Hello you", "stop"),), USAGE)


def writer_for(trail: Trail) -> EventWriter:
    """The writer of OpenAI's streams."""
    return OpenAIFormat().writer(trail.call.request)


def again(answer: Completion, trail: Trail, head: dict[str, str]) -> web.Response:
    """A stored answer as a stream of OpenAI's."""
    return replayed(answer, trail, writer_for(trail), head)


def chunk(text: str | None = None, **changes: object) -> Chunk:
    """An event of a stream."""
    delta = Delta(**({"text": text} if text is not None else {}), **changes)
    return Chunk("chatcmpl-1", 7, "gpt-4o", (delta,))


WHOLE = (
    chunk(role="assistant"),
    chunk("Hello "),
    chunk("you"),
    chunk(finish="stop"),
    Chunk("chatcmpl-1", 7, "gpt-4o", (), USAGE),
)


@pytest.fixture
def trail_of(make_call):
    """The trail of a request for a stream."""

    def make(*, include_usage: bool = False) -> Trail:
        call = make_call(stream=True, include_usage=include_usage)
        return Trail(call, ManualClock())

    return make


async def coming(*chunks: Chunk, error: Exception | None = None) -> AsyncIterator[Chunk]:
    """Chunks, and maybe an error behind them."""
    for one in chunks:
        yield one
    if error:
        raise error


@pytest.fixture
def live(serve, client):
    """The body of a live stream of these chunks."""

    async def answer(trail: Trail, chunks: AsyncIterator[Chunk]) -> bytes:
        async def handler(http: web.Request) -> web.StreamResponse:
            return await write_live(http, trail, chunks, writer_for(trail), {"x-a": "b"})

        app = web.Application()
        app.router.add_get("/", handler)
        async with client.get(await serve(app)) as response:
            assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
            assert (response.headers["x-a"], response.status) == ("b", 200)
            return await response.read()

    return answer


def datas(body: bytes) -> list:
    """The events' data, parsed; the end as it is."""
    events = [event for event in body.split(b"\n\n") if event]
    return [
        "DONE" if event == DONE else orjson.loads(event.removeprefix(b"data: ").strip())
        for event in events
    ]


def text_of(events: list) -> str:
    """All text that a client would show."""
    return "".join(
        choice["delta"].get("content") or ""
        for event in events
        if event != "DONE"
        for choice in event.get("choices", ())
    )


async def test_live_chunks_are_passed_on_and_ended(live, trail_of):
    """One event each, then the end."""
    events = datas(await live(trail_of(), coming(*WHOLE)))
    assert (text_of(events), events[-1], len(events)) == ("Hello you", "DONE", 5)


async def test_usage_is_kept_from_who_did_not_ask(live, trail_of):
    """The provider is always asked for it; the client need not be told."""
    body = await live(trail_of(), coming(*WHOLE))
    assert b"usage" not in body


async def test_usage_comes_once_as_the_last_chunk(live, trail_of):
    """With what the head could not tell."""
    trail = trail_of(include_usage=True)
    trail.usage, trail.stored = USAGE, True
    *_, last, done = datas(await live(trail, coming(*WHOLE)))
    assert (last["choices"], last["usage"]["prompt_tokens"], done) == ([], 10, "DONE")
    told = last["sidecar"]
    assert (told["request_id"], told["cache"], told["stored"]) == ("req_1", "miss", True)


async def test_the_first_token_is_the_first_content(live, trail_of):
    """The role alone is none."""
    trail = trail_of()
    await live(trail, coming(chunk(role="assistant")))
    assert trail.first_token_ms is None
    trail = trail_of()
    await live(trail, coming(*WHOLE))
    assert trail.first_token_ms is not None


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UpstreamError("cut", reason="cut"), "all_targets_failed"),
        (FlightAbandonedError("the process ends"), "draining"),
        (LookupError("canary: a bug"), "internal"),
    ],
)
async def test_a_stream_that_fails_ends_with_a_typed_error(live, trail_of, caplog, error, code):
    """Whatever failed: never with a clean end, and never with a second head in the body."""
    trail = trail_of()
    with caplog.at_level(logging.ERROR):
        body = await live(trail, coming(*WHOLE[:2], error=error))
    events = datas(body)
    assert (text_of(events[:-1]), events[-1]["error"]["code"]) == ("Hello ", code)
    assert DONE not in body
    assert b"canary" not in body
    assert trail.error == code


async def test_a_client_that_leaves_ends_the_stream(serve, client, trail_of):
    """The handler is cancelled, and the chunks are asked for no more."""
    ended = asyncio.Event()

    async def endless() -> AsyncIterator[Chunk]:
        try:
            yield WHOLE[1]
            await asyncio.Event().wait()
        finally:
            ended.set()

    chunks = endless()

    async def handler(http: web.Request) -> web.StreamResponse:
        trail = trail_of()
        return await write_live(http, trail, chunks, writer_for(trail), {})

    app = web.Application()
    app.router.add_get("/", handler)
    response = await client.get(await serve(app))
    await response.content.readany()
    response.close()
    await ended.wait()


def test_a_stored_answer_reads_as_a_stream(trail_of):
    """Role, text, end, in this order."""
    events = datas(again(ANSWER, trail_of(), {}).body)
    assert events[0]["choices"][0]["delta"]["role"] == "assistant"
    assert text_of(events) == "Hello you"
    assert events[-2]["choices"][0]["finish_reason"] == "stop"
    assert events[-1] == "DONE"


def test_a_stored_answer_tells_its_usage_to_who_asked(trail_of):
    """As the provider told it then."""
    events = datas(again(ANSWER, trail_of(include_usage=True), {}).body)
    assert events[-2]["usage"]["completion_tokens"] == 5
    assert all(event.get("usage") is None for event in events[:-2])


def test_a_stored_answer_without_usage_is_a_stream_all_the_same(trail_of):
    """Nothing is made up."""
    answer = Completion("1", 7, "m", ANSWER.choices)
    events = datas(again(answer, trail_of(include_usage=True), {}).body)
    assert text_of(events) == "Hello you"
    assert all(event.get("usage") is None for event in events[:-1])


def test_a_replayed_stream_is_held_by_no_proxy(trail_of):
    """The same head as a live one."""
    head = again(ANSWER, trail_of(), {"x-a": "b"}).headers
    told = (head["Content-Type"], head["Cache-Control"], head["X-Accel-Buffering"], head["x-a"])
    assert told == ("text/event-stream; charset=utf-8", "no-cache", "no", "b")
