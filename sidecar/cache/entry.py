"""What is kept of an answer, and what selects answers to be forgotten: frozen data.

Refuses to know where an entry lives. An entry's digests are its identity: `key` is
scope and question, `scope` the partition that no search leaves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from sys import getsizeof

from sidecar.domain import NOTHING, Choice, Completion

SELECTOR_FIELDS = ("tenant", "tag", "model", "prompt", "user", "entry", "all")

# Measured on CPython 3.11: the objects of an entry, its texts not counted.
_ENTRY_BYTES = 900
_CHOICE_BYTES = 160
_TOOL_CALL_BYTES = 300
# A row of SQLite without its texts: digests, numbers, cell and index entry.
_ROW_BYTES = 400
_VECTOR_ROW_BYTES = 200


@dataclass(frozen=True, slots=True)
class Entry:
    """One answer and what it may answer. Times are Unix seconds.

    `id` is 16 hex characters, `key` and `scope` are 32-byte digests. `question` is ""
    where only an equal request may be served. `model` was asked for, `answered_model`
    and `provider` gave the answer. `value` is what one hit saves, in provider
    milliseconds; it weighs eviction.
    """

    id: str
    key: bytes
    scope: bytes
    question: str
    completion: Completion
    model: str
    answered_model: str
    provider: str
    tenant: str
    user: str
    prompt: str
    tags: tuple[str, ...]
    created_at: float
    expires_at: float
    value: float


@dataclass(frozen=True, slots=True)
class Selector:
    """Which entries to forget. `field` is one of `SELECTOR_FIELDS`.

    A model matches whether it was asked for or answered; a prompt matches as `id@version`,
    or as `id` in every version; `all` needs no value.
    """

    field: str
    value: str = ""

    def __post_init__(self) -> None:
        if self.field not in SELECTOR_FIELDS:
            raise ValueError(f"select by one of {', '.join(SELECTOR_FIELDS)}, not {self.field!r}")

    def matches(self, entry: Entry) -> bool:
        """Whether this entry is meant. `statements` says the same in SQL."""
        value = self.value
        match self.field:
            case "all":
                return True
            case "tag":
                return value in entry.tags
            case "prompt":
                return entry.prompt == value or entry.prompt.startswith(f"{value}@")
            case "model":
                return value in (entry.model, entry.answered_model)
            case _:
                named = {"entry": entry.id, "tenant": entry.tenant, "user": entry.user}
                return value == named[self.field]


@dataclass(frozen=True, slots=True)
class Candidate:
    """An entry whose question is near: cosine similarity in [-1, 1]."""

    entry: Entry
    similarity: float


@dataclass(frozen=True, slots=True)
class CacheStats:
    """How full the cache is and how it fares.

    `resident` entries are whole in memory, the others on disk alone; `vectors` are those in
    memory. The vectors of `idle_scopes` are on disk, some or all of them, until they are
    asked for: `scopes_evicted` and `scopes_refilled` count how often that happened.
    `loading` means that vectors are still being read after a start. `dropped_writes` are
    entries that live in memory only because the disk could not follow; `read_failures` are
    misses that only a failing disk explains. `evictions` counts by reason since the start.
    """

    entries: int = 0
    resident: int = 0
    vectors: int = 0
    memory_bytes: int = 0
    disk_bytes: int = 0
    pending_writes: int = 0
    dropped_writes: int = 0
    read_failures: int = 0
    idle_scopes: int = 0
    scopes_evicted: int = 0
    scopes_refilled: int = 0
    loading: bool = False
    store_ok: bool = True
    evictions: Mapping[str, int] = field(default_factory=dict)


def memory_bytes(entry: Entry) -> int:
    """About what an entry takes in memory; its vector not counted."""
    completion = entry.completion
    tags = sum(map(getsizeof, entry.tags))
    extra = 0 if completion.extra is NOTHING else 4 * len(str(completion.extra))
    choices = sum(map(_choice_bytes, completion.choices))
    return _ENTRY_BYTES + getsizeof(entry.question) + tags + extra + choices


def _choice_bytes(choice: Choice) -> int:
    texts = getsizeof(choice.text) + getsizeof(choice.refusal)
    calls = sum(_TOOL_CALL_BYTES + getsizeof(call.arguments) for call in choice.tool_calls)
    rest = 0 if choice.extra is NOTHING else 4 * len(str(choice.extra))
    logprobs = 0 if choice.logprobs is None else 8 * len(str(choice.logprobs))
    return _CHOICE_BYTES + texts + calls + rest + logprobs


def disk_bytes(weight: int, vector_bytes: int) -> int:
    """About what an entry of this `memory_bytes` takes on disk, its vector included; the real
    figure corrects it later.
    """
    vector = vector_bytes + _VECTOR_ROW_BYTES if vector_bytes else 0
    # Of the memory figure the objects are not written, the texts are.
    return _ROW_BYTES + weight - _ENTRY_BYTES + vector
