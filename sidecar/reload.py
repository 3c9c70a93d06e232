"""Takes a changed config while requests are answered: whole or not at all.

A config that is not good is refused with all that is wrong with it, and the old one goes
on. What only a restart can change keeps its old value and is named. Reloads come one after
another, whoever asks for them: an operator, SIGHUP, or the file itself, which is looked
at each second.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from sidecar.clock import Clock
from sidecar.config import Config
from sidecar.config.restart import changed, kept, needs_restart
from sidecar.config.tree import EMBEDDED, find
from sidecar.domain import Json
from sidecar.errors import ConfigError, InvalidRequestError
from sidecar.key_checks import load_with_keys

LOOK_EVERY_S = 1.0
Stamp: TypeAlias = tuple[str, int, int, int]
"""Path, inode, time of change and size: what differs when a file was written or replaced."""
_log = logging.getLogger(__name__)


class ConfigRefusedError(InvalidRequestError):
    """The new config is not good; the old one goes on."""

    code = "bad_config"


@dataclass(frozen=True, slots=True)
class ConfigSource:
    """Where the config is read from. `path` None: where a start without `--config` looks.

    `as_read` is what the file looked like before it was read.
    """

    path: str | None
    environ: Mapping[str, str]
    as_read: Stamp | None = None

    def pinned(self) -> ConfigSource:
        """The same, bound to the file that it finds now: one that is lost is not replaced.

        To be asked for before the file is read, so that no change after it is missed.
        """
        file = find(self.path, self.environ)
        return ConfigSource(str(file) if file else self.path, self.environ, self.stamp())

    @property
    def name(self) -> str:
        """What people call it."""
        file = find(self.path, self.environ)
        return str(file) if file else EMBEDDED

    def load(self, running: Config | None = None) -> Config:
        """The config as it stands there now; `ConfigError` with all that is wrong.

        Keys of providers are looked at too, but for those that the `running` config has.
        """
        return load_with_keys(self.path, self.environ, running)

    def stamp(self) -> Stamp | None:
        """What the file looks like; None where there is none."""
        file = find(self.path, self.environ)
        return None if file is None else _stamp_of(file)


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What a reload changed, by the file's top keys, and the keys that wait for a restart."""

    changed: tuple[str, ...]
    needs_restart: tuple[str, ...]


class Reloader:
    """Holds the config that is in force. `take` puts one in force, or raises `ConfigError`
    and changes nothing. Without a `source` there is nothing to read again.
    """

    def __init__(
        self,
        config: Config,
        source: ConfigSource | None,
        take: Callable[[Config], Awaitable[None]],
        clock: Clock,
    ) -> None:
        self.config = config
        self._source = source
        self._stamp = source.as_read if source else None
        self._take = take
        self._clock = clock
        self._loaded_at = clock.now()
        self._error: str | None = None
        self._one_at_a_time = asyncio.Lock()

    def state(self) -> Mapping[str, Json]:
        """Since when the config is in force, where it is from, why a newer one is not taken."""
        source = self._source.name if self._source else "the program"
        return {"loaded_at": self._loaded_at, "source": source, "error": self._error}

    async def reload(self, why: str) -> Reloaded:
        """Read the source and put it in force. `ConfigRefusedError` tells all problems."""
        async with self._one_at_a_time:
            if self._source is None:
                raise ConfigRefusedError("this config was given by the program that runs it")
            self._stamp = self._source.stamp()  # before it is read, so that no change is missed
            try:
                done = await self._put_in_force(await self._read(self._source))
            except ConfigError as error:
                self._refused(error.message, why)
                problems = error.message.splitlines()
                raise ConfigRefusedError(error.message, detail={"problems": problems}) from error
            self._told(done, why)
            return done

    async def reload_or_log(self, why: str) -> None:
        """The same for who gets no answer: the log has it."""
        try:
            await self.reload(why)
        except ConfigRefusedError:
            return  # told by `reload`

    async def watch(self) -> None:
        """Reload when the file has changed and then stayed the same for a second.

        A file that is gone is no change: whoever replaces one may first take it away.
        """
        before = self._stamp
        while self._source is not None:
            await asyncio.sleep(LOOK_EVERY_S)
            now = self._source.stamp()
            if now is not None and now == before and now != self._stamp:
                await self.reload_or_log("the file changed")
            before = now

    async def _read(self, source: ConfigSource) -> Config:
        return await asyncio.to_thread(source.load, self.config)

    async def _put_in_force(self, wanted: Config) -> Reloaded:
        new = kept(self.config, wanted)
        done = Reloaded(changed(self.config, wanted), needs_restart(self.config, wanted))
        await self._take(new)
        self.config, self._loaded_at, self._error = new, self._clock.now(), None
        return done

    def _refused(self, problems: str, why: str) -> None:
        self._error = problems
        _log.error("config not reloaded (%s), the old one goes on: %s", why, problems)

    def _told(self, done: Reloaded, why: str) -> None:
        what = ", ".join(done.changed) or "nothing"
        _log.info("config reloaded (%s): %s changed", why, what)
        if done.needs_restart:
            waiting = ", ".join(done.needs_restart)
            _log.warning("config reloaded, but these wait for a restart: %s", waiting)


def _stamp_of(file: Path) -> Stamp | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return str(file), found.st_ino, found.st_mtime_ns, found.st_size
