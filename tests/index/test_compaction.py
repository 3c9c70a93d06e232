"""The thread that compacts: what it takes on, when it ends."""

import threading
from threading import Event

import pytest

from index.compaction import Compactor
from tests.index.waiting import compaction_ends

DEADLINE_S = 30


class Work:
    """So many steps of each name, which may have to wait, or to fail."""

    def __init__(self, **steps: int) -> None:
        self.steps = steps
        self.done: list[str] = []
        self.may_go_on = Event()
        self.may_go_on.set()
        self.is_under_way = Event()
        self.fails = False

    def step(self, name: str) -> bool:
        """One step; whether there is another."""
        self.is_under_way.set()
        assert self.may_go_on.wait(DEADLINE_S)
        if self.fails:
            raise MemoryError
        self.done.append(name)
        self.steps[name] -= 1
        return self.steps[name] > 0


def no_tidying() -> None:
    """Nothing to do at the end."""


def test_all_steps_of_all_names_are_done():
    """Until each says that nothing is left; then the thread ends."""
    work = Work(a=3, b=2)
    work.may_go_on.clear()
    compactor = Compactor(work.step, no_tidying)
    compactor.call("a")
    compactor.call("b")
    assert compactor.is_running()
    work.may_go_on.set()
    compaction_ends()
    assert not compactor.is_running()
    assert sorted(work.done) == ["a", "a", "a", "b", "b"]


def test_names_take_turns():
    """A large partition does not keep the others waiting to its end."""
    work = Work(a=3, b=3)
    work.may_go_on.clear()
    compactor = Compactor(work.step, no_tidying)
    compactor.call("a")
    compactor.call("b")
    work.may_go_on.set()
    compaction_ends()
    assert work.done == ["a", "b"] * 3


def test_a_name_called_often_waits_once():
    """A thousand changes are one piece of work."""
    work = Work(a=1, b=1)
    work.may_go_on.clear()
    compactor = Compactor(work.step, no_tidying)
    compactor.call("a")
    assert work.is_under_way.wait(DEADLINE_S)
    for _ in range(1000):
        compactor.call("b")
    work.may_go_on.set()
    compaction_ends()
    assert work.done == ["a", "b"]


def test_a_name_called_during_its_step_is_looked_at_again():
    """What changed in the middle may need another."""
    work = Work(a=1)
    work.may_go_on.clear()
    compactor = Compactor(work.step, no_tidying)
    compactor.call("a")
    assert work.is_under_way.wait(DEADLINE_S)
    compactor.call("a")
    work.may_go_on.set()
    compaction_ends()
    assert work.done == ["a", "a"]


def test_it_starts_again_after_it_has_ended():
    """The thread is there while there is work, as often as there is."""
    work = Work(a=2)
    compactor = Compactor(work.step, no_tidying)
    for _ in range(2):
        compactor.call("a")
        compaction_ends()
    assert work.done == ["a", "a", "a"]


def test_finishing_does_the_steps_on_the_calling_thread():
    """They are done when it returns, and need no other thread."""
    work, on = Work(a=3), []
    compactor = Compactor(work.step, no_tidying)
    compactor.finish("a", lambda name: on.append(threading.current_thread()) or work.step(name))
    assert work.done == ["a"] * 3
    assert set(on) == {threading.current_thread()}
    assert not compactor.is_running()


def test_finishing_begins_with_a_step_of_its_own():
    """Once; what is left after it is left to the common ones."""
    work, thorough = Work(a=3), []
    compactor = Compactor(work.step, no_tidying)
    compactor.finish("a", lambda name: bool(thorough.append(name)) or True)
    assert thorough == ["a"]
    assert work.done == ["a"] * 3


def test_it_tidies_up():
    """Once, at the end, also where nothing was left to do."""
    work, tidied = Work(a=3), []
    compactor = Compactor(work.step, lambda: tidied.append(list(work.done)))
    compactor.finish("a", work.step)
    compactor.finish("b", lambda _: False)
    assert tidied == [["a"] * 3] * 2


@pytest.mark.parametrize("first_by_thread", [True, False])
def test_no_two_steps_run_at_once(first_by_thread):
    """Neither two of those who finish, nor one and the thread."""
    work = Work(b=1)
    others = []

    def step_a(name: str) -> bool:
        other = threading.Thread(target=compactor.finish, args=("b", work.step))
        others.append(other)
        other.start()
        other.join(0.2)  # long enough for a step that nobody holds up
        assert work.done == []
        return False

    compactor = Compactor(step_a, no_tidying)
    if first_by_thread:
        compactor.call("a")
        compaction_ends()
    else:
        compactor.finish("a", step_a)
    others[0].join(DEADLINE_S)
    assert work.done == ["b"]


def test_closing_ends_the_thread_after_its_step():
    """A step under way comes to its end, and no other begins."""
    work = Work(a=5, b=5)
    work.may_go_on.clear()
    compactor = Compactor(work.step, no_tidying)
    compactor.call("a")
    compactor.call("b")
    assert work.is_under_way.wait(DEADLINE_S)
    compactor.close()
    work.may_go_on.set()
    compaction_ends()
    assert work.done == ["a"]


def test_closed_it_takes_nothing_on():
    """Neither for the thread, nor for those who would finish."""
    work = Work(a=5)
    compactor = Compactor(work.step, no_tidying)
    compactor.close()
    compactor.close()
    compactor.call("a")
    compactor.finish("a", work.step)
    assert not compactor.is_running()
    assert work.done == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_after_a_step_that_failed_it_can_be_called_again():
    """The thread ends with the error; the next change starts another, for all that waits."""
    work = Work(a=1, b=1)
    work.fails = True
    work.may_go_on.clear()
    compactor = Compactor(work.step, no_tidying)
    compactor.call("a")
    compactor.call("b")
    work.may_go_on.set()
    compaction_ends()
    work.fails = False
    compactor.call("a")
    compaction_ends()
    assert sorted(work.done) == ["a", "b"]


def test_a_failure_reaches_whoever_finishes():
    """And leaves the way free for the next."""
    work = Work(a=1)
    work.fails = True
    compactor = Compactor(work.step, no_tidying)
    with pytest.raises(MemoryError):
        compactor.finish("a", work.step)
    work.fails = False
    compactor.finish("a", work.step)
    assert work.done == ["a"]


def test_nothing_is_begun_while_it_is_held():
    """What was called for meanwhile is done when the last hold ends."""
    work = Work(a=1, b=1)
    compactor = Compactor(work.step, no_tidying)
    with compactor.held():
        with compactor.held():
            compactor.call("a")
        compactor.call("b")
        assert not compactor.is_running()
        assert work.done == []
    compaction_ends()
    assert sorted(work.done) == ["a", "b"]


def test_a_thread_at_work_stops_after_its_step_when_it_is_held():
    """A hold need not wait for the rest of what was begun."""
    work = Work(a=2, b=1)
    work.may_go_on.clear()
    compactor = Compactor(work.step, no_tidying)
    compactor.call("a")
    compactor.call("b")
    assert work.is_under_way.wait(DEADLINE_S)
    with compactor.held():
        work.may_go_on.set()
        compaction_ends()
        assert work.done == ["a"]
    compaction_ends()
    assert sorted(work.done) == ["a", "a", "b"]
