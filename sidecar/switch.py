"""The kill switch: the cache's mode for all requests, which an operator can change live."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sidecar.cache.policy import Mode, Settings
from sidecar.cache.rules import Rule, settings_for
from sidecar.domain import Call


class Switch:
    """Config's settings and rules under the mode that holds now."""

    def __init__(self, base: Settings, rules: Sequence[Rule]) -> None:
        self._base = base
        self._rules = tuple(rules)
        self._configured_mode = base.mode

    @property
    def mode(self) -> Mode:
        """The mode that holds for all requests; a rule can only be more careful."""
        return self._base.mode

    def set_mode(self, mode: Mode) -> None:
        """From the next request on."""
        self._base = replace(self._base, mode=mode)

    def configure(self, base: Settings, rules: Sequence[Rule]) -> None:
        """Another config. What an operator switched live holds on, unless config's mode is new."""
        mode = self.mode if base.mode is self._configured_mode else base.mode
        self._configured_mode = base.mode
        self._base, self._rules = replace(base, mode=mode), tuple(rules)

    def settings_for(self, call: Call) -> Settings:
        """What is allowed for this call now."""
        return settings_for(call, self._base, self._rules)
