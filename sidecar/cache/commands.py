"""What the store is told to do: plain records, in the order in which they must happen."""

from __future__ import annotations

from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeAlias

from sidecar.cache.entry import Entry, Selector
from sidecar.cache.slots import Place
from sidecar.errors import SidecarError


@dataclass(frozen=True, slots=True)
class Save:
    """Write an entry, and its vector where it has one, in place of an older row.

    `size` is about what it takes on disk, in bytes.
    """

    row: int
    entry: Entry
    vector: bytes | None
    size: int
    replaces: int | None = None


@dataclass(frozen=True, slots=True)
class Drop:
    """Delete a row, where it is still there."""

    row: int
    size: int = 0


@dataclass(frozen=True, slots=True)
class Forget:
    """Delete all that match and whose row is below a limit, or only find them."""

    selector: Selector
    below: int
    dry_run: bool
    done: Future[list[Place]] = field(default_factory=Future)

    @property
    def erases(self) -> bool:
        """Whether something shall be gone afterwards."""
        return not self.dry_run

    def answer(self, places: list[Place]) -> None:
        """These were found; unless it was a dry run they are gone, and will not come back."""
        with suppress(InvalidStateError):  # answered before, or nobody waits any more
            self.done.set_result(places)

    def refuse(self, why: str) -> None:
        """It could not be done on disk."""
        with suppress(InvalidStateError):
            error = SidecarError(f"the cache on disk can't be purged, only memory is: {why}")
            self.done.set_exception(error)


@dataclass(frozen=True, slots=True)
class Flush:
    """Tell whether all that came before is committed."""

    done: Future[bool] = field(default_factory=Future)

    def answer(self, is_committed: bool) -> None:
        """Whether all is on disk."""
        with suppress(InvalidStateError):
            self.done.set_result(is_committed)


Command: TypeAlias = Save | Drop | Forget | Flush


@dataclass(frozen=True, slots=True)
class Saved:
    """These are on disk now."""

    places: list[Place]


@dataclass(frozen=True, slots=True)
class FileLost:
    """All that was on disk is gone; what is saved from now on is in another file."""


News: TypeAlias = Saved | FileLost
