"""A mixed load for the tests of usage: who asked what, and what the provider billed for it."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from .leaving import called, read_until
from .money import budget
from .running import ROOT, Provider, Reply, Sidecar, asking, send, until

RATES = {
    "gpt-4o": (2_500, 10_000),
    "gpt-4o-mini": (150, 600),
    "text-embedding-3-small": (20, 0),
}
"""Nano-dollars a token of input and of output."""
PRICES = {
    name: {"input": entered / 1000, "output": made / 1000}
    for name, (entered, made) in RATES.items()
}
MODELS = {
    name: {"targets": [{"provider": "p", "model": name}], "retry": {"base_ms": 1, "max_ms": 5}}
    for name in RATES
}
EMBEDDING = "text-embedding-3-small"
LEFT, CUT = "left alone", "cut off"
BUDGETS = [
    budget(100),
    budget(
        50, name="support", match={"department": "support"}, window="day", timezone="Asia/Tokyo"
    ),
    budget(5, name="users", each=["user"]),
]
SECTIONS = {"prices": PRICES, "models": MODELS, "budgets": BUDGETS}


def mixed(sidecar: Sidecar, provider: Provider) -> dict[str, str]:
    """Hits, followers, streams, failures, embeddings and callers who leave, by two departments.

    Each one's stream that was cut, by the id of its only charge.
    """
    cut: dict[str, str] = {}
    for department in ("support", "sales"):
        tags = {"department": department, "user": f"{department}-ann"}
        kept = asking(f"{department}: how tall is the Eiffel tower?", metadata=tags)
        for _ in range(3):
            assert sidecar.post(kept).status == 200
        streamed = asked(f"{department}: tell me of the sea", tags, stream=True)
        assert sidecar.post(streamed).status == 200
        provider.script({"times": 1, "status": 503})
        retried = asked(f"{department}: retried", tags, model="gpt-4o-mini")
        assert sidecar.post(retried).status == 200
        provider.script({"times": 1, "cut_after_events": 4})
        reply = sidecar.post(asked(f"{department}: {CUT}", tags, stream=True))
        cut[department] = f"{reply.headers['x-sidecar-request-id']}:1"
        provider.script({"status": 400})
        assert sidecar.post(asked(f"{department}: refused", tags)).status == 400
        provider.script({"times": 1, "delay_ms": 500})
        together(sidecar, asking(f"{department}: how deep is the sea?", metadata=tags), 4)
        embed(sidecar, [f"{department}: once", f"{department}: twice"], department)
        leave(sidecar, provider, asked(f"{department}: {LEFT}", tags, stream=True))
    return cut


def asked(question: str, tags: dict[str, str], **fields: Any) -> dict[str, Any]:
    """A body that is always a miss."""
    return asking(question, **{"max_tokens": 60, "temperature": 1, "metadata": tags, **fields})


def together(sidecar: Sidecar, body: Any, times: int) -> list[Reply]:
    """The same, asked by so many at once."""
    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(lambda _: sidecar.post(body), range(times)))


def embed(sidecar: Sidecar, items: list[str], department: str) -> None:
    """Vectors of these, twice: the second time nobody is asked."""
    body = {"model": "text-embedding-3-small", "input": items}
    tags = {"x-sidecar-department": department}
    for _ in range(2):
        assert send("POST", f"{sidecar.url}/embeddings", body, tags).status == 200


def leave(sidecar: Sidecar, provider: Provider, body: dict[str, Any]) -> None:
    """Ask and go away while the answer is being written."""
    provider.script({"times": 1, "delay_ms": 30})
    client = called(sidecar, body)
    read_until(client, b"data: ", times=2)
    client.close()
    sidecar.idle()


def billed(provider: Provider, key: Callable[[dict[str, Any]], Any]) -> dict[Any, int]:
    """Nano-dollars that the provider billed, by `key` of a row of its ledger; no zeros."""
    sums: Counter[Any] = Counter()
    for row in provider.ledger["requests"]:
        entered, made = RATES[row["model"]]
        tokens = row["billed"]
        sums[key(row)] += tokens["prompt_tokens"] * entered + tokens["completion_tokens"] * made
    return {name: nano for name, nano in sums.items() if nano}


def question_of(row: dict[str, Any]) -> str:
    """What a call of the provider's ledger was about."""
    first = row["messages"][0]
    return str(first if isinstance(first, str) else first["content"])


def department_of(row: dict[str, Any]) -> str:
    """On whose behalf it was made."""
    return question_of(row).split(":")[0]


def settled_rows(sidecar: Sidecar, count: int) -> dict[str, Any]:
    """The usage of all, once so many rows are there."""

    def total() -> dict[str, Any]:
        return dict(sidecar.admin("GET", "/api/usage?since=2d").json["total"])

    until(lambda: total()["requests"] >= count, f"{count} rows")
    return total()


@dataclass(frozen=True)
class Told:
    """What a command left behind."""

    status: int
    out: str
    err: str


def command(sidecar: Sidecar, *arguments: str) -> Told:
    """`sidecar ARGUMENTS` for the running one."""
    done = subprocess.run(
        [sys.executable, "-m", "sidecar", *arguments, "--admin-url", sidecar.admin_url],
        cwd=sidecar.folder, env={"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return Told(done.returncode, done.stdout, done.stderr)


def reconcile(sidecar: Sidecar, provider: Provider, cut: dict[str, str]) -> None:
    """Put what was billed in the place of every bound and every estimate, by the command."""
    real = billed(provider, question_of)
    costs = {charge: real[f"{department}: {CUT}"] for department, charge in cut.items()}
    waiting = sidecar.admin("GET", "/api/budgets/unsettled").json["rows"]
    assert [row["department"] for row in waiting] == ["support", "sales"]
    costs |= {row["id"]: real[f"{row['department']}: {LEFT}"] for row in waiting}
    for charge, cost in costs.items():
        usd = f"{cost / 10**9:.9f}"
        done = command(sidecar, "budgets", "reconcile", "--charge", charge, "--usd", usd)
        assert done.status == 0, done.err


@dataclass(frozen=True)
class Month:
    """A sidecar after a mixed load, every charge of which has its provider's word."""

    sidecar: Sidecar
    provider: Provider
    before: dict[str, Any]
    """What the closing said before the charges were reconciled."""

    def get(self, path: str) -> dict[str, Any]:
        """What the admin plane says."""
        reply = self.sidecar.admin("GET", path)
        assert reply.status == 200, reply.body
        return dict(reply.json)

    @property
    def name(self) -> str:
        """The month, as `2026-10`."""
        return this_month(self.sidecar)

    def closing(self) -> dict[str, Any]:
        """The month's."""
        return self.get(f"/api/usage/closing?month={self.name}")


def this_month(sidecar: Sidecar) -> str:
    """By the sidecar's own clock."""
    told = sidecar.admin("GET", "/api/usage?by=month&since=1h").json
    return str(told["rows"][0]["month"])
