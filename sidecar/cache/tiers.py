"""The cache: memory before disk, equality before meaning, one face over all of it.

A failure beneath is a miss here, never an error: only `open` (a place that can't be
written to) and `purge` (an order that could not be carried out) raise. What has expired is
found by `get_stale` alone, for as long as `expiry` keeps it.

What holds: an entry is found in every tier or in none, from the moment `put` returns. A
key has one entry, the newest. What was replaced, evicted or purged does not come
back, from a read that was under way, from vectors that were still being loaded, or after
a restart (an eviction that was not yet committed excepted).

Memory belongs to the event loop, so nothing is locked. Whatever is awaited may find the
entry gone afterwards, so places are resolved again after each wait (`Slots.from_handle`).
"""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

from sidecar.cache.commands import FileLost, News, Saved
from sidecar.cache.entry import CacheStats, Candidate, Entry, Selector
from sidecar.cache.eviction import Caps, EvictionReason
from sidecar.cache.exact import ExactTier
from sidecar.cache.expiry import Expiry, in_turns
from sidecar.cache.forgotten import Forgotten, Purge
from sidecar.cache.loading import Loader
from sidecar.cache.no_store import NoStore
from sidecar.cache.reader import Flaw, Found
from sidecar.cache.semantic import Near, SemanticTier, Vector
from sidecar.cache.shelf import Shelf
from sidecar.cache.slots import Place
from sidecar.cache.store import EntryStore, Store
from sidecar.clock import Clock
from sidecar.events import Observers
from sidecar.tasks import Tasks

SWEEP_S = 30.0
YIELD_AFTER = 500  # entries looked at before others get the loop


