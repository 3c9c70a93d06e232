from concurrent.futures import Future

import pytest

from sidecar.cache.commands import Drop, Flush, Forget, Save
from sidecar.cache.entry import Selector
from sidecar.cache.write_queue import BATCH_COMMANDS, MAX_BYTES, MAX_ENTRIES, WriteQueue
from sidecar.errors import SidecarError
from tests.cache.making import entry


def _save(row: int, size: int = 100, replaces: int | None = None, **changes: object) -> Save:
    return Save(row, entry(row, **changes), None, size, replaces)


def test_order_is_kept() -> None:
    """Commands come out as they went in, and stay until they are done."""
    queue = WriteQueue(10_000)
    commands = [_save(1), Drop(1, 100), _save(2)]
    queue.offer(commands[0])
    queue.order(commands[1])
    queue.offer(commands[2])
    assert queue.take() == queue.take() == commands
    queue.finish(commands)
    assert (queue.entries, queue.growth_bytes) == (0, 0)


def test_entries_beyond_the_bound_are_refused() -> None:
    """A full queue refuses and counts, and never waits."""
    queue = WriteQueue(10_000)
    kept = [queue.offer(_save(row)) for row in range(MAX_ENTRIES + 2)]
    assert kept == [True] * MAX_ENTRIES + [False] * 2
    assert queue.refused == 2


def test_bytes_beyond_the_bound_are_refused() -> None:
    """Few large entries fill the queue as many small ones do."""
    queue = WriteQueue(10_000)
    assert queue.offer(_save(1, size=MAX_BYTES))
    assert not queue.offer(_save(2, size=1))


def test_replaced_row_goes_even_if_the_new_one_is_refused() -> None:
    """An older answer doesn't outlive the newer one because the queue is full."""
    queue = WriteQueue(10_000)
    queue.offer(_save(1, size=MAX_BYTES))
    queue.offer(_save(3, replaces=2))
    queue.finish(queue.take()[:1])
    assert queue.take() == [Drop(2)]


def test_drops_are_never_refused() -> None:
    """What must be forgotten is queued however full the queue is."""
    queue = WriteQueue(10_000)
    queue.offer(_save(1, size=MAX_BYTES))
    queue.order(Drop(1, MAX_BYTES))
    assert queue.growth_bytes == 0


def test_groups_are_bounded_in_bytes() -> None:
    """A transaction takes what fits, but always something."""
    queue = WriteQueue(250)
    for row in (1, 2, 3):
        queue.offer(_save(row))
    assert len(queue.take()) == 2
    queue = WriteQueue(10)
    queue.offer(_save(1))
    assert len(queue.take()) == 1


def test_groups_are_bounded_in_number() -> None:
    """A transaction doesn't grow with the queue."""
    queue = WriteQueue(10_000)
    for row in range(BATCH_COMMANDS + 1):
        queue.order(Drop(row))
    assert len(queue.take()) == BATCH_COMMANDS


def test_failed_commands_stay() -> None:
    """What failed is taken again, before what came later; only who waits is told."""
    queue = WriteQueue(10_000)
    queue.offer(_save(1))
    flush, forget = Flush(), Forget(Selector("all"), 9, dry_run=False)
    queue.order(flush)
    queue.order(forget)
    queue.take()
    assert queue.fail() == [flush, forget]
    queue.order(late := Flush())
    assert queue.take() == [_save(1), forget, late]


def test_failing_queue_waits_for_what_is_urgent() -> None:
    """While the disk fails, an entry doesn't cause another try; a flush does."""
    queue = WriteQueue(10_000)
    queue.offer(_save(1))
    queue.take()
    queue.fail()
    queue.offer(_save(2))
    queue.order(flush := Flush())
    assert queue.take()[-1] == flush


def test_doomed_entries_are_withdrawn() -> None:
    """Queued entries that a purge means are taken out; later and other ones stay."""
    queue = WriteQueue(10_000)
    saves = [_save(1, user="ann"), _save(2, user="bob"), _save(7, user="ann")]
    for save in saves:
        queue.offer(save)
    queue.withdraw(Forget(Selector("user", "ann"), 5, dry_run=False))
    assert queue.take() == saves[1:]
    assert queue.entries == 2


@pytest.mark.parametrize(("dry_run", "erases"), [(True, False), (False, True)])
def test_waiting_purge_is_known(dry_run: bool, erases: bool) -> None:
    """Only a purge that deletes counts as one."""
    queue = WriteQueue(10_000)
    queue.order(Forget(Selector("all"), 5, dry_run))
    assert queue.has_erasing() is erases


def test_closed_queue_ends() -> None:
    """A closed queue gives what it holds, then nothing."""
    queue = WriteQueue(10_000)
    queue.order(Drop(1))
    queue.close()
    queue.finish(queue.take())
    assert queue.take() == []


def test_nobody_waits_for_an_ended_queue() -> None:
    """Who waits when the thread ends, or comes later, is told at once."""
    queue = WriteQueue(10_000)
    early, late = Flush(), Flush()
    forget = Forget(Selector("all"), 5, dry_run=False)
    queue.order(early)
    queue.order(forget)
    queue.end()
    queue.order(late)
    assert (early.done.result(0), late.done.result(0)) == (False, False)
    assert isinstance(forget.done.exception(0), SidecarError)


def test_answer_to_one_who_left_is_nothing() -> None:
    """A waiter that was cancelled doesn't break whoever answers."""
    flush = Flush()
    assert isinstance(flush.done, Future)
    flush.done.cancel()
    flush.answer(True)
