"""Every attempt is recorded, whatever comes of it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace

import pytest

from sidecar.domain import Caller, ChatRequest, Choice, Chunk, Completion, Delta, Timeouts, Usage
from sidecar.errors import InvalidRequestError, UpstreamError
from sidecar.providers.openai import OpenAIProvider
from sidecar.providers.simulated import SimulatedServer
from sidecar.providers.transport import Transport
from sidecar.route.dispatch import Dispatcher
from sidecar.route.policy import BreakerPolicy, RetryPolicy
from sidecar.route.table import Route, Target
from sidecar.route.wishes import Whole

ROUTE = Route("gpt-4o", (Target("sim", "gpt-4o-real"),), retry=RetryPolicy(attempts=1))


class Scripted:
    """A provider that does as it is told, for what no server can be made to do."""

    def __init__(self, clock, error: BaseException | None = None) -> None:
        self.clock, self.error = clock, error
        self.closed = False
        self.keys: list[str] = []
        self.hold: asyncio.Event | None = None
        self.held = asyncio.Event()

    async def complete(
        self, request: ChatRequest, model: str, timeouts: Timeouts, *, client_key: str = ""
    ) -> Completion:
        self.keys.append(client_key)
        self.clock.advance(1.5)
        if self.error:
            raise self.error
        return Completion("1", 1, model, (Choice(0, "hi", "stop"),))

    async def stream(
        self, request: ChatRequest, model: str, timeouts: Timeouts, *, client_key: str = ""
    ) -> AsyncGenerator[Chunk, None]:
        self.keys.append(client_key)
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


async def ask(
    dispatcher: Dispatcher, call, attempts: list, chunks: list | None = None, route: Route = ROUTE
):
    """The answer and its target."""
    emit = (chunks if chunks is not None else []).append
    answered = await dispatcher.ask(call, route, emit=emit, attempts=attempts)
    return answered.completion, answered.target


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


async def test_a_stream_without_a_word_is_passed_on_whole(clock, make_call):
    """What was held back comes with its regular end: an empty answer is an answer."""

    class Wordless(Scripted):
        async def stream(
            self, request: ChatRequest, model: str, timeouts: Timeouts, *, client_key: str = ""
        ) -> AsyncGenerator[Chunk, None]:
            yield Chunk("1", 1, model, (Delta(role="assistant"),))
            yield Chunk("1", 1, model, (), usage=Usage(3, 0))

    chunks = []
    await ask(Dispatcher({"sim": Wordless(clock)}, clock), make_call(stream=True), [], chunks)
    assert [chunk.usage for chunk in chunks] == [None, Usage(3, 0)]


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


@pytest.mark.parametrize("stream", [False, True])
async def test_the_callers_key_reaches_the_provider(clock, make_call, stream):
    """Which sends it on only where config says so."""
    provider = Scripted(clock)
    call = replace(make_call(stream=stream), client_key="sk-mine")
    await ask(Dispatcher({"sim": provider}, clock), call, [])
    assert provider.keys == ["sk-mine"]


async def test_who_leaves_during_a_probe_lets_the_next_one_try(clock, make_call):
    """A half-open breaker that waited for a word that never comes would stay shut for ever."""
    route = replace(ROUTE, breaker=BreakerPolicy(1, 30.0, 30.0))
    provider = Scripted(clock, UpstreamError("no", reason="status_500", upstream_status=500))
    dispatcher = Dispatcher({"sim": provider}, clock)
    with pytest.raises(UpstreamError):
        await ask(dispatcher, make_call(), [], route=route)
    provider.error, provider.hold = None, asyncio.Event()
    leaving = asyncio.ensure_future(ask(dispatcher, make_call(stream=True), [], route=route))
    await provider.held.wait()
    leaving.cancel()
    await asyncio.wait([leaving])
    provider.hold = None
    await ask(dispatcher, make_call(), [], route=route)
    assert dispatcher.states()["sim", "gpt-4o-real"]["state"] == "closed"


async def test_who_leaves_gives_the_place_back(clock, make_call):
    """Or a model would be full of nobody."""
    provider = Scripted(clock)
    provider.hold = asyncio.Event()
    dispatcher = Dispatcher({"sim": provider}, clock)
    asking = asyncio.ensure_future(ask(dispatcher, make_call(stream=True), []))
    await provider.held.wait()
    assert dispatcher.in_flight == {"gpt-4o": 1}
    asking.cancel()
    await asyncio.wait([asking])
    assert dispatcher.in_flight == {}


async def test_who_leaves_while_it_waits_has_the_failure_in_its_trail(clock, make_call):
    """What was tried was tried; nothing is asked for nobody."""
    provider = Scripted(clock, UpstreamError("no", reason="status_500", upstream_status=500))
    attempts = []
    patient = replace(ROUTE, retry=RetryPolicy(attempts=3, base_s=600.0, max_s=600.0))
    asking = asyncio.ensure_future(
        ask(Dispatcher({"sim": provider}, clock), make_call(), attempts, route=patient)
    )
    while not attempts:
        await asyncio.sleep(0)
    asking.cancel()
    await asyncio.wait([asking])
    assert [attempt.reason for attempt in attempts] == ["status_500"]


@pytest.mark.parametrize("sticky", ["session", "user"])
async def test_a_sticky_route_sends_one_conversation_to_one_target(clock, make_call, sticky):
    """Always the same, and not all of them to one."""
    targets = (Target("sim", "a", 50), Target("sim", "b", 50))
    route = replace(ROUTE, targets=targets, sticky=sticky)
    dispatcher, chosen = Dispatcher({"sim": Scripted(clock)}, clock), {}
    for number in range(60):
        name = f"s{number % 20}"
        caller = Caller(**{sticky: name})
        _, target = await ask(dispatcher, make_call(caller=caller), [], route=route)
        assert chosen.setdefault(name, target) is target
    assert set(chosen.values()) == set(targets)


async def test_a_bound_route_is_asked_by_its_own_clients(clock, make_call):
    """Whoever has taken their names since."""
    own, others = Scripted(clock), Scripted(clock)
    bound = replace(ROUTE, clients={"sim": own})
    await ask(Dispatcher({"sim": others}, clock), make_call(), [], route=bound)
    assert (len(own.keys), others.keys) == (1, [])


@pytest.mark.parametrize(("tells", "state"), [(True, "open"), (False, "closed")])
async def test_what_says_nothing_of_a_target_moves_no_breaker(clock, make_call, tells, state):
    """Chats go on where something else fails; all else opens it, be it a chat or not."""
    error = UpstreamError("no", reason="status_500", upstream_status=500)
    route, attempts = replace(ROUTE, breaker=BreakerPolicy(failures=1)), []
    dispatcher = Dispatcher({"sim": Scripted(clock, error)}, clock)
    request = make_call().request
    wish = Whole(
        lambda provider, target: provider.complete(request, target.model, Timeouts()), tells
    )
    with pytest.raises(UpstreamError):
        await dispatcher.fetch(wish, make_call(), route, attempts)
    assert [attempt.reason for attempt in attempts] == ["status_500"]
    assert dispatcher.states()["sim", "gpt-4o-real"]["state"] == state


async def test_an_answer_that_looks_like_nothing_is_one(clock, make_call):
    """A count of zero is a count."""

    async def zero(provider: object, model: str) -> int:
        return 0

    dispatcher = Dispatcher({"sim": Scripted(clock)}, clock)
    given = await dispatcher.fetch(Whole(zero), make_call(), ROUTE, [])
    assert (given.answer, given.target.model) == (0, "gpt-4o-real")


async def test_what_no_target_can_say_is_the_callers_to_change(clock, make_call):
    """The first one's words; each is named, and no breaker hears of it."""
    errors = [InvalidRequestError("no seed"), InvalidRequestError("no n")]
    providers = {name: Scripted(clock, error) for name, error in zip("ab", errors, strict=True)}
    route = Route("gpt-4o", (Target("a", "m"),), fallbacks=(Target("b", "m"),))
    attempts, dispatcher = [], Dispatcher(providers, clock)
    with pytest.raises(InvalidRequestError, match="no seed"):
        await ask(dispatcher, make_call(), attempts, route=route)
    assert [attempt.reason for attempt in attempts] == ["untranslatable"] * 2


async def test_what_one_cannot_say_another_answers(clock, make_call):
    """A fallback with the word is asked."""
    providers = {"a": Scripted(clock, InvalidRequestError("no seed")), "b": Scripted(clock)}
    route = Route("gpt-4o", (Target("a", "m"),), fallbacks=(Target("b", "m"),))
    _, target = await ask(Dispatcher(providers, clock), make_call(), [], route=route)
    assert target.provider == "b"
