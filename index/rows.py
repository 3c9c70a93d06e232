"""Numbered places for ids and coded vectors: what sealed segments keep of each row.

A slot is given out, filled, freed and given out again. It does not know who still reads
a slot: its owner frees one only when nobody does (`index.sealed`).

Codes stand in blocks, so that growing copies none of them. Ids, steps and the time of
death are flat arrays: a search asks many at once, and copying 20 bytes a row when they
double is nothing. Ids are Python objects in an array, not a list, which Python's cycle
collector would walk through.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.protocol import Id, Matrix, Rows, Vector
from index.quantised import Codes, code_bytes, decode, encode, similarities

BLOCK_BITS = 13
BLOCK_ROWS = 1 << BLOCK_BITS
FEW = 256  # slots that a search asks for at once
NEVER = np.iinfo(np.int64).max  # when a live row dies
ID_BYTES = 150  # an id, its slot and its place in a dict, about


class RowStore:
    """Slots with an id, a coded vector and a time of death. Not locked."""

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self.ids: NDArray[Any] = np.empty(0, object)
        self.died: NDArray[np.int64] = np.empty(0, np.int64)
        self._steps = np.empty(0, np.float32)
        self._blocks: list[Codes] = []
        self._free: list[int] = []

    @property
    def capacity(self) -> int:
        """Slots there are, free ones included."""
        return len(self._blocks) * BLOCK_ROWS

    @property
    def bytes(self) -> int:
        """Memory taken, about."""
        used = self.capacity - len(self._free)
        codes = sum(block.nbytes for block in self._blocks)
        return codes + used * (ID_BYTES + self.ids.itemsize + self.died.itemsize)

    def living(self) -> Rows:
        """The slots that hold a live row."""
        return np.flatnonzero(self.died[: self.capacity] == NEVER)

    def free_before(self, slot: int) -> int:
        """How many slots with lower numbers are free."""
        return bisect_left(self._free[::-1], slot)

    def take(self, count: int) -> Rows:
        """Free slots, lowest first; they count as dead until `fill`."""
        while len(self._free) < count:
            self._grow()
        taken, self._free = self._free[-count:], self._free[:-count]
        return np.array(taken[::-1], np.int64)

    def give(self, slots: Iterable[int]) -> None:
        """These slots are free again; whole blocks of free slots at the end are let go."""
        slots = list(slots)
        self.ids[slots] = None
        self._free.extend(slots)
        self._free.sort(reverse=True)
        while self._blocks and self._is_free(len(self._blocks) - 1):
            self._blocks.pop()
            self._free = self._free[BLOCK_ROWS:]

    def _is_free(self, block: int) -> bool:
        """Whether nothing is in the last block."""
        first = block * BLOCK_ROWS
        # In descending order: this many at the front are of the last block when all are free.
        return len(self._free) >= BLOCK_ROWS and self._free[BLOCK_ROWS - 1] == first

    def _grow(self) -> None:
        first = self.capacity
        self._blocks.append(np.empty((BLOCK_ROWS, code_bytes(self.dimension)), np.uint8))
        if self.capacity > len(self.ids):
            room = max(self.capacity, 2 * len(self.ids))
            self.ids = _extended(self.ids, room)
            self.died = _extended(self.died, room)
            self._steps = _extended(self._steps, room)
        self.died[first : self.capacity] = 0
        self._free = [*range(self.capacity - 1, first - 1, -1), *self._free]

    def fill(self, slots: Rows, matrix: Matrix) -> None:
        """Code rows of `matrix`, unit float32 (n, dimension), into slots. O(n × dimension)."""
        codes, self._steps[slots] = encode(matrix)
        for block, chosen in _by_block(slots):
            self._blocks[block][slots[chosen] & BLOCK_ROWS - 1] = codes[chosen]

    def decoded(self, slots: Rows) -> Matrix:
        """What is kept of the vectors in slots, float32 (n, dimension)."""
        return decode(self._codes(slots), self._steps[slots], self.dimension)

    def _codes(self, slots: Rows) -> Codes:
        blocks, shape = self._blocks, (len(slots), code_bytes(self.dimension))
        if len(slots) <= FEW:
            # A third of the time that numpy takes to pick rows out of as many arrays.
            parts = [blocks[slot >> BLOCK_BITS][slot & BLOCK_ROWS - 1] for slot in slots.tolist()]
            return np.frombuffer(b"".join(parts), np.uint8).reshape(shape)
        codes: Codes = np.empty(shape, np.uint8)
        for block, chosen in _by_block(slots):
            codes[chosen] = blocks[block][slots[chosen] & BLOCK_ROWS - 1]
        return codes

    def similar(self, slots: Rows, query: Vector, floor: float) -> tuple[list[Id], list[float]]:
        """The ids of those slots that have similarity ≥ `floor` to a unit vector, and how much."""
        if floor <= -1.0:
            floor = -math.inf  # opposite vectors may come out a little below -1
        scores = similarities(self._codes(slots), self._steps[slots], query).tolist()
        passing = [row for row, score in enumerate(scores) if score >= floor]
        ids: list[Id] = self.ids[slots[passing]].tolist() if passing else []
        return ids, [scores[row] for row in passing]

    def revive(self, slots: Rows, ids: Sequence[Id]) -> None:
        """From now on slots hold these ids, alive."""
        self.ids[slots] = ids
        self.died[slots] = NEVER


def _by_block(slots: Rows) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """Which of the slots are in which block."""
    numbers = slots >> BLOCK_BITS
    for block in np.unique(numbers).tolist():
        yield block, np.flatnonzero(numbers == block)


def _extended(values: NDArray[Any], room: int) -> NDArray[Any]:
    longer = np.empty(room, values.dtype)
    longer[: len(values)] = values
    return longer
