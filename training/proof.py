"""How near an int8 model is to the original, how well it tells pairs apart, how fast it is.

Speeds are ratios of medians, taken in turn in one run on one thread, because the
machines this runs on are shared. A skipped proof says why.
"""

from __future__ import annotations

import gzip
import json
import platform
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from tokenizers import Tokenizer

from training.minilm_graph import MAX_TOKENS, Array
from training.variants import FUSED

SEED = 20_240
PROMPTS = 1_000
ROUNDS = 200
SHORT = "How do I reset my password on the website?"
Sessions = Mapping[str, onnxruntime.InferenceSession]


def show(
    models: Mapping[str, onnx.ModelProto],
    tokenizer: Tokenizer,
    upstream: Path,
    data: Path | None,
    pairs: int | None,
) -> None:
    """Print the whole proof, one table a question."""
    print(f"\n{' '.join(sys.argv)}\nseed {SEED}, {versions()}")
    sessions = {name: open_session(model, name) for name, model in models.items()}
    speed(sessions, models, tokenizer)
    if data is None or not data.is_dir():
        print(f"skipped: cosines and AUC need --data, and there is no folder {data}")
        return
    cosines(sessions, tokenizer, upstream, data)
    separation(sessions, tokenizer, data, pairs)


def versions() -> str:
    """What the figures were taken with."""
    return (
        f"onnxruntime {onnxruntime.__version__}, numpy {np.__version__}, "
        f"python {platform.python_version()}, {platform.machine()}"
    )


def open_session(model: onnx.ModelProto, name: str) -> onnxruntime.InferenceSession:
    """A session as the product opens it; the usual fusion gets the usual optimisation."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = (
        levels.ORT_ENABLE_ALL if name == FUSED else levels.ORT_DISABLE_ALL
    )
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def speed(sessions: Sessions, models: Mapping[str, onnx.ModelProto], tokenizer: Tokenizer) -> None:
    """Median time of one short prompt, all models in turn; and the fastest tenth, which
    tells what the machine gives when nobody else wants it.
    """
    ids = np.array([tokenizer.encode(SHORT).ids], dtype=np.int64)
    times: dict[str, list[float]] = {name: [] for name in sessions}
    for _ in range(ROUNDS):
        for name, session in sessions.items():
            start = time.perf_counter()
            session.run(None, {"input_ids": ids})
            times[name].append(time.perf_counter() - start)
    print(f"\none prompt of {ids.shape[1]} tokens, one thread, {ROUNDS} rounds in turn")
    print(f"{'':36}{'ms':>8}{'× fp32':>9}{'fastest':>9}{'× fp32':>9}{'MB':>8}")
    points = {name: np.quantile(values, (0.5, 0.1)) for name, values in times.items()}
    reference = next(iter(points.values()))
    for name, point in points.items():
        (usual, fast), (ratio, fast_ratio) = point * 1e3, reference / point
        size = models[name].ByteSize() / 1e6
        print(f"{name:36}{usual:8.2f}{ratio:9.2f}{fast:9.2f}{fast_ratio:9.2f}{size:8.1f}")


def cosines(sessions: Sessions, tokenizer: Tokenizer, upstream: Path, data: Path) -> None:
    """Cosine of each model's vectors to those of sentence-transformers."""
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415 - seconds to import

    texts = sample_prompts(data, tokenizer)
    original = SentenceTransformer(str(upstream), device="cpu")
    wanted = original.encode(texts, batch_size=1, normalize_embeddings=True)
    print(f"\ncosine to sentence-transformers, {len(texts)} prompts")
    print(f"{'':36}{'mean':>9}{'1 %':>9}{'min':>9}")
    for name, session in sessions.items():
        cosine = (embed(session, tokenizer, texts) * wanted).sum(axis=1)
        low = np.quantile(cosine, 0.01)
        print(f"{name:36}{cosine.mean():9.5f}{low:9.5f}{cosine.min():9.5f}", flush=True)


def separation(sessions: Sessions, tokenizer: Tokenizer, data: Path, limit: int | None) -> None:
    """ROC-AUC and PR-AUC of the cosine on the QQP pairs that are labelled for sure."""
    from sklearn.metrics import average_precision_score, roc_auc_score  # noqa: PLC0415

    rows = [
        row
        for row in read_rows(data / "pairs" / "qqp.jsonl.gz")
        if row["label"] is not None and not row.get("noisy")
    ]
    if limit is not None and limit < len(rows):
        chosen = np.random.default_rng(SEED).choice(len(rows), limit, replace=False)
        rows = [rows[i] for i in sorted(chosen)]
    labels = [row["label"] for row in rows]
    texts = sorted({row[side] for row in rows for side in ("a", "b")})
    place = {text: i for i, text in enumerate(texts)}
    left, right = ([place[row[side]] for row in rows] for side in ("a", "b"))
    print(f"\nQQP: {len(rows):,} pairs, {sum(labels):,} of them alike")
    print(f"{'':36}{'ROC-AUC':>9}{'PR-AUC':>9}{'loss':>9}")
    reference = None
    for name, session in sessions.items():
        vectors = embed(session, tokenizer, texts)
        scores = (vectors[left] * vectors[right]).sum(axis=1)
        precision = average_precision_score(labels, scores)
        reference = precision if reference is None else reference
        roc = roc_auc_score(labels, scores)
        print(f"{name:36}{roc:9.4f}{precision:9.4f}{reference - precision:9.4f}", flush=True)


def embed(session: onnxruntime.InferenceSession, tokenizer: Tokenizer, texts: list[str]) -> Array:
    """Vectors of `texts`, one text a run: float32 (len, 384). Long ones are cut here only."""
    vectors = np.empty((len(texts), 384), dtype=np.float32)
    for i, text in enumerate(texts):
        ids = np.array([tokenizer.encode(text).ids[:MAX_TOKENS]], dtype=np.int64)
        vectors[i] = session.run(["embedding"], {"input_ids": ids})[0]
    return vectors


def sample_prompts(data: Path, tokenizer: Tokenizer) -> list[str]:
    """Prompts the encoder can see whole, drawn evenly from both files of prompts."""
    generator = np.random.default_rng(SEED)
    chosen: list[str] = []
    for name, share in (("background_questions", 0.8), ("instructions", 0.2)):
        rows = [row["q"] for row in read_rows(data / "prompts" / f"{name}.jsonl.gz")]
        short = [text for text in rows if 2 < len(tokenizer.encode(text).ids) <= MAX_TOKENS]
        picked = generator.choice(len(short), int(PROMPTS * share), replace=False)
        chosen += [short[i] for i in picked]
    return chosen


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of a gzipped JSONL file."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)
