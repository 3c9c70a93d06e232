"""The routes in force: config's, under what operators toggled."""

from __future__ import annotations

import pytest

from sidecar.errors import InvalidRequestError
from sidecar.route.table import Route, RouteTable, Target
from sidecar.routing import LiveRoutes, offered
from sidecar.toggles import ToggleFile, Toggles

BIG, SMALL, SPARE = Target("p", "big", 90), Target("p", "small"), Target("q", "spare")


def table(**active: str) -> RouteTable:
    """Two models, one with a variant."""
    routes = {
        "a": {
            "targets": Route("a", (BIG,), fallbacks=(SPARE,)),
            "cheap": Route("a", (SMALL,), variant="cheap", fallbacks=(SPARE,)),
        },
        "b": {"targets": Route("b", (BIG,))},
    }
    return RouteTable(routes, active)


class Traffic:
    """A target that fails and a model that is asked."""

    in_flight = {"a": 3}  # noqa: RUF012

    def states(self) -> dict:
        """One breaker."""
        return {("q", "spare"): {"state": "open", "failures": 5}}


@pytest.fixture
def path(tmp_path):
    """Where choices are kept."""
    return tmp_path / "toggles.json"


def made(path, configured: RouteTable) -> LiveRoutes:
    """The routes of a process that starts."""
    return LiveRoutes(configured, Toggles(ToggleFile(path), offered(configured)), Traffic())


@pytest.fixture
def live(path) -> LiveRoutes:
    """Nothing toggled."""
    return made(path, table())


async def test_everyone_who_follows_is_given_each_new_table(live):
    """The present one at once; an old table stays as it was for who holds it."""
    one, other = [], []
    live.follow(one.append)
    live.follow(other.append)
    await live.toggle("a", "cheap")
    before, after = one
    assert one == other
    assert (before.require("a").targets, after.require("a").targets) == ((BIG,), (SMALL,))
    assert live.table is after


async def test_a_toggle_holds_over_another_config_and_a_restart(path, live):
    """As long as the config offers the variant."""
    await live.toggle("a", "cheap")
    live.configure(table())
    assert live.table.active("a") == "cheap"
    assert made(path, table()).table.active("a") == "cheap"


async def test_config_s_own_choice_holds_where_nobody_toggled(live):
    """Another config has it changed at once."""
    live.configure(table(a="cheap"))
    assert live.table.active("a") == "cheap"
    told = live.view(["a"])["a"]
    assert (told["configured"], told["overridden"]) == ("cheap", False)
    await live.toggle("a", "targets")
    told = live.view(["a"])["a"]
    assert (told["active"], told["configured"], told["overridden"]) == ("targets", "cheap", True)


async def test_the_latest_word_holds_whoever_says_it(path, live, caplog):
    """A config that says anew who answers ends an older toggle; one that says the same doesn't."""
    await live.toggle("a", "targets")
    live.configure(table(a="cheap"))
    assert (live.table.active("a"), live.toggled) == ("cheap", {})
    assert "a is not toggled to targets any more: config says who answers" in caplog.text
    await live.toggle("a", "targets")
    live.configure(table(a="cheap"))
    assert (live.table.active("a"), live.toggled) == ("targets", {"a": "targets"})
    assert made(path, table(a="cheap")).table.active("a") == "targets"


async def test_a_model_that_is_new_has_decided_nothing(path):
    """There was no toggle of it to end, and another model's stays."""
    small = RouteTable({"b": {"targets": Route("b", (BIG,))}})
    live = made(path, small)
    await live.toggle("b", "targets")
    live.configure(table(a="cheap"))
    assert live.toggled == {"b": "targets"}


async def test_what_is_refused_publishes_nothing(live):
    """Nobody is given a table for a slip of the hand."""
    seen = []
    live.follow(seen.append)
    with pytest.raises(InvalidRequestError):
        await live.toggle("b", "cheap")
    assert len(seen) == 1


def test_the_view_tells_all_that_config_and_traffic_know(live):
    """A target that was never asked has a closed breaker."""
    closed, spare = {"state": "closed"}, {"state": "open", "failures": 5}
    assert live.view() == {
        "a": {
            "active": "targets",
            "configured": "targets",
            "overridden": False,
            "variants": {
                "targets": [{"provider": "p", "model": "big", "weight": 90, "breaker": closed}],
                "cheap": [{"provider": "p", "model": "small", "weight": 100, "breaker": closed}],
            },
            "fallbacks": [{"provider": "q", "model": "spare", "breaker": spare}],
            "in_flight": 3,
        },
        "b": {
            "active": "targets",
            "configured": "targets",
            "overridden": False,
            "variants": {
                "targets": [{"provider": "p", "model": "big", "weight": 90, "breaker": closed}]
            },
            "fallbacks": [],
            "in_flight": 0,
        },
    }
