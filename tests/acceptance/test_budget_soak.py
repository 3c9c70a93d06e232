"""Mixed traffic and faults for a long time: call by call, not a nano-dollar is missing.

Every call has a name, which is its question and its feature, so that what was charged for
it stands beside what the provider billed for it. Charged is what was billed; more only where
the request's row says that it is an estimate, and never less. Both ledgers agree.
"""

from __future__ import annotations

import random
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

from .leaving import called, reset
from .money import PRICES, billed, budget, nano, settled, state
from .running import Provider, Sidecar, send, serving, simulated, until

SEED, ASKERS = 3, 6
NAME = re.compile(r"Question (q\d+-\d+-\d+)\?")
FAULTS: list[dict[str, Any]] = [
    {"status": 503},
    {"status": 429, "retry_after": 0.01},
    {"cut_after_events": 3},
    {"error_after_events": 3},
    {"reset": True},
    {"lost_reply": True},
    {"usage": None},
    {"usage": {"prompt_tokens": 10**12, "completion_tokens": 1}},
    {"usage": {"prompt_tokens": -1, "completion_tokens": 1}},
    {"delay_ms": 60},
    {"delay_ms": 500},
]
SECTIONS = {
    "prices": PRICES,
    "budgets": [
        budget(1000),
        budget(1000, name="by-user", each=["user"], window="hour"),
        budget("0.003", name="small", match={"user": "u0"}, window="minute"),
    ],
    "models": {
        "gpt-4o": {
            "targets": [{"provider": "p", "model": "gpt-4o"}],
            "fallbacks": [{"provider": "p", "model": "gpt-4o-mini"}],
            "retry": {"attempts": 2, "base_ms": 1, "max_ms": 5},
            "breaker": {"failures": 10_000},
            "timeout": {"total": "300ms"},
        }
    },
}


@dataclass
class Crowd:
    """Threads that ask one sidecar, each in its own way, until they are told to stop."""

    sidecar: Sidecar
    round: int
    stop: threading.Event = field(default_factory=threading.Event)
    told: Counter[int] = field(default_factory=Counter)

    def ask(self, asker: int) -> None:
        """One thread's life."""
        chance = random.Random(f"{SEED} {self.round} {asker}")  # noqa: S311
        number = 0
        while not self.stop.is_set():
            number += 1
            with suppress(OSError, HTTPException):
                self.told[self.once(f"q{self.round}-{asker}-{number}", asker, chance)] += 1

    def once(self, name: str, asker: int, chance: random.Random) -> int:
        """One call, in some format; its status, 0 where nobody waited for it."""
        tags = {"x-sidecar-feature": name, "x-sidecar-user": f"u{asker}"}
        said, is_stream = f"Question {name}?", chance.random() < 0.5
        turns = [{"role": "user", "content": said}]
        common = {"model": "gpt-4o", "stream": is_stream}
        match chance.randrange(4):
            case 0:
                body = {**common, "input": said, "max_output_tokens": 12}
                return send("POST", f"{self.sidecar.url}/responses", body, tags).status
            case 1:
                body = {**common, "messages": turns, "max_tokens": 12}
                return send("POST", f"{self.sidecar.url}/messages", body, tags).status
            case 2:
                body = {**common, "messages": turns, "max_tokens": 12}
                return self.sidecar.post(body, tags).status
        body = {**common, "messages": turns, "max_tokens": 12, "metadata": {"feature": name}}
        client = called(self.sidecar, body)
        time.sleep(chance.uniform(0, 0.05))
        (reset if is_stream else type(client).close)(client)
        return 0


@contextmanager
def asking(sidecar: Sidecar, number: int) -> Iterator[Crowd]:
    """A crowd until the block ends, and until all that it asked is answered."""
    crowd = Crowd(sidecar, number)
    threads = [threading.Thread(target=crowd.ask, args=(n,)) for n in range(ASKERS)]
    for thread in threads:
        thread.start()
    try:
        yield crowd
    finally:
        crowd.stop.set()
        for thread in threads:
            thread.join()
    sidecar.idle()


