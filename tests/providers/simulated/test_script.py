"""Scripted faults happen to whom, and as often, as they say."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.providers.simulated.script import NO_FAULT, UNSET, Script, ScriptError


def statuses(script: Script, *models: str) -> list[int | None]:
    """Return the status that each of these models gets, one after the other."""
    return [script.next_fault(model, "a question").status for model in models]


def test_the_first_rule_with_times_left_applies() -> None:
    """Then the next, then none."""
    script = Script()
    script.replace([{"times": 2, "status": 503}, {"times": 1, "status": 429}])
    assert statuses(script, "m", "m", "m", "m") == [503, 503, 429, None]


def test_a_rule_without_times_never_runs_out() -> None:
    """It stays until the script is replaced."""
    script = Script()
    script.replace([{"status": 500}])
    assert statuses(script, "m", "m", "m") == [500, 500, 500]


def test_a_rule_meets_its_model() -> None:
    """By name or by pattern; a miss costs no times."""
    script = Script()
    script.replace([{"match": {"model": "gpt-*"}, "times": 1, "status": 500}])
    assert statuses(script, "claude", "gpt-4o", "gpt-4o") == [None, 500, None]


def test_a_rule_meets_its_question() -> None:
    """By a part of the last user message."""
    script = Script()
    script.replace([{"match": {"contains": "weather"}, "status": 500}])
    assert script.next_fault("m", "the weather?").status == 500
    assert script.next_fault("m", "the time?") is NO_FAULT


def test_null_is_told_from_absence() -> None:
    """A reply with null for a finish_reason is a fault, one without the field is none."""
    script = Script()
    script.replace([{"finish_reason": None, "usage": None}])
    fault = script.next_fault("m", "")
    assert (fault.finish_reason, fault.usage) == (None, None)
    assert (NO_FAULT.finish_reason, NO_FAULT.usage) == (UNSET, UNSET)


@pytest.mark.parametrize(
    ("rule", "named"),
    [
        ({"statsu": 503}, "[0].statsu"),
        ({"status": "503"}, "[0].status"),
        ({"status": 99}, "[0].status"),
        ({"times": -1}, "[0].times"),
        ({"times": True}, "[0].times"),
        ({"delay_ms": "1"}, "[0].delay_ms"),
        ({"cut_after_events": 1.5}, "[0].cut_after_events"),
        ({"usage": 7}, "[0].usage"),
        ({"false_done": 1}, "[0].false_done"),
        ({"match": {"modle": "x"}}, "[0].match.modle"),
        ({"match": {"model": 1}}, "[0].match.model"),
        ({"match": 1}, "[0].match"),
        (7, "[0]"),
    ],
)
def test_a_rule_that_is_not_understood_is_refused(rule: Any, named: str) -> None:
    """By the name of the field; a fault that never happens would prove nothing."""
    with pytest.raises(ScriptError) as raised:
        Script().replace([rule])
    assert str(raised.value).startswith(f"{named}:")


def test_a_bad_script_leaves_the_old_one() -> None:
    """All or nothing."""
    script = Script()
    script.replace([{"status": 500}])
    with pytest.raises(ScriptError):
        script.replace([{"status": 503}, {"wrong": 1}])
    assert statuses(script, "m") == [500]


@pytest.mark.parametrize("script", [{}, "[]", None, 1])
def test_a_script_is_a_list(script: Any) -> None:
    """Anything else is refused."""
    with pytest.raises(ScriptError):
        Script().replace(script)
