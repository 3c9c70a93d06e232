"""Which settings hold for which calls."""

from dataclasses import replace

import pytest

from sidecar.cache.policy import Mode, Settings, ToolPolicy
from sidecar.cache.rules import Rule, settings_for
from sidecar.domain import Caller, SharingScope

CALLER = Caller(tenant="shop", user="ann", feature="faq", department="sales")


@pytest.mark.parametrize(
    ("match", "applies"),
    [
        ({}, True),
        ({"feature": "faq"}, True),
        ({"feature": "FAQ"}, False),
        ({"feature": "fa"}, False),
        ({"feature": "f?q"}, True),
        ({"feature": "f[ab]q"}, True),
        ({"model": "gpt-*"}, True),
        ({"model": "*mini"}, False),
        ({"tenant": "shop", "user": "ann", "department": "sales"}, True),
        ({"tenant": "shop", "user": "bob"}, False),
        ({"endpoint": "chat"}, True),
        ({"endpoint": "embeddings"}, False),
        ({"user": ""}, False),
    ],
)
def test_a_rule_applies_where_all_its_patterns_match(make_call, match, applies):
    """Patterns cover a whole field, in its own case."""
    assert Rule(match).applies(make_call(caller=CALLER)) is applies


def test_a_pattern_for_nobody_matches_who_is_not_named(make_call):
    """An empty pattern finds calls without that tag."""
    assert Rule({"user": ""}).applies(make_call())


def test_without_rules_the_base_holds(make_call):
    """Nothing changes by itself."""
    base = Settings(ttl_s=5.0)
    assert settings_for(make_call(), base, ()) == base


def test_a_rule_changes_what_it_names_and_nothing_else(make_call):
    """All else stays with the base."""
    rule = Rule({}, ttl_s=60.0, max_temperature=1.0)
    expected = replace(Settings(), ttl_s=60.0, max_temperature=1.0)
    assert settings_for(make_call(), Settings(), [rule]) == expected


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"mode": Mode.SHADOW}, "mode"),
        ({"ttl_s": 0.0}, "ttl_s"),
        ({"max_temperature": 0.0}, "max_temperature"),
        ({"tools": ToolPolicy.OFF}, "tools"),
        ({"sharing": SharingScope.USER}, "sharing"),
        ({"stale_if_error_s": 0.0}, "stale_if_error_s"),
    ],
)
def test_every_setting_can_be_changed_to_zero_and_off_too(make_call, change, field):
    """A zero is a value and no absence."""
    settings = settings_for(make_call(), Settings(), [Rule({}, **change)])
    assert getattr(settings, field) == change[field]


def test_a_rule_that_does_not_apply_changes_nothing(make_call):
    """Its settings are for others."""
    assert settings_for(make_call(), Settings(), [Rule({"user": "bob"}, ttl_s=1.0)]) == Settings()


def test_of_two_rules_the_later_one_wins(make_call):
    """Also for the mode: off for all but one feature can be written."""
    rules = [Rule({}, mode=Mode.OFF, ttl_s=1.0), Rule({"feature": "faq"}, mode=Mode.SERVE)]
    faq = settings_for(make_call(caller=CALLER), Settings(), rules)
    rest = settings_for(make_call(), Settings(), rules)
    assert (faq.mode, faq.ttl_s, rest.mode) == (Mode.SERVE, 1.0, Mode.OFF)


@pytest.mark.parametrize("mode", [Mode.SHADOW, Mode.OFF])
def test_no_rule_is_less_careful_than_the_mode_for_all(make_call, mode):
    """A cache that is off for all stays off."""
    base = Settings(mode=mode)
    assert settings_for(make_call(), base, [Rule({}, mode=Mode.SERVE)]).mode is mode


def test_a_rule_may_be_more_careful_than_the_mode_for_all(make_call):
    """A new feature is tried in shadow while the rest is served."""
    assert settings_for(make_call(), Settings(), [Rule({}, mode=Mode.SHADOW)]).mode is Mode.SHADOW
