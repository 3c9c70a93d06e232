"""What a partition costs when it holds one entry, as every turn of a conversation does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.search_data import NEAR
from benchmarks.search_engines import K, entry_id
from index import VectorIndex
from index.protocol import Matrix

SEARCHES = 5_000


def one_entry_partitions(rows: Matrix, anonymous_bytes: Callable[[], int]) -> dict[str, Any]:
    """Memory over that of the raw vectors, and the median search, which is a hit, in seconds."""
    given = np.ones(rows.shape[1], np.float32)
    before = anonymous_bytes()
    index = VectorIndex(rows.shape[1])
    for row, vector in enumerate(rows):
        given[:] = vector  # an index that kept it instead of a copy would be found out below
        index.add(entry_id(row), given, partition=f"p-{row:06d}")
    index.compact()
    risen = anonymous_bytes() - before
    return {
        "partitions": len(rows),
        "memory_over_raw": risen / rows.nbytes,
        "p50_s": float(np.median(_searches(index, rows))),
    }


def _searches(index: VectorIndex, rows: Matrix) -> list[float]:
    seconds = []
    for row in np.random.default_rng(0).integers(len(rows), size=SEARCHES):
        query, partition = np.array(rows[row]), f"p-{row:06d}"
        began = time.perf_counter()
        found = index.search(query, K, NEAR, partition)
        seconds.append(time.perf_counter() - began)
        if [match.id for match in found] != [entry_id(row)]:
            raise RuntimeError(f"partition {partition} does not find its own entry")
    return seconds
