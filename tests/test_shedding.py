"""When work is refused so that the rest can be done."""

import pytest

from sidecar.errors import OverloadedError
from sidecar.shedding import ALL, MISSES, Pressure, Shedding, overloaded


def under(lag_s: float = 0.0, memory: float = 0.0) -> Shedding:
    """Shedding that sees these signs."""
    return Shedding(lambda: lag_s, lambda: memory)


@pytest.mark.parametrize(
    ("lag_s", "memory", "misses", "all_"),
    [
        (0.0, 0.0, None, None),
        (MISSES.lag_s, MISSES.memory_share, None, None),
        (MISSES.lag_s + 0.01, 0.0, Pressure.LAG, None),
        (0.0, MISSES.memory_share + 0.01, Pressure.MEMORY, None),
        (ALL.lag_s + 0.01, 0.0, Pressure.LAG, Pressure.LAG),
        (0.0, ALL.memory_share + 0.01, Pressure.MEMORY, Pressure.MEMORY),
    ],
)
def test_misses_are_refused_first_and_all_beyond(lag_s, memory, misses, all_):
    """Each sign alone is enough; at the bound itself nothing is refused."""
    shedding = under(lag_s, memory)
    assert (shedding.pressure(MISSES), shedding.pressure(ALL)) == (misses, all_)


def test_the_check_refuses_what_is_beyond_the_second_bounds():
    """503, to be asked again in a moment, with the sign that it was for."""
    with pytest.raises(OverloadedError, match="event loop") as caught:
        under(lag_s=ALL.lag_s + 1).check()
    error = caught.value
    assert (error.status, error.code, error.headers) == (503, "overloaded", {"retry-after": "1"})
    under(lag_s=ALL.lag_s, memory=ALL.memory_share).check()


def test_where_nothing_measures_nothing_is_refused():
    """As in an application that is put together without signs."""
    Shedding().check()
    assert Shedding().pressure(MISSES) is None


def test_a_refusal_tells_the_sign():
    """So that an operator knows where to look."""
    assert "memory" in overloaded(Pressure.MEMORY).message
