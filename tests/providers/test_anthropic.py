"""One attempt at a server that speaks Anthropic's Messages, reported truthfully."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from sidecar import __version__
from sidecar.domain import Dialect
from sidecar.errors import (
    InvalidApiKeyError,
    InvalidRequestError,
    UpstreamError,
    UpstreamInvalidError,
    UpstreamRefusedError,
)
from sidecar.providers.anthropic import VERSION, AnthropicProvider
from sidecar.providers.openai import OpenAIProvider
from sidecar.providers.simulated import SimulatedServer
from sidecar.providers.transport import Transport
from sidecar.wire.assemble import assemble

from .asking import COMPLETION, KEY, PATIENT, asks
from .claude import MESSAGE, REFUSAL, WHOLE, messages, provider, split
from .faults import FaultServer, replies, whole


async def failure(reply: bytes, transport: Transport) -> UpstreamError:
    """Ask for a whole answer, get this reply, and return what was raised."""
    async with FaultServer(replies(reply)) as server:
        with pytest.raises(UpstreamError) as raised:
            await provider(server.url, transport).complete(asks(), "m", PATIENT)
    return raised.value


async def test_a_whole_answer_is_read(transport: Transport) -> None:
    """Text, finish, usage and the time of its coming arrive as domain types."""
    async with FaultServer(replies(whole(WHOLE))) as server:
        answer = await provider(server.url, transport).complete(asks(), "m", PATIENT)
    assert (answer.choices[0].text, answer.choices[0].finish) == ("Hello", "stop")
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.cached_input_tokens) == (7, 4)
    assert answer.created > 1_700_000_000


async def test_the_head_is_built_from_an_allow_list(transport: Transport) -> None:
    """Nothing is sent but these headers; the request is in Anthropic's words."""
    async with FaultServer(replies(whole(WHOLE))) as server:
        await provider(server.url, transport).complete(asks(), "claude-9", PATIENT)
        first, sent, body = split(server.requests[0])
    assert first == "POST /v1/messages HTTP/1.1"
    assert sent.keys() == {
        *("Host", "Content-Length", "Content-Type", "Accept", "User-Agent"),
        *("x-api-key", "anthropic-version"),
    }
    assert (sent["x-api-key"], sent["anthropic-version"]) == (KEY, VERSION)
    assert sent["User-Agent"] == f"semantic-sidecar/{__version__}"
    assert (body["model"], body["max_tokens"]) == ("claude-9", 4096)
    assert "stream" not in body


@pytest.mark.parametrize("base", ["", "/", "/v1", "/v1/", "/proxy/v1"])
async def test_the_address_with_or_without_its_version(base: str, transport: Transport) -> None:
    """People write both."""
    async with FaultServer(replies(whole(WHOLE))) as server:
        await provider(server.url + base, transport).complete(asks(), "m", PATIENT)
        first, _, _ = split(server.requests[0])
    prefix = "/proxy" if "proxy" in base else ""
    assert first == f"POST {prefix}/v1/messages HTTP/1.1"


async def test_betas_go_into_their_header(transport: Transport) -> None:
    """And only with the request that names them."""
    async with FaultServer(replies(whole(WHOLE))) as server:
        asked = provider(server.url, transport)
        await asked.complete(messages(betas=["a-1", "b-2"]), "m", PATIENT)
        await asked.complete(messages(), "m", PATIENT)
        (_, first, body), (_, second, _) = map(split, server.requests)
    assert first["anthropic-beta"] == "a-1,b-2"
    assert "betas" not in body
    assert "anthropic-beta" not in second


async def test_what_can_not_be_said_is_refused_before_anything_is_sent(
    transport: Transport,
) -> None:
    """By name, as the caller's fault."""
    request = replace(asks(), parameters={"seed": 1})
    async with FaultServer(replies(whole(WHOLE))) as server:
        with pytest.raises(InvalidRequestError) as raised:
            await provider(server.url, transport).complete(request, "m", PATIENT)
        assert not server.requests
    assert raised.value.param == "seed"


async def test_a_client_of_anthropics_gets_all_of_it(transport: Transport) -> None:
    """A thought goes to who can read it, and to nobody else."""
    thought = {"type": "thinking", "thinking": "Hm", "signature": "s"}
    reply = whole(orjson.dumps({**MESSAGE, "content": [thought, *MESSAGE["content"]]}))
    async with FaultServer(replies(reply)) as server:
        asked = provider(server.url, transport)
        kept = await asked.complete(messages(), "m", PATIENT)
        plain = await asked.complete(asks(), "m", PATIENT)
    assert "Hm" in str(kept.choices[0].extra)
    assert not plain.choices[0].extra


@pytest.mark.parametrize("body", [b"", b"hello", b"[]", b"{}", COMPLETION])
async def test_a_body_that_is_no_answer_is_invalid(body: bytes, transport: Transport) -> None:
    """Status 200 alone proves nothing, and another vendor's answer is none."""
    assert isinstance(await failure(whole(body), transport), UpstreamInvalidError)


@pytest.mark.parametrize(("status", "reason"), [(400, "status_400"), (429, "rate_limited")])
async def test_the_callers_fault_is_passed_on(
    status: int, reason: str, transport: Transport
) -> None:
    """With its own status, body and hints, and whose shape it is in."""
    error = await failure(whole(REFUSAL, "retry-after: 7", status=f"{status} No"), transport)
    assert isinstance(error, UpstreamRefusedError)
    assert (error.reason, error.upstream_status, error.body) == (reason, status, REFUSAL)
    assert (error.dialect, error.headers) == (Dialect.ANTHROPIC, {"retry-after": "7"})


