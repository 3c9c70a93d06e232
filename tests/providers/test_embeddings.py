"""Embeddings at the provider: one request for the items given, at the right address."""

from __future__ import annotations

import orjson
import pytest

from sidecar.domain import ChatRequest, Message, Role, Text, Timeouts
from sidecar.errors import (
    InvalidApiKeyError,
    UpstreamError,
    UpstreamInvalidError,
    UpstreamRefusedError,
)
from sidecar.providers.embeddings import AzureEmbeddings, OpenAIEmbeddings, SimulatedProvider
from sidecar.providers.simulated import SimulatedServer
from sidecar.providers.transport import Transport
from sidecar.wire.embeddings import EmbeddingRequest
from tests.acceptance.upstream import Upstream, answering

from .asking import KEY, PATIENT

REQUEST = EmbeddingRequest("asked", ("a", "b", "c"), parameters={"dimensions": 4})
REPLY = orjson.dumps({"model": "m", "data": [{"index": 0, "embedding": [1.0]}]})


def rows(simulated: SimulatedServer) -> list[dict[str, object]]:
    """What the provider saw."""
    found: list[dict[str, object]] = orjson.loads(simulated.ledger.report())["requests"]
    return found


async def test_only_the_items_given_are_sent(
    simulated: SimulatedServer, transport: Transport
) -> None:
    """In their order, to the target's model; the request's other fields go along."""
    provider = OpenAIEmbeddings("p", simulated.base_url, None, transport)
    told = await provider.embed(REQUEST, "target", ["b", "a"], PATIENT)
    assert (rows(simulated)[0]["model"], rows(simulated)[0]["messages"]) == ("target", ["b", "a"])
    assert [len(orjson.loads(vector)) for vector in told.vectors] == [4, 4]
    assert told.usage is not None
    assert told.usage.input_tokens == 2


async def test_azures_deployment_is_in_the_address(
    simulated: SimulatedServer, transport: Transport
) -> None:
    """With the version; the provider finds nothing without it."""
    provider = AzureEmbeddings("az", simulated.url, "k", transport, api_version="2024-10-21")
    told = await provider.embed(REQUEST, "my deployment", ["a"], PATIENT)
    assert len(told.vectors) == 1
    assert rows(simulated)[0]["model"] == "my deployment"


async def heard_by(upstream: Upstream, azure: bool, transport: Transport) -> str:
    """The head of one request."""
    upstream.say(REPLY)
    url = upstream.base_url
    provider = (
        AzureEmbeddings("az", url, KEY, transport, api_version="1")
        if azure
        else OpenAIEmbeddings("p", url, KEY, transport)
    )
    await provider.embed(REQUEST, "m", ["a"], PATIENT)
    return upstream.heard[-1].lower()


@pytest.mark.parametrize(
    ("azure", "header"), [(False, f"authorization: bearer {KEY}"), (True, f"api-key: {KEY}")]
)
async def test_the_key_is_in_its_header(azure: bool, header: str, transport: Transport) -> None:
    """OpenAI's and Azure's differ, and only one of them is sent."""
    with answering() as upstream:
        head = await heard_by(upstream, azure, transport)
    assert header in head
    assert head.count(KEY) == 1


async def test_the_callers_own_key(transport: Transport) -> None:
    """Is sent where config says so; without one nobody is asked."""
    with answering() as upstream:
        upstream.say(REPLY)
        provider = OpenAIEmbeddings("p", upstream.base_url, None, transport, from_client=True)
        with pytest.raises(InvalidApiKeyError):
            await provider.embed(REQUEST, "m", ["a"], PATIENT)
        assert upstream.calls == 0
        await provider.embed(REQUEST, "m", ["a"], PATIENT, client_key="sk-own")
        assert "Bearer sk-own" in upstream.heard[-1]


async def test_a_refusal_is_the_callers(simulated: SimulatedServer, transport: Transport) -> None:
    """With its status and body."""
    provider = OpenAIEmbeddings("p", simulated.base_url, None, transport)
    with pytest.raises(UpstreamRefusedError) as raised:
        await provider.embed(REQUEST, "m", [""], PATIENT)
    assert raised.value.upstream_status == 400
    assert b"none of them empty" in raised.value.body


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"status": 503}, "overloaded"),
        ({"lost_reply": True}, "disconnect"),
        ({"cut_after_events": 0}, "cut"),
        ({"lost_reply": True, "reset": True}, "reset"),
    ],
)
async def test_failures_have_their_words(
    fault: dict[str, object], reason: str, simulated: SimulatedServer, transport: Transport
) -> None:
    """For the trail."""
    simulated.script.replace([fault])
    provider = OpenAIEmbeddings("p", simulated.base_url, None, transport)
    with pytest.raises(UpstreamError) as raised:
        await provider.embed(REQUEST, "m", ["a"], PATIENT)
    assert raised.value.reason == reason


async def test_a_vector_too_few_is_no_answer(transport: Transport) -> None:
    """The wrong vector at a text would be stored for long."""
    with answering() as upstream:
        upstream.say(REPLY)
        provider = OpenAIEmbeddings("p", upstream.base_url, None, transport)
        with pytest.raises(UpstreamInvalidError):
            await provider.embed(REQUEST, "m", ["a", "b"], PATIENT)


async def test_a_slow_provider_is_given_up(
    simulated: SimulatedServer, transport: Transport
) -> None:
    """After the time that the route allows."""
    simulated.script.replace([{"delay_ms": 10_000}])
    provider = OpenAIEmbeddings("p", simulated.base_url, None, transport)
    with pytest.raises(UpstreamError) as raised:
        await provider.embed(REQUEST, "m", ["a"], Timeouts(5, 5, 0.05))
    assert raised.value.reason == "timeout_total"


async def test_the_simulated_provider_counts(
    simulated: SimulatedServer, transport: Transport
) -> None:
    """As it bills: by words."""
    provider = SimulatedProvider("sim", simulated.url, transport)
    request = ChatRequest("claude", (Message(Role.USER, (Text("three little words"),)),))
    assert await provider.count_tokens(request, "claude", PATIENT) == 3
    assert rows(simulated)[0]["endpoint"] == "count_tokens"
