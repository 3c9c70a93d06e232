import numpy as np
import pytest

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
    await tier.add_many(list(words), SCOPE, np.stack([vector(word) for word in words]))
    inline = await tier.search(SCOPE, vector(7), 4, -1.0)
    tier.add(INLINE_ROWS, SCOPE, -vector(7))
    assert await tier.search(SCOPE, vector(7), 4, -1.0) == inline
    assert inline[0].handle == 7
    tier.close()
