"""Brings the stored vectors into the semantic tier after a start, chunk by chunk.

Every few additions everyone else gets the loop. What was purged, replaced or evicted meanwhile
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

CHUNK_ROWS = 256
YIELD_AFTER = 16  # additions to the index


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
        await _index(chunk.rows, slots, semantic)
        after_chunk(chunk.damaged)


async def _index(rows: list[VectorRow], slots: Slots, semantic: SemanticTier) -> None:
    by_scope: defaultdict[bytes, list[VectorRow]] = defaultdict(list)
    for row in rows:
        # A model may keep its name and change its dimension: then it is another model.
        if len(row.vector) == 4 * semantic.dimension:
            by_scope[row.scope].append(row)
    for count, (scope, group) in enumerate(by_scope.items(), start=1):
        await _add(scope, group, slots, semantic)
        if count % YIELD_AFTER == 0:
            await asyncio.sleep(0)
    await asyncio.sleep(0)


async def _add(scope: bytes, rows: list[VectorRow], slots: Slots, semantic: SemanticTier) -> None:
    vectors: dict[int, bytes] = {}
    for row in rows:
        if (slot := slots.resolve(row.place)) is not None:
            vectors[slots.handle(slot)] = row.vector
    if vectors:
        matrix = np.frombuffer(b"".join(vectors.values()), dtype=np.float32)
        await semantic.add_many(list(vectors), scope, matrix.reshape(len(vectors), -1))
    for handle in vectors:
        if slots.from_handle(handle) is None:
            semantic.remove(handle)
