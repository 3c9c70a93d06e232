"""The index against a naive oracle: nothing near enough is ever missed, whatever was done."""

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from index import InvalidVectorError, VectorIndex

DIMENSION = 384


def rows(count: int, seed: int = 0) -> np.ndarray:
    """Unit vectors in tight clusters, so that each has true neighbours."""
    random = np.random.default_rng(seed)
    centres = random.standard_normal((max(1, count // 4), DIMENSION))
    matrix = centres[np.arange(count) % len(centres)]
    matrix = matrix + 0.4 * random.standard_normal((count, DIMENSION))
    return (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).astype(np.float32)


class Oracle:
    """The same face as slowly and plainly as it can be said, in float64."""

    def __init__(self) -> None:
        self.stored: dict[str, dict[int, np.ndarray]] = {}

    def put(self, partition, id_, vector):
        vector = np.asarray(vector, np.float64)
        self.stored.setdefault(partition, {})[id_] = vector / np.linalg.norm(vector)

    def remove(self, partition, id_):
        return self.stored.get(partition, {}).pop(id_, None) is not None

    def similarities(self, partition, query):
        query = np.asarray(query, np.float64)
        query = query / np.linalg.norm(query)
        return {i: float(v @ query) for i, v in self.stored.get(partition, {}).items()}


def assert_agrees(found, truth, k, floor):
    """`found` is a right answer: rounding may only decide between what is equal within 1e-5."""
    close = 1e-5
    ids = [match.id for match in found]
    assert len(set(ids)) == len(ids)
    assert found == sorted(found, key=lambda match: (-match.similarity, match.id))
    for id_, similarity in found:
        assert similarity == pytest.approx(truth[id_], abs=close)
        assert similarity >= floor
    worst_allowed = found[-1].similarity if len(found) == k else floor
    missed = [i for i, s in truth.items() if i not in ids and s > worst_allowed + close]
    assert not missed


def assert_finds_all_neighbours(vectors, oracle, partition, queries):
    """Recall 1.000: the nearest of every query, and all of its neighbours at 0.75."""
    for query in queries:
        truth = oracle.similarities(partition, query)
        assert_agrees(vectors.search(query, 1, -1.0, partition), truth, 1, -1.0)
        assert_agrees(vectors.search(query, 50, 0.75, partition), truth, 50, 0.75)


# A coarse grid makes equal vectors and ties common, which random floats never do.
grid_vectors = (
    st.lists(st.integers(-2, 2), min_size=3, max_size=3)
    .filter(any)
    .map(lambda parts: [float(part) for part in parts])
)
few_ids = st.integers(0, 12)
few_partitions = st.sampled_from(["a", "b", "c"])


class AgreesWithTheOracle(RuleBasedStateMachine):
    """Adds, replaces, removes, drops and compacts in any order, over several partitions."""

    def __init__(self) -> None:
        super().__init__()
        self.vectors = VectorIndex(dimension=3)
        self.oracle = Oracle()

    @rule(partition=few_partitions, id_=few_ids, vector=grid_vectors)
    def add(self, partition, id_, vector):
        self.vectors.add(id_, vector, partition)
        self.oracle.put(partition, id_, vector)

    @rule(partition=few_partitions, batch=st.lists(st.tuples(few_ids, grid_vectors), min_size=1))
    def add_many(self, partition, batch):
        self.vectors.add_many([i for i, _ in batch], [v for _, v in batch], partition)
        for id_, vector in batch:
            self.oracle.put(partition, id_, vector)

    @rule(partition=few_partitions, id_=few_ids)
    def remove(self, partition, id_):
        assert self.vectors.remove(id_, partition) == self.oracle.remove(partition, id_)

    @rule(partition=few_partitions)
    def drop(self, partition):
        assert self.vectors.drop(partition) == len(self.oracle.stored.pop(partition, {}))

    @rule()
    def compact(self):
        self.vectors.compact()

    @rule(
        partition=few_partitions,
        query=grid_vectors,
        k=st.integers(1, 15),
        floor=st.floats(-1.0, 1.0),
    )
    def search(self, partition, query, k, floor):
        truth = self.oracle.similarities(partition, query)
        assert_agrees(self.vectors.search(query, k, floor, partition), truth, k, floor)

    @rule(partition=few_partitions, id_=few_ids, bad=st.sampled_from([np.nan, np.inf, 0.0]))
    def add_unusable(self, partition, id_, bad):
        with pytest.raises(InvalidVectorError):
            self.vectors.add(id_, [bad, bad, bad], partition)

    @invariant()
    def holds_the_same_entries(self):
        sizes = {name: len(held) for name, held in self.oracle.stored.items() if held}
        assert {name: self.vectors.size(name) for name in sizes} == sizes
        stats = self.vectors.stats()
        assert (stats.entries, stats.partitions) == (sum(sizes.values()), len(sizes))
        assert stats.bytes >= stats.entries * 3 * 4


TestAgreesWithTheOracle = AgreesWithTheOracle.TestCase
TestAgreesWithTheOracle.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, derandomize=True
)


@pytest.mark.parametrize("count", [1, 50, 1000, 9000])
class TestRecallAfterEachMutation:
    """Nothing that is stored and near enough is ever missed, whatever was done before."""

    @pytest.fixture
    def stored(self, count):
        vectors, oracle, matrix = VectorIndex(), Oracle(), rows(count)
        vectors.add_many(range(count), matrix, "t")
        for id_, vector in enumerate(matrix):
            oracle.put("t", id_, vector)
        return vectors, oracle, matrix

    def test_after_filling(self, stored):
        """A batch is searchable as soon as `add_many` returns."""
        vectors, oracle, matrix = stored
        assert_finds_all_neighbours(vectors, oracle, "t", matrix[:10])

    def test_after_adding(self, stored, count):
        """A single entry is searchable as soon as `add` returns."""
        vectors, oracle, matrix = stored
        for id_, vector in enumerate(rows(20, seed=1), start=count):
            vectors.add(id_, vector, "t")
            oracle.put("t", id_, vector)
            assert vectors.search(vector, 1, 0.99, "t")[0].id == id_
        assert_finds_all_neighbours(vectors, oracle, "t", matrix[:10])

    def test_after_replacing(self, stored, count):
        """A replaced entry is found by its new vector and not by its old one."""
        vectors, oracle, matrix = stored
        for id_, vector in enumerate(rows(count, seed=2)[: count // 2 + 1]):
            vectors.add(id_, vector, "t")
            oracle.put("t", id_, vector)
        assert not vectors.search(matrix[0], 1, 0.999, "t")
        assert_finds_all_neighbours(vectors, oracle, "t", matrix[-10:])

    def test_after_removing(self, stored, count):
        """A removed entry is gone at once, and takes no other with it."""
        vectors, oracle, matrix = stored
        for id_ in range(0, count, 2):
            assert vectors.remove(id_, "t")
            oracle.remove("t", id_)
        assert_finds_all_neighbours(vectors, oracle, "t", matrix[:10])

    def test_after_compaction(self, stored, count):
        """Compaction changes no answer."""
        vectors, oracle, matrix = stored
        for id_ in range(count // 2):
            vectors.remove(id_, "t")
            oracle.remove("t", id_)
        before = vectors.search_many(matrix[:10], 5, 0.5, "t")
        vectors.compact()
        assert vectors.search_many(matrix[:10], 5, 0.5, "t") == before
        assert_finds_all_neighbours(vectors, oracle, "t", matrix[-10:])
