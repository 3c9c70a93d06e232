"""Codes of twelve bits a number: how near they are, and what they never lose."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.quantised import code_bytes, decode, encode, similarities
from tests.index.making import unit

dimensions = st.integers(1, 70) | st.just(384)
seeds = st.integers(0, 2**32 - 1)
# Some rows are nearly even, some have one number that outweighs all others.
tails = st.sampled_from([0.0, 1.0, 3.0])


def rows(seed: int, dimension: int, tail: float, count: int = 20) -> np.ndarray:
    """Unit vectors, the heavier the tail the more uneven."""
    random = np.random.default_rng(seed)
    matrix = random.standard_normal((count, dimension))
    return unit(np.sign(matrix) * np.exp(tail * np.abs(matrix)))


def decoded(matrix: np.ndarray) -> np.ndarray:
    """What codes keep of a matrix."""
    return decode(*encode(matrix), matrix.shape[1])


@given(seeds, dimensions, tails)
def test_a_number_is_off_by_half_a_step_at_most(seed, dimension, tail):
    """A step is the largest number over 2039."""
    matrix = rows(seed, dimension, tail)
    steps = np.abs(matrix).max(axis=1, keepdims=True) / 2039
    assert (np.abs(decoded(matrix) - matrix) <= steps * 0.501).all()


@given(seeds, dimensions, tails)
def test_coding_what_was_decoded_changes_nothing(seed, dimension, tail):
    """Sealed, made exact and sealed again, a vector does not drift."""
    codes, steps = encode(rows(seed, dimension, tail))
    again, steps_again = encode(decode(codes, steps, dimension))
    assert np.array_equal(again, codes)
    assert np.allclose(steps_again, steps, rtol=2e-7, atol=0)


@given(seeds, tails)
def test_similarities_are_nearly_those_of_the_vectors(seed, tail):
    """Within 2e-4 in the dimensions of the shipped model, for rows of any shape."""
    matrix = rows(seed, 384, 0.0, 40)
    queries = rows(seed + 1, 384, tail, 5)
    assert np.abs(decoded(matrix) @ queries.T - matrix @ queries.T).max() < 2e-4


@pytest.mark.parametrize("dimension", [1, 2, 3, 32, 33, 383, 384])
def test_a_code_takes_twelve_bits_a_number(dimension):
    """An odd last number takes two whole bytes."""
    codes, steps = encode(rows(0, dimension, 0.0))
    assert codes.shape == (20, code_bytes(dimension)) == (20, -(-dimension * 12 // 8))
    assert (codes.dtype, steps.dtype, steps.shape) == (np.uint8, np.float32, (20,))


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("at", [0, 1, 16, 17, 32])
def test_the_largest_number_keeps_its_sign_and_size(sign, at):
    """The ends of the range fit, in the low nibbles and in the high ones."""
    row = np.full((1, 33), 1e-3, np.float32)
    row[0, at] = sign
    row = unit(row)
    assert decoded(row) == pytest.approx(row, abs=1 / 2039 / 2)
    assert decoded(row)[0, at] == pytest.approx(row[0, at], rel=1e-6)


def test_every_number_of_steps_is_kept():
    """From one end to the other, in either half of a row, each value comes back."""
    numbers = np.arange(-2039, 2040)
    matrix = np.stack([np.full(len(numbers), 2039), numbers, numbers[::-1]], axis=1)
    assert np.array_equal(np.rint(decoded(matrix.astype(np.float32))), matrix)


def test_a_code_depends_on_its_row_alone():
    """Beside an outlier a row is coded as it is alone."""
    matrix = rows(0, 33, 1.0)
    codes, steps = encode(matrix)
    for row in range(len(matrix)):
        alone, step = encode(matrix[row : row + 1])
        assert np.array_equal(alone[0], codes[row])
        assert step[0] == steps[row]


def test_no_rows_have_no_codes():
    """Nothing to code is no mistake."""
    assert decode(np.empty((0, code_bytes(33)), np.uint8), np.empty(0, np.float32), 33).shape == (
        0,
        33,
    )


@given(seeds, dimensions, tails, tails)
def test_a_similarity_is_that_of_what_codes_keep(seed, dimension, tail, other):
    """Whether rows are decoded first or not."""
    codes, steps = encode(rows(seed, dimension, tail))
    query = rows(seed + 1, dimension, other, 1)[0]
    scores = similarities(codes, steps, query)
    assert (scores.dtype, scores.shape) == (np.float32, (20,))
    assert scores == pytest.approx(decode(codes, steps, dimension) @ query, abs=2e-6)


def test_a_similarity_does_not_depend_on_the_rows_beside_it():
    """Alone or among twenty, the same bits."""
    codes, steps = encode(rows(0, 384, 0.0))
    query = rows(1, 384, 0.0, 1)[0]
    together = similarities(codes, steps, query)
    for row in range(len(codes)):
        alone = similarities(codes[row : row + 1], steps[row : row + 1], query)
        assert alone.tolist() == together[row : row + 1].tolist()
