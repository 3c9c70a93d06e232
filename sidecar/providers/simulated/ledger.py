"""What the provider did and billed: the oracle of every test about money.

A request is billed for its prompt when the model starts on it. A stream is billed for
each token as it is written, until the reader is gone; a whole answer is billed in full
when it is begun, because real providers go on making it when nobody waits any more.
Scripted errors cost nothing; a scripted lie about usage changes the reply and not this.

The invariants: counters are exact for ever; details of the last requests are bounded
in number and in bytes, and the oldest go first.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import orjson


@dataclass(slots=True)
class Row:
    """One request. `messages` is JSON text: parsed objects would hold ten times the memory."""

    id: str
    model: str
    messages: bytes
    endpoint: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    status: int = 200
    outcome: str = "running"


class Ledger:
    """Counts for ever, remembers for a while."""

    def __init__(self, most_rows: int = 10_000, most_bytes: int = 16 * 1024 * 1024) -> None:
        self._most_rows = most_rows
        self._most_bytes = most_bytes
        self._number = 0
        self.clear()

    def clear(self) -> None:
        """Forget everything but the numbers already given out as ids."""
        self._calls = 0
        self._completed = 0
        self._prompt_tokens = 0
        self._completion_tokens = 0
        self._rows: OrderedDict[str, Row] = OrderedDict()
        self._bytes = 0

    def open(self, kind: str, model: str, messages: Any, endpoint: str = "chat") -> Row:
        """Count a request that came in; nothing is billed yet."""
        self._number += 1
        self._calls += 1
        row = Row(f"{kind}-sim-{self._number}", model, orjson.dumps(messages), endpoint)
        self._rows[row.id] = row
        self._bytes += len(row.messages)
        self._forget_oldest()
        return row

    def bill(self, row: Row, *, prompt: int = 0, completion: int = 0) -> None:
        """Charge tokens to this request."""
        row.prompt_tokens += prompt
        row.completion_tokens += completion
        self._prompt_tokens += prompt
        self._completion_tokens += completion

    def end(self, row: Row, outcome: str, status: int = 200) -> None:
        """Note how it went: `completed`, `refused`, `failed` (told in mid-stream), `cut`,
        `reset`, `lost` (worked on, and not a byte sent) or `left` (the reader did).
        """
        row.outcome = outcome
        row.status = status
        self._completed += outcome == "completed"

    def report(self) -> bytes:
        """Return everything as JSON."""
        return orjson.dumps(
            {
                "calls": self._calls,
                "completed": self._completed,
                "billed": _billed(self._prompt_tokens, self._completion_tokens),
                "requests": [_told(row) for row in self._rows.values()],
            }
        )

    def _forget_oldest(self) -> None:
        while len(self._rows) > self._most_rows or self._bytes > self._most_bytes:
            _, row = self._rows.popitem(last=False)
            self._bytes -= len(row.messages)


def _told(row: Row) -> dict[str, Any]:
    return {
        "id": row.id,
        "endpoint": row.endpoint,
        "model": row.model,
        "messages": orjson.Fragment(row.messages),
        "billed": _billed(row.prompt_tokens, row.completion_tokens),
        "status": row.status,
        "outcome": row.outcome,
    }


def _billed(prompt: int, completion: int) -> dict[str, int]:
    return {"prompt_tokens": prompt, "completion_tokens": completion}
