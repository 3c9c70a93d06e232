"""Every attempt is recorded, whatever comes of it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

import pytest

from sidecar.domain import ChatRequest, Choice, Chunk, Completion, Delta, Timeouts
from sidecar.errors import UpstreamError
from sidecar.providers.openai import OpenAIProvider
from sidecar.providers.simulated import SimulatedServer
from sidecar.providers.transport import Transport
from sidecar.route.dispatch import Dispatcher
from sidecar.route.table import Route, Target

ROUTE = Route("gpt-4o", (Target("sim", "gpt-4o-real"),))


class Scripted:
    """A provider that does as it is told, for what no server can be made to do."""

    def __init__(self, clock, error: BaseException | None = None) -> None:
        self.clock, self.error = clock, error
        self.closed = False
        self.hold: asyncio.Event | None = None
        self.held = asyncio.Event()

    async def complete(self, request: ChatRequest, model: str, timeouts: Timeouts) -> Completion:
        self.clock.advance(1.5)
        if self.error:
            raise self.error
        return Completion("1", 1, model, (Choice(0, "hi", "stop"),))

    async def stream(
        self, request: ChatRequest, model: str, timeouts: Timeouts
    ) -> AsyncGenerator[Chunk, None]:
        try:
            yield Chunk("1", 1, model, (Delta(text="h"),))
            if self.hold:
                self.held.set()
                await self.hold.wait()
            if self.error:
                raise self.error
            yield Chunk("1", 1, model, (Delta(text="i", finish="stop"),))
        finally:
            self.closed = True


@pytest.fixture
async def simulated() -> AsyncIterator[SimulatedServer]:
    """The shipped provider, answering at once."""
    server = SimulatedServer(latency_ms=0, tokens_per_s=0)
    await server.start()
    yield server
    await server.close()


@pytest.fixture
async def real(simulated, clock) -> AsyncIterator[Dispatcher]:
    """A dispatcher over HTTP."""
    transport = Transport(use_environment=False)
    yield Dispatcher({"sim": OpenAIProvider("sim", simulated.base_url, None, transport)}, clock)
    await transport.close()


async def ask(dispatcher: Dispatcher, call, attempts: list, chunks: list | None = None):
    """The answer and its target."""
    emit = (chunks if chunks is not None else []).append
    return await dispatcher.ask(call, ROUTE, emit=emit, attempts=attempts)


async def test_a_whole_answer_comes_with_its_target(real, simulated, make_call):
    """The provider's own model is asked, once."""
    attempts = []
    completion, target = await ask(real, make_call(), attempts)
    assert completion.choices[0].text
    assert (target.model, [a.reason for a in attempts]) == ("gpt-4o-real", ["ok"])
    assert attempts[0].status == 200


async def test_a_stream_is_emitted_as_it_comes_and_captured_beside(real, make_call):
    """What the chunks tell is what is returned whole."""
    chunks, attempts = [], []
    completion, _ = await ask(real, make_call(stream=True), attempts, chunks)
    told = "".join(delta.text or "" for chunk in chunks for delta in chunk.deltas)
    assert told == completion.choices[0].text
    assert completion.choices[0].finish == "stop"


async def test_a_failed_attempt_is_recorded_with_its_status(clock, make_call):
    """And its time; nothing is retried in silence."""
    error = UpstreamError("no", reason="status_503", upstream_status=503)
    attempts = []
    with pytest.raises(UpstreamError):
        await ask(Dispatcher({"sim": Scripted(clock, error)}, clock), make_call(), attempts)
    (attempt,) = attempts
    told = (attempt.provider, attempt.model, attempt.status, attempt.reason, attempt.ms)
    assert told == ("sim", "gpt-4o-real", 503, "status_503", 1500.0)


async def test_a_stream_that_fails_midway_is_recorded_and_raised(clock, make_call):
    """What was emitted stays emitted, and no answer is returned."""
    provider = Scripted(clock, UpstreamError("no", reason="cut"))
    attempts, chunks = [], []
    with pytest.raises(UpstreamError):
        await ask(Dispatcher({"sim": provider}, clock), make_call(stream=True), attempts, chunks)
    assert (len(chunks), attempts[0].status, attempts[0].reason) == (1, None, "cut")


async def test_a_cancelled_attempt_is_recorded_and_lets_go_at_once(clock, make_call):
    """The provider's connection is closed before the caller goes on."""
    provider, attempts, chunks = Scripted(clock), [], []
    provider.hold = asyncio.Event()
    dispatcher = Dispatcher({"sim": provider}, clock)
    asking = asyncio.ensure_future(ask(dispatcher, make_call(stream=True), attempts, chunks))
    await provider.held.wait()
    asking.cancel()
    await asyncio.wait([asking])
    assert (provider.closed, attempts[0].reason) == (True, "cancelled")


async def test_a_bug_is_not_recorded_as_a_client_who_left(clock, make_call):
    """The trail tells them apart."""
    attempts = []
    with pytest.raises(LookupError):
        await ask(Dispatcher({"sim": Scripted(clock, LookupError())}, clock), make_call(), attempts)
    assert attempts[0].reason == "internal"
