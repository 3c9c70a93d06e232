"""The configured providers as objects: made once, made anew when their config changes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from sidecar.config import Config
from sidecar.errors import ConfigError
from sidecar.providers.anthropic import AnthropicProvider
from sidecar.providers.azure import AzureProvider
from sidecar.providers.openai import OpenAIProvider
from sidecar.providing import Providers, is_asked_with_client_key

URL = "http://127.0.0.1:9"


def configs(**providers: Any) -> Any:
    """Providers as config has them."""
    name = next(iter(providers))
    models = {"m": {"targets": [{"provider": name, "model": "m"}]}}
    return Config.parse({"providers": providers, "models": models}).providers


@pytest.fixture
async def providers(clock) -> AsyncIterator[Providers]:
    """None yet."""
    providers = Providers(clock)
    yield providers
    await providers.close()


async def adopted(providers: Providers, wanted: Any) -> dict[str, Any]:
    """The objects after a config was taken."""
    providers.adopt(wanted, await providers.prepare(wanted))
    return dict(providers.clients)


@pytest.mark.parametrize(
    ("kind", "made"),
    [
        ("openai", OpenAIProvider),
        ("anthropic", AnthropicProvider),
        ("azure", AzureProvider),
        ("simulated", OpenAIProvider),
    ],
)
async def test_every_kind_is_made(providers, kind, made):
    """By its own class; the simulated one speaks OpenAI's words."""
    place = {} if kind == "simulated" else {"base_url": URL}
    clients = await adopted(providers, configs(p={"kind": kind, **place}))
    assert isinstance(clients["p"], made)


async def test_only_what_changed_is_made_anew(providers):
    """The rest keeps its connections; what config has no longer stays for calls in flight."""
    one, two = {"kind": "openai", "base_url": URL}, {"kind": "openai", "base_url": f"{URL}/2"}
    before = await adopted(providers, configs(a=one, b=one, c=one))
    after = await adopted(providers, configs(a=one, b=two))
    assert after["a"] is before["a"]
    assert after["b"] is not before["b"]
    assert after["c"] is before["c"]


async def test_a_name_that_comes_back_is_made_anew(providers):
    """Its key file may be another one by now."""
    one = {"kind": "openai", "base_url": URL}
    before = await adopted(providers, configs(a=one, c=one))
    await adopted(providers, configs(a=one))
    after = await adopted(providers, configs(a=one, c=one))
    assert after["c"] is not before["c"]


async def test_one_that_can_not_be_made_is_named_and_nothing_is_adopted(providers):
    """Preparing changes nothing."""
    wanted = configs(
        a={"kind": "openai", "base_url": URL}, b={"kind": "openai", "api_key_file": "/absent"}
    )
    with pytest.raises(ConfigError, match=r"^providers\.b: api_key_file /absent can't be read"):
        await providers.prepare(wanted)
    assert providers.clients == {}


@pytest.mark.parametrize(
    ("provider", "expected"),
    [
        ({"kind": "openai", "api_key": "from_client"}, True),
        ({"kind": "anthropic", "api_key": "from_client"}, True),
        ({"kind": "azure", "base_url": URL, "api_key": "from_client"}, True),
        ({"kind": "openai", "api_key": "sk-1"}, False),
        ({"kind": "openai"}, False),
        ({"kind": "simulated"}, False),
    ],
)
def test_a_provider_is_asked_with_the_caller_s_key_where_config_says_so(provider, expected):
    """And nowhere else."""
    assert is_asked_with_client_key(configs(p=provider)["p"]) is expected
