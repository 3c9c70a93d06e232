"""What a budget costs: reserve, journal and settle, beside the same calls without a budget.

    python -m benchmarks.bench_budget [--rounds 7] [--size 200] [--seed 7]

The cache is off, so that every call is a miss. Servers are pinned to one core, load and an
instant provider to the other; every round measures every row in turn, and differences are
taken within the round. Latencies on one connection, rates on 64, no pauses. The journal is
written with `synchronous=FULL` to the folder of temporary files; its fsync alone is a row
of its own, since disks differ.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

from benchmarks import harness, prompts
from benchmarks.harness import Server, load, median, spread

MOST_ADDED_MS = 0.5
LEAST_PER_S = 600
CONNECTIONS = 64
WARM_UP = 300
BUDGETS = [
    {"name": "all", "limit_usd": 10_000, "window": "month"},
    {"name": "support", "match": {"department": "un*"}, "limit_usd": 10_000, "window": "day"},
]


def start(stack: ExitStack, folder: Path) -> dict[str, Server]:
    """Everything that is compared, by the name of its row."""
    upstream = stack.enter_context(harness.simulated())
    sections = {"budgets": BUDGETS, "max_output_tokens": 256}
    plain = harness.sidecar(folder / "plain", upstream, mode="off")
    budgeted = harness.sidecar(folder / "budgeted", upstream, sections, mode="off")
    return {
        "no budget": stack.enter_context(plain),
        "two budgets": stack.enter_context(budgeted),
    }


def fsync_ms(folder: Path, times: int = 200) -> float:
    """The median of one small append and its fsync."""
    spent = []
    with (folder / "fsync").open("ab", buffering=0) as file:
        for _ in range(times):
            file.write(b"x" * 4096)
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            spent.append((time.perf_counter() - began) * 1e3)
    return median(spent)


def main() -> int:
    """Measure and print; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--size", type=int, default=200, help="calls of a row in a round")
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    bodies = [prompts.body(text) for text in prompts.questions(arguments.size, arguments.seed)]
    p50: dict[str, list[float]] = defaultdict(list)
    rates: dict[str, list[float]] = defaultdict(list)
    disk: list[float] = []
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        servers = start(stack, Path(folder))
        for server in servers.values():
            load(server.port, bodies, connections=4, requests=WARM_UP)
        for _ in range(arguments.rounds):
            disk.append(fsync_ms(Path(folder)))
            for name, server in servers.items():
                p50[name].append(load(server.port, bodies)["latency_ms"]["p50"])
                many = load(
                    server.port, bodies, connections=CONNECTIONS, requests=5 * arguments.size
                )
                rates[name].append(many["per_s"])
    return report(p50, rates, disk, " ".join(sys.argv[1:]))


def report(
    p50: dict[str, list[float]], rates: dict[str, list[float]], disk: list[float], options: str
) -> int:
    """Print the table; 1 when a target is missed."""
    print(f"`python -m benchmarks.bench_budget {options}`".replace(" `", "`"))
    print(f"\n{harness.machine()}\n\n| row | p50, ms | calls/s |\n|---|---|---|")
    for name, values in p50.items():
        print(f"| {name} | {spread(values)} | {spread(rates[name])} |")
    print(f"| one fdatasync of 4 KiB | {spread(disk)} | |")
    pairs = zip(p50["two budgets"], p50["no budget"], strict=True)
    added = [budgeted - plain for budgeted, plain in pairs]
    budgeted_rates = rates["two budgets"]
    is_fast, is_many = median(added) <= MOST_ADDED_MS, median(budgeted_rates) >= LEAST_PER_S
    print("\n| target | bound | measured | kept |\n|---|---|---|---|")
    for what, bound, values, kept in (
        ("added by reserve and settle, ms p50", f"≤ {MOST_ADDED_MS}", added, is_fast),
        ("budgeted misses/s on one core", f"≥ {LEAST_PER_S}", budgeted_rates, is_many),
    ):
        print(f"| {what} | {bound} | {spread(values)} | {'yes' if kept else '**no**'} |")
    return 0 if is_fast and is_many else 1


if __name__ == "__main__":
    sys.exit(main())
