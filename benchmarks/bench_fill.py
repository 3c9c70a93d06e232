"""How soon a start has all stored vectors searchable, and what it serves meanwhile.

    python -m benchmarks.bench_fill [--entries 100000] [--starts 3] [--seed 7]

Files with as many entries, of one scope, of a thousand and of one each, are written as the
cache writes them, and opened by a process of their own, warm in the page cache. From the
moment on at which `open` returns, entries are asked for by key, one after the other, and a
timer of a millisecond tells how late the event loop is; what the loop's own thread worked
in between is the longest step, the rest of a stall is waiting for the interpreter or for
a core.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path

import numpy as np
import uvloop

from benchmarks.harness import machine, median, spread, table
from sidecar.cache import statements
from sidecar.cache.commands import Save
from sidecar.cache.database import open_writer
from sidecar.cache.entry import Entry
from sidecar.cache.eviction import Caps
from sidecar.cache.semantic import Vector
from sidecar.cache.tiers import Cache
from sidecar.clock import SystemClock
from sidecar.domain import Choice, Completion
from sidecar.events import Observers
from sidecar.tasks import Tasks

TARGET_S = 2.0
DIMENSION = 384
MODEL = "bench"
DAY_S = 86_400.0
BATCH = 1_000
TICK_S = 0.001
CHECKED = 50


@dataclass(frozen=True)
class Start:
    """What one start took: times in seconds, but where the name says milliseconds."""

    open_s: float
    filled_s: float
    longest_step_ms: float
    longest_stall_ms: float
    hits: int
    misses: int
    hit_p50_ms: float
    first_hit_ms: float


def key(number: int) -> bytes:
    """The key of an entry."""
    return sha256(b"key %d" % number).digest()


def scope(number: int, scopes: int) -> bytes:
    """The scope of an entry."""
    return sha256(b"scope %d" % (number % scopes)).digest()


def unit_vectors(count: int, seed: int) -> Vector:
    """Random directions, float32 (count, DIMENSION)."""
    drawn = np.random.default_rng(seed).standard_normal((count, DIMENSION), np.float32)
    unit: Vector = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    return unit


def entries(count: int, scopes: int, now: float) -> Iterator[Entry]:
    """Answers of some 300 characters, in the order in which they expire."""
    for number in range(count):
        question = f"What is thing {number}?"
        answer = Choice(0, f"Thing {number} is " + "a thing like any other, and " * 10, "stop")
        yield Entry(
            id=key(number).hex()[:16], key=key(number), scope=scope(number, scopes),
            question=question, completion=Completion(f"c-{number}", int(now), "m", (answer,)),
            model="m", answered_model="m", provider="p", tenant="t", user="", prompt="", tags=(),
            created_at=now, expires_at=now + DAY_S + number / 1000, value=500.0,
        )  # fmt: skip


def write(path: Path, count: int, scopes: int, seed: int) -> None:
    """The file that a cache with these entries leaves behind."""
    now, vectors = time.time(), unit_vectors(count, seed)
    saves = (
        Save(row, each, vectors[row - 1].tobytes(), 3000)
        for row, each in enumerate(entries(count, scopes, now), start=1)
    )
    with closing(open_writer(path, wal_pages=1000, now=now)) as connection:
        for _ in range(0, count, BATCH):
            statements.commit(connection, list(islice(saves, BATCH)), MODEL)


async def start(path: Path, count: int, scopes: int, seed: int) -> Start:
    """Open the cache of a file and wait until it is filled, asking for entries by key."""
    tasks = Tasks()
    cache = Cache(
        path=path, embedding_model=MODEL, dimension=DIMENSION,
        caps=Caps(max_entries=2 * count, max_memory_bytes=2 << 30, max_disk_bytes=8 << 30),
        clock=SystemClock(), tasks=tasks, observers=Observers(lambda event: None),
    )  # fmt: skip
    began = time.perf_counter()
    await cache.open()
    opened = time.perf_counter()
    watch, asking = Watch(), Asking(cache, count, seed)
    own = [tasks.start(each, name="bench") for each in (watch.run(), asking.run())]
    await cache.filled()
    filled = time.perf_counter()
    for task in own:
        task.cancel()
    await asyncio.gather(*own, return_exceptions=True)
    await check(cache, count, scopes, seed)
    await cache.close()
    await tasks.close()
    return Start(
        opened - began, filled - opened, watch.step_s * 1e3, watch.stall_s * 1e3,
        len(asking.took_s), asking.misses, median(asking.took_s) * 1e3, asking.took_s[0] * 1e3,
    )  # fmt: skip


class Watch:
    """How late the loop was, and how long it worked at a stretch."""

    def __init__(self) -> None:
        self.stall_s = self.step_s = 0.0

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            began, worked = time.perf_counter(), time.thread_time()
            await asyncio.sleep(TICK_S)
            self.stall_s = max(self.stall_s, time.perf_counter() - began - TICK_S)
            self.step_s = max(self.step_s, time.thread_time() - worked)


class Asking:
    """Asks for any entry, again and again."""

    def __init__(self, cache: Cache, count: int, seed: int) -> None:
        self._cache = cache
        self._numbers = random.Random(seed)
        self._count = count
        self.misses = 0
        self.took_s: list[float] = []

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            number = self._numbers.randrange(self._count)
            began = time.perf_counter()
            found = await self._cache.get(key(number))
            self.took_s.append(time.perf_counter() - began)
            self.misses += found is None or found.key != key(number)
            await asyncio.sleep(TICK_S)


async def check(cache: Cache, count: int, scopes: int, seed: int) -> None:
    """Every vector is there, and some of them are found."""
    if cache.stats().vectors != count:
        raise RuntimeError(f"{cache.stats().vectors} of {count} vectors are searchable")
    vectors = unit_vectors(count, seed)
    for number in random.Random(seed).sample(range(count), CHECKED):
        near = await cache.nearest(scope(number, scopes), vectors[number], k=1, floor=0.9)
        if [each.entry.key for each in near] != [key(number)]:
            raise RuntimeError(f"entry {number} is not found by meaning")


def measured(path: Path, count: int, scopes: int, seed: int) -> Start:
    """A start in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.bench_fill", "--open", str(path)]
    limits = [f"--entries={count}", f"--scopes={scopes}", f"--seed={seed}"]
    done = subprocess.run([*command, *limits], stdout=subprocess.PIPE, check=True)
    return Start(**json.loads(done.stdout))


