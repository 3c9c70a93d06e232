"""What routing costs with the cache off: beside a bare aiohttp proxy and a direct call.

    python -m benchmarks.bench_gateway [--rounds 7] [--size 200] [--seed 7]

Servers are pinned to one core, load and an instant provider to the other, so calls/s of the
gateway are those of one core; every round measures every row in turn, and differences are
taken within the round. Latencies on one connection, rates on 16, no pauses.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

from benchmarks import harness, prompts
from benchmarks.harness import SERVER_CORE, Server, free_port, load, median, spread

MOST_ADDED_MS = 1.2
LEAST_PER_S = 800
CONNECTIONS = 16
WARM_UP = 300


def start(stack: ExitStack, folder: Path) -> dict[str, Server]:
    """Everything that is compared, by the name of its row."""
    upstream = stack.enter_context(harness.simulated())
    port = free_port()
    command = ["benchmarks.bare", "proxy", "--port", str(port)]
    command += ["--to", f"http://127.0.0.1:{upstream.port}"]
    return {
        "direct": upstream,
        "bare proxy": stack.enter_context(harness.server(command, port, SERVER_CORE)),
        "gateway": stack.enter_context(harness.sidecar(folder, upstream, mode="off")),
    }


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
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        servers = start(stack, Path(folder))
        for server in servers.values():
            load(server.port, bodies, connections=4, requests=WARM_UP)
        for _ in range(arguments.rounds):
            for name, server in servers.items():
                p50[name].append(load(server.port, bodies)["latency_ms"]["p50"])
                many = load(
                    server.port, bodies, connections=CONNECTIONS, requests=5 * arguments.size
                )
                rates[name].append(many["per_s"])
    return report(p50, rates, " ".join(sys.argv[1:]))


def report(p50: dict[str, list[float]], rates: dict[str, list[float]], options: str) -> int:
    """Print the table; 1 when a target is missed."""
    print(f"`python -m benchmarks.bench_gateway {options}`".replace(" `", "`"))
    print(f"\n{harness.machine()}\n\n| row | p50, ms | calls/s |\n|---|---|---|")
    for name, values in p50.items():
        print(f"| {name} | {spread(values)} | {spread(rates[name])} |")
    pairs = zip(p50["gateway"], p50["bare proxy"], strict=True)
    added = [ours - bare for ours, bare in pairs]
    is_fast, is_many = median(added) <= MOST_ADDED_MS, median(rates["gateway"]) >= LEAST_PER_S
    print("\n| target | bound | measured | kept |\n|---|---|---|---|")
    for what, bound, values, kept in (
        ("added to a bare proxy, ms p50", f"≤ {MOST_ADDED_MS}", added, is_fast),
        ("misses/s on one core", f"≥ {LEAST_PER_S}", rates["gateway"], is_many),
    ):
        print(f"| {what} | {bound} | {spread(values)} | {'yes' if kept else '**no**'} |")
    return 0 if is_fast and is_many else 1


if __name__ == "__main__":
    sys.exit(main())
