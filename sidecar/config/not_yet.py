"""Settings whose part of the sidecar is not in this version: one table, shrinking.

What protects money or access is refused, since ignoring it would be a lie. The rest is
accepted, and `check` and the start-up block tell that it is not in force. A part that
comes into force takes its line out of here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from sidecar.config.problem import Path, Problem, dotted

if TYPE_CHECKING:
    from sidecar.config.model import Config


@dataclass(frozen=True, slots=True)
class Later:
    """A key (`*` for any name or place) and what it means to set it to anything but its default.

    `always` tells of it even where it was not set.
    """

    key: str
    consequence: str
    always: bool = False


REFUSED = (
    Later("redis.url", "nothing would be shared"),
    Later("admin.read_only_token", "it would not be enforced"),
)

FIXED_FLOOR = "a semantic hit needs a cosine of at least 0.92 and equal numbers"
NOT_IN_FORCE = (
    Later("cache.max_wrong_hit_rate", FIXED_FLOOR, always=True),
    Later("cache.threshold", FIXED_FLOOR),
    Later("cache.verify", FIXED_FLOOR),
    Later("cache.rules.*.set.max_wrong_hit_rate", FIXED_FLOOR),
    Later("cache.rules.*.set.threshold", FIXED_FLOOR),
    Later("cache.rules.*.set.verify", FIXED_FLOOR),
    Later("cache.audit", "no hit is audited"),
    Later("log.prompts", "neither prompts nor answers are ever logged"),
    Later("redis.search", "vectors are searched in this process"),
    Later("redis.timeout_ms", "Redis is not asked"),
    Later("redis.on_loss", "Redis is not asked"),
    Later("prompts", "stored prompts are not read"),
    Later("context", "context is passed on as it is"),
)


def refusals(config: Config) -> Iterator[Problem]:
    """A problem for each setting that this version would have to ignore at a cost."""
    for later in REFUSED:
        for path in _given(config, later):
            text = f"not available in this version: remove it; {later.consequence}"
            yield Problem(path, text)


def notes(config: Config) -> Iterator[str]:
    """A line for each setting that is accepted and changes nothing yet."""
    for later in NOT_IN_FORCE:
        given = list(_given(config, later))
        for path in given or ([tuple(later.key.split("."))] if later.always else []):
            yield f"{dotted(path)} is not in force yet: {later.consequence}"


def _given(config: Config, later: Later) -> Iterator[Path]:
    for path, value, default in _at(config, tuple(later.key.split(".")), ()):
        if value != default:
            yield path


def _at(node: Any, steps: tuple[str, ...], path: Path) -> Iterator[tuple[Path, Any, Any]]:
    """Each value that the steps lead to, with its path and its default."""
    step, rest = steps[0], steps[1:]
    if step == "*":
        for key, value in _items(node):
            yield from _at(value, rest, (*path, key))
    for name, field in type(node).model_fields.items() if isinstance(node, BaseModel) else ():
        if step == (field.alias or name):
            value, here = getattr(node, name), (*path, step)
            default = field.get_default(call_default_factory=True)
            yield from _at(value, rest, here) if rest else [(here, value, default)]


def _items(node: Any) -> Iterator[tuple[str | int, Any]]:
    return iter(node.items() if isinstance(node, Mapping) else enumerate(node))
