"""What a vector costs: the shipped model on one thread, the queue around it, its memory.

    python -m benchmarks.bench_embed [--rounds 300] [--seed 7]

What the queue adds is each call less the model's own time within it, so that what else
the machine does falls on both alike. float32 is not shipped; the model card has it.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import resource
import statistics
import sys
import time
from pathlib import Path

from benchmarks.harness import machine
from sidecar.embed import Embedder, EmbeddingQueue, Vector, open_embedder

WORDS = ("reset", "change", "find", "delete", "my", "the", "order", "invoice", "account", "city")
WARM_UP = 20


def main() -> int:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    before_mb, began = resident_mb(), time.perf_counter()
    embedder = open_embedder()
    loaded_s, loaded_mb = time.perf_counter() - began, resident_mb()
    texts = make_texts(options.rounds + WARM_UP, options.seed)
    times = asyncio.run(measure(embedder, texts))
    rows = [
        ("load, onnxruntime's import and the check of sha256 included", f"{loaded_s:.2f} s"),
        ("embed one text of about 12 tokens, p50", milliseconds(times["model"])),
        ("the same through the queue, p50", milliseconds(times["queue"])),
        ("what the queue adds, median of differences", milliseconds(differences(times))),
        ("a text that the memo knows, p50", milliseconds(times["memo"])),
        ("resident memory, imports and model", f"{loaded_mb - before_mb:.0f} MB"),
        ("… and all the runs", f"{resident_mb() - before_mb:.0f} MB"),
    ]
    print(f"python -m benchmarks.bench_embed --rounds {options.rounds} --seed {options.seed}")
    print(f"{machine()}; model {embedder.model_id}\n")
    print("| what | figure |\n|---|---|")
    print("\n".join(f"| {what} | {figure} |" for what, figure in rows))
    return 0


class Timed:
    """The model, with the seconds of each run noted on whichever thread it runs."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self.model_id = embedder.model_id
        self.dimension = embedder.dimension
        self.max_tokens = embedder.max_tokens
        self.spent_s: list[float] = []

    def embed(self, text: str) -> Vector:
        """As the model does."""
        began = time.perf_counter()
        vector = self._embedder.embed(text)
        self.spent_s.append(time.perf_counter() - began)
        return vector


async def measure(embedder: Embedder, texts: list[str]) -> dict[str, list[float]]:
    """Seconds for each text: through the queue, in the model meanwhile, from the memo."""
    timed = Timed(embedder)
    queue = EmbeddingQueue(timed, timeout_s=30, memo_size=len(texts))
    times: dict[str, list[float]] = {"queue": [], "memo": []}
    for text in texts:
        for name in ("queue", "memo"):
            began = time.perf_counter()
            await queue.embed(text)
            times[name].append(time.perf_counter() - began)
    queue.close()
    return {name: values[WARM_UP:] for name, values in times.items()} | {
        "model": timed.spent_s[WARM_UP:]
    }


def make_texts(count: int, seed: int) -> list[str]:
    """Different texts of ten words each."""
    chance = random.Random(seed)
    return [f"{n} " + " ".join(chance.choices(WORDS, k=9)) for n in range(count)]


def differences(times: dict[str, list[float]]) -> list[float]:
    """Queue less model within it, text by text."""
    return [queued - alone for queued, alone in zip(times["queue"], times["model"], strict=True)]


def milliseconds(seconds: list[float]) -> str:
    """The median."""
    return f"{statistics.median(seconds) * 1e3:.3f} ms"


def resident_mb() -> float:
    """Resident memory now, in megabytes (10⁶ bytes)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


if __name__ == "__main__":
    sys.exit(main())
