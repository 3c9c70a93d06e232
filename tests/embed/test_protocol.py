from __future__ import annotations

import numpy as np
import pytest

from sidecar.embed.protocol import Unembeddable, is_unit, unit
from sidecar.reasons import Reason


def test_unit_scales_to_length_one() -> None:
    """A raw output keeps its direction and gets length 1, as float32."""
    vector = unit(np.array([3.0, 4.0]), 2)
    assert vector.dtype == np.float32
    assert vector.tolist() == pytest.approx([0.6, 0.8])


@pytest.mark.parametrize(
    "raw",
    [[np.nan, 1.0], [np.inf, 1.0], [-np.inf, 1.0], [0.0, 0.0], [1.0, 0.0, 0.0], [[1.0, 0.0]]],
)
def test_unit_refuses_what_has_no_direction(raw: list[float]) -> None:
    """NaN, infinity, zero and a wrong shape are a failed embedding, not a vector."""
    with pytest.raises(Unembeddable) as refused:
        unit(np.array(raw, dtype=np.float32), 2)
    assert refused.value.reason is Reason.EMBED_FAILED


@pytest.mark.parametrize(
    "vector",
    [
        np.array([np.nan, 0.0], dtype=np.float32),
        np.array([np.inf, 0.0], dtype=np.float32),
        np.array([0.0, 0.0], dtype=np.float32),
        np.array([1.0, 1.0], dtype=np.float32),
        np.array([1.0, 0.0], dtype=np.float64),
        np.array([1.0, 0.0, 0.0], dtype=np.float32),
    ],
)
def test_is_unit_tells_a_broken_vector(vector: np.ndarray) -> None:
    """Each way in which a vector may break the promise is seen."""
    assert not is_unit(vector, 2)


def test_is_unit_accepts_what_unit_makes() -> None:
    """Rounding to float32 stays within the tolerance, also at a large dimension."""
    raw = np.random.default_rng(1).normal(size=4096)
    assert is_unit(unit(raw, 4096), 4096)
