"""The toggle: which variant of a model answers, as operators choose it live.

A choice overrides the config's `active`, holds from the next request on, and outlives the
process in a file of its own. It is never the reason why a process doesn't start: a file
that can't be understood is set aside, a choice that the config no longer offers is
dropped, each with one line in the log.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from threading import Lock
from typing import TypeAlias

from sidecar.errors import InvalidRequestError, ModelNotFoundError

EVERY_MODEL = "*"
MAX_BYTES = 1 << 20
Choices: TypeAlias = dict[str, str]
"""Model names to the variants chosen for them."""
_log = logging.getLogger(__name__)


class ToggleFile:
    """Choices on disk, for their owner alone; replaced as a whole or not at all."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # Two writers would take each other's new file for their own.
        self._one_at_a_time = Lock()

    def load(self) -> Choices:
        """What was saved. A file that is damaged is set aside, and nothing is chosen."""
        try:
            with self._path.open("rb") as file:
                return _read(file.read(MAX_BYTES + 1))
        except FileNotFoundError:
            return {}
        except OSError as error:
            _log.warning("%s can't be read (%s): nothing is toggled", self._path, error.strerror)
        except (ValueError, RecursionError):
            self._set_aside()
        return {}

    def save(self, choices: Choices) -> bool:
        """Write them. False where the disk refuses, which is logged."""
        fresh = self._path.with_name(f"{self._path.name}.new")
        try:
            with self._one_at_a_time:
                _write(fresh, json.dumps(choices).encode())
                fresh.replace(self._path)
        except OSError as error:
            told = "%s can't be written (%s): the toggle holds until the end of this process"
            _log.warning(told, self._path, error.strerror)
            return False
        return True

    def _set_aside(self) -> None:
        aside = self._path.with_name(f"{self._path.name}.damaged")
        try:
            self._path.replace(aside)
        except OSError as error:
            _log.warning("%s is damaged and can't be moved: %s", self._path, error.strerror)
        else:
            _log.warning("%s is damaged, set aside as %s: nothing is toggled", self._path, aside)


class Toggles:
    """What is chosen now. `offered` are each model's variants, its own targets among them."""

    def __init__(self, file: ToggleFile, offered: Mapping[str, Mapping[str, object]]) -> None:
        self._file = file
        self._choices = file.load()
        self._offered = offered
        self.offer(offered)

    @property
    def choices(self) -> Mapping[str, str]:
        """The variants chosen live, by model."""
        return dict(self._choices)

    def choose(self, model: str, variant: str | None) -> list[str]:
        """Let `variant` answer for `model`; None returns to the config's choice.

        `*` means every model that has the variant. The models that were meant are returned.
        Raises ModelNotFoundError or InvalidRequestError, and then nothing has changed.
        """
        meant = self._meant(model, variant)
        for name in meant:
            if variant is None:
                self._choices.pop(name, None)
            else:
                self._choices[name] = variant
        return meant

    def save(self) -> bool:
        """Keep what is chosen on disk. False where the disk refuses."""
        return self._file.save(dict(self._choices))

    def offer(
        self, offered: Mapping[str, Mapping[str, object]], decided: Iterable[str] = ()
    ) -> None:
        """Another config: choices that it doesn't offer are dropped, and those for models of
        which it has `decided` anew who answers: the latest word holds, whoever says it.
        """
        self._offered = offered
        gone = {n: "has it not" for n, v in self._choices.items() if v not in offered.get(n, ())}
        gone |= {n: "says who answers" for n in decided if n in self._choices and n not in gone}
        for name, why in gone.items():
            variant = self._choices.pop(name)
            _log.warning("%s is not toggled to %s any more: config %s", name, variant, why)
        if gone:
            self._file.save(self._choices)

    def _meant(self, model: str, variant: str | None) -> list[str]:
        """The models that a choice is about."""
        if model != EVERY_MODEL:
            self._check(model, variant)
            return [model]
        if variant is None:
            return list(self._choices)
        having = [name for name, variants in self._offered.items() if variant in variants]
        if not having:
            known = {word: None for variants in self._offered.values() for word in variants}
            raise _unknown_variant("no model has this variant", known)
        return having

    def _check(self, model: str, variant: str | None) -> None:
        variants = self._offered.get(model)
        if variants is None:
            known = ", ".join(list(self._offered)[:10])
            raise ModelNotFoundError(
                f"the model {model[:80]!r} is not configured here; configured are: {known}",
                param="name",
            )
        if variant is not None and variant not in variants:
            raise _unknown_variant(f"{model} has no such variant", variants)


def _unknown_variant(what: str, known: Mapping[str, object]) -> InvalidRequestError:
    return InvalidRequestError(f"active: {what}; known are: {', '.join(known)}", param="active")


def _read(raw: bytes) -> Choices:
    """The choices in a file's bytes; `ValueError` where they are none."""
    if len(raw) > MAX_BYTES:
        raise ValueError("too large")
    found = json.loads(raw)
    if not isinstance(found, dict) or not all(isinstance(v, str) for v in found.values()):
        raise ValueError("no mapping of names to names")
    return found


def _write(path: Path, content: bytes) -> None:
    """A new file for its owner alone, on disk when this returns. No link is followed."""
    path.unlink(missing_ok=True)
    opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(opened, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
