"""The shipped backend: an int8 MiniLM in ONNX Runtime, one text a run.

It never batches: dynamic int8 scales depend on everything in a run, so a text beside
others would get another vector. Alone, without padding, on integer kernels that can't
saturate, a text's vector is the same bits every time, whatever runs beside it.

It refuses, and never cuts or guesses: see `protocol.Embedder.embed`.
"""

from __future__ import annotations

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from sidecar.embed.models import Model
from sidecar.embed.protocol import Unembeddable, Vector, unit
from sidecar.embed.visible import Visibility
from sidecar.errors import ConfigError
from sidecar.reasons import Reason

WEIGHTS_FILE = "model.onnx"
TOKENIZER_FILE = "tokenizer.json"
# [CLS] and [SEP] stand around every text.
SPECIAL_TOKENS = 2
# No word piece of this vocabulary is longer than 18 characters, so a text of over 20
# characters a token is too long without asking the tokenizer, whose time and memory
# grow with the text.
CHARACTERS_A_TOKEN = 20


class OnnxEmbedder:
    """Embeds with a shipped model. Safe to call from several threads at a time."""

    def __init__(self, model: Model, *, threads: int = 1) -> None:
        """Load and check the model's files. Raises `ConfigError` when one is not usable."""
        self._model = model
        self.tokenizer = _open_tokenizer(model)
        self._session = _open_session(model, threads)
        self._unknown = self.tokenizer.token_to_id("[UNK]")
        self._visibility = Visibility(self.tokenizer.normalizer.normalize_str)

    @property
    def model_id(self) -> str:
        """Name and digest of the model."""
        return self._model.model_id

    @property
    def dimension(self) -> int:
        """Length of a vector: 384 for MiniLM-L6."""
        return self._model.dimension

    @property
    def max_tokens(self) -> int:
        """Longest text in word pieces, special ones included: 256 for MiniLM-L6."""
        return self._model.max_tokens

    def embed(self, text: str) -> Vector:
        """Return the vector of `text`: float32 (dimension,), unit length.

        Raises `Unembeddable`, as `Embedder.embed` tells.
        """
        tokens = self._tokens(text)
        try:
            (raw,) = self._session.run(["embedding"], {"input_ids": tokens})
        except Exception as error:
            # ONNX Runtime's exceptions share no base class; whatever it says, this text
            # has no vector.
            raise Unembeddable(Reason.EMBED_FAILED) from error
        return unit(raw, self.dimension)

    def _tokens(self, text: str) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
        """Word pieces of `text`, int64 (1, n), n ≤ `max_tokens`; raises `Unembeddable`."""
        if len(text) > self.max_tokens * CHARACTERS_A_TOKEN:
            raise Unembeddable(Reason.TOO_LONG)
        if self._visibility.hides_part_of(text):
            raise Unembeddable(Reason.UNKNOWN_TOKENS)
        ids = self.tokenizer.encode(text).ids
        if len(ids) <= SPECIAL_TOKENS:
            raise Unembeddable(Reason.NOT_A_QUESTION)
        if len(ids) > self.max_tokens:
            raise Unembeddable(Reason.TOO_LONG)
        if self._unknown in ids:
            raise Unembeddable(Reason.UNKNOWN_TOKENS)
        return np.array([ids], dtype=np.int64)


def _open_tokenizer(model: Model) -> Tokenizer:
    path = model.require(TOKENIZER_FILE)
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception
        raise _unusable(model, error) from error
    # One text a run needs no padding, and a cut text would look equal to its own prefix.
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _open_session(model: Model, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # A spinning thread takes the core that the event loop needs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # The graph is shipped in its final form; optimising it again would fuse what was
    # left apart on purpose (see MODEL_CARD.md) and make the start slower.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4  # its errors come as exceptions; its log has no format
    # By path: a session made from bytes keeps them, 23 MB that nobody reads again.
    path = str(model.require(WEIGHTS_FILE))
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # as above
        raise _unusable(model, error) from error


def _unusable(model: Model, error: Exception) -> ConfigError:
    first_line = str(error).partition("\n")[0]
    return ConfigError(
        f"embedding model {model.name}: can't be loaded by onnxruntime "
        f"{onnxruntime.__version__} ({first_line}); "
        "reinstall with `pip install --force-reinstall semantic-sidecar`",
        param="embedding.model",
    )
