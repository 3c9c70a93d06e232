"""What a running sidecar's metrics tell of money, held against its provider's ledger."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from .money import PRICES, budget, fresh, oracle
from .running import Sidecar, until

Series = dict[tuple[tuple[str, str], ...], float]


@pytest.fixture(scope="module")
def paying(serve) -> Sidecar:
    """With a budget of all, and one in which every user has an account."""
    budgets = [budget("0.01"), budget(1, name="users", each=["user"])]
    return serve(budgets=budgets, prices=PRICES)


def series(sidecar: Sidecar, name: str) -> Series:
    """All of a metric, by its labels."""
    text = sidecar.admin("GET", "/metrics").body.decode()
    return {
        tuple(sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


def left(sidecar: Sidecar) -> dict[str, float]:
    """The part of each budget that is left."""
    told = series(sidecar, "sidecar_budget_remaining_ratio")
    return {dict(labels)["budget"]: value for labels, value in told.items()}


def test_metrics_tell_what_the_provider_billed(paying, provider):
    """Dollars and tokens by department and model, what hits saved, and the time that it took."""
    assert left(paying) == {"b": 1.0}  # nobody has an account in the other yet
    tags = {"x-sidecar-department": "support"}
    replies = [
        paying.ask("How tall is it?", {**tags, "x-sidecar-user": f"u{number}"}, max_tokens=100)
        for number in range(5)
    ]
    assert [reply.cache for reply in replies] == ["miss", *["exact"] * 4]
    for reply in replies:
        paying.row(reply)
    place = (("department", "support"), ("model", "gpt-4o"))
    cost = oracle(provider) / 1e9
    assert series(paying, "sidecar_spend_usd_total") == {place: pytest.approx(cost)}
    saved = (("by", "cache"), ("department", "support"))
    assert series(paying, "sidecar_saved_usd_total") == {saved: pytest.approx(4 * cost)}
    tokens = series(paying, "sidecar_tokens_total")
    kinds = {dict(labels)["kind"]: value for labels, value in tokens.items()}
    billed = provider.ledger["billed"]
    assert kinds == {"input": billed["prompt_tokens"], "output": billed["completion_tokens"]}
    stages = {dict(labels)["stage"] for labels in series(paying, "sidecar_stage_seconds_count")}
    assert {"reserve", "settle"} <= stages
    assert left(paying)["b"] == pytest.approx(1 - cost / 0.01)


def test_users_make_no_series(paying):
    """Of a budget with `each`, whoever has least left is told, and no name."""
    for number in range(20):
        assert paying.post(fresh("Who?"), {"x-sidecar-user": f"someone-{number}"}).status in (
            200,
            402,
        )
    assert left(paying).keys() == {"b", "users"}
    assert 0 < left(paying)["users"] < 1
    assert "someone" not in paying.admin("GET", "/metrics").body.decode()


def test_a_hundred_departments_are_told_by_name(paying):
    """The rest is `other`, so that a caller who makes up names makes no endless series."""
    for number in range(120):
        paying.post({"model": "nobody", "messages": []}, {"x-sidecar-department": f"x{number}"})
        paying.post(fresh("A?", max_tokens=1), {"x-sidecar-department": f"d{number}"})
    told = {dict(labels)["department"] for labels in series(paying, "sidecar_spend_usd_total")}
    assert len(told) == 101
    assert "other" in told
    assert not any(name.startswith("x") for name in told)  # they cost nothing


def test_a_budget_that_is_spent_has_nothing_left(paying):
    """Never below zero; the steps that follow are counted by others."""
    until(lambda: paying.post(fresh("More?", max_tokens=100)).status == 402, "a refusal")
    assert 0 <= left(paying)["b"] < 0.2
