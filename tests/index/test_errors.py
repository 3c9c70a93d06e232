"""Every error of the index hangs on one tree."""

import pytest

from index import IndexClosedError, InvalidArgumentError, InvalidVectorError, VectorIndexError


@pytest.mark.parametrize("error", [InvalidVectorError, InvalidArgumentError, IndexClosedError])
def test_one_except_clause_catches_all(error):
    """Whoever catches VectorIndexError misses none."""
    assert issubclass(error, VectorIndexError)


@pytest.mark.parametrize("error", [InvalidVectorError, InvalidArgumentError])
def test_bad_values_are_value_errors_too(error):
    """Code that knows nothing of this package still sees a ValueError."""
    assert issubclass(error, ValueError)
