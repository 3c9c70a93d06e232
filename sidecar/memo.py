"""What was computed for the very same object before, for the few that come again and again.

Repeats are what a cache is for: their bodies are equal byte by byte, so what follows from
a body alone need not be found out twice. A memo is a saving, never a truth: it is bounded,
and whatever is not in it is computed as ever.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Memo(Generic[K, V]):
    """At most `size` values; the oldest goes first. Use on one event loop."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: dict[K, V] = {}

    def get(self, key: K) -> V | None:
        """What was put under this key, if it is still there."""
        return self._values.get(key)

    def put(self, key: K, value: V) -> V:
        """Keep a value, and give it back."""
        if len(self._values) >= self._size:
            del self._values[next(iter(self._values))]
        self._values[key] = value
        return value

    def clear(self) -> None:
        """Forget all."""
        self._values.clear()
