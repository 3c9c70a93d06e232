"""Config in the terms of each room."""

import pytest

from sidecar import wiring
from sidecar.cache.policy import Mode, Settings, ToolPolicy
from sidecar.config import Config
from sidecar.domain import SharingScope


def config(**changes: object) -> Config:
    """The default config with some keys set."""
    return Config.model_validate(changes)


def test_the_default_config_is_the_default_of_the_rooms():
    """Two tables of defaults would drift apart; these don't."""
    assert wiring.cache_settings(config().cache) == Settings()


def test_what_config_says_reaches_the_cache():
    """Each key in its place."""
    said = {"mode": "shadow", "ttl": "5m", "max_temperature": 0, "tools": "off", "scope": "user"}
    told = wiring.cache_settings(config(cache=said).cache)
    assert told == Settings(Mode.SHADOW, 300.0, 0.0, ToolPolicy.OFF, SharingScope.USER)


def test_a_rule_changes_only_what_it_names():
    """The rest stays None."""
    rules = [{"match": {"model": "gpt-*"}, "set": {"ttl": "0s", "mode": "off"}}]
    rule = wiring.cache_rule(config(cache={"rules": rules}).cache.rules[0])
    told = (rule.match, rule.mode, rule.ttl_s, rule.tools, rule.sharing, rule.max_temperature)
    assert told == ({"model": "gpt-*"}, Mode.OFF, 0.0, None, None, None)


def test_every_configured_model_has_a_route():
    """By its name, with its targets."""
    table = wiring.route_table(config().models)
    assert "gpt-4o-mini" in table.names
    assert table.require("gpt-4o-mini").targets


@pytest.mark.parametrize(
    ("host", "name"), [("fd00::5", "[fd00::5]"), ("[fd00::5]", "[fd00::5]"), ("Pod-7", "pod-7")]
)
def test_the_address_listened_on_is_a_host_that_is_let_in(host, name):
    """As a Host header writes it: IPv6 in brackets, in lower case."""
    allowed = wiring.data_plane_settings(config(listen={"host": host})).allowed_hosts
    assert {name, "localhost", "127.0.0.1", "[::1]"} == allowed


def test_the_token_is_unmasked_for_the_door_alone():
    """Absent it is None, and the door asks for none."""
    assert wiring.admin_settings(config()).token is None
    assert wiring.admin_settings(config(admin={"token": "t0ken"})).token == "t0ken"  # noqa: S105


def test_megabytes_are_bytes_for_the_door():
    """A body limit in whole bytes."""
    assert wiring.data_plane_settings(config(listen={"max_body_mb": 0.5})).max_body_bytes == 500_000
