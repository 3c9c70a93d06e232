"""Any history of calls against a dictionary that does the same in the simplest way."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from sidecar.cache.entry import Entry, Selector
from sidecar.cache.tiers import Cache
from sidecar.clock import ManualClock
from tests.cache.making import NOW, digest, entry, opened, vector

WORDS = st.integers(0, 7)
SCOPES = st.sampled_from(["s", "t"])
SELECTORS = st.sampled_from(
    [Selector("user", "ann"), Selector("tag", "x"), Selector("all"), Selector("model", "m2")]
)


class History(RuleBasedStateMachine):
    """A cache beside its model: the live entries, by key, with their words."""

    caps: ClassVar[dict[str, int]] = {}

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "state-0" / "cache.sqlite"
        self.clock = ManualClock(NOW)
        self.model: dict[bytes, tuple[Entry, int | None]] = {}
        self.versions = 0

    @initialize()
    def start(self) -> None:
        """Open the first time."""
        self.context: AbstractAsyncContextManager[Cache] = opened(
            self.path, clock=self.clock, **self.caps
        )
        self.cache = self.runner.run(self.context.__aenter__())

    def teardown(self) -> None:
        """Leave nothing behind."""
        if hasattr(self, "context"):
            self.runner.run(self.context.__aexit__(None, None, None))
        self.runner.close()
        shutil.rmtree(self.folder)

    @rule(
        word=WORDS,
        scope=SCOPES,
        user=st.sampled_from(["ann", "bob"]),
        tagged=st.booleans(),
        by_meaning=st.booleans(),
        ttl=st.sampled_from([5.0, 50.0]),
    )
    def put(
        self, word: int, scope: str, user: str, *, tagged: bool, by_meaning: bool, ttl: float
    ) -> None:
        """A new entry, or a newer one in the place of another."""
        self.versions += 1
        made = entry(
            word, scope=scope, text=f"version {self.versions}", user=user,
            tags=("x",) if tagged else (), answered_model=f"m{self.versions % 3}",
            expires_at=self.clock.now() + ttl,
        )  # fmt: skip
        self.runner.run(self._put(made, word if by_meaning else None))
        self.model[made.key] = (made, word if by_meaning else None)

    async def _put(self, made: Entry, word: int | None) -> None:
        assert self.cache.put(made, None if word is None else vector(word))

    @rule(word=WORDS, scope=SCOPES)
    def get(self, word: int, scope: str) -> None:
        """The model's entry."""
        key = entry(word, scope=scope).key
        self.check_found(self.runner.run(self.cache.get(key)), key)

    def check_found(self, found: Entry | None, key: bytes) -> None:
        """Exactly what the model has."""
        assert found == (self.live()[key][0] if key in self.live() else None)

    @rule(word=WORDS, scope=SCOPES)
    def nearest(self, word: int, scope: str) -> None:
        """The one entry of this scope with this word's vector."""
        near = self.runner.run(self.cache.nearest(digest(scope), vector(word), k=3, floor=0.99))
        expected = [
            made
            for made, its_word in self.live().values()
            if its_word == word and made.scope == digest(scope)
        ]
        self.check_near([each.entry for each in near], expected)

    def check_near(self, found: list[Entry], expected: list[Entry]) -> None:
        """Exactly what the model has."""
        assert found == expected

    @rule(selector=SELECTORS)
    def purge(self, selector: Selector) -> None:
        """A dry run tells what the purge does; the model forgets the same."""
        told = self.runner.run(self.cache.purge(selector, dry_run=True))
        assert told == self.runner.run(self.cache.purge(selector, dry_run=False))
        meant = [made for made, _ in self.live().values() if selector.matches(made)]
        self.check_count(told, len(meant))
        self.model = {
            key: kept for key, kept in self.model.items() if not selector.matches(kept[0])
        }

    def check_count(self, told: int, meant: int) -> None:
        """Exactly as many as the model has."""
        assert told == meant

    @rule(seconds=st.sampled_from([1.0, 10.0, 60.0]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.clock.advance(seconds)

    @rule()
    def sweep(self) -> None:
        """What expired is dropped; nobody can tell."""
        self.runner.run(self.cache.sweep())

    @rule()
    def flush(self) -> None:
        """All is committed."""
        assert self.runner.run(self.cache.flush())

    @rule()
    def restart(self) -> None:
        """An orderly end and a new start."""
        self.runner.run(self.context.__aexit__(None, None, None))
        self.start()

    @rule()
    def crash(self) -> None:
        """A new start from the files as they are while the old process still runs."""
        assert self.runner.run(self.cache.flush())
        folder = self.folder / f"state-{self.versions}-{self.clock.now()}-{len(self.model)}"
        if folder.exists():
            return
        folder.mkdir()
        for suffix in ("", "-wal"):
            source = Path(f"{self.path}{suffix}")
            if source.exists():
                shutil.copy(source, folder)
        self.runner.run(self.context.__aexit__(None, None, None))
        self.path = folder / self.path.name
        self.start()

    @invariant()
    def has_no_more_than_put(self) -> None:
        """There are never more entries than were put and not forgotten."""
        if hasattr(self, "cache"):
            stats = self.cache.stats()
            assert stats.vectors <= stats.entries <= len(self.model)
            assert stats.entries <= self.caps.get("max_entries", 99)

    def live(self) -> dict[bytes, tuple[Entry, int | None]]:
        """What the model has that has not expired."""
        now = self.clock.now()
        return {key: kept for key, kept in self.model.items() if kept[0].expires_at > now}


class FullHistory(History):
    """The same with room for three: what is found is right, but may be gone."""

    caps: ClassVar[dict[str, int]] = {"max_entries": 3, "max_memory_bytes": 40_000}

    def check_found(self, found: Entry | None, key: bytes) -> None:
        """What the model has, or nothing."""
        if found is not None:
            super().check_found(found, key)

    def check_near(self, found: list[Entry], expected: list[Entry]) -> None:
        """Nothing that the model hasn't."""
        assert all(each in expected for each in found)

    def check_count(self, told: int, meant: int) -> None:
        """No more than the model has."""
        assert told <= min(meant, 3)


_SETTINGS = settings(
    max_examples=15,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestHistory = History.TestCase
TestHistory.settings = _SETTINGS
TestFullHistory = FullHistory.TestCase
TestFullHistory.settings = _SETTINGS