class Cache:
    """Entries by key and by meaning. Use on one event loop; `open` comes first.

    `path` is the SQLite file, None for memory alone. `embedding_model` names what vectors
    come from: those of another model are not searched. `keep_stale_s` is how long expired
    entries are kept for `get_stale`.
    """

    def __init__(  # noqa: PLR0913 - what it stands on, each by name
        self,
        *,
        path: Path | None,
        embedding_model: str,
        dimension: int,
        caps: Caps,
        clock: Clock,
        tasks: Tasks,
        observers: Observers,
        keep_stale_s: float = 0.0,
    ) -> None:
        self._clock = clock
        self._tasks = tasks
        self._exact = ExactTier()
        self._slots = self._exact.slots
        self._bodies = self._exact.bodies
        self._semantic = SemanticTier(dimension)
        self._store: EntryStore = NoStore()
        if path is not None:
            self._store = Store(
                path, embedding=embedding_model, max_disk_bytes=caps.max_disk_bytes, clock=clock
            )
        self._shelf = Shelf(self._exact, self._semantic, self._store, caps, observers)
        self.expiry = Expiry(self._slots, self._shelf, clock, keep_stale_s)
        self._loader = Loader(
            store=self._store, slots=self._slots, semantic=self._semantic, shelf=self._shelf,
            tasks=tasks, clock=clock,
        )  # fmt: skip
        self._forgotten = Forgotten()
        self._read_failures = 0
        self._sweeping: asyncio.Task[None] | None = None
        self._is_open = False

    async def open(self) -> None:
        """Read what is stored: the exact tier is complete on return, vectors come in behind.

        Raises ConfigError where the file can't be made or written.
        """
        first_row = await self._store.open(self._shelf.enlist, self._hear)
        self._shelf.start_at(first_row)
        self._is_open = True
        await self.sweep()
        self._shelf.enforce_caps()
        self._loader.start(first_row)
        self._sweeping = self._tasks.start(self._sweep_forever(), name="cache-sweep")

    async def get(self, key: bytes) -> Entry | None:
        """The live entry with this key."""
        slot = self._slots.find(key)
        if slot is None or self.expiry.put_away(slot):
            return None
        self._exact.used(slot)
        entry = await self._body(key, slot)
        return entry if entry and entry.expires_at > self._clock.now() else None

    async def get_stale(self, key: bytes, *, within_s: float) -> Entry | None:
        """The entry with this key, also where it expired less than `within_s` ago."""
        slot = self._slots.find(key)
        entry = None if slot is None else await self._body(key, slot)
        return entry if entry and entry.expires_at + within_s > self._clock.now() else None

    async def _body(self, key: bytes, slot: int) -> Entry | None:
        entry = self._bodies.get(key)
        if entry is None:
            handle = self._slots.handle(slot)
            # A newer one may have come meanwhile.
            entry = (await self._read([handle])).get(handle) or self._bodies.get(key)
        return entry

    async def nearest(
        self, scope: bytes, vector: Vector, *, k: int, floor: float
    ) -> list[Candidate]:
        """Up to `k` live entries of this scope with similarity ≥ `floor`, best first."""
        await self._loader.ready(scope)
        near = await self._search(scope, vector, k, floor)
        entries = await self._whole([each.handle for each in near])
        now = self._clock.now()
        candidates = [
            Candidate(entry, each.similarity)
            for each in near
            # The partition says so already; a leak would be the worst of all errors.
            if (entry := entries.get(each.handle)) and entry.scope == scope
            and entry.expires_at > now
        ]  # fmt: skip
        if candidates and (slot := self._slots.find(candidates[0].entry.key)) is not None:
            self._exact.used(slot)
        return candidates

    def put(self, entry: Entry, vector: Vector | None, *, asked_at: float | None = None) -> bool:
        """Keep an entry: found at once, queued for commit. False where it will not last: too
        large, expired, not on disk though it should be, or meant by a purge since `asked_at`
        (Unix seconds).

        A vector without direction is left out; then the entry is found by equality alone.
        """
        now = self._clock.now()
        if not self._is_open or entry.expires_at <= now:
            return False
        if asked_at is not None and self._forgotten.covers_answer(asked_at, entry, now):
            return False
        return self._shelf.put(entry, vector)

    async def purge(self, selector: Selector, *, dry_run: bool) -> int:
        """Forget what matches, in every tier; how many there were, or are in a dry run.

        Entries put after the call are not meant. On return none of the others is served,
        now or after a restart, and their text is overwritten on disk. Raises SidecarError
        where the disk can't be made to forget; memory has even so.
        """
        purge = Purge(selector, self._shelf.next_row, self._clock.now())
        if not dry_run:
            self._forgotten.note(purge)
        # A task of its own: once begun it must end, even if whoever asked has left.
        work = self._tasks.start(self._purge(purge, dry_run), name="cache-purge", awaited=True)
        return await asyncio.shield(work)

    async def sweep(self) -> int:
        """Drop what has expired, and is not kept any longer, from memory, index and disk; how
        many.
        """
        return await self.expiry.sweep()

    async def flush(self) -> bool:
        """Wait until all that was put is committed; False when the disk refuses."""
        return await self._store.flush()

    async def filled(self) -> None:
        """Wait until the vectors that were stored are searchable."""
        await self._loader.filled()

    def stats(self) -> CacheStats:
        """How full it is and how it fares."""
        status = self._store.status
        return CacheStats(
            entries=len(self._exact),
            resident=len(self._bodies),
            vectors=len(self._semantic),
            memory_bytes=self._shelf.memory_bytes,
            disk_bytes=self._store.file_bytes,
            pending_writes=status.pending,
            dropped_writes=status.refused,
            read_failures=self._read_failures,
            idle_scopes=self._semantic.partial_scopes,
            scopes_evicted=self._semantic.evicted_scopes,
            scopes_refilled=self._loader.refilled,
            loading=self._loader.is_filling,
            store_ok=status.ok,
            evictions=dict(self._shelf.evictions),
        )

    async def close(self) -> None:
        """Commit what is queued, end the threads. Durability doesn't depend on it."""
        self._is_open = False
        if self._sweeping is not None:
            self._sweeping.cancel()
        await self._loader.close()
        await self._store.close()
        self._semantic.close()

    async def _search(self, scope: bytes, vector: Vector, k: int, floor: float) -> list[Near]:
        """The nearest live handles. What has expired must not take the place of what hasn't."""
        while True:
            near = await self._semantic.search(scope, vector, k, floor)
            slots = [self._slots.from_handle(each.handle) for each in near]
            if not sum(self.expiry.put_away(slot) for slot in slots if slot is not None):
                return near

    async def _whole(self, handles: list[int]) -> dict[int, Entry]:
        """The entries that handles stand for, from memory or disk."""
        entries: dict[int, Entry] = {}
        for handle in handles:
            slot = self._slots.from_handle(handle)
            if slot is not None and (entry := self._bodies.get(self._slots.place(slot).key)):
                entries[handle] = entry
        absent = [handle for handle in handles if handle not in entries]
        return entries | await self._read(absent) if absent else entries

    async def _read(self, handles: list[int]) -> dict[int, Entry]:
        """The live entries on disk that handles stand for; they are in memory from now on."""
        places = {
            h: self._slots.place(s)
            for h in handles
            if (s := self._slots.from_handle(h)) is not None
        }
        found = await self._store.read(list(places.values()))
        entries: dict[int, Entry] = {}
        for (handle, place), each in zip(places.items(), found, strict=True):
            # Gone or replaced while it was read?
            if (slot := self._slots.from_handle(handle)) is not None:
                if fault := self._fault(place, each):
                    self._shelf.drop([slot], fault)
                elif isinstance(each, Entry):
                    entries[handle] = each
                    self._bodies.keep(each)
        self._shelf.enforce_caps()
        return entries

    def _fault(self, place: Place, found: Found) -> EvictionReason | None:
        """Why what was read may not be served and must go; None where it may, or may stay."""
        if isinstance(found, Entry):
            if self._forgotten.covers_row(place.row, found):
                return EvictionReason.PURGED
            return EvictionReason.EXPIRED if self.expiry.is_over(found.expires_at) else None
        if found is Flaw.UNREADABLE:
            self._read_failures += 1
            return None
        return EvictionReason.DAMAGED

    async def _purge(self, purge: Purge, dry_run: bool) -> int:
        await self.sweep()
        held = await self._held(purge)
        rows = {self._slots.row_of(handle) for handle in held}
        drop = partial(self._shelf.drop, reason=EvictionReason.PURGED)
        if not dry_run:
            await in_turns(self._slots, held, drop)
        places = await self._store.forget(purge.selector, purge.below, dry_run=dry_run)
        if not dry_run:
            found = [s for s in map(self._slots.resolve, places) if s is not None]
            await in_turns(self._slots, map(self._slots.handle, found), drop)
        return len(rows.union(place.row for place in places))

    async def _held(self, purge: Purge) -> list[int]:
        """The handles of what a purge means, among the entries that are whole in memory."""
        handles = []
        for count, entry in enumerate(list(self._bodies), start=1):
            slot = self._slots.find(entry.key) if purge.selector.matches(entry) else None
            if slot is not None and self._slots.place(slot).row < purge.below:
                handles.append(self._slots.handle(slot))
            if count % YIELD_AFTER == 0:
                await asyncio.sleep(0)
        return handles

    def _hear(self, news: News) -> None:
        """What the store tells of its own accord."""
        match news:
            case Saved(places):
                self._shelf.mark_saved(places)
            case FileLost():
                lost = self._shelf.lose_disk()
                self._tasks.start(self._lose(lost), name="cache-lose")

    async def _lose(self, handles: list[int]) -> None:
        await in_turns(self._slots, handles, self._shelf.lose)

    async def _sweep_forever(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            await self.sweep()
