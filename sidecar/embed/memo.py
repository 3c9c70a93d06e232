"""Vectors made lately, by text: least recently used leave first.

Bounded by entries and by characters of text, since a text may be longer than its
vector. It is not locked: its owner holds a lock.
"""

from __future__ import annotations

from collections import OrderedDict

from sidecar.embed.protocol import Vector

# A text is at most 4 bytes a character: 2 MB at the worst, beside 1.5 kB a vector.
MAX_CHARACTERS = 500_000


class Memo:
    """text → vector, for at most `size` texts and `max_characters` of them together."""

    def __init__(self, size: int, max_characters: int = MAX_CHARACTERS) -> None:
        self._size = size
        self._max_characters = max_characters
        self._characters = 0
        self._vectors: OrderedDict[str, Vector] = OrderedDict()

    def __len__(self) -> int:
        return len(self._vectors)

    def get(self, text: str) -> Vector | None:
        """The vector of `text`, now the most recently used; None when it is not known."""
        vector = self._vectors.get(text)
        if vector is not None:
            self._vectors.move_to_end(text)
        return vector

    def put(self, text: str, vector: Vector) -> None:
        """Remember `vector` for `text`, forgetting the least recently used for room."""
        if text not in self._vectors:
            self._characters += len(text)
        self._vectors[text] = vector
        self._vectors.move_to_end(text)
        while len(self._vectors) > self._size or self._characters > self._max_characters:
            forgotten, _ = self._vectors.popitem(last=False)
            self._characters -= len(forgotten)
