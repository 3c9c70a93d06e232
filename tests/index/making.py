"""Vectors to store, what is true of them, and partitions in every state they can be in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest

from index import VectorIndex
from index.protocol import Match
from index.segments import Segments
from tests.index.halfway import Halfway

CODED_WITHIN = 5e-4  # how far a similarity from 12-bit codes may be from the truth
EXACT_WITHIN = 1e-6


def clustered(count: int, dimension: int, seed: int = 0, *, each: int = 6) -> np.ndarray:
    """Unit vectors, `each` around one centre and at about 0.87 to each other."""
    random = np.random.default_rng(seed)
    centres = random.standard_normal((-(-count // each), dimension))
    matrix = centres[np.arange(count) % len(centres)]
    return unit(matrix + 0.38 * random.standard_normal((count, dimension)))


def near(vector: np.ndarray, count: int, seed: int = 0, apart: float = 0.01) -> np.ndarray:
    """Unit vectors around `vector`, hardly to be told from it."""
    random = np.random.default_rng(seed)
    return unit(vector + apart * random.standard_normal((count, len(vector))))


def unit(matrix: np.ndarray) -> np.ndarray:
    """The rows as float32 of unit length."""
    return (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).astype(np.float32)


class Oracle:
    """The same face as slowly and plainly as it can be said, in float64."""

    def __init__(self) -> None:
        self.stored: dict[str, dict[str | int, np.ndarray]] = {}

    def put(self, partition, id_, vector):
        vector = np.asarray(vector, np.float64)
        self.stored.setdefault(partition, {})[id_] = vector / np.linalg.norm(vector)

    def put_many(self, partition, ids, matrix):
        for id_, vector in zip(ids, matrix, strict=True):
            self.put(partition, id_, vector)

    def remove(self, partition, id_):
        return self.stored.get(partition, {}).pop(id_, None) is not None

    def drop(self, partition):
        return len(self.stored.pop(partition, {}))

    def sizes(self) -> dict[str, int]:
        return {name: len(held) for name, held in self.stored.items() if held}

    def similarities(self, partition, query) -> dict[str | int, float]:
        held = self.stored.get(partition, {})
        if not held:
            return {}
        query = np.asarray(query, np.float64)
        scores = np.stack(list(held.values())) @ (query / np.linalg.norm(query))
        return dict(zip(held, scores.tolist(), strict=True))


def ids_of(found: Sequence[Match]) -> list[str | int]:
    """Which entries were found."""
    return [match.id for match in found]


def in_order(found: Sequence[Match]) -> bool:
    """Whether matches stand best first, ties by id, numbers before text."""
    order = [(-match.similarity, isinstance(match.id, str), match.id) for match in found]
    return order == sorted(order)


def assert_possible(found, truth, k, floor, within=CODED_WITHIN):
    """Each match is stored, scored right and above the floor; none comes twice or too late."""
    assert len(set(ids_of(found))) == len(found) <= k
    assert in_order(found)
    for id_, similarity in found:
        assert similarity == pytest.approx(truth[id_], abs=within)
        assert similarity >= floor


def assert_exact(found, truth, k, floor, within=1e-5):
    """`found` is possible, and nothing that belongs there is missing."""
    assert_possible(found, truth, k, floor, within)
    worst_allowed = found[-1].similarity if len(found) == k else floor
    present = set(ids_of(found))
    missed = [i for i, s in truth.items() if i not in present and s > worst_allowed + within]
    assert not missed


def moments(index) -> Iterator[str]:
    """As it is now, and once nothing is left to compact."""
    yield "now"
    index.compact()
    yield "compacted"


def exact_index(matrix: np.ndarray) -> VectorIndex:
    """All in exact segments."""
    index = VectorIndex(matrix.shape[1])
    index.add_many(range(len(matrix)), matrix)
    assert index.is_exact()
    return index


def sealed_index(matrix: np.ndarray) -> VectorIndex:
    """All sealed."""
    index = VectorIndex(matrix.shape[1], exact_below=64)
    index.add_many(range(len(matrix)), matrix)
    index.compact()
    assert index.stats().sealed == len(matrix)
    return index


def half_sealed_index(matrix: np.ndarray) -> VectorIndex:
    """The first half sealed, the other half growing beside it."""
    half = len(matrix) // 2
    index = sealed_index(matrix[:half])
    index.add_many(range(half, len(matrix)), matrix[half:])
    assert index.stats().sealed == half
    return index


def exact_partition(matrix: np.ndarray) -> Halfway:
    """All in exact segments."""
    partition = Halfway(Segments(matrix.shape[1]))
    partition.add_many(range(len(matrix)), matrix)
    return partition


def sealed_partition(matrix: np.ndarray) -> Halfway:
    """All sealed."""
    partition = exact_partition(matrix)
    partition.compact()
    assert len(partition.segments.sealed) == len(matrix)
    return partition


def half_sealed_partition(matrix: np.ndarray) -> Halfway:
    """The first half sealed, the other half growing beside it."""
    half = len(matrix) // 2
    partition = sealed_partition(matrix[:half])
    partition.add_many(range(half, len(matrix)), matrix[half:])
    return partition


def being_sealed(matrix: np.ndarray) -> Halfway:
    """All being sealed for the first time."""
    partition = exact_partition(matrix)
    partition.begin_step()
    return partition


def being_compacted(matrix: np.ndarray) -> Halfway:
    """The first half sealed, dead rows being left out of it, the other half being sealed."""
    half = len(matrix) // 2
    partition = sealed_partition(np.concatenate([matrix[:half], matrix[-20:]]))
    for id_ in range(half, half + 20):
        partition.remove(id_)
    partition.add_many(range(half, len(matrix)), matrix[half:])
    partition.begin_step()
    return partition


# What a caller can't tell apart, in every state that it can be in.
INDEXES: dict[str, Callable[[np.ndarray], VectorIndex | Halfway]] = {
    "exact": exact_index,
    "sealed": sealed_index,
    "half sealed": half_sealed_index,
    "being sealed": being_sealed,
    "being compacted": being_compacted,
}
PARTITIONS: dict[str, Callable[[np.ndarray], Halfway]] = {
    "exact": exact_partition,
    "sealed": sealed_partition,
    "half sealed": half_sealed_partition,
    "being sealed": being_sealed,
    "being compacted": being_compacted,
}
