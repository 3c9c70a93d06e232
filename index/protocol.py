"""The words that the index and its callers share.

`VectorReader` and `VectorWriter` split the face in two, so that code which
only searches cannot change anything. Nothing here computes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

Id = str | int
Vector = NDArray[np.float32]  # (dimension,), unit length once it is inside
Matrix = NDArray[np.float32]  # (n, dimension), rows of unit length once inside
Rows = NDArray[np.intp]  # row numbers of a matrix
Scores = NDArray[np.float32]  # inner products, one a row

# Callers without a notion of tenants never have to name a partition.
DEFAULT_PARTITION = ""


class Match(NamedTuple):
    """One stored vector that is near enough: its id and cosine similarity in [-1, 1]."""

    id: Id
    similarity: float


@dataclass(frozen=True, slots=True)
class Evicted:
    """What a cap cost: `count` entries of a partition, all there were where `ids` is None."""

    partition: str
    count: int
    ids: tuple[Id, ...] | None


@dataclass(frozen=True, slots=True)
class Stats:
    """How much the index holds.

    `bytes` is the memory taken for vectors, ids and bookkeeping, estimated: ids are taken
    for short text. `sealed` counts the entries that are found through approximate
    segments, `dead` those removed but not yet reclaimed there; `compacting` says whether
    the thread that does so is at work.
    """

    entries: int
    partitions: int
    bytes: int
    sealed: int
    dead: int
    compacting: bool


class VectorReader(Protocol):
    """Finds the nearest vectors of one partition."""

    def search(
        self, query: ArrayLike, k: int = 1, floor: float = -1.0, partition: str = DEFAULT_PARTITION
    ) -> list[Match]:
        """Up to `k` matches with similarity ≥ `floor`, best first."""
        ...

    def search_many(
        self,
        queries: ArrayLike,
        k: int = 1,
        floor: float = -1.0,
        partition: str = DEFAULT_PARTITION,
    ) -> list[list[Match]]:
        """What `search` gives for each row of `queries`, all of one moment."""
        ...


class VectorWriter(Protocol):
    """Changes what one partition holds."""

    def add(self, id: Id, vector: ArrayLike, partition: str = DEFAULT_PARTITION) -> None:  # noqa: A002 - the face's own word
        """Store `vector` under `id`; what the id held before is replaced."""
        ...

    def add_many(
        self, ids: Sequence[Id], matrix: ArrayLike, partition: str = DEFAULT_PARTITION
    ) -> None:
        """Store row i of `matrix` under `ids[i]`: all of them, or none."""
        ...

    def remove(self, id: Id, partition: str = DEFAULT_PARTITION) -> bool:  # noqa: A002 - the face's own word
        """Forget `id`; False when it was not there."""
        ...

    def drop(self, partition: str) -> int:
        """Forget a whole partition; how many entries it held."""
        ...
