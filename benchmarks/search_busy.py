"""Searches while the index is written to: their p99 during compaction, and the pace of adding.

Compaction is made to happen. Some of the entries, picked by chance, are replaced time
after time, and `compact` reclaims what that left; only searches that ran beside such a
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

ROUNDS = 4
QUIET_S = 5.0
BUSY_S = 10.0  # at least; longer until a compaction is through
LIMIT_S = 60.0  # one still under way then has been measured long enough
ADDS_PER_S = 200
REPLACED_SHARE, REPLACED_MOST = 20, 10_000  # one in, but no more than; five seconds' work
REPLACED_PER_S = 2_000
PIECE = 10
SUSTAINED_ADDS = 50_000
PACED_ADDS = 20_000  # different ones; a longer round replaces the first
SPARE_ROWS = SUSTAINED_ADDS + PACED_ADDS  # of the corpus, beyond what is searched

Sample = tuple[float, float]  # when a search began and ended


@dataclass
class Round:
    """A stretch of searching beside work; `spans`: when compactions began and ended."""

    began: float
    ended: float = 0.0
    searches: list[Sample] = field(default_factory=list)
    spans: list[tuple[float, float]] = field(default_factory=list)
    adds: int = 0

    def compacting_s(self) -> float:
        """How long compactions were under way."""
        inside = (min(end, self.ended) - max(start, self.began) for start, end in self.spans)
        return sum(part for part in inside if part > 0)

    def beside(self) -> list[Sample]:
        """The searches that ran, wholly or in part, beside a compaction."""
        return [sample for sample in self.searches if self._is_beside(sample)]

    def between(self) -> list[Sample]:
        """The others."""
        return [sample for sample in self.searches if not self._is_beside(sample)]

    def _is_beside(self, sample: Sample) -> bool:
        return any(sample[0] < end and start < sample[1] for start, end in self.spans)


def while_compacting(
    index: VectorIndex, rows: Matrix, queries: Matrix, count: int, seed: int
) -> dict[str, Any]:
    """p99 of searches at rest, and beside compaction and 200 adds a second; in seconds.

    `rows` are the corpus and some spare ones; the index holds the first `count` by their ids.
    Rest and work alternate, so that what else the machine does falls on both.
    """
    quiet: list[Sample] = []
    rounds = []
    for each in range(ROUNDS):
        quiet += search_until(index, queries, _after(QUIET_S))
        rounds.append(_busy(index, rows, queries, count, seed + each))
    return _told(quiet, rounds)


def _busy(index: VectorIndex, rows: Matrix, queries: Matrix, count: int, seed: int) -> Round:
    stop, round_ = threading.Event(), Round(began=time.perf_counter())
    spare = np.array(rows[count + SUSTAINED_ADDS : count + SPARE_ROWS])
    with ThreadPoolExecutor(2) as pool:
        adding = pool.submit(_add, index, spare, stop)
        churning = pool.submit(_churn, index, rows[:count], round_, stop, seed)
        least, limit = _after(BUSY_S), _after(LIMIT_S)
        try:
            round_.searches = search_until(
                index,
                queries,
                lambda: bool(least() and round_.spans) or limit() or churning.done(),
            )
        finally:
            round_.ended = time.perf_counter()
            stop.set()
    churning.result()
    round_.adds = adding.result()
    index.compact()
    return round_


def _told(quiet: list[Sample], rounds: list[Round]) -> dict[str, Any]:
    beside = [sample for each in rounds for sample in each.beside()]
    between = [sample for each in rounds for sample in each.between()]
    window_s = sum(each.ended - each.began for each in rounds)
    return {
        "quiet_p50_s": _quantile(quiet, 0.5),
        "quiet_p99_s": _quantile(quiet, 0.99),
        "compacting_p50_s": _quantile(beside, 0.5),
        "compacting_p99_s": _quantile(beside, 0.99),
        "between_p50_s": _quantile(between, 0.5),
        "between_p99_s": _quantile(between, 0.99),
        "worst_s": _quantile([*beside, *between], 1.0),
        "quiet_worst_s": _quantile(quiet, 1.0),
        "compacting_searches": len(beside),
        "compactions": sum(len(each.spans) for each in rounds),
        "compacting_share": sum(each.compacting_s() for each in rounds) / window_s,
        "adds_per_s": sum(each.adds for each in rounds) / window_s,
        "window_s": window_s,
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


def _add(index: VectorIndex, spare: Matrix, stop: threading.Event) -> int:
    done = 0
    for row in _paced(len(spare) * 100, ADDS_PER_S, stop):
        index.add(f"a-{row}", spare[row % len(spare)])
        done += 1
    return done


def _churn(
    index: VectorIndex, rows: Matrix, round_: Round, stop: threading.Event, seed: int
) -> None:
    chance = np.random.default_rng(seed)
    many = min(len(rows) // REPLACED_SHARE, REPLACED_MOST)
    removed: list[int] = []
    leaving: list[int] = []
    while not stop.is_set():
        leaving = chance.choice(len(rows), many, replace=False).tolist()
        _replace(index, rows, removed, leaving, stop)
        began = time.perf_counter()
        if not stop.is_set():
            index.compact()
            round_.spans.append((began, time.perf_counter()))
            removed = leaving
    away = sorted({*removed, *leaving})
    index.add_many([entry_id(row) for row in away], rows[away])


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
    return float(np.quantile([end - began for began, end in samples] or [0.0], share))


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
