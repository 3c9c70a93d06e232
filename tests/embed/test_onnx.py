"""The shipped model: what it embeds, what it refuses, and that its vectors never vary."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sidecar.embed import Unembeddable
from sidecar.embed.models import DEFAULT, WEIGHTS, find
from sidecar.embed.onnx import OnnxEmbedder
from sidecar.errors import ConfigError
from sidecar.reasons import Reason

TEXTS = [f"How do I {verb} my {thing}?" for verb in ("reset", "change", "delete", "find")
         for thing in ("password", "invoice", "delivery address", "account")]  # fmt: skip
REFERENCE = {  # dot products of float32 vectors by sentence-transformers 6.2.0
    ("How do I reset my password?", "I forgot my password, how can I set a new one?"): 0.8646,
    ("How do I reset my password?", "What is the capital of Australia?"): 0.0513,
}


def refusal(embedder: OnnxEmbedder, text: str) -> Reason:
    """Why `text` gets no vector."""
    with pytest.raises(Unembeddable) as refused:
        embedder.embed(text)
    return refused.value.reason


def test_a_vector_has_the_promised_form(minilm: OnnxEmbedder) -> None:
    """float32, 384, unit length."""
    vector = minilm.embed("How do I reset my password?")
    assert (vector.dtype, vector.shape) == (np.float32, (384,))
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(("pair", "wanted"), REFERENCE.items())
def test_similarities_are_those_of_the_original(
    minilm: OnnxEmbedder, pair: tuple[str, str], wanted: float
) -> None:
    """What the original finds near is near, what it finds far is far."""
    a, b = (minilm.embed(text) for text in pair)
    assert float(a @ b) == pytest.approx(wanted, abs=0.03)


def test_a_text_has_one_vector_whatever_runs_beside_it(minilm: OnnxEmbedder) -> None:
    """Alone, in another order and beside 15 others in threads: the same bits."""
    alone = [minilm.embed(text).tobytes() for text in TEXTS]
    backwards = [minilm.embed(text).tobytes() for text in reversed(TEXTS)]
    with ThreadPoolExecutor(len(TEXTS)) as pool:
        beside = [vector.tobytes() for vector in pool.map(minilm.embed, TEXTS * 4)]
    assert backwards[::-1] == alone
    assert beside == alone * 4


def test_a_text_has_one_vector_in_every_session(minilm: OnnxEmbedder) -> None:
    """A restart, and another number of threads, give the same bits."""
    other = OnnxEmbedder(find("default"), threads=2)
    assert [minilm.embed(text).tobytes() for text in TEXTS] == [
        other.embed(text).tobytes() for text in TEXTS
    ]


def test_a_long_text_leaves_no_trace_in_the_next(minilm: OnnxEmbedder) -> None:
    """Buffers of an earlier, longer run don't show in a vector."""
    before = minilm.embed("hello there").tobytes()
    minilm.embed("word " * 250)
    assert minilm.embed("hello there").tobytes() == before


def test_the_longest_text_is_embedded_and_one_piece_more_is_not(minilm: OnnxEmbedder) -> None:
    """254 words, [CLS] and [SEP] are 256 pieces; nothing is ever cut."""
    minilm.embed("word " * 254)
    assert refusal(minilm, "word " * 255) is Reason.TOO_LONG


def test_prompts_with_one_long_prefix_get_no_vector(minilm: OnnxEmbedder) -> None:
    """Two prompts that differ past the window would look equal, so neither is embedded."""
    prefix = "You are a helpful assistant. " * 60
    for question in ("Is it safe?", "Is it unsafe?"):
        assert refusal(minilm, prefix + question) is Reason.TOO_LONG


class Counting:
    """The tokenizer itself, which counts what it is given."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.texts = 0

    def __getattr__(self, name: str) -> Any:
        self.texts += name.startswith("encode")
        return getattr(self.tokenizer, name)


def test_a_huge_text_never_reaches_the_tokenizer() -> None:
    """10 MB are refused by their length alone."""
    embedder = OnnxEmbedder(find(DEFAULT))
    embedder.tokenizer = counting = Counting(embedder.tokenizer)
    embedder.embed("hello")
    assert counting.texts == 1
    assert refusal(embedder, "a " * 5_000_000) is Reason.TOO_LONG
    assert counting.texts == 1


def test_no_piece_is_longer_than_the_early_refusal_assumes(minilm: OnnxEmbedder) -> None:
    """The early refusal never takes a text that would have fitted with single spaces."""
    longest = max(len(piece.removeprefix("##")) for piece in minilm.tokenizer.get_vocab())
    assert longest + 1 <= 20


@pytest.mark.parametrize(
    "text", ["What does 🦙 mean?", "x" * 101, "[UNK]"], ids=["sign", "endless word", "literal"]
)
def test_a_piece_without_a_token_is_refused(minilm: OnnxEmbedder, text: str) -> None:
    """What the vocabulary lacks looks the same whatever it is."""
    assert refusal(minilm, text) is Reason.UNKNOWN_TOKENS


@pytest.mark.parametrize("text", ["el año nuevo", "zero\u200bwidth", "\ud800", "a:\n  b"])
def test_what_the_tokenizer_would_hide_is_refused(minilm: OnnxEmbedder, text: str) -> None:
    """A text of which a part would vanish gets no vector."""
    assert refusal(minilm, text) is Reason.UNKNOWN_TOKENS


@pytest.mark.parametrize("text", ["", " ", "\n\t \r\n", "\u00a0\u3000"])
def test_nothing_is_not_a_question(minilm: OnnxEmbedder, text: str) -> None:
    """Text without a word has no meaning to compare."""
    assert refusal(minilm, text) is Reason.NOT_A_QUESTION


def test_a_corrupt_weight_is_a_config_error(tmp_path: Path) -> None:
    """The model does not load, and the line says which file and what to do."""
    folder = tmp_path / DEFAULT
    shutil.copytree(WEIGHTS / DEFAULT, folder)
    with (folder / "model.onnx").open("r+b") as file:
        file.seek(1_000_000)
        file.write(b"\xff")
    with pytest.raises(ConfigError, match=r"model\.onnx .*sha256 differs.*reinstall"):
        OnnxEmbedder(find(DEFAULT, tmp_path))


def test_a_run_that_fails_is_a_refusal() -> None:
    """An error inside ONNX Runtime, here from a text longer than its table of places."""
    embedder = OnnxEmbedder(replace(find("default"), max_tokens=512))
    assert refusal(embedder, "word " * 300) is Reason.EMBED_FAILED


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_a_file_that_the_library_refuses_is_a_config_error(tmp_path: Path, name: str) -> None:
    """Right by its hash, and yet not a model: one line, no traceback of a library."""
    folder = tmp_path / DEFAULT
    shutil.copytree(WEIGHTS / DEFAULT, folder)
    (folder / name).write_bytes(b"not a model")
    told = json.loads((folder / "manifest.json").read_text())
    told["files"][name] = {"sha256": sha256(b"not a model").hexdigest(), "bytes": 11}
    (folder / "manifest.json").write_text(json.dumps(told))
    with pytest.raises(ConfigError, match="can't be loaded") as error:
        OnnxEmbedder(find(DEFAULT, tmp_path))
    assert "\n" not in error.value.message


def test_the_model_id_names_model_and_files(minilm: OnnxEmbedder) -> None:
    """Name, and the first 12 digits of the digest over the files."""
    name, _, digest = minilm.model_id.partition("@")
    assert name == DEFAULT
    assert find("default").sha256.startswith(digest)
    assert len(digest) == 12