def row(scopes: int, starts: list[Start]) -> tuple[str, ...]:
    """One line of the table."""
    hits, misses = sum(each.hits for each in starts), sum(each.misses for each in starts)
    return (
        f"{scopes:,}",
        spread([each.open_s for each in starts]),
        spread([each.filled_s for each in starts]),
        spread([each.longest_step_ms for each in starts]),
        spread([each.longest_stall_ms for each in starts]),
        f"{hits - misses:,} of {hits:,}",
        spread([each.first_hit_ms for each in starts]),
        spread([each.hit_p50_ms for each in starts]),
    )


HEAD = (
    "scopes", "open, s", "then searchable, s", "longest step, ms", "longest stall, ms",
    "exact hits meanwhile", "first, ms", "p50, ms",
)  # fmt: skip


def main(show: Callable[[str], None] = print) -> int:
    """Measure and print; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--starts", type=int, default=3)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--open", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--scopes", type=int, default=1, help=argparse.SUPPRESS)
    options = parser.parse_args()
    count, seed = options.entries, options.seed
    if options.open:
        print(json.dumps(asdict(uvloop.run(start(options.open, count, options.scopes, seed)))))
        return 0
    rows: list[tuple[str, ...]] = []
    one_scope: list[Start] = []
    for scopes in (1, min(1_000, count), count):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "state" / "cache.sqlite"
            write(path, count, scopes, seed)
            starts = [measured(path, count, scopes, seed) for _ in range(options.starts)]
        rows.append(row(scopes, starts))
        one_scope = one_scope or starts
    show(f"{count:,} entries, seed {seed}, {options.starts} starts; {machine()}\n")
    show(table(f"Filling from disk, target ≤ {TARGET_S:g} s in one scope", HEAD, rows))
    is_late = median([each.filled_s for each in one_scope]) > TARGET_S
    return 1 if is_late or any(each.misses for each in one_scope) else 0


if __name__ == "__main__":
    sys.exit(main())
