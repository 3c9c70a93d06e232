"""Anything in any order, over several partitions, with compaction at work beside it.

What was sealed is approximate, so the oracle does not say what must be found there; it
says what may be: nothing that is gone, nothing scored wrong, nothing twice. What is lost
for good shows when all is compacted: then each stored vector has to find itself.
"""

from typing import ClassVar

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from index import InvalidVectorError, VectorIndex
from tests.index.making import (
    Oracle,
    assert_exact,
    assert_possible,
    clustered,
    ids_of,
)

partitions = st.sampled_from("abc")


class Grid(RuleBasedStateMachine):
    """Short vectors are never sealed: every answer is the oracle's, ties included."""

    # A coarse grid makes equal vectors and ties common, which random floats never do.
    vectors = (
        st.lists(st.integers(-2, 2), min_size=3, max_size=3)
        .filter(any)
        .map(lambda parts: [float(part) for part in parts])
    )
    ids = st.integers(0, 6) | st.sampled_from(["0", "1", "two", ""])

    def __init__(self) -> None:
        super().__init__()
        self.index = VectorIndex(dimension=3, exact_below=64)
        self.oracle = Oracle()

    @rule(partition=partitions, id_=ids, vector=vectors)
    def add(self, partition, id_, vector):
        self.index.add(id_, vector, partition)
        self.oracle.put(partition, id_, vector)

    @rule(partition=partitions, batch=st.lists(st.tuples(ids, vectors), min_size=1))
    def add_many(self, partition, batch):
        self.index.add_many([i for i, _ in batch], [v for _, v in batch], partition)
        for id_, vector in batch:
            self.oracle.put(partition, id_, vector)

    @rule(partition=partitions, id_=ids)
    def remove(self, partition, id_):
        assert self.index.remove(id_, partition) == self.oracle.remove(partition, id_)

    @rule(partition=partitions)
    def drop(self, partition):
        assert self.index.drop(partition) == self.oracle.drop(partition)

    @rule()
    def compact(self):
        self.index.compact()

    @rule(partition=partitions, query=vectors, k=st.integers(1, 15), floor=st.floats(-1.0, 1.0))
    def search(self, partition, query, k, floor):
        truth = self.oracle.similarities(partition, query)
        assert_exact(self.index.search(query, k, floor, partition), truth, k, floor)

    @rule(partition=partitions, id_=ids, bad=st.sampled_from([np.nan, np.inf, 0.0]))
    def add_unusable(self, partition, id_, bad):
        with pytest.raises(InvalidVectorError):
            self.index.add(id_, [bad, bad, bad], partition)

    @invariant()
    def holds_the_same_entries(self):
        sizes = self.oracle.sizes()
        assert {name: self.index.size(name) for name in sizes} == sizes
        stats = self.index.stats()
        assert (stats.entries, stats.partitions) == (sum(sizes.values()), len(sizes))
        assert stats.bytes >= stats.entries * 3 * 4


DIMENSION = 48
POOL = clustered(1500, DIMENSION)
seeds = st.integers(0, 2**32 - 1)
# One, a few, more than may be exact, more than a segment that grows beside a sealed one holds.
counts = st.sampled_from([1, 5, 40, 150, 1100])


