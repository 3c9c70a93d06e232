"""Who counts: the shipped tokenizer, the provider, or nobody."""

from __future__ import annotations

import pytest

from sidecar.counting import Counting
from sidecar.domain import ChatRequest, Message, Role, Text
from sidecar.errors import InvalidRequestError, ModelNotFoundError
from sidecar.providers.embeddings import OpenAIEmbeddings, SimulatedProvider
from sidecar.providers.simulated import SimulatedServer
from sidecar.providers.transport import Transport
from sidecar.route.table import TARGETS, Route, RouteTable, Target

HELLO = (Message(Role.USER, (Text("How do I reset my password?"),)),)


def table(**models: str) -> RouteTable:
    """Models by name, each answered by the model of a provider: `provider/model`."""
    routes = {}
    for name, told in models.items():
        provider, _, model = told.partition("/")
        routes[name] = {
            variant: Route(name, (Target(provider, target),), variant=variant)
            for variant, target in ((TARGETS, model), ("other", "gpt-4"))
        }
    return RouteTable(routes)


@pytest.fixture
async def counting():
    """A simulated provider that counts, and one that doesn't."""
    server, transport = SimulatedServer(latency_ms=0), Transport(use_environment=False)
    await server.start()
    providers = {
        "sim": SimulatedProvider("sim", server.url, transport),
        "plain": OpenAIEmbeddings("plain", server.base_url, None, transport),
    }
    yield Counting(providers, table(claude="sim/claude", gpt="sim/gpt-4o", llama="plain/llama3"))
    await transport.close()
    await server.close()


async def test_a_known_tokenizer_is_used(counting: Counting) -> None:
    """Although the provider could be asked."""
    assert await counting.count(ChatRequest("gpt", HELLO)) == 14


async def test_a_provider_is_asked_else(counting: Counting) -> None:
    """It counts by words."""
    assert await counting.count(ChatRequest("claude", HELLO)) == 6


async def test_nobody_guesses(counting: Counting) -> None:
    """The error names the model that was asked for and the one that would answer."""
    with pytest.raises(InvalidRequestError) as raised:
        await counting.count(ChatRequest("llama", HELLO))
    assert "llama" in raised.value.message
    assert "llama3" in raised.value.message


async def test_the_variant_decides(counting: Counting) -> None:
    """What would answer is what is counted for."""
    assert await counting.count(ChatRequest("claude", HELLO), variant="other") == 14


async def test_another_table_holds_from_the_next_request_on(counting: Counting) -> None:
    """A toggle or another config."""
    counting.routes = table(llama="sim/gpt-4o")
    assert await counting.count(ChatRequest("llama", HELLO)) == 14
    with pytest.raises(ModelNotFoundError):
        await counting.count(ChatRequest("claude", HELLO))
