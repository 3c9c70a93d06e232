import asyncio
from collections.abc import Iterable

import numpy as np
import pytest

from sidecar.cache.rows import VectorRow
from sidecar.cache.semantic import INLINE_ROWS, SemanticTier
from tests.cache.making import DIMENSION, digest, vector

SCOPE = digest("scope")


async def test_near_vector_is_found() -> None:
    """A vector is found by itself, with its handle."""
    tier = SemanticTier(DIMENSION)
    tier.add(1 << 40 | 5, SCOPE, vector("a"))
    (near,) = await tier.search(SCOPE, vector("a"), 4, 0.9)
    assert near.handle == 1 << 40 | 5
    assert near.similarity == pytest.approx(1.0, abs=1e-5)


async def test_scopes_are_apart() -> None:
    """The same vector in another scope is not found."""
    tier = SemanticTier(DIMENSION)
    tier.add(1, SCOPE, vector("a"))
    assert await tier.search(digest("other"), vector("a"), 4, -1.0) == []


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0])
async def test_vector_without_direction_is_refused(bad: float) -> None:
    """NaN, infinity and zeros are never indexed, and search finds nothing for them."""
    tier = SemanticTier(DIMENSION)
    tier.add(1, SCOPE, vector("a"))
    nowhere = np.full(DIMENSION, bad, dtype=np.float32)
    assert not tier.add(2, SCOPE, nowhere)
    assert (len(tier), await tier.search(SCOPE, nowhere, 4, -1.0)) == (1, [])


async def test_removed_vector_is_not_found() -> None:
    """What was removed is gone at once, and removing it again is nothing."""
    tier = SemanticTier(DIMENSION)
    tier.add(1, SCOPE, vector("a"))
    tier.remove(1)
    tier.remove(1)
    assert (len(tier), await tier.search(SCOPE, vector("a"), 4, -1.0)) == (0, [])


async def test_large_partition_gives_what_a_small_one_gives() -> None:
    """Searched in a thread, the same vectors are found as inline."""
    tier = SemanticTier(DIMENSION)
    words = range(INLINE_ROWS)
    for word in words:
        tier.add(word, SCOPE, vector(word))
    inline = await tier.search(SCOPE, vector(7), 4, -1.0)
    tier.add(INLINE_ROWS, SCOPE, -vector(7))
    assert await tier.search(SCOPE, vector(7), 4, -1.0) == inline
    assert inline[0].handle == 7
    tier.close()


def _is_inline(tier: SemanticTier, dimension: int) -> bool:
    """Whether a search ends without letting others have the loop."""
    search = tier.search(SCOPE, vector("q", dimension), 4, 0.5)
    try:
        search.send(None)
    except StopIteration:
        return True
    search.close()
    return False


async def test_large_scope_is_searched_on_the_loop_once_that_is_quick() -> None:
    """What would hold up the loop is searched in a thread, until there are lists for it."""
    dimension = 64
    tier = SemanticTier(dimension)
    drawn = np.random.default_rng(3).standard_normal((17_000, dimension)).astype(np.float32)
    rows = {n: VectorRow(n, digest(n), SCOPE, drawn[n].tobytes()) for n in range(len(drawn))}
    await tier.load({n: rows[n] for n in range(INLINE_ROWS)}, _all_live)
    assert _is_inline(tier, dimension)
    await tier.load({n: rows[n] for n in range(INLINE_ROWS, 16_000)}, _all_live)
    assert not _is_inline(tier, dimension)
    await tier.load({n: rows[n] for n in range(16_000, 17_000)}, _all_live)
    assert len(tier) == 17_000
    async with asyncio.timeout(60):
        while not _is_inline(tier, dimension):
            await asyncio.sleep(0)
    (found,) = await tier.search(SCOPE, drawn[7], 1, 0.9)
    assert found.handle == 7
    tier.close()


def _all_live(handles: Iterable[int]) -> list[bool]:
    return [True for _ in handles]


async def test_idle_scope_leaves_and_is_known_to_be_missing() -> None:
    """A scope that left finds nothing, and says that something of it is on disk."""
    tier = SemanticTier(DIMENSION)
    for handle, scope in [(1, SCOPE), (2, digest("other"))]:
        tier.add(handle, scope, vector(handle))
        tier.mark_saved(handle)
    assert tier.evict_idle()
    assert (tier.is_partial(SCOPE), tier.is_partial(digest("other"))) == (True, False)
    assert await tier.search(SCOPE, vector(1), 1, -1.0) == []
    assert len(tier) == 1


async def test_searched_scope_is_not_idle() -> None:
    """A search is a use."""
    tier = SemanticTier(DIMENSION)
    for handle, scope in [(1, SCOPE), (2, digest("other")), (3, digest("last"))]:
        tier.add(handle, scope, vector(handle))
        tier.mark_saved(handle)
    await tier.search(SCOPE, vector(1), 1, -1.0)
    assert tier.evict_idle()
    assert tier.is_partial(digest("other"))


async def test_last_entry_takes_its_scope_along() -> None:
    """A scope whose entries are all gone is not remembered, in memory or on disk."""
    tier = SemanticTier(DIMENSION)
    empty = tier.memory_bytes
    tier.add(1, SCOPE, vector(1))
    tier.leave_out(2, SCOPE)
    tier.remove(2)
    assert tier.partial_scopes == 1
    tier.remove(1)
    assert tier.partial_scopes == 0
    assert tier.memory_bytes < empty + 2000


def test_memory_is_what_the_index_says_and_more() -> None:
    """Names and neighbours are counted beside the index's own figure."""
    tier = SemanticTier(DIMENSION)
    for handle in range(1000):
        tier.add(handle, digest(handle), vector(handle))
    per_scope = tier.memory_bytes / 1000
    assert 600 < per_scope < 3000
    assert tier.live_bytes <= tier.memory_bytes
