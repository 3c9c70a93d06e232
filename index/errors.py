"""What can go wrong in the index, as one tree.

Every error is the caller's to fix and none is worth a retry. The index is
unchanged after any of them. Values of vectors never appear in a message.
"""

from __future__ import annotations


class VectorIndexError(Exception):
    """The root: catching it catches all that this package raises on purpose."""


class InvalidVectorError(VectorIndexError, ValueError):
    """A vector or matrix has the wrong shape or type, or no direction."""


class InvalidArgumentError(VectorIndexError, ValueError):
    """A dimension, an id, `k` or `floor` is outside what is accepted."""


class IndexClosedError(VectorIndexError):
    """The index was closed; what it held is gone."""
