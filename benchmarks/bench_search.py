"""The index from 1,000 vectors to a million, beside FAISS, hnswlib and usearch.

    python -m benchmarks.bench_search [--full] [--sizes N …] [--peers-to N] [--seed 7] [--data DIR]

Real questions of the labelled data, which is no part of this repository, embedded by the
shipped model; larger sizes add vectors made beside real ones. Without --full it ends at
100,000 and takes six minutes; with it, at a million, and takes twenty. Only a full
run writes benchmarks/results, unless --out says where.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import harness
from benchmarks.question_vectors import CACHE, DEFAULT_DATA, why_absent
from benchmarks.search_busy import SPARE_ROWS
from benchmarks.search_data import HELD_OUT, Corpus, Truth, open_corpus, recall, truths
from benchmarks.search_engines import KINDS, OURS, K, why_missing
from benchmarks.search_report import SUSTAINED_SIZE, Figure, Run, report, verdicts, write
from benchmarks.search_worker import Worker

SHORT = (1_000, 3_000, 10_000, 30_000, 100_000)
FULL = (*SHORT, 300_000, 1_000_000)
COMPACTING = (100_000, 1_000_000)  # sizes with a target for searches beside compaction
PARTITIONS = 100_000
BATCH = 50  # queries, before it is the next engine's turn
WARM = 5  # … and those that first bring its memory back into the core's caches
RESULTS = Path(__file__).parent / "results"


def main() -> int:
    """Measure, print and write down; 1 when a target is missed."""
    options = parse()
    if reason := why_absent(options.data):
        print(f"skipped: {reason}")
        return 0
    sizes = sorted(set(options.sizes or (FULL if options.full else SHORT)))
    say(f"vectors for {sizes[-1]:,}")
    corpus = open_corpus(options.data, max(sizes[-1] + SPARE_ROWS, PARTITIONS), options.seed)
    run = Run(command(options), options.seed, now(), machine(), HELD_OUT)
    measure_partitions(run, corpus)
    say("the truth by brute force")
    for size, truth in truths(corpus, sizes).items():
        run.near[size] = int(truth.near.sum())
        measure_size(run, corpus, size, truth, options.peers_to)
        # After every size: the last ones take longest, and a run may be cut short.
        keep(run, options.out or (RESULTS if options.full else CACHE / "search"))
    print(report(run))
    return 1 if any(verdict.met is False for verdict in verdicts(run)) else 0


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--full", action="store_true", help="to a million")
    parser.add_argument("--sizes", type=int, nargs="+", metavar="N", help="these instead")
    parser.add_argument("--peers-to", type=int, default=100_000, help="largest size for graphs")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, help="labelled questions")
    parser.add_argument("--out", type=Path, help="folder for the table, the data and the plot")
    return parser.parse_args()


def command(options: argparse.Namespace) -> str:
    """What repeats this run; folders are left out, they differ from machine to machine."""
    words = ["python -m benchmarks.bench_search"]
    words += ["--full"] if options.full else []
    words += ["--sizes", *map(str, options.sizes)] if options.sizes else []
    return " ".join([*words, f"--peers-to {options.peers_to} --seed {options.seed}"])


def measure_size(run: Run, corpus: Corpus, size: int, truth: Truth, peers_to: int) -> None:
    """Fill every engine, then let them search in turns; then what is asked of ours alone."""
    reasons = {name: why_missing(name, size, peers_to) for name in KINDS}
    if missing := {name: why for name, why in reasons.items() if why}:
        run.missing[size] = missing
    with ExitStack() as stack:
        workers = [
            stack.enter_context(Worker(name, corpus, size))
            for name, why in reasons.items() if not why
        ]  # fmt: skip
        filled = {worker.engine: fill(worker, size) for worker in workers}
        say(f"{size:,}: searching")
        timed = search_in_turns(workers, run.seed)
        for name, (seconds, found) in timed.items():
            run.figures.append(figure(size, name, filled[name], seconds, (
                recall(corpus, truth, found, 1), recall(corpus, truth, found, K))))  # fmt: skip
        for worker in workers:
            if worker.engine != OURS:
                worker.close()
            else:
                measure_writing(run, worker, size)


def fill(worker: Worker, size: int) -> dict[str, Any]:
    """One after the other, so that each has the machine for itself."""
    say(f"{size:,}: filling {KINDS[worker.engine].title}")
    return worker.ask("fill")


def search_in_turns(
    workers: Sequence[Worker], seed: int
) -> dict[str, tuple[list[float], list[list[int]]]]:
    """Seconds and found rows of each engine for every query; all on one core, in mixed order."""
    timed: dict[str, tuple[list[float], list[list[int]]]] = {w.engine: ([], []) for w in workers}
    chance = random.Random(seed)
    for worker in workers:
        worker.ask("pin", cores=harness.CORES[:1])
    for first in range(0, HELD_OUT, BATCH):
        # Nobody always comes after the one that swept the caches.
        for worker in chance.sample(workers, len(workers)):
            told = worker.ask("time", first=first, end=first + BATCH, warm=WARM)
            timed[worker.engine][0].extend(told["seconds"])
            timed[worker.engine][1].extend(told["found"])
    return timed


def figure(
    size: int, name: str, filled: dict[str, Any], seconds: list[float], recalls: tuple[float, float]
) -> Figure:
    """One row of the table."""
    p50, p99 = np.quantile(seconds, [0.5, 0.99]).tolist()
    return Figure(size, name, p50, p99, *recalls, filled["bytes"] / size, filled["seconds"])


def measure_writing(run: Run, worker: Worker, size: int) -> None:
    """What has a target at this size: searches beside compaction, and the pace of adding."""
    worker.ask("pin", cores=harness.CORES)  # compaction has a thread of its own
    if size in COMPACTING:
        say(f"{size:,}: searching while compacting and adding")
        run.compacting[size] = worker.ask("compacting", seed=run.seed)
    if size == SUSTAINED_SIZE:
        say(f"{size:,}: adding")
        run.sustained[size] = worker.ask("sustain")


def measure_partitions(run: Run, corpus: Corpus) -> None:
    """A hundred thousand partitions of one entry."""
    say(f"{PARTITIONS:,} partitions of one")
    with Worker(OURS, corpus, PARTITIONS) as worker:
        run.partitions = worker.ask("partitions")


def keep(run: Run, folder: Path) -> None:
    """Write it down, with a picture where there is something to draw one."""
    write(run, folder)
    if find_spec("matplotlib") is None:
        say("no plot: matplotlib is not installed")
        return
    from benchmarks.search_plot import plot  # noqa: PLC0415 - no run fails for want of a picture

    plot(run, folder)


def machine() -> str:
    """What it ran on, with the versions of the peers."""
    peers = sorted({kind.distribution for kind in KINDS.values() if find_spec(kind.module)})
    return "; ".join(
        [harness.machine(), ", ".join(f"{name} {version(name)}" for name in peers)]
    )  # fmt: skip


def now() -> str:
    """The day."""
    return datetime.now(UTC).date().isoformat()


def say(what: str) -> None:
    """Progress, beside the table."""
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
