"""The bounded queue between the event loop and the writing thread.

The loop adds and never waits. A command leaves the queue only when it is done, so what
fails stays at its place and is tried again in order. Entries beyond the bounds are
refused and counted; what must be forgotten is never refused.

Locked: `_changed` guards everything here, for a few list operations at a time.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from threading import Condition

from sidecar.cache.commands import Command, Drop, Flush, Forget, Save

RETRY_S = 5.0
GATHER_S = 0.01
MAX_ENTRIES = 4096
MAX_BYTES = 32 << 20
BATCH_COMMANDS = 256


class WriteQueue:
    """Commands in order, and what they will add to the disk."""

    def __init__(self, batch_bytes: int) -> None:
        self._batch_bytes = batch_bytes
        self._changed = Condition()
        self._commands: deque[Command] = deque()
        self._entries = 0
        self._save_bytes = 0
        self._drop_bytes = 0
        self._failing = False
        self._urgent = False
        self._gathering = False
        self._closing = False
        self._ended = False
        self.refused = 0

    @property
    def entries(self) -> int:
        """Entries that wait."""
        return self._entries

    @property
    def growth_bytes(self) -> int:
        """What the disk will take more when all is done; negative where it shrinks."""
        return self._save_bytes - self._drop_bytes

    @property
    def is_closing(self) -> bool:
        """Whether nothing will be retried any more."""
        return self._closing

    def offer(self, save: Save) -> bool:
        """Add an entry; False when it is refused. The row that it replaces goes even so."""
        with self._changed:
            if self._entries < MAX_ENTRIES and self._save_bytes + save.size <= MAX_BYTES:
                self._add_locked(save)
                return True
            self.refused += 1
            if save.replaces is not None:
                self._add_locked(Drop(save.replaces))
            return False

    def order(self, command: Drop | Forget | Flush) -> None:
        """Add what can't be refused. Forget and Flush are tried at once, whatever failed."""
        with self._changed:
            if not self._ended:
                self._urgent = self._urgent or not isinstance(command, Drop)
                self._add_locked(command)
                return
        _turn_away(command)

    def close(self) -> None:
        """Let the thread end once it has tried all that is here."""
        with self._changed:
            self._closing = True
            self._changed.notify()

    def take(self) -> list[Command]:
        """Wait for the next group of commands, which stay here; empty when it is time to end."""
        with self._changed:
            while not self._is_due_locked():
                was_told = self._changed.wait(RETRY_S if self._failing else None)
                if not was_told and self._commands:
                    break
            self._gather_locked()
            self._urgent = False
            return self._first_locked()

    def _gather_locked(self) -> None:
        """Let a group form, unless someone waits for it.

        On one core the thread would else take the processor from the very request whose
        answer it writes, before that is sent.
        """
        self._gathering = True
        self._changed.wait_for(self._is_group_locked, GATHER_S)
        self._gathering = False

    def _is_group_locked(self) -> bool:
        return self._urgent or self._closing or len(self._commands) >= BATCH_COMMANDS

    def finish(self, batch: list[Command]) -> None:
        """The first commands are done."""
        with self._changed:
            self._failing = False
            for command in batch:
                self._commands.popleft()
                self._count_locked(command, -1)

    def fail(self) -> list[Forget | Flush]:
        """The first commands failed; all stay. Gives those for which someone waits: a Flush
        is taken out, a Forget stays, because it must happen once the disk lets it.
        """
        with self._changed:
            self._failing, self._urgent = True, False
            waiting = [each for each in self._commands if isinstance(each, Forget | Flush)]
            kept = (each for each in self._commands if not isinstance(each, Flush))
            self._commands = deque(kept)
            return waiting

    def has_erasing(self) -> bool:
        """Whether a purge waits."""
        with self._changed:
            return any(isinstance(each, Forget) and each.erases for each in self._commands)

    def withdraw(self, forget: Forget) -> None:
        """Take out the entries that a purge would delete as soon as they were written."""
        with self._changed:
            doomed = [each for each in self._commands if _is_doomed(each, forget)]
            for command in doomed:
                self._commands.remove(command)
                self._count_locked(command, -1)

    def end(self) -> None:
        """Nothing will be done any more; whoever waits is told so."""
        with self._changed:
            self._ended = True
            waiting = list(self._commands)
        for command in waiting:
            _turn_away(command)

    def _add_locked(self, command: Command) -> None:
        self._commands.append(command)
        self._count_locked(command, +1)
        # While the disk fails or a group forms, little may wake the thread before its time.
        if self._is_group_locked() or not (self._failing or self._gathering):
            self._changed.notify()

    def _count_locked(self, command: Command, sign: int) -> None:
        if isinstance(command, Save):
            self._entries += sign
            self._save_bytes += sign * command.size
        elif isinstance(command, Drop):
            self._drop_bytes += sign * command.size

    def _is_due_locked(self) -> bool:
        return self._closing or (bool(self._commands) and (self._urgent or not self._failing))

    def _first_locked(self) -> list[Command]:
        batch: list[Command] = []
        size = 0
        for command in islice(self._commands, BATCH_COMMANDS):
            size += command.size if isinstance(command, Save) else 0
            if batch and size > self._batch_bytes:
                break
            batch.append(command)
        return batch


def _is_doomed(command: Command, forget: Forget) -> bool:
    return (
        isinstance(command, Save)
        and command.row < forget.below
        and forget.selector.matches(command.entry)
    )


def _turn_away(command: Command) -> None:
    if isinstance(command, Flush):
        command.answer(False)
    elif isinstance(command, Forget):
        command.refuse("it is closed")
