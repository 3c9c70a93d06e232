import pytest

from sidecar.cache.residency import LOST, REFILLED, Residency


def _used(*scopes: str) -> Residency:
    made = Residency()
    for scope in scopes:
        made.use(scope)
    return made


def _evicted(residency: Residency) -> list[str]:
    """All that leave, one after the other."""
    return list(iter(residency.evict, None))


def test_least_recently_used_leaves_first() -> None:
    """Scopes leave in the order of their last use."""
    assert _evicted(_used("a", "b", "c", "a", "d")) == ["b", "c", "a"]


def test_last_used_stays() -> None:
    """Who has just been asked isn't sent away, alone or not."""
    assert _evicted(_used("a")) == []
    made = _used("a", "b")
    made.arrive("c")
    assert _evicted(made) == ["a", "c"]


@pytest.mark.parametrize("reason", [7, REFILLED, LOST])
def test_what_is_kept_stays(reason: int) -> None:
    """A scope with a reason to stay doesn't leave, however idle, until the reason is gone."""
    made = _used("a", "b", "c")
    made.keep("a", reason)
    made.keep("a", 8)
    made.let_go("a", 8)
    assert _evicted(made) == ["b"]
    made.let_go("a", reason)
    assert _evicted(made) == ["a"]


def test_last_used_stays_behind_those_that_are_kept() -> None:
    """Passing over many that must stay doesn't make the last one look idle."""
    made = _used("a", "b", "c", "d")
    for scope in "abc":
        made.keep(scope, 1)
    assert [made.evict() for _ in range(9)] == [None] * 9
    assert len(made) == 4


def test_lost_disk_keeps_all() -> None:
    """When nothing is on disk any more nothing leaves memory, saved or not."""
    made = _used("a", "b", "c")
    made.keep_all()
    assert _evicted(made) == []


def test_evicted_scope_is_partial_until_it_is_whole() -> None:
    """What comes into it meanwhile doesn't make it look complete."""
    made = _used("a", "b")
    assert made.evict() == "a"
    made.use("a")
    assert (made.is_partial("a"), made.is_partial("b"), made.partial) == (True, False, 1)
    made.mark_whole("a")
    assert (made.is_partial("a"), made.evicted) == (False, 1)


def test_forgotten_scope_leaves_no_trace() -> None:
    """A scope without vectors is neither partial nor kept nor in the way."""
    made = _used("a", "b", "c")
    made.keep("a", 1)
    made.mark_partial("a")
    made.forget("a")
    assert (len(made), made.partial) == (2, 0)
    made.use("a")
    made.use("d")
    assert _evicted(made) == ["b", "c", "a"]


def test_scope_that_is_being_read_is_held_though_it_was_forgotten() -> None:
    """Its last vector may go while others come; whoever reads it lets go of it."""
    made = _used("a", "b")
    made.keep("a", REFILLED)
    made.forget("a")
    assert _evicted(made) == []
    made.let_go("a", REFILLED)
    assert _evicted(made) == ["a"]
