"""kill -9 under load, again and again: no dollar is forgotten, none is charged twice for good.

Each cycle serves the same `state_dir`, is asked all the time, and is killed at a random
moment. What the provider billed must be charged (undercount 0); what is charged beyond it
is at most the worst case of what was in flight at a kill, is listed as unsettled, and is
gone once it was reconciled with the provider's own numbers.
"""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path

import pytest

from .money import PRICES, billed, budget, fresh, oracle, settled
from .running import Provider, Sidecar, config_for, send, simulated, start_sidecar

SEED, ASKERS, GROUP = 7, 6, 20
LIMIT_USD = 1000
WORST_NANO = 2_000_000
"""More than any call here can cost."""


@dataclass
class Load:
    """Threads that ask one sidecar until it is gone."""

    sidecar: Sidecar
    cycle: int
    threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Begin to ask."""
        for number in range(ASKERS):
            thread = threading.Thread(target=self._ask, args=(number,))
            thread.start()
            self.threads.append(thread)

    def _ask(self, asker: int) -> None:
        for number in range(100_000):
            name = f"c{self.cycle}-{asker}-{number}"
            try:
                self.sidecar.post(fresh(f"Question {name}?"), {"x-sidecar-feature": name})
            except (OSError, HTTPException):
                return


def cycle(config: dict, folder: Path, number: int, chance: random.Random) -> None:
    """Serve, be asked, die."""
    sidecar = start_sidecar(folder, config)
    load = Load(sidecar, number)
    load.start()
    time.sleep(chance.uniform(0.02, 0.4))
    sidecar.process.kill()
    for thread in load.threads:
        thread.join()


def run(tmp_path: Path, cycles: int) -> None:
    """All cycles, and a reckoning after every twenty."""
    chance = random.Random(SEED)  # noqa: S311 (no secret)
    with simulated(tmp_path / "p", latency_ms=30) as provider:
        config = config_for(provider, tmp_path, {"budgets": [budget(LIMIT_USD)], "prices": PRICES})
        before = 0
        for number in range(cycles):
            cycle(config, tmp_path, number, chance)
            if (number + 1) % GROUP == 0:
                before += reckon(start_sidecar(tmp_path, config), provider, before)


def reckon(sidecar: Sidecar, provider: Provider, before: int) -> int:
    """What is charged against what was billed, before and after it is reconciled.

    `before` was billed until the last reckoning; returns what was billed since.
    """
    try:
        return _reckon(sidecar, provider, before)
    finally:
        sidecar.process.kill()


def _reckon(sidecar: Sidecar, provider: Provider, before: int) -> int:
    truth, spent = oracle(provider), settled(sidecar)["spent"] - before
    assert provider.calls > GROUP  # something was under way
    assert spent >= truth
    waiting = sidecar.admin("GET", "/api/budgets/unsettled").json["rows"]
    assert len(waiting) <= GROUP * ASKERS
    assert spent - truth <= len(waiting) * WORST_NANO
    asked = {row["messages"][0]["content"]: billed(row) for row in provider.ledger["requests"]}
    for row in waiting:
        cost = asked.get(f"Question {row['feature']}?", 0)
        body = {"charge": row["id"], "cost_usd": f"{cost / 1e9:.9f}", "note": "by the ledger"}
        reply = send("POST", f"{sidecar.admin_url}/api/budgets/reconcile", body)
        assert reply.status == 200, reply.body
    assert settled(sidecar)["spent"] - before == truth
    assert not sidecar.admin("GET", "/api/budgets/unsettled").json["rows"]
    provider.forget()
    return truth


def test_no_dollar_is_lost_in_twenty_kills(tmp_path: Path) -> None:
    """The provider's own ledger is the oracle."""
    run(tmp_path, GROUP)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_no_dollar_is_lost_in_a_thousand_kills(tmp_path: Path) -> None:
    """The same for as long as it takes."""
    run(tmp_path, 1000)
