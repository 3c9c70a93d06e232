"""What the sidecar costs: hits against bare aiohttp and bare ONNX, misses against no sidecar.

    python -m benchmarks.bench_overhead [--rounds 5] [--seed 7]

Every server is pinned to one core, load and provider to the other; each round measures
every row in turn, and ratios are taken within the round. The provider answers at once.

Rates are taken with 16 connections (hits by meaning: 4), latencies on one, which pauses
`--pause-ms` between calls (caches and clocks cool down in a pause, as between real calls).
The embedding time that a miss may add is that of the bare session with the same pauses.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks import harness, prompts
from benchmarks.harness import SERVER_CORE, Server, free_port, load, median, spread

STORED = 300
WARM_UP = 200
CONNECTIONS = 16


@dataclass
class Servers:
    """All that is compared, running at the same time."""

    upstream: Server
    echo: Server
    proxy: Server
    serving: Server
    off: Server


@dataclass(frozen=True)
class Target:
    """A promise: a figure of each round, and the bound of its median."""

    name: str
    bound: float
    at_least: bool

    def row(self, values: list[float]) -> tuple[str, str, str, str]:
        """Its line in the table."""
        reached = median(values)
        kept = reached >= self.bound if self.at_least else reached <= self.bound
        sign = "≥" if self.at_least else "≤"
        return self.name, f"{sign} {self.bound:g}", spread(values), "yes" if kept else "**no**"


TARGETS = {
    "exact": Target("exact hits/s over bare aiohttp's", 0.50, True),
    "semantic": Target("semantic hits/s over the ONNX session's texts/s", 0.70, True),
    "miss": Target("miss, ms over embed + direct call, p50", 2.0, False),
    "off": Target("cache off, ms over a bare proxy, p50", 1.0, False),
    "first": Target("stream, cache off, first token, ms over a bare proxy, p50", 1.0, False),
    "first_direct": Target("stream, cache off, first token, ms over direct, p50", 1.0, False),
}


def start(stack: ExitStack, folder: Path) -> Servers:
    """Start everything."""
    upstream = stack.enter_context(harness.simulated())
    echo_port, proxy_port = free_port(), free_port()
    answer = json.dumps(_example_answer(upstream.port)).encode()
    echo = ["benchmarks.bare", "echo", "--port", str(echo_port)]
    to = f"http://127.0.0.1:{upstream.port}"
    proxy = ["benchmarks.bare", "proxy", "--port", str(proxy_port), "--to", to]
    return Servers(
        upstream,
        stack.enter_context(harness.server(echo, echo_port, SERVER_CORE, given=answer)),
        stack.enter_context(harness.server(proxy, proxy_port, SERVER_CORE)),
        stack.enter_context(harness.sidecar(folder / "serve", upstream)),
        stack.enter_context(harness.sidecar(folder / "off", upstream, mode="off")),
    )


def _example_answer(port: int) -> object:
    from urllib.request import Request, urlopen  # noqa: PLC0415

    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    asked = Request(url, prompts.body("An example?"), {"Content-Type": "application/json"})
    with urlopen(asked) as answer:  # noqa: S310
        return json.load(answer)


def embed_alone(texts: list[str], pause_ms: float = 0) -> dict[str, float]:
    """The bare session on the servers' core."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.embed_alone", str(pause_ms)],
        input="\n".join(texts).encode(),
        capture_output=True,
        check=True,
        preexec_fn=harness.pinned(SERVER_CORE),
    )
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


