"""Any other model, through the sentence-transformers extra: a name or a local folder.

It refuses what the shipped backend refuses, by the model's own tokenizer and limit, and
never cuts. Names are resolved by huggingface_hub, which obeys HF_HUB_OFFLINE; a folder
is never looked up. The package is imported on use: it takes over a gigabyte of memory.
"""

from __future__ import annotations

import hashlib
import os
from importlib import import_module
from pathlib import Path
from typing import Any

from sidecar.embed.protocol import Unembeddable, Vector, unit
from sidecar.embed.visible import Visibility
from sidecar.errors import ConfigError
from sidecar.reasons import Reason

# Well over the longest piece of any common vocabulary. What is longer is refused before
# the tokenizer sees it, since its time and memory grow with the text.
CHARACTERS_A_TOKEN = 40


def open_model(name: str, *, threads: int = 1) -> SentenceTransformersEmbedder:
    """Load the model called `name`, or in the folder `name`. Blocks for seconds.

    Raises `ConfigError` when the extra is not installed or the model can't be had.
    """
    try:
        torch = import_module("torch")
        library = import_module("sentence_transformers")
    except ImportError as error:
        raise ConfigError(
            "embedding.backend: sentence-transformers is not installed; "
            'run `pip install "semantic-sidecar[sentence-transformers]"`',
            param="embedding.backend",
        ) from error
    # A process-wide setting, and the only one torch has.
    torch.set_num_threads(threads)
    try:
        loaded = library.SentenceTransformer(_resolved(name), device="cpu")
    except Exception as error:  # the library's exceptions share no base class
        raise _unusable(name, error) from error
    return SentenceTransformersEmbedder(name, loaded)


class SentenceTransformersEmbedder:
    """Embeds with a loaded `SentenceTransformer`, one text a run."""

    def __init__(self, name: str, model: Any) -> None:
        self._model = model
        self._tokenizer = model.tokenizer
        self._dimension = int(model.get_embedding_dimension())
        self._max_tokens = int(model.max_seq_length or self._tokenizer.model_max_length)
        self._special_tokens = int(self._tokenizer.num_special_tokens_to_add())
        self._visibility = _visibility(self._tokenizer)
        self._model_id = f"{Path(name).name}@{_digest(model)[:12]}"

    @property
    def model_id(self) -> str:
        """Name and digest prefix of the architecture, the tensors and the tokenizer."""
        return self._model_id

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self._dimension

    @property
    def max_tokens(self) -> int:
        """The model's `max_seq_length`, special tokens included."""
        return self._max_tokens

    def embed(self, text: str) -> Vector:
        """Return the vector of `text`: float32 (dimension,), unit length.

        Raises `Unembeddable`, as `Embedder.embed` tells.
        """
        self._require_visible(text)
        try:
            raw = self._model.encode(text, show_progress_bar=False, convert_to_numpy=True)
        except Exception as error:  # as above; whatever it says, this text has no vector
            raise Unembeddable(Reason.EMBED_FAILED) from error
        return unit(raw, self.dimension)

    def _require_visible(self, text: str) -> None:
        if not text.strip():
            raise Unembeddable(Reason.NOT_A_QUESTION)
        if len(text) > self.max_tokens * CHARACTERS_A_TOKEN:
            raise Unembeddable(Reason.TOO_LONG)
        if self._visibility.hides_part_of(text):
            raise Unembeddable(Reason.UNKNOWN_TOKENS)
        ids = self._tokenizer(text, truncation=False, verbose=False)["input_ids"]
        if len(ids) <= self._special_tokens:
            raise Unembeddable(Reason.NOT_A_QUESTION)
        if len(ids) > self.max_tokens:
            raise Unembeddable(Reason.TOO_LONG)
        if self._tokenizer.unk_token_id is not None and self._tokenizer.unk_token_id in ids:
            raise Unembeddable(Reason.UNKNOWN_TOKENS)


def _resolved(name: str) -> str:
    """A folder as an absolute path, so that it is never taken for a name on a hub."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        return str(folder.resolve())
    if name.startswith((".", "/", "~")):
        raise FileNotFoundError(f"there is no folder {folder}")
    return name


def _visibility(tokenizer: Any) -> Visibility:
    """What the tokenizer's normaliser lets through; all of it where it has none."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    normalizer = getattr(backend, "normalizer", None)
    return Visibility(normalizer.normalize_str if normalizer is not None else str)


def _digest(model: Any) -> str:
    """Sha256 over all that makes the vectors: architecture, tensors, tokenizer."""
    as_bytes = import_module("torch").uint8
    digest = hashlib.sha256(repr(model).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        # As bytes, since numpy has no bfloat16.
        digest.update(tensor.contiguous().flatten().view(as_bytes).numpy())
    digest.update(repr(sorted(model.tokenizer.get_vocab().items())).encode())
    return digest.hexdigest()


def _unusable(name: str, error: Exception) -> ConfigError:
    offline = " (HF_HUB_OFFLINE is set)" if os.environ.get("HF_HUB_OFFLINE") else ""
    first_line = str(error).strip().partition("\n")[0]
    return ConfigError(
        f"embedding.model: sentence-transformers can't load {name!r}{offline}: {first_line}; "
        "give the name of a model that is in its cache, or a local folder",
        param="embedding.model",
    )
