"""The table that decided how large partitions are searched: structures that FAISS offers.

    python -m benchmarks.bench_structures [--size 98000] [--seed 7] [--data DIR]

Each makes a shortlist of 64 rows of the same vectors on one thread; recall says how often
the nearest row, where it is at 0.75 or nearer, is on it. Scoring the shortlist again costs
the same whatever made it, and is left out. Structures take turns, 50 queries each.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from benchmarks.harness import machine
from benchmarks.question_vectors import DEFAULT_DATA, why_absent
from benchmarks.search_data import HELD_OUT, Corpus, Truth, open_corpus, recall, truths
from index.approximate import CODE_DIMENSIONS, LIST_SAMPLE, ROUNDS
from index.protocol import Matrix

SHORTLIST = 64
BATCH = 50
ADD_ROWS = 20_000
INNER = faiss.METRIC_INNER_PRODUCT


@dataclass
class Structure:
    """One of FAISS's indexes, the effort it searches with, and what was measured of it."""

    name: str
    make: Callable[[int], Any]
    row_bytes: float
    efforts: tuple[int, ...]
    index: Any = None
    build_s: float = 0.0
    spent: dict[int, list[float]] = field(default_factory=dict)
    found: dict[int, list[list[int]]] = field(default_factory=dict)


def main() -> int:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", type=int, default=98_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    options = parser.parse_args()
    if reason := why_absent(options.data):
        print(f"skipped: {reason}")
        return 0
    corpus = open_corpus(options.data, options.size, options.seed)
    truth = truths(corpus, [options.size])[options.size]
    faiss.omp_set_num_threads(1)
    rows, queries = corpus.rows()[: options.size], np.array(corpus.queries())
    candidates = structures(rows.shape[1], options.size)
    for each in candidates:
        build(each, rows)
    search_in_turns(candidates, queries)
    print(f"python -m benchmarks.bench_structures --size {options.size} --seed {options.seed}")
    print(f"{machine()}; {int(truth.near.sum())} of {HELD_OUT} queries have a near row\n")
    print("| structure | probes or ef | recall | p50 µs | bytes a row | build s |")
    print("|---|---|---|---|---|---|")
    for each in candidates:
        for effort in each.efforts:
            print(line(each, effort, corpus, truth))
    return 0


def structures(dimension: int, size: int) -> list[Structure]:
    """What is compared. 8 bytes of each row are its label, or its place in a list."""
    few, many = lists_for(size), 4 * lists_for(size)
    codes = dimension // CODE_DIMENSIONS
    return [
        Structure(f"IVF{few}, SQ8", scalar(few, "SQ8"), dimension + 8, (8, 16, 32)),
        Structure(f"IVF{few}, fp16", scalar(few, "SQfp16"), 2 * dimension + 8, (8, 16, 32)),
        Structure(f"IVF{many}, SQ8", scalar(many, "SQ8"), dimension + 8, (8, 16, 32)),
        Structure("HNSW16, SQ8", hnsw, dimension + 2 * 16 * 4 + 8, (32, 64, 128)),
        Structure(f"IVF{few}, RaBitQ fast scan", rabitq(few), dimension / 8 + 8 + 8, (16, 32)),
        Structure(f"IVF{few}, PQ{codes // 2}x4 fast scan", product(few, codes // 2),
                  codes / 4 + 8, (16, 24, 32)),
        Structure(f"IVF{few}, PQ{codes}x4 fast scan", product(few, codes),
                  codes / 2 + 8, (16, 24, 32)),
        Structure(f"IVF{many}, PQ{codes}x4 fast scan", product(many, codes),
                  codes / 2 + 8, (16, 24, 32)),
    ]  # fmt: skip


def lists_for(size: int) -> int:
    """The power of two that is nearest to 1.7 √size."""
    return int(2 ** round(np.log2(np.sqrt(3 * size))))


def scalar(lists: int, kind: str) -> Callable[[int], Any]:
    """Lists of scalar-quantised rows."""
    return lambda dimension: faiss.index_factory(dimension, f"IVF{lists},{kind}", INNER)


def product(lists: int, codes: int) -> Callable[[int], Any]:
    """Lists of product-quantised rows, not of what a centre leaves of them."""

    def make(dimension: int) -> Any:
        index = faiss.index_factory(dimension, f"IVF{lists},PQ{codes}x4fs", INNER)
        index.by_residual = False
        return index

    return make


def rabitq(lists: int) -> Callable[[int], Any]:
    """Lists of rows in a bit a number."""
    return lambda dimension: faiss.IndexIVFRaBitQFastScan(
        faiss.IndexFlatIP(dimension), dimension, lists, INNER
    )


def hnsw(dimension: int) -> Any:
    """A graph over scalar-quantised rows."""
    return faiss.index_factory(dimension, "HNSW16_SQ8", INNER)


def build(structure: Structure, rows: Matrix) -> None:
    """Train with the same effort everywhere, and fill."""
    began = time.perf_counter()
    index = structure.index = structure.make(rows.shape[1])
    sample = np.array(rows[:: max(1, len(rows) // 60_000)])
    if hasattr(index, "cp"):
        index.cp.niter, index.cp.spherical = ROUNDS, True
        index.cp.max_points_per_centroid = LIST_SAMPLE
        index.cp.min_points_per_centroid = 1
    index.train(sample)
    for first in range(0, len(rows), ADD_ROWS):
        index.add(np.array(rows[first : first + ADD_ROWS]))
    structure.build_s = time.perf_counter() - began


def search_in_turns(candidates: list[Structure], queries: Matrix) -> None:
    """Fifty queries with each effort of each, over and over."""
    for first in range(0, len(queries), BATCH):
        for structure in candidates:
            for effort in structure.efforts:
                look(structure, effort, queries, range(first, first + BATCH))


def look(structure: Structure, effort: int, queries: Matrix, which: range) -> None:
    """Search, and note how long it took and what was found."""
    index = structure.index
    if hasattr(index, "hnsw"):
        index.hnsw.efSearch = effort
    else:
        index.nprobe = effort
    spent = structure.spent.setdefault(effort, [])
    for number in which:
        began = time.perf_counter()
        _, found = index.search(queries[number : number + 1], SHORTLIST)
        spent.append(time.perf_counter() - began)
        structure.found.setdefault(effort, []).append(found[0].tolist())


def line(structure: Structure, effort: int, corpus: Corpus, truth: Truth) -> str:
    """A row of the table."""
    share = recall(corpus, truth, structure.found[effort], SHORTLIST)
    p50 = statistics.median(structure.spent[effort]) * 1e6
    cells = structure.name, effort, f"{share:.3f}", f"{p50:.0f}", f"{structure.row_bytes:.0f}"
    return f"| {' | '.join(map(str, cells))} | {structure.build_s:.1f} |"


if __name__ == "__main__":
    sys.exit(main())