def soak(folder: Path, rounds: int, seconds: float) -> None:
    """Faults while a crowd asks; a reckoning after each round."""
    chance = random.Random(SEED)  # noqa: S311
    with (
        simulated(folder / "p", latency_ms=3, tokens_per_s=2000) as provider,
        serving(provider, folder, **SECTIONS) as sidecar,
    ):
        for number in range(rounds):
            since = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            with asking(sidecar, number) as crowd:
                until_s = time.monotonic() + seconds
                while time.monotonic() < until_s:
                    provider.script({"times": 2, **chance.choice(FAULTS)})
                    time.sleep(0.1)
                provider.script()
            assert crowd.told[200] > 10 * seconds
            reckon(sidecar, provider, number, since)
            provider.forget()


def reckon(sidecar: Sidecar, provider: Provider, number: int, since: str) -> None:
    """Each call of the round by itself, then the accounts as a whole."""
    settled(sidecar)
    truth: Counter[str] = Counter()
    for row in provider.ledger["requests"]:
        (name,) = NAME.findall(str(row["messages"]))
        truth[name] += billed(row)
    charged = charges(sidecar, f"q{number}-")
    assert truth.keys() <= charged.keys()
    told = until(lambda: costs(sidecar, since, charged), "the rows of all that was charged")
    for name, cost in charged.items():
        if told[name]["estimated"]:
            assert truth[name] <= cost, name
        else:
            assert truth[name] == cost, name
    # Both kinds came, or this would prove little.
    estimated = sum(bool(told[name]["estimated"]) for name in charged)
    assert 0 < estimated < 0.8 * len(charged)
    assert_added_up(sidecar)


def charges(sidecar: Sidecar, prefix: str) -> Counter[str]:
    """What was charged by the names that begin so, as the journal of money has it."""
    days = [datetime.fromtimestamp(time.time() - ago, UTC).date() for ago in (86_400, 0)]
    path = f"/api/usage/charges?from={days[0]}&to={days[1]}"
    charged: Counter[str] = Counter()
    for row in sidecar.admin("GET", path).json["rows"]:
        if row["feature"].startswith(prefix):
            charged[row["feature"]] += row["nano"]
    return charged


def costs(sidecar: Sidecar, since: str, charged: Counter[str]) -> dict[str, Any] | None:
    """The same by the ledger of requests, by name; None while the two books differ."""
    path = f"/api/usage?by=feature&since={since}"
    rows = {row["feature"]: row for row in sidecar.admin("GET", path).json["rows"]}
    agree = all(
        name in rows and nano(rows[name]["cost_usd"]) == cost for name, cost in charged.items()
    )
    return rows if agree else None


def assert_added_up(sidecar: Sidecar) -> None:
    """Nothing is held; the users' accounts are together the whole; the small one was kept."""
    month = datetime.now(UTC).strftime("%Y-%m")
    closing = sidecar.admin("GET", f"/api/usage/closing?month={month}").json
    spent: Counter[str] = Counter()
    for row in closing["budgets"]:
        assert row["difference_usd"] == "0", row
        spent[row["budget"]] += nano(row["spent_usd"])
        if row["budget"] == "small":
            assert nano(row["spent_usd"]) <= nano("0.003")
    assert spent["b"] == spent["by-user"] == nano(closing["total"]["cost_usd"])
    until(lambda: state(sidecar)["held"] == 0, "nothing held")


def test_nothing_is_missing_after_some_seconds(tmp_path: Path) -> None:
    """Two rounds."""
    soak(tmp_path, rounds=2, seconds=3)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_nothing_is_missing_after_half_an_hour(tmp_path: Path) -> None:
    """The same for longer."""
    soak(tmp_path, rounds=60, seconds=30)
