"""Checks vectors at the border and brings them to unit length.

Refuses what has no direction: NaN, infinity, all zeros, a wrong shape, a type
that is not floating point. The invariant: what these functions return is
C-contiguous float32, finite, each row of length 1 within 1e-6. Hence the inner
product of two of them is their cosine similarity.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from index.errors import InvalidVectorError
from index.protocol import Matrix, Vector

# A vector whose squared length is this near to 1 keeps its bits: dividing it
# again would only move its last digits, and two runs would then differ.
UNIT_TOLERANCE = 2e-6


def unit_vector(vector: ArrayLike, dimension: int) -> Vector:
    """`vector` as float32 (dimension,) of unit length; not copied when it is that already.

    Raises InvalidVectorError for a wrong shape or type, NaN, infinity or all zeros.
    """
    given = _floats(vector)
    if given.shape != (dimension,):
        raise InvalidVectorError(f"vector must have shape ({dimension},), got {given.shape}")
    if given.dtype == np.float32 and abs(float(np.dot(given, given)) - 1.0) <= UNIT_TOLERANCE:
        return np.ascontiguousarray(given)  # what an embedder sends; a tenth of the time
    unit: Vector = _unit_rows(given[None, :], "vector")[0]
    return unit


def unit_matrix(matrix: ArrayLike, dimension: int) -> Matrix:
    """`matrix` as float32 (n, dimension), each row of unit length; n may be 0.

    Raises InvalidVectorError, naming the first bad row, for what `unit_vector` refuses.
    """
    given = _floats(matrix)
    if given.ndim != 2 or given.shape[1] != dimension:
        raise InvalidVectorError(f"matrix must have shape (n, {dimension}), got {given.shape}")
    return _unit_rows(given, "matrix")


def _floats(values: ArrayLike) -> NDArray[np.floating[Any]]:
    try:
        given = np.asarray(values)
    except (ValueError, TypeError) as error:
        raise InvalidVectorError(f"not an array of numbers: {error}") from error
    if given.dtype.kind != "f":
        raise InvalidVectorError(f"vectors must be floating point, got {given.dtype}")
    return given


def _unit_rows(given: NDArray[np.floating[Any]], what: str) -> Matrix:
    # float64 that overflows here becomes infinity, fails the test below and
    # is scaled down at full precision.
    with np.errstate(over="ignore", invalid="ignore"):
        rows: Matrix = np.ascontiguousarray(given, dtype=np.float32)
        squared_lengths = np.vecdot(rows, rows)
    # NaN compares false with everything, so a NaN or infinite row is never "unit".
    is_unit = np.abs(squared_lengths - 1.0) <= UNIT_TOLERANCE
    if is_unit.all():
        return rows
    off = np.flatnonzero(~is_unit)
    scaled = _scaled(given[off].astype(np.float64), off, what)
    rows = rows.copy() if np.may_share_memory(rows, given) else rows
    rows[off] = scaled
    return rows


def _scaled(rows: NDArray[np.float64], numbers: NDArray[np.intp], what: str) -> Matrix:
    """The rows divided by their length; dividing by the largest part first cannot overflow."""
    largest = np.abs(rows).max(axis=1)
    for bad, why in (
        (~np.isfinite(largest), "holds NaN or infinity"),
        (largest == 0, "is all zeros"),
    ):
        if bad.any():
            where = f"row {numbers[bad][0]} of the matrix" if what == "matrix" else what
            raise InvalidVectorError(f"{where} {why}")
    rows = rows / largest[:, None]
    unit: Matrix = (rows / np.sqrt(np.vecdot(rows, rows))[:, None]).astype(np.float32)
    return unit
