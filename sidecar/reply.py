"""What the pipeline gives to the web layer: an answer, whole or on its way."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from sidecar.domain import Chunk, Completion
from sidecar.trail import Trail


@dataclass(slots=True)
class Reply:
    """Either a whole `completion` or live `chunks`; how it came about stands in the trail.

    `ttl_s` is how long a hit has left. `replayed` tells that the completion was given
    before, so that it needs an id of its own. Use it in a `with` block: leaving the block
    leaves the flight that live chunks come from.
    """

    trail: Trail
    completion: Completion | None = None
    chunks: AsyncGenerator[Chunk, None] | None = None
    ttl_s: float | None = None
    replayed: bool = False
    leave: Callable[[], None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.leave is not None:
            self.leave()
