"""Four clients, a thousand calls at once, room for ten: not a nano-dollar too much."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from . import crowd
from .money import PRICES, budget, nano, oracle, settled
from .running import Sidecar, serving, simulated

CLIENTS, CALLS = 4, 250
LIMIT = "0.01"
"""Dollars: about ten times what one call can cost at most."""


def rush(sidecar: Sidecar) -> Counter[str]:
    """All clients at once; how often each status came."""
    processes = [
        subprocess.Popen(
            [sys.executable, str(Path(crowd.__file__)), sidecar.url, str(CALLS), f"client {n}"],
            stdout=subprocess.PIPE,
        )
        for n in range(CLIENTS)
    ]
    told: Counter[str] = Counter()
    for process in processes:
        out, _ = process.communicate(timeout=110)
        assert process.returncode == 0
        told.update(json.loads(out))
    return told


@pytest.mark.parametrize("latency_ms", [0, 300])
def test_a_crowd_never_overspends(tmp_path: Path, latency_ms: int) -> None:
    """By the provider's own ledger; and what settling frees is spent again."""
    shed = {"listen": {"port": 0}, "models": wide()}
    with (
        simulated(tmp_path / "p", latency_ms=latency_ms) as provider,
        serving(provider, tmp_path, budgets=[budget(LIMIT)], prices=PRICES, **shed) as sidecar,
    ):
        told = rush(sidecar)
        assert set(told) <= {"200", "402 budget_exceeded", "429 budget_busy", "503 overloaded"}
        account = settled(sidecar)
        billed = oracle(provider)
        assert billed == account["spent"] <= nano(LIMIT)
        assert account["spent"] + account["held"] + account["remaining"] == account["limit"]
        assert told["200"] == provider.calls
        if latency_ms == 0:  # one after the other much more fits than ten worst cases
            assert told["200"] > 12


def wide() -> dict:
    """A model whose own limit on calls in flight is out of the way."""
    target = {"provider": "p", "model": "gpt-4o"}
    return {"gpt-4o": {"targets": [target], "max_in_flight": 10_000}}
