"""Providers that a reload replaces: calls end where they began, what comes after starts afresh.

Each provider's own ledger says who was asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from .running import DONE, Provider, Sidecar, serving, simulated, until
from .test_reload import reload

ONCE = {"failures": 1, "open": "1h"}
LONG_WAIT = {"attempts": 2, "base_ms": 4000, "max_ms": 4000}
CLOSED_PORT_URL = "http://127.0.0.1:1/v1"


def model(*targets: str, **more: Any) -> dict[str, Any]:
    """Config of `gpt-4o`, answered by these providers, the first one first."""
    first, *others = ({"provider": name, "model": "m"} for name in targets)
    return {"gpt-4o": {"targets": [first], "fallbacks": others, **more}}


def speaking(provider: Provider) -> dict[str, str]:
    """Config of a provider."""
    return {"kind": "openai", "base_url": provider.base_url}


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Provider]:
    """A second provider, to which the name will lead."""
    with simulated(tmp_path / "other") as other:
        yield other


@pytest.fixture
def sidecar(provider: Provider, tmp_path: Path) -> Iterator[Sidecar]:
    """One provider that is asked twice, a second apart or more; nothing is cached."""
    config = {
        "providers": {"p": speaking(provider), "q": speaking(provider)},
        "models": model("p", "q", retry=LONG_WAIT),
        "cache": {"mode": "off"},
    }
    with serving(provider, tmp_path, **config) as sidecar:
        yield sidecar


@pytest.mark.parametrize("fields", [{}, {"stream": True}], ids=["whole", "stream"])
def test_a_call_goes_to_its_end_by_what_it_began_with(
    sidecar: Sidecar, provider: Provider, other: Provider, fields: dict[str, Any]
) -> None:
    """Its second try and its fallback lead to the old addresses, although both names are gone
    or lead elsewhere; the next call is the new config's.
    """
    provider.script({"status": 500, "times": 1}, {"status": 500, "delay_ms": 1500, "times": 1})
    with ThreadPoolExecutor(1) as pool:
        early = pool.submit(sidecar.ask, "Early?", None, **fields)
        until(lambda: provider.calls, "the first try")
        new = {"providers": {"p": speaking(other)}, "models": model("p")}
        assert reload(sidecar, **new).status == 200
        assert sidecar.ask("Late?").status == 200
        reply = early.result()
    assert reply.status == 200
    assert not fields or reply.events[-1] == DONE
    assert reply.headers.get("x-sidecar-attempts", "3") == "3"
    trail = [(told["provider"], told["reason"]) for told in sidecar.row(reply)["attempts"]]
    assert trail == [("p", "status_500"), ("p", "status_500"), ("q", "ok")]
    assert (provider.calls, other.calls) == (3, 1)


def test_a_breaker_does_not_outlive_the_address_that_opened_it(
    provider: Provider, tmp_path: Path
) -> None:
    """Who mends a wrong address is answered at once, and the metric says so."""
    dead = {"kind": "openai", "base_url": CLOSED_PORT_URL}
    models = model("p", retry={"attempts": 1}, breaker=ONCE)
    with serving(provider, tmp_path, providers={"p": dead}, models=models) as sidecar:
        assert [sidecar.ask("Hello?").status for _ in range(3)] == [503] * 3
        assert sidecar.gauge("sidecar_breaker_state") == 2
        assert reload(sidecar, providers={"p": speaking(provider)}).status == 200
        assert sidecar.ask("Hello again?").status == 200
        told = sidecar.admin("GET", "/api/routes").json["routes"]["gpt-4o"]
        assert told["variants"]["targets"][0]["breaker"]["state"] == "closed"
        assert sidecar.gauge("sidecar_breaker_state") == 0


def test_a_breaker_outlives_a_reload_that_changes_something_else(
    provider: Provider, tmp_path: Path
) -> None:
    """The provider is as ill as before."""
    dead = {"kind": "openai", "base_url": CLOSED_PORT_URL}
    models = model("p", "q", retry={"attempts": 1}, breaker=ONCE)
    providers = {"p": dead, "q": speaking(provider)}
    with serving(provider, tmp_path, providers=providers, models=models) as sidecar:
        sidecar.ask("Hello?")
        assert reload(sidecar, tags={"defaults": {"department": "d"}}).status == 200
        reply = sidecar.ask("Hello again?")
        assert [told["reason"] for told in sidecar.row(reply)["attempts"]] == ["breaker_open", "ok"]


def test_ten_reloads_leave_as_many_ports_open_as_one(provider: Provider, tmp_path: Path) -> None:
    """Simulated providers that were replaced give their port back."""

    def sims(latency_ms: int) -> dict[str, Any]:
        return {"s": {"kind": "simulated", "latency_ms": latency_ms}}

    def sockets() -> int:
        links = Path(f"/proc/{sidecar.process.popen.pid}/fd").iterdir()
        return sum("socket:" in str(link.readlink()) for link in links if link.is_symlink())

    with serving(provider, tmp_path, providers=sims(0), models=model("s")) as sidecar:
        before = sockets()
        for latency_ms in range(1, 11):
            assert reload(sidecar, providers=sims(latency_ms)).status == 200
        until(lambda: sockets() <= before, "the sockets of one")
        assert sidecar.ask("Hello?").status == 200
