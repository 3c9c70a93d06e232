"""All or nothing, never over a limit, settled once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sidecar.budget.ledger import Ledger, Posting, Refusal
from tests.budget.making import account

A = account("a", 100)
B = account("b", 50)


def test_money_is_held_up_to_the_limit_and_not_a_nano_dollar_more():
    """Exactly the limit fits; one more is refused."""
    ledger = Ledger()
    assert ledger.hold("1", 100, [A]) is None
    assert ledger.hold("2", 1, [A]) == Refusal(A, spent=0, held=100, amount=1, busy=True)


def test_where_one_account_refuses_nothing_is_held_in_the_other():
    """The room of the first account is whole after a refusal by the second."""
    ledger = Ledger()
    assert ledger.hold("1", 60, [A, B]) == Refusal(B, 0, 0, 60, busy=False)
    assert ledger.balance(A).held == 0
    assert ledger.hold("2", 100, [A]) is None


def test_a_refusal_is_busy_only_where_settling_may_make_room():
    """Spent money is no passing obstacle, and neither is an amount beyond the limit."""
    ledger = Ledger()
    ledger.restore(A, Posting(60))
    ledger.hold("1", 30, [A])
    assert ledger.hold("2", 40, [A]).busy
    assert not ledger.hold("3", 41, [A]).busy


def test_of_two_refusals_the_one_that_stands_the_longest_is_told():
    """Spent before busy, and of two spent ones the window that ends last."""
    ledger, later = Ledger(), account("c", 50, day=1)
    ledger.hold("1", 50, [later])
    ledger.restore(B, Posting(50))
    assert ledger.hold("2", 10, [later, B]).account == B
    ledger.settle("1", Posting(50))
    assert ledger.hold("3", 10, [B, later]).account == later


def test_settling_puts_the_real_cost_in_the_place_of_the_hold_once():
    """A second settling changes nothing and is told."""
    ledger = Ledger()
    ledger.hold("1", 30, [A, B])
    assert ledger.settle("1", Posting(7))
    assert not ledger.settle("1", Posting(9))
    for each in (A, B):
        balance = ledger.balance(each)
        assert (balance.committed, balance.held, balance.holds) == (7, 0, 0)


def test_a_cost_above_the_hold_is_added_all_the_same():
    """What is spent is spent: never clamped, and it counts against what comes."""
    ledger = Ledger()
    ledger.hold("1", 30, [A])
    ledger.settle("1", Posting(130))
    assert ledger.balance(A).committed == 130
    assert ledger.hold("2", 0, [A]) == Refusal(A, 130, 0, 0, busy=False)


def test_a_hold_that_stands_is_not_doubled():
    """The same id holds its amount once."""
    ledger = Ledger()
    assert ledger.hold("1", 60, [A]) is None
    assert ledger.hold("1", 60, [A]) is None
    assert (ledger.balance(A).held, ledger.balance(A).holds) == (60, 1)


def test_freed_money_is_spent_again():
    """What a hold took beyond the cost is there for the next."""
    ledger = Ledger()
    ledger.hold("1", 100, [A])
    ledger.settle("1", Posting(10))
    assert ledger.hold("2", 90, [A]) is None


def test_a_changed_limit_finds_what_was_spent():
    """The limit is no part of an account's identity, and the new one holds at once."""
    ledger = Ledger()
    ledger.hold("1", 60, [A])
    ledger.settle("1", Posting(60))
    assert ledger.hold("2", 10, [account("a", 65)]).spent == 60
    assert ledger.hold("2", 10, [account("a", 70)]) is None


def test_only_windows_that_ended_and_hold_nothing_and_are_written_are_forgotten():
    """Each of the three reasons alone keeps a window."""
    ledger, held, running, fresh = Ledger(), account("h"), account("r", day=1), account("f")
    ledger.hold("1", 1, [held])
    ledger.restore(running, Posting(1))
    ledger.post([fresh], Posting(1), mark=5)
    ledger.restore(A, Posting(1))
    ledger.forget(A.end, mark=4)
    assert set(ledger.accounts()) == {held, running, fresh}
    ledger.forget(A.end, mark=5)
    assert set(ledger.accounts()) == {held, running}


def test_restoring_does_not_overwrite_what_is_known():
    """Memory is newer than what was read from disk."""
    ledger = Ledger()
    ledger.post([A], Posting(5))
    ledger.restore(A, Posting(3))
    assert ledger.balance(A).committed == 5


@given(st.lists(st.tuples(st.integers(0, 40), st.booleans(), st.integers(0, 40)), max_size=40))
def test_no_history_holds_more_than_the_limits(history):
    """Committed and held never pass a limit while nothing costs more than its hold."""
    ledger = Ledger()
    for number, (amount, both, cost) in enumerate(history):
        if ledger.hold(str(number), amount, [A, B] if both else [A]) is None and cost <= amount:
            ledger.settle(str(number), Posting(cost))
        for each in (A, B):
            balance = ledger.balance(each)
            assert balance.committed + balance.held <= each.limit
