from sidecar.cache.bodies import Bodies
from sidecar.cache.entry import memory_bytes
from tests.cache.making import entry


def test_least_recently_used_leaves_first() -> None:
    """A use, not the order of arrival, decides which body leaves memory."""
    bodies = Bodies()
    first, second = entry("a"), entry("b")
    bodies.keep(first)
    bodies.keep(second)
    bodies.get(first.key)
    assert bodies.demote()
    assert list(bodies) == [first]


def test_unsaved_stays() -> None:
    """What is nowhere else never leaves to make room."""
    bodies = Bodies()
    bodies.hold(entry("a"))
    assert not bodies.demote()


def test_saved_may_leave() -> None:
    """Once the store has an entry, it may leave memory."""
    bodies = Bodies()
    bodies.hold(entry("a"))
    bodies.mark_saved(entry("a").key)
    assert (bodies.demote(), len(bodies), bodies.bytes) == (True, 0, 0)


def test_bytes_follow_what_is_held() -> None:
    """Replacing and removing leave no bytes behind."""
    bodies = Bodies()
    bodies.keep(entry("a", text="x" * 1000))
    bodies.hold(entry("a", text="short"))
    assert bodies.bytes == memory_bytes(entry("a", text="short"))
    bodies.remove(entry("a").key)
    bodies.remove(entry("a").key)
    assert bodies.bytes == 0


def test_all_stay_when_the_store_is_lost() -> None:
    """When the disk loses everything, what is in memory is held as the only copy."""
    bodies = Bodies()
    bodies.keep(entry("a"))
    bodies.unsave_all()
    assert (bodies.demote(), entry("a").key in bodies) == (False, True)
