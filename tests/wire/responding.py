"""A server that speaks OpenAI Responses over a socket and answers with what it was given."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from aiohttp import web

from sidecar.domain import ChatRequest, Choice, Chunk, Completion, Finish, ToolCall, Usage
from sidecar.errors import SidecarError
from sidecar.wire.replay import replay
from sidecar.wire.responses_format import ResponsesFormat

USAGE = Usage(20, 7, 12, 3)
TOLD = {"request_id": "req_1", "cache": "miss"}


def answer(*choices: Choice, **fields) -> Completion:
    """An answer of these choices."""
    whole = {"usage": USAGE, **fields}
    return Completion("chatcmpl-abc", 1_700_000_000, "gpt-4o-2024", choices, **whole)


TEXT = answer(Choice(0, "It is warm today, and it will stay so.", Finish.STOP))
CALLS = answer(
    Choice(
        0,
        "Let me see.",
        Finish.TOOL_CALLS,
        (
            ToolCall("call_1", "get_weather", '{"city": "Oslo"}'),
            ToolCall("call_2", "get_weather", '{"city": "Rome"}'),
        ),
    )
)
REFUSAL = answer(Choice(0, None, Finish.STOP, refusal="I can't help with that."))
CUT = answer(Choice(0, "It is", Finish.LENGTH))
FILTERED = answer(Choice(0, "It", Finish.CONTENT_FILTER))
ENDLESS = answer(Choice(0, "It is", None))
CUSTOM = answer(Choice(0, None, Finish.TOOL_CALLS, (ToolCall("c", "sql", "select 1", "custom"),)))
ANSWERS = [TEXT, CALLS, REFUSAL, CUT, FILTERED, ENDLESS, CUSTOM]
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    "strict": True,
}


class Responder:
    """`completion` is what it answers, `chunks` in their place a stream; `fails` ends both."""

    def __init__(self) -> None:
        self.format = ResponsesFormat()
        self.requests: list[ChatRequest] = []
        self.port = 0
        self.say(answer())

    @property
    def base_url(self) -> str:
        """What a client's SDK is told."""
        return f"http://127.0.0.1:{self.port}/v1"

    def say(
        self,
        completion: Completion,
        chunks: Sequence[Chunk] | None = None,
        fails: SidecarError | None = None,
    ) -> None:
        """Answer like this from now on."""
        self.completion = completion
        self.chunks = list(replay(completion)) if chunks is None else chunks
        self.fails = fails

    async def respond(self, http: web.Request) -> web.Response:
        """One request, whole or as a stream."""
        try:
            request = self.format.parse(await http.read())
        except SidecarError as error:
            return self._failed(error)
        self.requests.append(request)
        if request.stream:
            return web.Response(body=self.events(request), content_type="text/event-stream")
        if self.fails is not None:
            return self._failed(self.fails)
        head = self.format.head(self.completion.id, self.completion.created)
        body = head + self.format.tail(self.completion, request)
        return web.Response(body=body, content_type="application/json")

    def events(self, request: ChatRequest) -> bytes:
        """All events of one stream."""
        writer = self.format.writer(request)
        events = b"".join([writer.chunk(chunk) for chunk in self.chunks])
        if self.fails is not None:
            return events + writer.error(self.fails)
        return events + writer.end(self.completion.usage, TOLD)

    def _failed(self, error: SidecarError) -> web.Response:
        body = self.format.error(error)
        return web.Response(body=body, status=error.status, content_type="application/json")


@contextmanager
def responding() -> Iterator[Responder]:
    """One, in a thread of its own, until the block ends."""
    responder, loop, started = Responder(), asyncio.new_event_loop(), threading.Event()
    app = web.Application()
    app.router.add_post("/v1/responses", responder.respond)
    runner = web.AppRunner(app)

    async def start() -> None:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        responder.port = runner.addresses[0][1]
        started.set()

    def serve() -> None:
        loop.run_until_complete(start())
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=serve)
    thread.start()
    assert started.wait(10)
    try:
        yield responder
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
