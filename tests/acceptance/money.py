"""What the tests of money share: a budget, its state, and what the provider says it billed."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from .running import Provider, Reply, Sidecar, asking, until

INPUT_NANO, OUTPUT_NANO = 2_500, 10_000
"""Nano-dollars a token of gpt-4o, as set by `PRICES`."""
PRICES = {"gpt-4o": {"input": 2.5, "output": 10}, "gpt-4o-mini": {"input": 0.15, "output": 0.6}}
RATES = {"gpt-4o": (2_500, 10_000), "gpt-4o-mini": (150, 600)}


def budget(limit_usd: float | str, **fields: Any) -> dict[str, Any]:
    """The budget `b` of all calls."""
    return {"name": "b", "limit_usd": float(limit_usd), "window": "month", **fields}


def nano(usd: str) -> int:
    """Nano-dollars of a decimal text."""
    return int(Decimal(usd) * 10**9)


def state(sidecar: Sidecar, name: str = "b", each: str = "") -> dict[str, Any]:
    """A budget's account as `/api/budgets` tells it; money in nano-dollars."""
    told = sidecar.admin("GET", "/api/budgets").json["budgets"]
    (row,) = [row for row in told if (row["budget"], row["each"]) == (name, each)]
    return row | {
        key.removesuffix("_usd"): nano(value) for key, value in row.items() if key.endswith("_usd")
    }


def settled(sidecar: Sidecar, name: str = "b") -> dict[str, Any]:
    """The account once nothing is held any more."""
    until(lambda: state(sidecar, name)["held"] == 0, "no money held")
    return state(sidecar, name)


def oracle(provider: Provider) -> int:
    """What the provider billed, at the prices of `PRICES`, in nano-dollars."""
    return sum(billed(row) for row in provider.ledger["requests"])


def billed(row: dict[str, Any]) -> int:
    """What one call was billed, in nano-dollars."""
    spent, made = RATES[row["model"]]
    return row["billed"]["prompt_tokens"] * spent + row["billed"]["completion_tokens"] * made


def code(reply: Reply) -> tuple[int, str]:
    """An error's status and code."""
    return reply.status, reply.json["error"]["code"]


def fresh(question: str, **fields: Any) -> dict[str, Any]:
    """A body that is always a miss, with a cap of 20 tokens unless `fields` say otherwise."""
    return asking(question, **{"max_tokens": 20, "temperature": 1, **fields})


def without_costs(attempts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row's attempts as an error tells them: what one cost is not its caller's business."""
    private = ("cost_nanousd", "estimated")
    return [{key: each[key] for key in each if key not in private} for each in attempts]
