"""The configured providers as objects: made once, made anew when their config changes."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from sidecar.config import Config
from sidecar.errors import ConfigError
from sidecar.providers.anthropic import AnthropicProvider
from sidecar.providers.azure import AzureProvider
from sidecar.providers.openai import OpenAIProvider
from sidecar.providing import Providers, is_asked_with_client_key
from sidecar.route.table import Route, RouteTable, Target

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
    """The rest keeps its connections."""
    one, two = {"kind": "openai", "base_url": URL}, {"kind": "openai", "base_url": f"{URL}/2"}
    before = await adopted(providers, configs(a=one, b=one, c=one))
    after = await adopted(providers, configs(a=one, b=two, c=one))
    assert after["a"] is before["a"]
    assert after["b"] is not before["b"]
    assert after["c"] is before["c"]


def table(*names: str) -> RouteTable:
    """One model that is answered by the first provider, else by the others."""
    first, *others = (Target(name, "m") for name in names)
    return RouteTable({"m": {"targets": Route("m", (first,), fallbacks=tuple(others))}})


async def test_a_route_leads_to_those_it_was_bound_to(providers):
    """Whatever config becomes: the old one to the old, with another edition of the name."""
    one, two = {"kind": "openai", "base_url": URL}, {"kind": "openai", "base_url": f"{URL}/2"}
    before = await adopted(providers, configs(a=one, b=one))
    old = providers.bound(table("a", "b")).require("m")
    after = await adopted(providers, configs(a=two, b=one))
    new = providers.bound(table("a", "b")).require("m")
    assert (old.clients["a"], new.clients["a"]) == (before["a"], after["a"])
    assert old.clients["b"] is new.clients["b"]
    assert old.targets[0].edition < new.targets[0].edition
    assert old.fallbacks[0].edition == new.fallbacks[0].edition


async def test_a_name_that_config_has_no_longer_stays_while_a_route_leads_to_it(providers):
    """A call in flight may still fall back on it; then it is gone."""
    one = {"kind": "openai", "base_url": URL}
    await adopted(providers, configs(a=one, c=one))
    route = providers.bound(table("a", "c")).require("m")
    await adopted(providers, configs(a=one))
    gc.collect()
    assert providers.clients["c"] is route.clients["c"]
    del route
    gc.collect()
    assert list(providers.clients) == ["a"]


def port_of(client: Any) -> int:
    """The port of a simulated provider."""
    return int(urlsplit(f"http://{client._route.place}").port or 0)


async def is_open(port: int) -> bool:
    """Whether somebody listens there."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def until_closed(port: int) -> None:
    """Wait until nobody listens there."""
    async with asyncio.timeout(10):
        while await is_open(port):
            await asyncio.sleep(0.01)


async def test_a_simulated_server_that_was_replaced_ends_when_nobody_can_ask_it(providers):
    """Not before: a call in flight may come to it yet."""
    slow, fast = ({"kind": "simulated", "latency_ms": latency} for latency in (5, 0))
    old_port = port_of((await adopted(providers, configs(s=slow)))["s"])
    route = providers.bound(table("s")).require("m")
    new_port = port_of((await adopted(providers, configs(s=fast)))["s"])
    await asyncio.sleep(0.05)
    assert await is_open(old_port)
    del route
    await until_closed(old_port)
    assert await is_open(new_port)


async def test_a_simulated_server_of_a_refused_config_ends_too(providers):
    """Else each try of a config with a slip in it would leave a port open."""
    before = await adopted(providers, configs(s={"kind": "simulated", "latency_ms": 5}))
    wanted = configs(s={"kind": "simulated"}, b={"kind": "openai", "api_key_file": "/absent"})
    with pytest.raises(ConfigError):
        await providers.prepare(wanted)
    async with asyncio.timeout(10):
        while len(providers._servers) > 1:
            await asyncio.sleep(0.01)
    assert await is_open(port_of(before["s"]))


async def test_what_is_being_prepared_is_not_taken_for_unused(providers):
    """The last call of an old config may end just then."""
    await adopted(providers, configs(s={"kind": "simulated", "latency_ms": 5}))
    route = providers.bound(table("s")).require("m")
    await adopted(providers, configs(s={"kind": "simulated", "latency_ms": 6}))
    wanted = configs(s={"kind": "simulated", "latency_ms": 7})
    made = await providers.prepare(wanted)
    old_port = port_of(route.clients["s"])
    del route
    await until_closed(old_port)
    providers.adopt(wanted, made)
    assert await is_open(port_of(providers.clients["s"]))


async def test_a_key_file_of_the_home_folder_is_found(providers, tmp_path, monkeypatch):
    """As `sidecar check` finds it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "key").write_text("sk-1")
    made = await adopted(providers, configs(p={"kind": "openai", "api_key_file": "~/key"}))
    assert list(made) == ["p"]


async def test_without_a_port_for_a_simulated_server_the_config_is_refused(providers):
    """Too many open files are no end of the watch over the config."""
    _, hard = limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    wanted = configs(s={"kind": "simulated"})
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        with pytest.raises(ConfigError, match=r"^providers\.s: no port for the simulated provider"):
            await providers.prepare(wanted)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert list(await adopted(providers, wanted)) == ["s"]


async def test_closing_ends_every_simulated_server(clock):
    """Those in use and those that were about to end."""
    providers = Providers(clock)
    ports = []
    for latency in (5, 0):
        config = configs(s={"kind": "simulated", "latency_ms": latency})
        ports.append(port_of((await adopted(providers, config))["s"]))
    await providers.close()
    assert [await is_open(port) for port in ports] == [False, False]


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
