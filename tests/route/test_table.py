"""Model names to targets."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.errors import ModelNotFoundError
from sidecar.route.table import Route, RouteTable, Target

A, B, NEVER = Target("a", "m", 75), Target("b", "m", 25), Target("c", "m", 0)


@pytest.mark.parametrize(("draw", "expected"), [(0.0, A), (0.7499, A), (0.75, B), (0.9999, B)])
def test_weights_divide_the_draw(draw, expected):
    """Laid end to end, in the order of the config."""
    assert Route("m", (A, B)).pick(draw) is expected


@given(st.floats(0, 1, exclude_max=True), st.permutations([A, B, NEVER]))
def test_a_target_of_weight_zero_is_never_picked(draw, targets):
    """Wherever it stands: a drained target stays drained."""
    assert Route("m", tuple(targets)).pick(draw) is not NEVER


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=6))
def test_rounding_does_not_wake_a_target_of_weight_zero(weights):
    """Not even at the very end of the draw."""
    targets = (*(Target("a", "m", weight) for weight in weights), NEVER)
    assert Route("m", targets).pick(math.nextafter(1.0, 0.0)) is not NEVER


def test_one_target_takes_every_draw():
    """Whatever its weight."""
    assert Route("m", (NEVER,)).pick(0.5) is NEVER


def test_an_unknown_model_is_refused_with_the_known_ones():
    """The message tells what could have been asked."""
    table = RouteTable({"gpt-4o": {"targets": Route("gpt-4o", (A,))}})
    with pytest.raises(ModelNotFoundError, match="gpt-4o") as caught:
        table.require("gpt-5")
    assert (caught.value.param, caught.value.status) == ("model", 404)


def test_a_long_name_is_not_echoed_whole():
    """A megabyte of model name doesn't come back."""
    with pytest.raises(ModelNotFoundError) as caught:
        RouteTable({}).require("x" * 10_000)
    assert len(caught.value.message) < 300


def test_names_match_exactly():
    """No prefix, no other case."""
    table = RouteTable({"gpt-4o": {"targets": Route("gpt-4o", (A,))}})
    assert table.require("gpt-4o").targets == (A,)
    for name in ("GPT-4o", "gpt-4", "gpt-4o ", ""):
        with pytest.raises(ModelNotFoundError):
            table.require(name)


def test_names_keep_the_order_of_the_config():
    """As `/v1/models` lists them."""
    table = RouteTable({name: {"targets": Route(name, (A,))} for name in ("b", "a", "c")})
    assert table.names == ("b", "a", "c")
