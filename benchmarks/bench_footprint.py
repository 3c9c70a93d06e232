"""Memory with 10,000 entries, and the time from process start to ready with them on disk.

    python -m benchmarks.bench_footprint [--entries 10000] [--starts 5] [--seed 7]

Entries are stored through HTTP like any other, so that bodies, vectors, digests and the
request ledger are all there. A start is timed from `fork` to the first 200 of `/readyz`;
right after it, the oldest entry must be an exact hit.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from urllib.request import urlopen

from benchmarks import harness, prompts
from benchmarks.harness import Server, load, spread

MEMORY_MB = 220.0
READY_S = 2.0


def fill(running: Server, admin_port: int, questions: list[str]) -> None:
    """Store an answer to each question; returns when all of it is committed."""
    bodies = [prompts.body(text) for text in questions]
    load(running.port, bodies, connections=4, headers=["Cache-Control: no-cache"])
    while status(admin_port)["cache"]["pending_writes"]:
        pass


def status(admin_port: int) -> dict[str, dict[str, int]]:
    """What the sidecar says of itself."""
    with urlopen(f"http://127.0.0.1:{admin_port}/api/status") as answer:
        told: dict[str, dict[str, int]] = json.load(answer)
    return told


def main(show: Callable[[str], None] = print) -> int:
    """Measure and print; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--entries", type=int, default=10_000)
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    questions = prompts.questions(arguments.entries, arguments.seed)
    oldest = [prompts.body(questions[0])]
    ready, memory_restarted = [], []
    with tempfile.TemporaryDirectory() as name, harness.simulated() as upstream:
        folder = Path(name)
        with harness.sidecar(folder, upstream) as running:
            fill(running, running.admin_port, questions)
            memory = running.resident_mb()
            kept = status(running.admin_port)["cache"]["entries"]
        for _ in range(arguments.starts):
            with harness.sidecar(folder, upstream) as running:
                ready.append(running.ready_s)
                if load(running.port, oldest)["cache"] != {"exact": 1}:
                    raise RuntimeError("the exact tier was not complete when ready")
                while status(running.admin_port)["cache"]["loading"]:
                    pass
                memory_restarted.append(running.resident_mb())
    show(f"seed {arguments.seed}, {kept} entries; {harness.machine()}\n")
    rows = [
        ("resident after storing them, MB", f"≤ {MEMORY_MB:g}", f"{memory:.0f}"),
        ("resident after a restart, MB", f"≤ {MEMORY_MB:g}", spread(memory_restarted)),
        ("from process start to ready, s", f"≤ {READY_S:g}", spread(ready)),
    ]
    show(harness.table("Footprint", ("what", "target", "measured"), rows))
    worst = max(memory, *memory_restarted)
    return 0 if worst <= MEMORY_MB and harness.median(ready) <= READY_S else 1


if __name__ == "__main__":
    sys.exit(main())
