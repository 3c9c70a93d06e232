"""Budgets, prices and windows that change while calls are in flight: nobody pays twice or less."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from .money import PRICES, budget, code, fresh, nano, oracle, settled, state
from .running import Provider, Reply, Sidecar, serving, until

DELAY = {"times": 1, "delay_ms": 1200}


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """For calls that take long."""
    with ThreadPoolExecutor(4) as pool:
        yield pool


@pytest.fixture
def spending(provider: Provider, tmp_path: Path) -> Iterator[Sidecar]:
    """A sidecar with one budget, which pays for all."""
    with serving(provider, tmp_path, budgets=[budget(1)], prices=PRICES) as sidecar:
        yield sidecar


Change = Callable[..., Reply]


@pytest.fixture
def change(spending: Sidecar) -> Change:
    """Put these sections in the place of the config's, and have it read."""

    return partial(reloaded, spending)


def reloaded(sidecar: Sidecar, **sections: Any) -> Reply:
    """What it says to these changes."""
    file = sidecar.folder / "sidecar.yaml"
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), **sections}))
    return sidecar.admin("POST", "/api/reload")


def flying(sidecar: Sidecar, provider: Provider, pool: ThreadPoolExecutor) -> Future[Reply]:
    """A call that has reached its provider, who takes a while."""
    provider.script(DELAY)
    called = provider.calls
    future = pool.submit(sidecar.post, fresh("How long?"))
    until(lambda: provider.calls == called + 1, "it was sent")
    return future


def budgets(sidecar: Sidecar) -> list[tuple[str, str]]:
    """Which budgets have accounts now, and in which windows."""
    told = sidecar.admin("GET", "/api/budgets").json["budgets"]
    return [(row["budget"], row["resets_at"]) for row in told]


def test_a_budget_that_goes_while_a_call_flies_has_its_charge_when_it_returns(
    spending: Sidecar, provider: Provider, pool: ThreadPoolExecutor, change: Change
) -> None:
    """The hold ends well though nobody knows the budget; what was spent stays with its name."""
    call = flying(spending, provider, pool)
    assert change(budgets=[]).status == 200
    assert budgets(spending) == []
    assert call.result().status == 200
    assert spending.post(fresh("Free?")).status == 200
    assert change(budgets=[budget(1)]).status == 200
    cost = nano(call.result().headers["x-sidecar-cost-usd"])
    assert settled(spending)["spent"] == cost > 0
    assert oracle(provider) > cost  # the one between was on no budget


def test_a_price_that_changes_while_a_call_flies_is_not_its_price(
    spending: Sidecar, provider: Provider, pool: ThreadPoolExecutor, change: Change
) -> None:
    """It is charged by what was held; the next one is charged the new price."""
    call = flying(spending, provider, pool)
    tenfold = {"gpt-4o": {"input": 25, "output": 100}}
    assert change(prices=tenfold).status == 200
    assert nano(call.result().headers["x-sidecar-cost-usd"]) == oracle(provider)
    assert settled(spending)["spent"] == oracle(provider)
    provider.forget()
    before = settled(spending)["spent"]
    reply = spending.post(fresh("And now?"))
    assert nano(reply.headers["x-sidecar-cost-usd"]) == 10 * oracle(provider)
    assert settled(spending)["spent"] - before == 10 * oracle(provider)


def test_a_price_that_is_taken_away_refuses_and_never_makes_a_call_free(
    spending: Sidecar, provider: Provider, change: Change
) -> None:
    """An unknown price on a budget is no price of zero."""
    odd = {"odd": {"targets": [{"provider": "p", "model": "odd-1"}]}}
    assert change(models=odd, prices={"odd-1": {"input": 1, "output": 1}}).status == 200
    assert spending.post(fresh("A?", model="odd")).status == 200
    assert change(prices={}).status == 200
    called = provider.calls
    assert code(spending.post(fresh("A?", model="odd"))) == (503, "budget_unavailable")
    assert provider.calls == called


def test_a_window_that_changes_begins_an_account_and_changes_back_to_the_old(
    spending: Sidecar, provider: Provider, pool: ThreadPoolExecutor, change: Change
) -> None:
    """The call in flight belongs to the window in which its money was held."""
    call = flying(spending, provider, pool)
    monthly = budgets(spending)
    assert change(budgets=[budget(1, timezone="Asia/Kathmandu")]).status == 200
    assert budgets(spending) != monthly
    assert call.result().status == 200
    assert settled(spending)["spent"] == 0
    assert change(budgets=[budget(1)]).status == 200
    assert budgets(spending) == monthly
    assert settled(spending)["spent"] == oracle(provider) > 0


def test_a_limit_below_what_is_spent_refuses_at_once(
    spending: Sidecar, provider: Provider, change: Change
) -> None:
    """And what is over it is told as it is."""
    assert spending.post(fresh("A?")).status == 200
    assert change(budgets=[budget("0.0000001")]).status == 200
    assert code(spending.post(fresh("B?"))) == (402, "budget_exceeded")
    account = settled(spending)
    assert account["remaining"] == 100 - oracle(provider) < 0


def test_a_limit_that_is_cut_while_calls_fly_holds_for_those_that_come(
    spending: Sidecar, provider: Provider, pool: ThreadPoolExecutor, change: Change
) -> None:
    """Money in flight counts against the new limit, and the reason says it is but held."""
    call = flying(spending, provider, pool)
    assert change(budgets=[budget("0.0015")]).status == 200
    assert code(spending.post(fresh("B?"))) == (429, "budget_busy")
    assert call.result().status == 200
    assert settled(spending)["held"] == 0
    assert spending.post(fresh("B?")).status == 200


@pytest.fixture(scope="module")
def steady(serve: Callable[..., Sidecar]) -> Sidecar:
    """A sidecar whose budget nothing here changes."""
    return serve(budgets=[budget(1)], prices=PRICES)


@pytest.mark.parametrize(
    "bad",
    [
        budget(1, timezone="Mars/Olympus"),
        budget(-1),
        budget(1, window="fortnight"),
        budget(1, match={"colour": "red"}),
        budget(1, ladder=[{"at": 0.5, "do": "use_variant", "variant": "none"}]),
        budget(1, ladder=[{"at": 1.5, "do": "reject"}]),
        {"name": "b"},
    ],
    ids=["zone", "negative", "window", "label", "variant", "share", "no limit"],
)
def test_a_bad_budget_changes_nothing(steady: Sidecar, bad: Any) -> None:
    """Those that hold go on holding; the answer names the key."""
    assert steady.post(fresh("A?")).status == 200
    before = settled(steady)
    refused = reloaded(steady, budgets=[bad])
    assert 400 <= refused.status < 500
    assert "budgets[0]" in refused.body.decode()
    assert steady.post(fresh("A?")).status == 200
    assert state(steady)["limit"] == before["limit"]
    assert settled(steady)["spent"] > before["spent"]
