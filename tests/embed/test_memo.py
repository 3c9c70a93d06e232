from __future__ import annotations

import numpy as np

from sidecar.embed.memo import Memo

VECTOR = np.ones(1, dtype=np.float32)


def test_forgets_the_least_recently_used() -> None:
    """A vector that was asked for stays; the one left longest goes."""
    memo = Memo(2)
    memo.put("a", VECTOR)
    memo.put("b", VECTOR)
    memo.get("a")
    memo.put("c", VECTOR)
    assert [memo.get(text) is not None for text in "abc"] == [True, False, True]


def test_is_bounded_by_characters() -> None:
    """Long texts push out others before the count of entries does."""
    memo = Memo(100, max_characters=10)
    memo.put("a" * 6, VECTOR)
    memo.put("b" * 6, VECTOR)
    assert memo.get("a" * 6) is None
    assert len(memo) == 1


def test_a_text_over_the_bound_is_not_kept() -> None:
    """A single text larger than the memo leaves it empty, not over its bound."""
    memo = Memo(100, max_characters=10)
    memo.put("a" * 11, VECTOR)
    assert len(memo) == 0


def test_the_same_text_counts_once() -> None:
    """Putting a text again doesn't use up room."""
    memo = Memo(100, max_characters=10)
    for _ in range(5):
        memo.put("a" * 6, VECTOR)
    memo.put("b" * 4, VECTOR)
    assert len(memo) == 2


def test_size_zero_remembers_nothing() -> None:
    """A memo of size 0 is switched off."""
    memo = Memo(0)
    memo.put("a", VECTOR)
    assert memo.get("a") is None
