"""The oracle counts everything and remembers the last."""

from __future__ import annotations

from typing import Any

import orjson

from sidecar.providers.simulated.ledger import Ledger


def told(ledger: Ledger) -> dict[str, Any]:
    """Return the report, parsed."""
    report: dict[str, Any] = orjson.loads(ledger.report())
    return report


def test_a_request_is_told_whole() -> None:
    """Its model, its messages, what it was billed, and how it ended."""
    ledger = Ledger()
    row = ledger.open("chatcmpl", "gpt-4o", [{"role": "user", "content": "hi"}])
    ledger.bill(row, prompt=3, completion=2)
    ledger.end(row, "completed")
    billed = {"prompt_tokens": 3, "completion_tokens": 2}
    assert told(ledger) == {
        "calls": 1,
        "completed": 1,
        "billed": billed,
        "requests": [
            {
                "id": "chatcmpl-sim-1",
                "endpoint": "chat",
                "model": "gpt-4o",
                "messages": [{"role": "user", "content": "hi"}],
                "billed": billed,
                "status": 200,
                "outcome": "completed",
            }
        ],
    }


def test_counters_stay_exact_when_details_are_forgotten() -> None:
    """Also for a request that is billed after its details went."""
    ledger = Ledger(most_rows=2)
    rows = [ledger.open("chatcmpl", "m", [number]) for number in range(5)]
    for row in rows:
        ledger.bill(row, prompt=1)
        ledger.end(row, "completed")
    report = told(ledger)
    assert (report["calls"], report["completed"]) == (5, 5)
    assert report["billed"] == {"prompt_tokens": 5, "completion_tokens": 0}
    assert [row["messages"] for row in report["requests"]] == [[3], [4]]


def test_details_are_bounded_in_bytes() -> None:
    """Few long prompts weigh as much as many short ones."""
    ledger = Ledger(most_bytes=1000)
    for _ in range(5):
        ledger.open("chatcmpl", "m", "x" * 400)
    assert len(told(ledger)["requests"]) == 2


def test_clearing_starts_again() -> None:
    """From zero, but no id is ever given twice."""
    ledger = Ledger()
    first = ledger.open("chatcmpl", "m", [])
    ledger.clear()
    assert told(ledger)["calls"] == 0
    assert ledger.open("chatcmpl", "m", []).id != first.id
