"""Waiting for the threads that compact to end, with a deadline."""

from __future__ import annotations

import threading

DEADLINE_S = 60


def compaction_threads() -> list[threading.Thread]:
    """Those at work now, for whichever index."""
    return [each for each in threading.enumerate() if each.name == "index-compaction"]


def compaction_ends() -> None:
    """Come back when none is at work any more; fail if one goes on for ever."""
    while threads := compaction_threads():
        for each in threads:
            each.join(DEADLINE_S)
            assert not each.is_alive()
