"""Searches while the index is written to: their p99 during compaction, and the pace of adding.

Compaction is made to happen. A twentieth of the entries, picked by chance, is replaced round
after round, and `compact` reclaims what that left; only searches that ran beside such a
`compact` and a steady 200 adds a second count. Entries are replaced at a pace between
compactions: a Python loop without a pause would hold the interpreter, and be what is measured.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.search_data import NEAR
from benchmarks.search_engines import K, entry_id
from index import VectorIndex
from index.protocol import Matrix

QUIET_S = 10.0
BUSY_S = 20.0  # at least; longer until two compactions are through
LIMIT_S = 300.0
ADDS_PER_S = 200
REPLACED_SHARE = 20  # one in
REPLACED_PER_S = 2_000
PIECE = 10
SUSTAINED_ADDS = 20_000
PACED_ADDS = 40_000  # different ones; longer runs replace the first
SPARE_ROWS = SUSTAINED_ADDS + PACED_ADDS  # of the corpus, beyond what is searched

Sample = tuple[float, float]  # when a search began and ended


@dataclass
class Compactions:
    """When compactions began and ended."""

    spans: list[tuple[float, float]] = field(default_factory=list)

    def share(self, began: float, ended: float) -> float:
        """The part of a stretch of time during which one was under way."""
        inside = (min(end, ended) - max(start, began) for start, end in self.spans)
        return sum(part for part in inside if part > 0) / (ended - began)

    def beside(self, samples: list[Sample]) -> list[Sample]:
        """The searches that ran, wholly or in part, beside one."""
        return [s for s in samples if any(s[0] < end and start < s[1] for start, end in self.spans)]


def while_compacting(
    index: VectorIndex, rows: Matrix, queries: Matrix, count: int, seed: int
) -> dict[str, Any]:
    """p99 of searches at rest, then beside compaction and 200 adds a second; in seconds.

    `rows` are the corpus and some spare ones; the index holds the first `count` by their ids.
    """
    quiet = search_until(index, queries, _after(QUIET_S))
    stop, compactions = threading.Event(), Compactions()
    spare = np.array(rows[count + SUSTAINED_ADDS : count + SPARE_ROWS])
    began = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        adding = pool.submit(_add, index, spare, stop)
        churning = pool.submit(_churn, index, rows[:count], compactions, stop, seed)
        try:
            done = _enough(compactions, _after(BUSY_S), _after(LIMIT_S))
            failed = (adding.done, churning.done)
            busy = search_until(index, queries, lambda: done() or any(f() for f in failed))
        finally:
            ended = time.perf_counter()
            stop.set()
    churning.result()
    index.compact()
    return _told(quiet, busy, compactions, began, ended) | {
        "adds_per_s": adding.result() / (ended - began)
    }


def _told(
    quiet: list[Sample], busy: list[Sample], compactions: Compactions, began: float, ended: float
) -> dict[str, Any]:
    beside = compactions.beside(busy)
    return {
        "quiet_p50_s": _quantile(quiet, 0.5),
        "quiet_p99_s": _quantile(quiet, 0.99),
        "busy_p50_s": _quantile(busy, 0.5),
        "busy_p99_s": _quantile(busy, 0.99),
        "compacting_p99_s": _quantile(beside, 0.99) if beside else None,
        "compacting_searches": len(beside),
        "compacting_share": compactions.share(began, ended),
        "compactions": len(compactions.spans),
        "worst_s": _quantile(busy, 1.0),
        "window_s": ended - began,
    }


def search_until(index: VectorIndex, queries: Matrix, done: Callable[[], bool]) -> list[Sample]:
    """Search without a pause, one query after the other and over again."""
    samples = []
    for query in itertools.cycle(queries):
        if done():
            break
        began = time.perf_counter()
        index.search(query, K, NEAR)
        samples.append((began, time.perf_counter()))
    return samples


def _after(seconds: float) -> Callable[[], bool]:
    deadline = time.perf_counter() + seconds
    return lambda: time.perf_counter() > deadline


def _enough(
    compactions: Compactions, least: Callable[[], bool], limit: Callable[[], bool]
) -> Callable[[], bool]:
    # Two whole compactions: the first may have the more to do, or the less.
    return lambda: (least() and len(compactions.spans) >= 2) or limit()


def _add(index: VectorIndex, spare: Matrix, stop: threading.Event) -> int:
    done = 0
    for row in _paced(len(spare) * 100, ADDS_PER_S, stop):
        index.add(f"a-{row}", spare[row % len(spare)])
        done += 1
    return done


def _churn(
    index: VectorIndex, rows: Matrix, compactions: Compactions, stop: threading.Event, seed: int
) -> None:
    chance = np.random.default_rng(seed)
    removed: list[int] = []
    while not stop.is_set():
        leaving = chance.choice(len(rows), len(rows) // REPLACED_SHARE, replace=False).tolist()
        _replace(index, rows, removed, leaving, stop)
        removed = leaving
        began = time.perf_counter()
        index.compact()
        compactions.spans.append((began, time.perf_counter()))


def _replace(
    index: VectorIndex, rows: Matrix, back: list[int], leaving: list[int], stop: threading.Event
) -> None:
    # What left a round ago comes back, so that the index stays as large as it was.
    pieces = len(leaving) // PIECE
    for piece in _paced(pieces, REPLACED_PER_S / PIECE, stop):
        part = slice(piece * PIECE, (piece + 1) * PIECE)
        if back:
            index.add_many([entry_id(row) for row in back[part]], rows[back[part]])
        for row in leaving[part]:
            index.remove(entry_id(row))


def _paced(count: int, per_s: float, stop: threading.Event) -> Iterator[int]:
    # By the clock and not by pauses, so that what came late is caught up.
    began = time.perf_counter()
    for n in range(count):
        stop.wait(max(0.0, began + n / per_s - time.perf_counter()))
        if stop.is_set():
            return
        yield n


def _quantile(samples: list[Sample], share: float) -> float:
    return float(np.quantile([end - began for began, end in samples], share))


def sustained(index: VectorIndex, rows: Matrix, count: int) -> dict[str, Any]:
    """Seconds to add rows one by one to `count` others, and then for compaction to catch up."""
    spare = np.array(rows[count : count + SUSTAINED_ADDS])
    began = time.perf_counter()
    for row, vector in enumerate(spare):
        index.add(f"s-{row}", vector)
    added = time.perf_counter()
    index.compact()
    return {
        "adds": len(spare),
        "adding_s": added - began,
        "catching_up_s": time.perf_counter() - added,
    }
