"""The operator's rules: which settings hold for which calls.

Pure. Every rule whose patterns all match is applied, in the order of the config, so a
later rule overrides an earlier one. A rule can't wake a cache that is switched off for
all: of the rule's mode and the global one the more careful holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from sidecar.cache.policy import Mode, Settings, ToolPolicy, more_careful
from sidecar.domain import Call, SharingScope

_CHANGES = ("mode", "ttl_s", "max_temperature", "tools", "sharing", "stale_if_error_s")


@dataclass(frozen=True, slots=True)
class Rule:
    """Patterns (`*`, `?`, `[…]`) by field of the call, and what they change.

    Fields: feature, model, department, tenant, user, endpoint. None changes nothing.
    """

    match: Mapping[str, str]
    mode: Mode | None = None
    ttl_s: float | None = None
    max_temperature: float | None = None
    tools: ToolPolicy | None = None
    sharing: SharingScope | None = None
    stale_if_error_s: float | None = None

    def applies(self, call: Call) -> bool:
        """Whether every pattern matches."""
        return all(fnmatchcase(field_of(call, name), glob) for name, glob in self.match.items())

    def apply(self, settings: Settings) -> Settings:
        """The settings with this rule's changes."""
        changes = {name: value for name in _CHANGES if (value := getattr(self, name)) is not None}
        return replace(settings, **changes)


def field_of(call: Call, name: str) -> str:
    """The value that a pattern of this name is held against."""
    match name:
        case "model":
            return call.request.model
        case "endpoint":
            return call.endpoint.value
        case _:
            return str(getattr(call.caller, name))


def settings_for(call: Call, base: Settings, rules: Sequence[Rule]) -> Settings:
    """What the operator allows for this call."""
    settings = base
    for rule in rules:
        if rule.applies(call):
            settings = rule.apply(settings)
    if settings is base:
        return base
    return replace(settings, mode=more_careful(settings.mode, base.mode))
