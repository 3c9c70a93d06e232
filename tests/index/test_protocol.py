"""The words shared by the index and its callers."""

import numpy as np
import pytest

from index import Match, Stats, VectorIndex, VectorReader, VectorWriter


def copy_all(reader: VectorReader, writer: VectorWriter, rows: np.ndarray) -> None:
    """What a caller typed against the protocols does."""
    for row, found in enumerate(reader.search_many(rows)):
        writer.add(found[0].id, rows[row], partition="copy")


def test_the_index_serves_as_reader_and_as_writer():
    """Code written against the two protocols runs on VectorIndex."""
    rows = np.eye(3, dtype=np.float32)
    vectors = VectorIndex(dimension=3)
    vectors.add_many(["a", "b", "c"], rows)
    copy_all(vectors, vectors, rows)
    assert vectors.size("copy") == 3


def test_a_match_unpacks_into_id_and_similarity():
    """A match reads as a pair, in that order."""
    id_, similarity = Match("a", 0.5)
    assert (id_, similarity) == ("a", 0.5)


def test_stats_can_not_be_changed():
    """A snapshot that someone holds stays what it was."""
    stats = VectorIndex(dimension=2).stats()
    assert stats == Stats(0, 0, 0, sealed=0, dead=0, compacting=False)
    with pytest.raises(AttributeError):
        stats.entries = 1
