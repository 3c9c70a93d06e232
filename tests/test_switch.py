"""The kill switch over the operator's rules."""

import pytest

from sidecar.cache.policy import Mode, Settings
from sidecar.cache.rules import Rule
from sidecar.switch import Switch


def test_the_mode_of_the_config_holds_at_first(make_call):
    """Nothing is switched by starting."""
    switch = Switch(Settings(mode=Mode.SHADOW), ())
    assert switch.mode is switch.settings_for(make_call()).mode is Mode.SHADOW


def test_a_change_holds_from_the_next_call(make_call):
    """The switch acts without a restart."""
    switch = Switch(Settings(), ())
    switch.set_mode(Mode.OFF)
    assert switch.settings_for(make_call()).mode is Mode.OFF


@pytest.mark.parametrize("mode", [Mode.SHADOW, Mode.OFF])
def test_no_rule_wakes_what_is_switched_off(make_call, mode):
    """An operator who pulls the switch is obeyed for every call."""
    switch = Switch(Settings(), [Rule({}, mode=Mode.SERVE)])
    switch.set_mode(mode)
    assert switch.settings_for(make_call()).mode is mode


def test_switching_back_restores_what_rules_say(make_call):
    """The switch forgets nothing of the config."""
    switch = Switch(Settings(ttl_s=60.0), [Rule({}, mode=Mode.SHADOW)])
    switch.set_mode(Mode.OFF)
    switch.set_mode(Mode.SERVE)
    settings = switch.settings_for(make_call())
    assert (settings.mode, settings.ttl_s) == (Mode.SHADOW, 60.0)


@pytest.mark.parametrize(
    ("configured", "expected"),
    [(Mode.SERVE, Mode.OFF), (Mode.SHADOW, Mode.SHADOW)],
    ids=["same mode", "new mode"],
)
def test_another_config_leaves_what_was_switched_live_unless_its_mode_is_new(
    make_call, configured, expected
):
    """An outage is not ended by a reload; an operator who writes a mode means it."""
    switch = Switch(Settings(mode=Mode.SERVE), ())
    switch.set_mode(Mode.OFF)
    switch.configure(Settings(mode=configured, ttl_s=5.0), [Rule({}, ttl_s=7.0)])
    settings = switch.settings_for(make_call())
    assert (switch.mode, settings.mode, settings.ttl_s) == (expected, expected, 7.0)


def test_a_mode_is_new_once():
    """The config after the next is held against the next one."""
    switch = Switch(Settings(mode=Mode.SERVE), ())
    switch.configure(Settings(mode=Mode.SHADOW), ())
    switch.set_mode(Mode.OFF)
    switch.configure(Settings(mode=Mode.SHADOW), ())
    assert switch.mode is Mode.OFF
