from sidecar.cache.slots import Listed, Place, Slots
from tests.cache.making import digest


def test_key_is_found() -> None:
    """A key leads to its slot, and the slot back to row and key."""
    slots = Slots()
    place = Place(7, digest("a"))
    slot = slots.add(place, 10.0, 100)
    assert (slots.find(place.key), slots.place(slot), slots.size(slot)) == (slot, place, 100)


def test_freed_slot_is_reused() -> None:
    """A thousand entries that come one after the other need one slot."""
    slots = Slots()
    used = set()
    for row in range(1, 1000):
        slot = slots.add(Place(row, digest(row)), 10.0, 1)
        used.add(slot)
        slots.remove(slot)
    assert len(used) == 1


def test_many_are_added_only_without_gaps() -> None:
    """Slots in a row are given only to new keys, each once, and where no slot is free."""
    slots = Slots()
    slots.add(Place(1, digest("a")), 1.0, 1)
    new = Listed(2, digest("b"), 1.0, 1.0, 1)
    assert slots.can_extend([new])
    assert not slots.can_extend([new, new])
    assert not slots.can_extend([Listed(2, digest("a"), 1.0, 1.0, 1)])
    slots.remove(0)
    assert not slots.can_extend([new])


def test_old_handle_never_leads_to_new_entry() -> None:
    """A handle taken before its slot was reused leads nowhere."""
    slots = Slots()
    slot = slots.add(Place(1, digest("a")), 10.0, 1)
    handle = slots.handle(slot)
    slots.remove(slot)
    gone = slots.from_handle(handle)
    assert (gone, slots.add(Place(2, digest("b")), 10.0, 1)) == (None, slot)
    assert slots.from_handle(handle) is None


def test_old_place_never_leads_to_new_entry() -> None:
    """A place whose key has a newer row leads nowhere."""
    slots = Slots()
    old = Place(1, digest("a"))
    slots.remove(slots.add(old, 10.0, 1))
    slot = slots.add(Place(2, digest("a")), 10.0, 1)
    assert slots.resolve(old) is None
    assert slots.resolve(Place(2, digest("a"))) == slot


def test_expired_slots_are_listed() -> None:
    """What expires at or before now is listed, once; freed slots are not."""
    slots = Slots()
    for row in range(1, 5):
        slots.add(Place(row, digest(row)), float(row), 1)
    slots.remove(0)
    assert slots.expired(3.0) == [1, 2]
    assert [slots.is_expired(slot, 3.0) for slot in (1, 2, 3)] == [True, True, False]


def test_row_is_found() -> None:
    """A row leads to its slot without its key."""
    slots = Slots()
    slot = slots.add(Place(9, digest("a")), 1.0, 1)
    assert (slots.find_row(9), slots.find_row(8)) == (slot, None)
