"""Real vectors to search: questions of the shared data sets, embedded by the shipped model.

    python -m benchmarks.question_vectors --data DIR

Needs the folder of labelled data, which is no part of this repository. The vectors are
kept in benchmarks/.cache, by a digest of the texts and the model, for the next run.
"""

from __future__ import annotations

import argparse
import functools
import gzip
import hashlib
import json
import multiprocessing
import os
import random
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np

from index.protocol import Matrix
from sidecar.embed import Embedder, Unembeddable, open_embedder

CACHE = Path(__file__).parent / ".cache"
DEFAULT_DATA = Path(__file__).parents[2] / "shared" / "data"
SEED = 7
REAL = 100_000
_FIELDS = ("a", "b", "q", "text")
_LONGEST = 300  # characters; what is longer is no question


def main() -> int:
    """Embed what is not embedded yet."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    parser.add_argument("--count", type=int, default=REAL)
    options = parser.parse_args()
    if reason := why_absent(options.data):
        print(f"skipped: {reason}")
        return 0
    matrix = question_vectors(options.data, options.count)
    print(f"{len(matrix)} vectors of {matrix.shape[1]} numbers")
    return 0


def why_absent(data: Path) -> str:
    """Why there are no questions to embed; empty when there are."""
    if any(data.glob("*/*.jsonl.gz")):
        return ""
    return f"no questions in {data} (say where the labelled data is with --data)"


def question_vectors(data: Path, count: int = REAL) -> Matrix:
    """`count` different questions as unit float32 (count, dimension), the same at every run.

    Fewer where the data has fewer.
    """
    # A few are refused (nothing visible in them); they make room for others.
    texts = questions(data)[: count + count // 50]
    digest = hashlib.sha256("\0".join([_embedder().model_id, *texts]).encode()).hexdigest()[:16]
    path = CACHE / f"questions-{digest}.npy"
    if not path.exists():
        _keep(path, _embed(texts)[:count])
    kept: Matrix = np.load(path)
    return kept


def questions(data: Path) -> list[str]:
    """All different questions of the data sets, in an order that the seed decides."""
    found: set[str] = set()
    for path in sorted(data.glob("*/*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                texts = (row.get(field) for field in _FIELDS)
                found.update(t for t in texts if isinstance(t, str) and 0 < len(t) <= _LONGEST)
    ordered = sorted(found)
    random.Random(SEED).shuffle(ordered)
    return ordered


def _keep(path: Path, matrix: Matrix) -> None:
    # Under another name first: half a file would be read as a whole one.
    path.parent.mkdir(exist_ok=True)
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.save(file, matrix)
    part.replace(path)


def _embed(texts: list[str]) -> Matrix:
    began, cores = time.perf_counter(), len(os.sched_getaffinity(0))
    parts = [texts[at : at + 500] for at in range(0, len(texts), 500)]
    rows = []
    with multiprocessing.get_context("spawn").Pool(cores) as pool:
        for done, part in enumerate(pool.imap(_embed_part, parts), start=1):
            rows.append(part)
            spent = time.perf_counter() - began
            print(f"\rembedding {done}/{len(parts)}, {spent:.0f} s", end="", file=sys.stderr)
    print(file=sys.stderr)
    return np.concatenate(rows)


def _embed_part(texts: list[str]) -> Matrix:
    rows = []
    for text in texts:
        with suppress(Unembeddable):
            rows.append(_embedder().embed(text))
    return np.stack(rows).astype(np.float32)


@functools.cache
def _embedder() -> Embedder:
    # Once a process: loading the model takes as long as embedding thirty texts.
    return open_embedder(threads=1)


if __name__ == "__main__":
    sys.exit(main())