async def test_overload_is_the_providers_matter(transport: Transport) -> None:
    """529 is Anthropic's own."""
    error = await failure(whole(REFUSAL, status="529 No"), transport)
    assert (type(error), error.reason) == (UpstreamError, "overloaded")


@pytest.mark.parametrize("status", [400, 401, 403, 500])
async def test_our_key_shows_in_no_error(status: int, transport: Transport) -> None:
    """Whatever the server quotes."""
    body = b'{"error": {"message": "bad key ' + KEY.encode() + b'"}}'
    error = await failure(whole(body, status=f"{status} No"), transport)
    assert KEY not in str(vars(error)) + str(error)


async def test_tokens_are_counted_for_free(transport: Transport) -> None:
    """At an address of its own, with what belongs to the input alone."""
    async with FaultServer(replies(whole(b'{"input_tokens": 12}'))) as server:
        asked = provider(server.url, transport)
        request = messages(temperature=0.5, stream=True, system="a")
        assert await asked.count_tokens(request, "claude-9", PATIENT) == 12
        first, sent, body = split(server.requests[0])
    assert first == "POST /v1/messages/count_tokens HTTP/1.1"
    assert sent["x-api-key"] == KEY
    assert body.keys() == {"model", "messages", "system"}


async def test_a_count_that_fails_is_an_error(transport: Transport) -> None:
    """As any reply that is not 200."""
    async with FaultServer(replies(whole(b"{}", status="529 No"))) as server:
        with pytest.raises(UpstreamError, match="529"):
            await provider(server.url, transport).count_tokens(messages(), "m", PATIENT)


@pytest.mark.parametrize("kind", [AnthropicProvider, OpenAIProvider])
async def test_the_callers_own_key_is_sent(kind: type, transport: Transport) -> None:
    """Where config says so, ours never is."""
    reply = whole(WHOLE if kind is AnthropicProvider else COMPLETION)
    async with FaultServer(replies(reply)) as server:
        asked = kind("own", server.url, KEY, transport, from_client=True)
        await asked.complete(asks(), "m", PATIENT, client_key="sk-of-bob")
        head = server.requests[0].split(b"\r\n\r\n")[0]
    assert b"sk-of-bob" in head
    assert KEY.encode() not in head


@pytest.mark.parametrize("kind", [AnthropicProvider, OpenAIProvider])
async def test_a_caller_without_a_key_is_not_asked_for(kind: type, transport: Transport) -> None:
    """Neither whole nor as a stream; nothing is sent."""
    async with FaultServer(replies(b"")) as server:
        asked = kind("own", server.url, None, transport, from_client=True)
        with pytest.raises(InvalidApiKeyError):
            await asked.complete(asks(), "m", PATIENT)
        with pytest.raises(InvalidApiKeyError):
            await anext(asked.stream(asks(stream=True), "m", PATIENT))
        assert not server.requests


@pytest.mark.parametrize("kind", [AnthropicProvider, OpenAIProvider])
async def test_a_wrong_key_of_the_callers_is_the_callers_fault(
    kind: type, transport: Transport
) -> None:
    """It hears 401, without what the provider said of the key."""
    body = b'{"error": {"message": "sk-of-bob is wrong"}}'
    async with FaultServer(replies(whole(body, status="401 No"))) as server:
        asked = kind("own", server.url, None, transport, from_client=True)
        with pytest.raises(UpstreamRefusedError) as raised:
            await asked.complete(asks(), "m", PATIENT, client_key="sk-of-bob")
    assert (raised.value.upstream_status, raised.value.reason) == (401, "auth")
    assert "sk-of-bob" not in str(vars(raised.value))


@pytest.mark.parametrize("kind", [AnthropicProvider, OpenAIProvider])
async def test_a_key_may_change_at_run_time(kind: type, transport: Transport) -> None:
    """The next request is sent with the new one."""
    keys = iter(["sk-one", "sk-two"])
    reply = whole(WHOLE if kind is AnthropicProvider else COMPLETION)
    async with FaultServer(replies(reply)) as server:
        asked = kind("own", server.url, lambda: next(keys), transport)
        for _ in range(2):
            await asked.complete(asks(), "m", PATIENT)
        first, second = server.requests
    assert b"sk-one" in first
    assert b"sk-two" in second


def test_a_provider_does_not_show_its_key(transport: Transport) -> None:
    """Its repr names it and its place."""
    assert repr(provider("http://a:1", transport)) == "AnthropicProvider('canary', a:1)"


@pytest.fixture
def simulated_claude(simulated: SimulatedServer, transport: Transport) -> AnthropicProvider:
    """A provider at the shipped simulated one, which checks what it is asked as Anthropic does."""
    return AnthropicProvider("sim", simulated.base_url, "any", transport)


async def test_the_simulated_provider_says_the_same_both_ways(
    simulated_claude: AnthropicProvider,
) -> None:
    """Whole and as a stream, with the same bill."""
    whole_answer = await simulated_claude.complete(messages(), "claude-sonnet-4-5", PATIENT)
    chunks = [
        part
        async for part in simulated_claude.stream(
            messages(stream=True), "claude-sonnet-4-5", PATIENT
        )
    ]
    streamed = assemble(chunks)
    assert streamed.choices == whole_answer.choices
    assert streamed.usage == whole_answer.usage is not None


async def test_the_simulated_provider_counts(simulated_claude: AnthropicProvider) -> None:
    """More words, more tokens."""
    turns = [{"role": "user", "content": "Hello, how are you today?"}]
    few = await simulated_claude.count_tokens(messages(), "claude-sonnet-4-5", PATIENT)
    more = await simulated_claude.count_tokens(
        messages(messages=turns), "claude-sonnet-4-5", PATIENT
    )
    assert 0 < few < more
