"""What is remembered: bounded, and forgotten when it must be."""

from sidecar.memo import Memo


def test_what_was_put_is_found():
    """Under its own key alone."""
    memo: Memo[str, int] = Memo(2)
    assert memo.put("a", 1) == 1
    assert (memo.get("a"), memo.get("b")) == (1, None)


def test_the_oldest_goes_first():
    """However often others came."""
    memo: Memo[str, int] = Memo(2)
    for number, key in enumerate("abc"):
        memo.put(key, number)
    assert [memo.get(key) for key in "abc"] == [None, 1, 2]


def test_nothing_outlives_a_clearing():
    """What it holds may keep a whole config's providers alive."""
    memo: Memo[str, int] = Memo(2)
    memo.put("a", 1)
    memo.clear()
    assert memo.get("a") is None
