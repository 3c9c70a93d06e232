"""Vectors are checked at the border, and are of unit length once inside."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from index.errors import InvalidVectorError
from index.vectors import unit_matrix, unit_vector

finite = st.floats(allow_nan=False, allow_infinity=False)


def with_length(values: np.ndarray) -> bool:
    """Whether there is a direction."""
    return bool(np.abs(values).max() > 0)


@given(arrays(np.float64, 7, elements=finite).filter(with_length))
def test_any_finite_direction_becomes_unit_length(vector):
    """However long or short a vector is, even at the edge of float64, its length becomes 1."""
    length = np.linalg.norm(unit_vector(vector, 7).astype(np.float64))
    assert abs(length - 1.0) < 1e-6


@given(arrays(np.float64, 7, elements=finite).filter(with_length))
def test_normalising_twice_changes_no_bit(vector):
    """What is of unit length keeps its bits, so that a vector reads back as it was written."""
    once = unit_vector(vector, 7)
    assert np.array_equal(unit_vector(once, 7), once)
    assert np.array_equal(unit_matrix(once[None, :], 7)[0], once)


@given(arrays(np.float32, (5, 7), elements=st.floats(-3, 3, width=32)))
def test_a_row_does_not_depend_on_its_neighbours(matrix):
    """A vector given alone and the same vector in a matrix come out bit for bit equal."""
    matrix[:, 0] = 1.0
    alone = np.stack([unit_vector(row, 7) for row in matrix])
    assert np.array_equal(unit_matrix(matrix, 7), alone)


def test_direction_is_kept():
    """Normalising divides by the length and does nothing else."""
    assert unit_vector([3.0, 4.0], 2).tolist() == pytest.approx([0.6, 0.8])


def test_the_callers_array_is_not_changed():
    """A matrix that has to be normalised is copied first."""
    matrix = np.array([[1.0, 0.0], [3.0, 4.0]], np.float32)
    unit_matrix(matrix, 2)
    assert matrix.tolist() == [[1.0, 0.0], [3.0, 4.0]]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_every_float_type_becomes_contiguous_float32(dtype):
    """Half, single and double precision come out as C-contiguous float32."""
    backwards = np.array([0.0, 1.0, 0.0], dtype)[::-1]
    unit = unit_vector(backwards, 3)
    assert unit.dtype == np.float32
    assert unit.flags.c_contiguous


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_nan_and_infinity_are_refused(bad, dtype):
    """One part that is not a number makes the whole vector unusable."""
    with pytest.raises(InvalidVectorError, match="vector holds NaN or infinity"):
        unit_vector(np.array([0.5, bad], dtype), 2)


def test_a_zero_vector_is_refused():
    """All zeros has no direction, so no similarity to anything."""
    with pytest.raises(InvalidVectorError, match="vector is all zeros"):
        unit_vector(np.zeros(4, np.float32), 4)


def test_the_first_bad_row_of_a_matrix_is_named():
    """Whoever sent a thousand rows learns which one to look at."""
    matrix = np.ones((5, 3), np.float32)
    matrix[3, 1] = np.nan
    with pytest.raises(InvalidVectorError, match="row 3 of the matrix holds NaN"):
        unit_matrix(matrix, 3)


@pytest.mark.parametrize("shape", [(), (3,), (5,), (1, 4), (4, 1)])
def test_a_vector_of_another_shape_is_refused(shape):
    """Only (dimension,) is a vector."""
    with pytest.raises(InvalidVectorError, match=r"must have shape \(4,\)"):
        unit_vector(np.ones(shape, np.float32), 4)


@pytest.mark.parametrize("shape", [(4,), (2, 3), (2, 5), (2, 4, 1), (0,)])
def test_a_matrix_of_another_shape_is_refused(shape):
    """Only (n, dimension) is a matrix."""
    with pytest.raises(InvalidVectorError, match=r"must have shape \(n, 4\)"):
        unit_matrix(np.ones(shape, np.float32), 4)


@pytest.mark.parametrize("values", [[1, 2], [True, False], ["a", "b"], [1j, 2j], [None, 1.0]])
def test_what_is_not_floating_point_is_refused(values):
    """Integers, booleans, text, complex numbers and objects are a caller's mistake."""
    with pytest.raises(InvalidVectorError, match="must be floating point"):
        unit_vector(values, 2)


def test_ragged_rows_are_refused_in_one_line():
    """Numpy's own error for ragged lists arrives as the index's."""
    with pytest.raises(InvalidVectorError, match="not an array of numbers"):
        unit_matrix([[1.0, 2.0], [1.0]], 2)


def test_a_matrix_of_no_rows_is_a_matrix():
    """Nothing to add is no mistake."""
    assert unit_matrix(np.empty((0, 3), np.float32), 3).shape == (0, 3)