class Sealed(RuleBasedStateMachine):
    """Longer vectors, of which 64 are sealed: the thread that compacts runs beside."""

    caps: ClassVar[dict[str, int]] = {}

    def __init__(self) -> None:
        super().__init__()
        self.oracle = Oracle()
        self.index = VectorIndex(DIMENSION, exact_below=64, on_evict=self._lose, **type(self).caps)

    def teardown(self):
        self.index.close()

    def _lose(self, evicted):
        if evicted.ids is None:
            assert self.oracle.drop(evicted.partition) == evicted.count
        for id_ in evicted.ids or ():
            assert self.oracle.remove(evicted.partition, id_)

    def _put(self, partition, ids, matrix):
        # The oracle first: what is evicted at once is told within the call.
        self.oracle.put_many(partition, ids, matrix)
        self.index.add_many(ids, matrix, partition)

    @rule(partition=partitions, id_=st.integers(0, 1499), row=st.integers(0, 1499))
    def add(self, partition, id_, row):
        self.oracle.put(partition, id_, POOL[row])
        self.index.add(id_, POOL[row], partition)

    @rule(partition=partitions, seed=seeds, count=counts)
    def add_many(self, partition, seed, count):
        random = np.random.default_rng(seed)
        ids = random.choice(1500, count, replace=False).tolist()
        self._put(partition, ids, POOL[random.choice(1500, count, replace=False)])

    @rule(partition=partitions, seed=seeds, share=st.sampled_from([0.02, 0.5, 0.95]))
    def replace(self, partition, seed, share):
        ids = self._some(partition, seed, share)
        if ids:
            self._put(
                partition, ids, POOL[np.random.default_rng(seed + 1).permutation(1500)[: len(ids)]]
            )

    @rule(partition=partitions, seed=seeds, share=st.sampled_from([0.02, 0.5, 0.95]))
    def remove(self, partition, seed, share):
        for id_ in self._some(partition, seed, share):
            assert self.index.remove(id_, partition)
            assert self.oracle.remove(partition, id_)

    def _some(self, partition, seed, share):
        held = np.array(list(self.oracle.stored.get(partition, {})), int)
        chosen = np.random.default_rng(seed).random(len(held)) < share
        return held[chosen].tolist()

    @rule(partition=partitions, id_=st.integers(0, 1499))
    def remove_one(self, partition, id_):
        assert self.index.remove(id_, partition) == self.oracle.remove(partition, id_)

    @rule(partition=partitions)
    def drop(self, partition):
        assert self.index.drop(partition) == self.oracle.drop(partition)

    @rule(
        partition=partitions,
        rows=st.lists(st.integers(0, 1499), min_size=1, max_size=9),
        k=st.sampled_from([1, 3, 20]),
        floor=st.sampled_from([-1.0, 0.3, 0.75, 0.9]),
    )
    def search(self, partition, rows, k, floor):
        queries = POOL[rows]
        answers = [
            *self.index.search_many(queries, k, floor, partition),
            *(self.index.search(query, k, floor, partition) for query in queries),
        ]
        for query, found in zip([*queries, *queries], answers, strict=True):
            truth = self.oracle.similarities(partition, query)
            assert_possible(found, truth, k, floor)
            if self.oracle.sizes().get(partition, 0) >= k:
                assert found or floor > -1.0

    @rule()
    @precondition(lambda self: self.oracle.sizes())
    def compact(self):
        self.index.compact()
        stats = self.index.stats()
        sizes = self.oracle.sizes()
        assert stats.dead == 0
        large = {name for name in sizes if not self.index.is_exact(name)}
        assert stats.sealed == sum(sizes[name] for name in large)
        assert large >= {name for name, size in sizes.items() if size > 64}
        for name in sizes:
            self._each_finds_itself(name)

    def _each_finds_itself(self, partition):
        held = self.oracle.stored[partition]
        matrix = np.stack(list(held.values())).astype(np.float32)
        found = self.index.search_many(matrix, 40, 0.99, partition)
        lost = [id_ for id_, each in zip(held, found, strict=True) if id_ not in ids_of(each)]
        assert len(lost) <= len(held) * 0.02

    @invariant()
    def holds_the_same_entries(self):
        sizes = self.oracle.sizes()
        assert {name: self.index.size(name) for name in "abc"} == {"a": 0, "b": 0, "c": 0} | sizes
        stats = self.index.stats()
        assert (stats.entries, stats.partitions) == (sum(sizes.values()), len(sizes))
        assert len(self.index) == stats.entries >= stats.sealed >= 0
        assert stats.bytes >= stats.entries * DIMENSION * 1.5
        assert stats.dead >= 0
        if not stats.entries:
            assert (stats.bytes, stats.sealed, stats.dead) == (0, 0, 0)


class SealedWithCaps(Sealed):
    """The same where entries and partitions are evicted."""

    caps: ClassVar[dict[str, int]] = {"max_entries": 1300, "max_bytes": 2_000_000}

    @invariant()
    def keeps_to_the_cap(self):
        assert len(self.index) <= 1300


TestGrid = Grid.TestCase
TestGrid.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, derandomize=True
)
TestSealed = Sealed.TestCase
TestSealed.settings = settings(
    max_examples=30, stateful_step_count=30, deadline=None, derandomize=True
)
TestSealedWithCaps = SealedWithCaps.TestCase
TestSealedWithCaps.settings = TestSealed.settings