class Bench:
    """The rounds and their figures."""

    def __init__(self, servers: Servers, arguments: argparse.Namespace) -> None:
        seed, rounds, size = arguments.seed, arguments.rounds, arguments.size
        self._servers = servers
        self._pause_ms: float = arguments.pause_ms
        self._size = size
        stored = prompts.questions(STORED, seed)
        self._stored = [prompts.body(text) for text in stored]
        self._reworded = iter(prompts.rewordings(stored, rounds * size, seed))
        fresh = prompts.questions(STORED + (rounds * 9 + 2) * size, seed)[STORED:]
        self._fresh = iter(fresh)
        self.figures: dict[str, list[float]] = defaultdict(list)
        self.absolute: dict[str, list[float]] = defaultdict(list)

    def take(self, source: Iterator[str]) -> list[str]:
        """The next texts that nobody has asked yet."""
        return [next(source) for _ in range(self._size)]

    def warm_up(self) -> None:
        """Store what hits will find, and let every server run a while."""
        servers = self._servers
        # Not read, but written: or a question near an earlier one would not be stored.
        load(servers.serving.port, self._stored, headers=["Cache-Control: no-cache"])
        for server in (servers.echo, servers.serving, servers.proxy, servers.off):
            load(server.port, self._stored, connections=4, requests=WARM_UP)

    def round(self) -> None:
        """Every row once."""
        self._exact()
        self._semantic()
        self._misses()
        self._streams()

    def _exact(self) -> None:
        servers, count = self._servers, self._size * 10
        bare, hits = (
            load(server.port, self._stored, connections=CONNECTIONS, requests=count)
            for server in (servers.echo, servers.serving)
        )
        _expect(hits, "exact", count)
        self._note("exact", hits["per_s"] / bare["per_s"])
        self._see("bare aiohttp, requests/s", bare["per_s"])
        self._see("exact hits/s", hits["per_s"])
        self._see("exact hit p99, ms (16 connections)", hits["latency_ms"]["p99"])

    def _semantic(self) -> None:
        texts = self.take(self._reworded)
        alone = embed_alone(texts)
        bodies = [prompts.body(text) for text in texts]
        hits = load(self._servers.serving.port, bodies, connections=4)
        share = hits["cache"].get("semantic", 0) / len(bodies)
        self._note("semantic", hits["per_s"] / alone["per_s"])
        self._see("ONNX session alone, texts/s", alone["per_s"])
        self._see("semantic requests/s", hits["per_s"])
        self._see("share of them that hit", share)

    def _misses(self) -> None:
        servers = self._servers
        p50 = {
            name: self._p50(server, stream=False)
            for name, server in (
                ("direct", servers.upstream), ("proxy", servers.proxy),
                ("off", servers.off), ("serving", servers.serving),
            )
        }  # fmt: skip
        for name, value in p50.items():
            self._see(f"{name}, ms p50", value)
        embed_ms = embed_alone(self.take(self._fresh), self._pause_ms)["p50_ms"]
        self._see("ONNX session alone, ms p50", embed_ms)
        self._note("off", p50["off"] - p50["proxy"])
        self._note("miss", p50["serving"] - p50["direct"] - embed_ms)

    def _streams(self) -> None:
        servers = self._servers
        p50 = {
            name: self._p50(server, stream=True)
            for name, server in (
                ("direct", servers.upstream), ("proxy", servers.proxy), ("off", servers.off),
                ("serving", servers.serving),
            )
        }  # fmt: skip
        for name, value in p50.items():
            self._see(f"{name}, first token, ms p50", value)
        self._note("first", p50["off"] - p50["proxy"])
        self._note("first_direct", p50["off"] - p50["direct"])

    def _p50(self, server: Server, *, stream: bool) -> float:
        bodies = [prompts.body(text, stream=stream) for text in self.take(self._fresh)]
        figures = load(server.port, bodies, pause_ms=self._pause_ms)
        _expect_ok(figures, len(bodies))
        return float(figures["first_ms" if stream else "latency_ms"]["p50"])

    def _note(self, name: str, value: float) -> None:
        self.figures[name].append(value)

    def _see(self, name: str, value: float) -> None:
        self.absolute[name].append(value)


def _expect(figures: dict[str, dict[str, int]], outcome: str, count: int) -> None:
    if figures["cache"].get(outcome, 0) != count:
        raise RuntimeError(f"expected {count} × {outcome}, got {figures['cache']}")


def _expect_ok(figures: dict[str, dict[str, int]], count: int) -> None:
    if figures["status"].get("200", 0) != count:
        raise RuntimeError(f"expected {count} × 200, got {figures['status']}")


def main(show: Callable[[str], None] = print) -> int:
    """Measure and print; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, default=150, help="requests of a row in a round")
    parser.add_argument("--pause-ms", type=float, default=0)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        servers = start(stack, Path(folder))
        bench = Bench(servers, arguments)
        bench.warm_up()
        for _ in range(arguments.rounds):
            bench.round()
    show(f"seed {arguments.seed}, {arguments.rounds} rounds of {arguments.size}")
    show(f"{harness.machine()}\n")
    rows = [TARGETS[name].row(values) for name, values in bench.figures.items()]
    show(harness.table("Targets", ("what", "target", "median (least–most)", "kept"), rows))
    seen = [(name, spread(values)) for name, values in bench.absolute.items()]
    show(harness.table("Figures of this machine", ("what", "median (least–most)"), seen))
    return 0 if all(row[3] == "yes" for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
