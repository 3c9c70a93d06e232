"""Scripted faults: which request fails, how, and how many times.

A script is a list of rules; the first that matches and has times left applies, and a
rule without `times` never runs out. It refuses a rule that it does not understand, by
naming the field: a test whose fault never happened proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from typing import Any


class Unset(Enum):
    """Tells a field that is absent from one that is null."""

    UNSET = "unset"


UNSET = Unset.UNSET


class ScriptError(ValueError):
    """A rule that can't be understood; the message names the field."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What a rule does to a reply. The default does nothing.

    `cut_after_events` counts every event of a stream, the role's included; a whole
    reply is cut in the middle of its body. `reset` cuts with a TCP reset instead of a
    regular close, half way where no number of events is given. `lost_reply` does all the
    work, bills it, and closes the connection without a byte. `error_after_events` tells a
    stream's failure in an event of its own, after a 200. `false_done` ends a stream with
    its last word half way and without a finish_reason.

    `code`, `error_type` and `message` are what an error says; a type that is not given is
    the vendor's own for the status.
    """

    status: int | None = None
    delay_ms: float = 0
    retry_after: float | None = None
    cut_after_events: int | None = None
    finish_reason: str | Unset | None = UNSET
    usage: Mapping[str, Any] | Unset | None = UNSET
    false_done: bool = False
    lost_reply: bool = False
    reset: bool = False
    error_after_events: int | None = None
    code: str | Unset | None = UNSET
    error_type: str = ""
    message: str = "a scripted failure"


NO_FAULT = Fault()


@dataclass(slots=True)
class Rule:
    """A fault, whom it meets, and how often it still will (None: always)."""

    fault: Fault
    model: str = "*"
    contains: str = ""
    times_left: int | None = None

    def matches(self, model: str, asked: str) -> bool:
        """Whether it applies to a request to this model with this last user message."""
        return self.times_left != 0 and fnmatchcase(model, self.model) and self.contains in asked


class Script:
    """The rules in force."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []

    def replace(self, rules: Any) -> int:
        """Put these rules in place of the old ones; ScriptError changes nothing."""
        self._rules = parse_script(rules)
        return len(self._rules)

    def next_fault(self, model: str, asked: str) -> Fault:
        """Return what shall happen to this request, and count it."""
        if not self._rules:
            return NO_FAULT
        for rule in self._rules:
            if rule.matches(model, asked):
                if rule.times_left is not None:
                    rule.times_left -= 1
                return rule.fault
        return NO_FAULT


def parse_script(rules: Any) -> list[Rule]:
    """Read a list of rules as JSON gives it."""
    if not isinstance(rules, Sequence) or isinstance(rules, str):
        raise ScriptError("a script is a list of rules")
    return [_rule(rule, f"[{number}]") for number, rule in enumerate(rules)]


def _rule(rule: Any, where: str) -> Rule:
    fields = _object(rule, where, {"match", "times", *_FAULT_FIELDS})
    match = _object(fields.get("match", {}), f"{where}.match", {"model", "contains"})
    for name, value in match.items():
        _expect(isinstance(value, str), f"{where}.match.{name}", "text")
    times = fields.get("times")
    _expect(times is None or _is_count(times), f"{where}.times", "a whole number from 0")
    return Rule(
        fault=_fault(fields, where),
        model=match.get("model", "*"),
        contains=match.get("contains", ""),
        times_left=times,
    )


def _fault(fields: Mapping[str, Any], where: str) -> Fault:
    given = {name: value for name, value in fields.items() if name in _FAULT_FIELDS}
    for name, value in given.items():
        is_right, expected = _FAULT_FIELDS[name]
        _expect(is_right(value), f"{where}.{name}", expected)
    return Fault(**given)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_duration(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


_FAULT_FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "status": (lambda it: _is_count(it) and 200 <= it <= 599, "an HTTP status from 200 to 599"),
    "delay_ms": (_is_duration, "milliseconds, from 0"),
    "retry_after": (_is_duration, "seconds, from 0"),
    "cut_after_events": (_is_count, "a whole number from 0"),
    "finish_reason": (lambda it: it is None or isinstance(it, str), "text or null"),
    "usage": (lambda it: it is None or isinstance(it, Mapping), "an object or null"),
    "false_done": (_is_flag, "true or false"),
    "lost_reply": (_is_flag, "true or false"),
    "reset": (_is_flag, "true or false"),
    "error_after_events": (_is_count, "a whole number from 0"),
    "code": (lambda it: it is None or isinstance(it, str), "text or null"),
    "error_type": (_is_text, "text"),
    "message": (_is_text, "text"),
}


def _object(value: Any, where: str, known: set[str]) -> Mapping[str, Any]:
    _expect(isinstance(value, Mapping), where, "an object")
    for name in value:
        _expect(name in known, f"{where}.{name}", f"one of {', '.join(sorted(known))}")
    return dict(value)


def _expect(is_right: bool, where: str, expected: str) -> None:
    if not is_right:
        raise ScriptError(f"{where}: expected {expected}")
