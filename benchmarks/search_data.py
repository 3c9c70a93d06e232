"""What is searched and what is true of it: a corpus on disk, held-out queries, exact answers.

The corpus lies in a file that every process maps. Mapped pages are no anonymous memory, so
that reading it leaves the figure alone by which an index's bytes are counted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.question_vectors import CACHE, question_vectors
from index.protocol import Matrix

HELD_OUT = 2_000  # real questions that are asked and never stored
NEAR = 0.75  # cosine from which a neighbour is a true one
TIE = 1e-6  # cosines that are nearer than this are equal
JITTER = (0.75, 0.99)  # cosine of a made vector to the real one it stands beside
CHUNK = 10_000


@dataclass(frozen=True)
class Corpus:
    """Where the vectors lie; a file of raw float32 rows each, and the queries' matrix."""

    path: Path
    queries_path: Path
    dimension: int

    def rows(self) -> Matrix:
        """All rows there are, mapped and not read."""
        return mapped(self.path, self.dimension)

    def queries(self) -> Matrix:
        """The held-out questions."""
        return mapped(self.queries_path, self.dimension)


def mapped(path: Path, dimension: int) -> Matrix:
    """A file of raw float32 rows as a matrix, read as it is used."""
    return np.asarray(np.memmap(path, np.float32, mode="r")).reshape(-1, dimension)


def open_corpus(data: Path, count: int, seed: int) -> Corpus:
    """At least `count` rows: real ones, then made ones; the first n are the same at every size."""
    real = question_vectors(data)
    queries, stored = real[:HELD_OUT], real[HELD_OUT:]
    digest = hashlib.sha256(real.tobytes()).hexdigest()[:12]
    corpus = Corpus(
        CACHE / f"corpus-{digest}-{seed}.f32", CACHE / f"queries-{digest}.f32", real.shape[1]
    )
    queries.tofile(corpus.queries_path)
    if not corpus.path.exists():
        stored.tofile(corpus.path)
    _extend(corpus, stored, count, seed)
    return corpus


def _extend(corpus: Corpus, stored: Matrix, count: int, seed: int) -> None:
    chunk_bytes = CHUNK * stored.shape[1] * stored.itemsize
    with corpus.path.open("r+b") as file:
        beyond = corpus.path.stat().st_size - stored.nbytes
        if beyond < 0:  # left by a run that was interrupted
            file.write(stored.tobytes())
        made = max(0, beyond) // chunk_bytes
        file.truncate(stored.nbytes + made * chunk_bytes)
        file.seek(0, 2)
        while len(stored) + made * CHUNK < count:
            # A chunk's chance is its own: its rows do not depend on how far a run went.
            file.write(jittered(stored, CHUNK, np.random.default_rng([seed, made])).tobytes())
            made += 1


def jittered(stored: Matrix, count: int, chance: np.random.Generator) -> Matrix:
    """`count` unit vectors, each beside a stored one at a cosine uniform in `JITTER`."""
    centres = stored[chance.integers(len(stored), size=count)]
    aside = chance.standard_normal(centres.shape, dtype=np.float32)
    aside -= np.einsum("ij,ij->i", aside, centres)[:, None] * centres
    aside /= np.linalg.norm(aside, axis=1, keepdims=True)
    cosine = chance.uniform(*JITTER, size=(count, 1)).astype(np.float32)
    rows = cosine * centres + np.sqrt(1 - cosine**2) * aside
    unit: Matrix = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit


@dataclass(frozen=True)
class Truth:
    """The best row of each query by brute force, and its cosine in float64."""

    rows: NDArray[np.intp]
    cosines: NDArray[np.float64]

    @property
    def near(self) -> NDArray[np.bool_]:
        """Which queries have a true neighbour."""
        return self.cosines >= NEAR


def truths(corpus: Corpus, sizes: Sequence[int]) -> dict[int, Truth]:
    """The truth among the first n rows for each size n; one pass over the largest."""
    queries, rows = np.array(corpus.queries()), corpus.rows()
    best = np.full(len(queries), -np.inf, np.float32)
    row_of = np.zeros(len(queries), np.intp)
    found = {}
    for start, end in _pieces(max(sizes), sizes):
        scores = queries @ rows[start:end].T
        top = scores.argmax(axis=1)
        score = scores[np.arange(len(queries)), top]
        row_of = np.where(score > best, top + start, row_of)
        best = np.maximum(best, score)
        if end in sizes:
            found[end] = Truth(row_of, cosines(queries, rows, row_of))
    return found


def _pieces(count: int, cuts: Sequence[int]) -> Iterator[tuple[int, int]]:
    edges = sorted({*range(0, count, CHUNK), *cuts, count} - {0})
    yield from zip([0, *edges], edges, strict=False)


def cosines(queries: Matrix, rows: Matrix, picked: NDArray[np.intp]) -> NDArray[np.float64]:
    """The cosine of each query to its picked row, summed in float64."""
    return np.einsum("ij,ij->i", queries, rows[picked], dtype=np.float64)


def recall(corpus: Corpus, truth: Truth, found: Sequence[Sequence[int]], first: int) -> float:
    """The share of queries with a true neighbour whose best is among the `first` found.

    A row as near as the best within `TIE` counts: equal questions have equal vectors.
    """
    queries, rows = corpus.queries(), corpus.rows()
    hits = [
        any(row >= 0 and _cosine(queries[query], rows[row]) >= truth.cosines[query] - TIE
            for row in found[query][:first])
        for query in np.flatnonzero(truth.near)
    ]  # fmt: skip
    return sum(hits) / len(hits) if hits else float("nan")


def _cosine(query: NDArray[np.float32], row: NDArray[np.float32]) -> float:
    return float(np.dot(query.astype(np.float64), row.astype(np.float64)))
