"""One engine in one process: it does what it is told, a line of JSON each, and answers so.

    python -m benchmarks.search_worker ENGINE CORPUS QUERIES DIMENSION COUNT

`Worker` is the other end. Several are alive at once and take turns, so that whatever else
the machine does falls on all alike.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from benchmarks.search_busy import sustained, while_compacting
from benchmarks.search_data import Corpus
from benchmarks.search_engines import KINDS
from benchmarks.search_partitions import one_entry_partitions

FILL_ROWS = 1_000  # larger ones make an engine leave so much freed memory that it counts
WARM_ROWS = 10
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class WorkerFailedError(Exception):
    """The process ended without an answer; what it said is on stderr."""


class Worker:
    """A process that holds one engine, until the block ends."""

    def __init__(self, engine: str, corpus: Corpus, count: int) -> None:
        self.engine = engine
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.search_worker", engine, str(corpus.path),
             str(corpus.queries_path), str(corpus.dimension), str(count)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, **ONE_THREAD},
        )  # fmt: skip

    def ask(self, what: str, **given: Any) -> dict[str, Any]:
        """Have it do something; returns when it is done."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"what": what, **given}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise WorkerFailedError(f"{self.engine}: ended during {what!r}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End it, and give its memory back."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Bench:
    """What a worker can be told."""

    def __init__(self, engine: str, corpus: Corpus, count: int) -> None:
        self._kind = KINDS[engine]
        self._rows, self._queries = corpus.rows(), np.array(corpus.queries())
        self._count = count
        self._warm_up()

    def _warm_up(self) -> None:
        # Libraries load themselves on first use; that is memory, but not an entry's.
        engine = self._kind.open(self._rows.shape[1], WARM_ROWS)
        engine.add(0, self._rows[:WARM_ROWS])
        engine.settle()
        engine.search(self._queries[0])
        engine.close()

    def fill(self) -> dict[str, Any]:
        """Open the engine and give it the first rows: how long it took, what it holds."""
        # One piece of memory, there beforehand: what is read counts for nothing, and an engine
        # that kept it instead of a copy would find nothing later.
        piece = np.ones((FILL_ROWS, self._rows.shape[1]), np.float32)
        before, began = anonymous_bytes(), time.perf_counter()
        self._engine = self._kind.open(self._rows.shape[1], self._count)
        for first in range(0, self._count, FILL_ROWS):
            rows = self._rows[first : min(first + FILL_ROWS, self._count)]
            piece[: len(rows)] = rows
            self._engine.add(first, piece[: len(rows)])
        self._engine.settle()
        spent = time.perf_counter() - began
        return {"seconds": spent, "bytes": anonymous_bytes() - before}

    def time(self, first: int, end: int, warm: int) -> dict[str, Any]:
        """Seconds and rows found of some queries, after `warm` others that count for nothing."""
        for query in self._queries[first - warm : first] if first else self._queries[-warm:]:
            self._engine.search(query)
        seconds, found = [], []
        for query in self._queries[first:end]:
            began = time.perf_counter()
            answer = self._engine.search(query)
            seconds.append(time.perf_counter() - began)
            found.append(self._engine.rows_of(answer))
        return {"seconds": seconds, "found": found}

    def pin(self, cores: list[int]) -> dict[str, Any]:
        """Keep every thread of this process, and those they start, on some cores."""
        for thread in Path("/proc/self/task").iterdir():
            os.sched_setaffinity(int(thread.name), cores)
        return {}

    def compacting(self, seed: int) -> dict[str, Any]:
        """p99 at rest, and while compacting and adding."""
        return while_compacting(self._engine.index, self._rows, self._queries, self._count, seed)

    def sustain(self) -> dict[str, Any]:
        """How fast vectors can be added one by one."""
        return sustained(self._engine.index, self._rows, self._count)

    def partitions(self) -> dict[str, Any]:
        """As many partitions of one entry as there are rows."""
        return one_entry_partitions(self._rows[: self._count], anonymous_bytes)


def anonymous_bytes() -> int:
    """Memory of this process that no file stands behind."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) * 1024


def main() -> int:
    """Answer until the other end closes."""
    engine, path, queries_path, dimension, count = sys.argv[1:]
    corpus = Corpus(Path(path), Path(queries_path), int(dimension))
    bench = Bench(engine, corpus, int(count))
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(getattr(bench, asked.pop("what"))(**asked)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
