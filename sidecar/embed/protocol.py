"""What every embedding backend promises: one text in, one unit vector out, or a reason.

It holds no model. The invariant: a vector that leaves a backend is finite, of unit
length and of the model's dimension, and stands for all of the text. What a model can't
see whole is refused, since two texts that differ only there would look equal to it.
"""

from __future__ import annotations

from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sidecar.reasons import Reason

Vector: TypeAlias = NDArray[np.float32]
"""float32 (dimension,), unit length."""

# float32 rounding leaves a length of 1 within about 1e-6; anything near this bound is broken.
LENGTH_TOLERANCE = 1e-3


class Unembeddable(Exception):  # noqa: N818 - a decision about the text, not a failure of the request
    """This text gets no vector; `reason` is why, and the request goes on as a miss."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason


class Embedder(Protocol):
    """A model that turns one text into one vector. Blocking: called on the worker thread."""

    @property
    def model_id(self) -> str:
        """Name and digest of the model. Vectors are only comparable within one `model_id`."""

    @property
    def dimension(self) -> int:
        """Length of a vector."""

    @property
    def max_tokens(self) -> int:
        """Longest text that is embedded, in the model's tokens, special ones included."""

    def embed(self, text: str) -> Vector:
        """Return the vector of `text`: float32 (dimension,), unit length.

        Raises `Unembeddable` with one of
        `NOT_A_QUESTION` (nothing but whitespace), `TOO_LONG` (over `max_tokens`: refused,
        never cut), `UNKNOWN_TOKENS` (some of the text is invisible to the model),
        `EMBED_FAILED` (the model failed or its vector is not usable).
        """


def unit(raw: NDArray[np.floating], dimension: int) -> Vector:
    """Scale the model's output, any float (dimension,), to unit length.

    Raises `Unembeddable(EMBED_FAILED)` when it is not finite, zero, or of another shape.
    """
    if raw.shape != (dimension,):
        raise Unembeddable(Reason.EMBED_FAILED)
    length = float(np.linalg.norm(raw))
    if not (np.isfinite(length) and length > 0.0):
        raise Unembeddable(Reason.EMBED_FAILED)
    return np.asarray(raw / length, dtype=np.float32)


def is_unit(vector: Vector, dimension: int) -> bool:
    """Whether `vector` keeps the promise: float32 (dimension,), finite, length 1."""
    if vector.shape != (dimension,) or vector.dtype != np.float32:
        return False
    # NaN and infinity fail the comparison, so this one product checks all three.
    return bool(abs(float(vector @ vector) - 1.0) < LENGTH_TOLERANCE)
