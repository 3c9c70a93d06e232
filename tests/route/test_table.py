"""Model names to targets."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.errors import ModelNotFoundError
from sidecar.route.table import Route, RouteTable, Target

A, B, NEVER = Target("a", "m", 75), Target("b", "m", 25), Target("c", "m", 0)
GOLDEN = 0.21034108543133812


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


def test_a_key_draws_the_same_on_every_machine_and_after_every_start():
    """Or pods would send one conversation to two models; another model name, another draw."""
    assert Route("m", (A,)).draw_of("s1") == pytest.approx(GOLDEN, abs=1e-12)
    assert Route("ms", (A,)).draw_of("1") != Route("m", (A,)).draw_of("s1")


def test_keys_are_spread_evenly():
    """A canary of ten per cent gets ten per cent of the conversations."""
    route = Route("m", (Target("a", "m", 90), Target("a", "canary", 10)))
    drawn = [route.pick(route.draw_of(f"session-{number}")).model for number in range(5000)]
    assert 0.08 < drawn.count("canary") / 5000 < 0.12


def test_a_bound_table_is_the_same_over_other_clients():
    """Every list of every variant has the edition of its provider, and the toggle stays."""
    spare = Target("c", "n")
    variants = {
        "targets": Route("m", (A,), fallbacks=(spare,), sticky="user"),
        "cheap": Route("m", (B,), variant="cheap", fallbacks=(spare,)),
    }
    clients = {"a": 1, "b": 2, "c": 3}
    bound = RouteTable({"m": variants}, {"m": "cheap"}).bound(clients, {"a": 4, "b": 5, "c": 6})
    assert bound.active("m") == "cheap"
    own, cheap = bound.require("m", "targets"), bound.require("m")
    assert [t.edition for t in (*own.targets, *own.fallbacks)] == [4, 6]
    assert [t.edition for t in (*cheap.targets, *cheap.fallbacks)] == [5, 6]
    assert own.clients is cheap.clients is clients
    assert (own.sticky, own.targets[0].weight, cheap.variant) == ("user", 75, "cheap")
    assert variants["targets"].targets == (A,)
