from hypothesis import given
from hypothesis import strategies as st

from sidecar.cache.rings import Rings

SLOTS = st.integers(0, 12)
CHANGES = st.lists(st.tuples(SLOTS, st.sampled_from([None, "a", "b", "c"])), max_size=60)


def _all(rings: Rings, scope: str) -> list[int]:
    return list(rings.walk(scope, None, 99))


def _ring(count: int) -> Rings:
    rings = Rings()
    for slot in range(count):
        rings.enter(slot, "a")
    return rings


@given(CHANGES)
def test_rings_are_ordered_sets(changes: list[tuple[int, str | None]]) -> None:
    """However slots enter and leave, each scope has its own, in the order in which they came."""
    rings = Rings()
    model: dict[str, list[int]] = {"a": [], "b": [], "c": []}
    for slot, scope in changes:
        before = next((name for name, slots in model.items() if slot in slots), None)
        assert rings.scope_of(slot) == before
        if scope is None:
            assert rings.leave(slot) == before
        else:
            rings.enter(slot, scope)
        if before is not None and scope != before:
            model[before].remove(slot)
        if scope is not None and scope != before:
            model[scope].append(slot)
        assert {name: _all(rings, name) for name in model} == model
        assert len(rings) == sum(map(bool, model.values()))
        assert all((name in rings) == bool(slots) for name, slots in model.items())


def test_walk_goes_on_where_it_stood() -> None:
    """A long ring is walked in parts, each beginning with a slot of the walker's choice."""
    rings = _ring(10)
    assert list(rings.walk("a", None, 4)) == [0, 1, 2, 3]
    assert list(rings.walk("a", 3, 4)) == [3, 4, 5, 6]
    assert list(rings.walk("a", 6, 9)) == [6, 7, 8, 9]


def test_walk_from_a_slot_that_left_begins_anew() -> None:
    """Nothing is passed over because of what left meanwhile, whichever scope it is in now."""
    rings = _ring(5)
    rings.leave(3)
    assert list(rings.walk("a", 3, 9)) == [0, 1, 2, 4]
    rings.enter(3, "b")
    assert list(rings.walk("a", 3, 9)) == [0, 1, 2, 4]


def test_unknown_scope_has_no_slots() -> None:
    """Walking what isn't there gives nothing, and so does a slot beyond all."""
    rings = Rings()
    assert (_all(rings, "a"), rings.scope_of(7), rings.leave(7)) == ([], None, None)
