"""Vectors and ids in memory, in partitions, searched by cosine similarity.

    from index import VectorIndex

    vectors = VectorIndex(dimension=3)
    vectors.add("cat", [0.9, 0.1, 0.0])
    vectors.add("dog", [0.8, 0.3, 0.0])
    vectors.search([1.0, 0.1, 0.0], k=2, floor=0.9)  # [Match(id='cat', similarity=0.99…), …]

It answers one question: which stored vectors of this partition are at least
this similar to this one, right now. It does not embed text, write to disk or
know what its entries are worth.

What holds: a partition up to `exact_below` entries is searched exactly, and the same
query against the same vector gives the same similarity, bit for bit, whatever else is
stored. A larger one is searched through approximate segments, which find 99 to 100 of a
hundred near neighbours and know similarities within about 2e-4; what was added last is
exact there too. A partition never sees another. A search sees one moment: every change
that had returned before it began, none that comes later.

Threads: any method may be called from any thread. Searches read side by side;
changes take turns; compaction goes on beside both, in a thread that lives while there is
work (see `index.partitions` for what is locked and why, `index.segments` for how a
partition is built).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

from numpy.typing import ArrayLike

from index.errors import (
    IndexClosedError,
    InvalidArgumentError,
    InvalidVectorError,
    VectorIndexError,
)
from index.partitions import Partitions
from index.protocol import DEFAULT_PARTITION, Evicted, Id, Match, Stats, VectorReader, VectorWriter
from index.vectors import unit_matrix, unit_vector

__all__ = [
    "DEFAULT_PARTITION",
    "EXACT_BELOW",
    "Evicted",
    "Id",
    "IndexClosedError",
    "InvalidArgumentError",
    "InvalidVectorError",
    "Match",
    "Stats",
    "VectorIndex",
    "VectorIndexError",
    "VectorReader",
    "VectorWriter",
]

# Comparing with 16,384 vectors takes 1.6 ms; lists for them are made in 0.4 s, and find in
# 0.15 ms. Below, a restart would burn a core for little.
EXACT_BELOW = 16_384
FEWEST_EXACT = 64
SHORTEST_CODED = 32  # numbers in a vector


class VectorIndex:
    """A searchable set of unit vectors, in partitions. n is a partition's size.

    A vector is any floating-point array or list of shape (dimension,); it is
    kept as float32 and brought to unit length if it is not. Methods raise
    InvalidVectorError for NaN, infinity, all zeros, a wrong shape or type;
    InvalidArgumentError for a bad id, `k` or `floor`; IndexClosedError after
    `close`. After an error the index is as it was before.
    """

    def __init__(
        self,
        dimension: int = 384,
        *,
        exact_below: int = EXACT_BELOW,
        max_entries: int | None = None,
        max_bytes: int | None = None,
        on_evict: Callable[[Evicted], None] | None = None,
    ) -> None:
        """Make an empty index.

        `exact_below`: a partition of up to so many entries is searched exactly (at least
        64). `max_entries`: beyond it the entries go that were added, or found, least
        recently. `max_bytes`: beyond it whole partitions go that were written or searched
        least recently, never the one just written. `on_evict` is told what went, by the
        thread whose change it was; it must not raise, and may use the index.
        """
        _check_positive("dimension", dimension)
        _check_positive("exact_below", exact_below, least=FEWEST_EXACT)
        for name, cap in (("max_entries", max_entries), ("max_bytes", max_bytes)):
            if cap is not None:
                _check_positive(name, cap)
        # Product codes tell too little of vectors this short, and comparing them is cheap.
        is_short = dimension < SHORTEST_CODED
        self._dimension = dimension
        self._open: Partitions | None = Partitions(
            dimension,
            exact_below=sys.maxsize if is_short else exact_below,
            max_entries=max_entries,
            max_bytes=max_bytes,
            on_evict=on_evict,
        )

    @property
    def dimension(self) -> int:
        """Numbers in one vector."""
        return self._dimension

    def add(self, id: Id, vector: ArrayLike, partition: str = DEFAULT_PARTITION) -> None:  # noqa: A002 - the face's own word
        """Store `vector` under `id` (str or int); what the id held before is replaced.

        O(dimension), amortised: now and then the partition's rows move to a larger matrix.
        """
        partitions = self._require_open()
        _check_id(id)
        partitions.put(partition, [id], unit_vector(vector, self._dimension)[None, :])

    def add_many(
        self, ids: Sequence[Id], matrix: ArrayLike, partition: str = DEFAULT_PARTITION
    ) -> None:
        """Store row i of `matrix` (len(ids), dimension) under `ids[i]`: all of them, or none.

        Of an id given twice the last row counts. O(len(ids) × dimension).
        """
        partitions = self._require_open()
        for each in ids:
            _check_id(each)
        rows = unit_matrix(matrix, self._dimension)
        if len(ids) != len(rows):
            raise InvalidArgumentError(f"got {len(ids)} ids for {len(rows)} vectors")
        row_of = {each: row for row, each in enumerate(ids)}
        if len(row_of) < len(ids):
            rows = rows[list(row_of.values())]
        partitions.put(partition, list(row_of), rows)

    def remove(self, id: Id, partition: str = DEFAULT_PARTITION) -> bool:  # noqa: A002 - the face's own word
        """Forget `id`; False when it was not there, which is no error. O(dimension)."""
        return self._require_open().remove(partition, id)

    def drop(self, partition: str) -> int:
        """Forget a whole partition; how many entries it held. O(n) to free, no copying."""
        return self._require_open().drop(partition)

    def search(
        self, query: ArrayLike, k: int = 1, floor: float = -1.0, partition: str = DEFAULT_PARTITION
    ) -> list[Match]:
        """Up to `k` matches with cosine similarity ≥ `floor`, best first, ties by id.

        `floor` is in [-1, 1], inclusive. A vector against itself gives 1 within
        1e-6, so a floor of exactly 1 may miss it. A partition that does not
        exist is empty. O(n × dimension).
        """
        partitions = self._require_open()
        _check_limits(k, floor)
        unit = unit_vector(query, self._dimension)
        return partitions.search(partition, unit[None, :], k, floor)[0]

    def search_many(
        self,
        queries: ArrayLike,
        k: int = 1,
        floor: float = -1.0,
        partition: str = DEFAULT_PARTITION,
    ) -> list[list[Match]]:
        """What `search` gives for each row of `queries` (m, dimension), bit for bit, all of
        one moment. O(m × n × dimension).
        """
        partitions = self._require_open()
        _check_limits(k, floor)
        return partitions.search(partition, unit_matrix(queries, self._dimension), k, floor)

    def has(self, id: Id, partition: str = DEFAULT_PARTITION) -> bool:  # noqa: A002 - the face's own word
        """Whether `id` is stored in this partition. O(1)."""
        return self._require_open().has(partition, id)

    def size(self, partition: str = DEFAULT_PARTITION) -> int:
        """Entries in one partition; `len(index)` counts all. O(1)."""
        return self._require_open().size(partition)

    def __len__(self) -> int:
        return self.stats().entries

    def __bool__(self) -> bool:
        return True  # an empty index is still one; `if index:` asks whether there is any

    def is_exact(self, partition: str = DEFAULT_PARTITION) -> bool:
        """Whether a search compares the query with every vector of this partition. O(1)."""
        return self._require_open().is_exact(partition)

    def compact(self) -> None:
        """Seal what can be sealed, reclaim what was removed, give spare memory back.

        Returns when nothing is left to do. Never needed for right answers: the index does it
        by itself, a little later. O(all vectors) at worst.
        """
        self._require_open().compact()

    def filling(self) -> AbstractContextManager[None]:
        """Around many additions at once: `with index.filling(): …`.

        Compaction waits for the end of the block. All is searchable meanwhile, exactly and
        sooner than if two threads fought for the interpreter; memory is what exact vectors take.
        """
        return self._require_open().filling()

    def stats(self) -> Stats:
        """Entries, partitions, memory, and how far compaction has come. O(large partitions)."""
        return self._require_open().stats()

    def close(self) -> None:
        """Forget everything; searches that run finish first on what they see. Twice is fine."""
        partitions, self._open = self._open, None
        if partitions is not None:
            partitions.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _require_open(self) -> Partitions:
        partitions = self._open
        if partitions is None:
            raise IndexClosedError("the index is closed")
        return partitions


def _check_id(id_: object) -> None:
    if not isinstance(id_, str | int):
        raise InvalidArgumentError(f"an id must be str or int, got {type(id_).__name__}")


def _check_limits(k: int, floor: float) -> None:
    _check_positive("k", k)
    # Written so that NaN, which compares false with everything, is refused.
    if not -1.0 <= floor <= 1.0:
        raise InvalidArgumentError(f"floor must be in [-1, 1], got {floor!r}")


def _check_positive(name: str, value: object, least: int = 1) -> None:
    if not isinstance(value, int) or value < least:
        raise InvalidArgumentError(f"{name} must be an integer ≥ {least}, got {value!r}")
