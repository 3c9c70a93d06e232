from sidecar.cache.entry import Selector
from sidecar.cache.forgotten import REMEMBERED, REMEMBERED_S, Forgotten, Purge
from tests.cache.making import NOW, entry

ANN = Selector("user", "ann")


def _after(purge: Purge) -> Forgotten:
    forgotten = Forgotten()
    forgotten.note(purge)
    return forgotten


def test_older_row_is_covered() -> None:
    """A row from before the purge that it means is not to be served; later rows are."""
    forgotten = _after(Purge(ANN, 5, NOW))
    assert forgotten.covers_row(4, entry(user="ann"))
    assert not forgotten.covers_row(5, entry(user="ann"))
    assert not forgotten.covers_row(4, entry(user="bob"))


def test_answer_on_its_way_is_covered() -> None:
    """An answer asked for before the purge is not stored after it; later ones are."""
    forgotten = _after(Purge(ANN, 5, NOW))
    assert forgotten.covers_answer(NOW - 1, entry(user="ann"), NOW)
    assert not forgotten.covers_answer(NOW, entry(user="ann"), NOW)
    assert not forgotten.covers_answer(NOW - 1, entry(user="bob"), NOW)


def test_a_purge_is_not_held_against_answers_for_ever() -> None:
    """No answer takes that long; a clock that was set back doesn't block the cache."""
    forgotten = _after(Purge(ANN, 5, NOW))
    assert not forgotten.covers_answer(NOW - 1, entry(user="ann"), NOW + REMEMBERED_S)


def test_memory_is_bounded() -> None:
    """Only so many purges are remembered, the last ones."""
    forgotten = _after(Purge(ANN, 5, NOW))
    for _ in range(REMEMBERED):
        forgotten.note(Purge(Selector("user", "bob"), 5, NOW))
    assert not forgotten.covers_row(4, entry(user="ann"))
    assert forgotten.covers_row(4, entry(user="bob"))
