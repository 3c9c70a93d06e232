"""SIGHUP, from the first moment of a process on: kept until somebody can act on it.

Unheard it ends a process, and to load the models takes a second or two in which an
operator, or what watches the config for one, may well send it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop


class HangUp:
    """Takes the signal over when it is made. Make it in the main thread."""

    def __init__(self) -> None:
        self._in_terminal = os.isatty(0)
        self._came = False
        signal.signal(signal.SIGHUP, self._keep)

    @property
    def means_the_end(self) -> bool:
        """Whether the terminal that the process was started in is gone."""
        return self._in_terminal and not os.isatty(0)

    def follow(self, loop: AbstractEventLoop, act: Callable[[], None]) -> None:
        """Call `act` on the loop for each signal, and now for those that came before."""
        loop.add_signal_handler(signal.SIGHUP, act)
        if self._came:
            act()

    def _keep(self, *_: object) -> None:
        self._came = True
