"""Brings the stored vectors into the semantic tier after a start, chunk by chunk.

Between chunks everyone else gets the loop. What was purged, replaced or evicted meanwhile
is recognised by its place and left out.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable

import numpy as np

from sidecar.cache.rows import VectorRow
from sidecar.cache.semantic import SemanticTier
from sidecar.cache.slots import Slots
from sidecar.cache.store import EntryStore

CHUNK_ROWS = 256  # one takes the loop for about 2 ms


async def fill(
    store: EntryStore,
    slots: Slots,
    semantic: SemanticTier,
    below: int,
    after_chunk: Callable[[list[int]], None],
) -> None:
    """Index all stored vectors of rows below a limit.

    `after_chunk` is given the rows that turned out damaged, and may look to the caps.
    """
    after = 0
    while True:
        chunk = await store.vectors(after, below, CHUNK_ROWS)
        if chunk.last == after:
            return
        after = chunk.last
        _index(chunk.rows, slots, semantic)
        after_chunk(chunk.damaged)
        await asyncio.sleep(0)


def _index(rows: list[VectorRow], slots: Slots, semantic: SemanticTier) -> None:
    by_scope: defaultdict[bytes, dict[int, bytes]] = defaultdict(dict)
    for row in rows:
        slot = slots.resolve(row.place)
        # A model may keep its name and change its dimension: then it is another model.
        if slot is not None and len(row.vector) == 4 * semantic.dimension:
            by_scope[row.scope][slots.handle(slot)] = row.vector
    for scope, vectors in by_scope.items():
        matrix = np.frombuffer(b"".join(vectors.values()), dtype=np.float32)
        semantic.add_many(list(vectors), scope, matrix.reshape(len(vectors), -1))
