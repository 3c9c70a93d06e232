"""Metrics of money: what was spent and saved, on whose behalf, and nobody's name."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sidecar.observe.metrics import OTHER, Metrics


@pytest.fixture
def metrics() -> Metrics:
    """Metrics of a sidecar with one configured model."""
    return Metrics(["gpt-4o"])


def series(metrics: Metrics, name: str) -> dict[tuple[str, ...], float]:
    """All of a metric, by the values of its labels."""
    return {
        tuple(sample.labels.values()): sample.value
        for family in text_string_to_metric_families(metrics.text().decode())
        for sample in family.samples
        if sample.name == name
    }


def test_what_was_spent_is_told_in_dollars_by_department_and_model(metrics, make_row):
    """Whoever paid, and for what."""
    for cost in (1_500_000_000, 250_000_000):
        metrics.observe(make_row(department="sales", cost_nanousd=cost))
    assert series(metrics, "sidecar_spend_usd_total") == {("sales", "gpt-4o"): 1.75}


@pytest.mark.parametrize("cost", [0, None])
def test_what_cost_nothing_or_nobody_knows_makes_no_series(metrics, make_row, cost):
    """A hit of a department that never paid shows no spend of zero for each model."""
    metrics.observe(make_row(department="sales", cost_nanousd=cost, unpriced=cost is None))
    assert series(metrics, "sidecar_spend_usd_total") == {}


def test_what_was_saved_is_told_by_what_has_saved_it(metrics, make_row):
    """Cache, context and route apart."""
    metrics.observe(
        make_row(
            department="sales",
            saved_cache_nanousd=10**9,
            saved_context_nanousd=2 * 10**9,
            saved_route_nanousd=3 * 10**9,
        )
    )
    assert series(metrics, "sidecar_saved_usd_total") == {
        ("cache", "sales"): 1, ("context", "sales"): 2, ("route", "sales"): 3,
    }  # fmt: skip


def test_a_step_of_a_ladder_is_counted(metrics, make_row):
    """Each request that it has degraded."""
    for _ in range(3):
        metrics.observe(make_row(degraded="cache_only", status=402))
    metrics.observe(make_row())
    assert series(metrics, "sidecar_degraded_total") == {("cache_only",): 3}


def test_departments_past_the_bound_are_counted_together(metrics, make_row):
    """Not a dollar is lost, and the bound is one for all metrics of money."""
    for number in range(150):
        row = make_row(department=f"d{number}", cost_nanousd=10**9, saved_cache_nanousd=10**9)
        metrics.observe(row)
    spend, saved = (series(metrics, f"sidecar_{name}_usd_total") for name in ("spend", "saved"))
    assert (len(spend), len(saved)) == (101, 101)
    assert spend[OTHER, "gpt-4o"] == saved["cache", OTHER] == 50


def test_budgets_are_read_when_metrics_are_asked_for(metrics):
    """One that is taken out of the config leaves no series behind."""
    left = {"a": 0.25, "b": 1.0}
    metrics.gauges("sidecar_budget_remaining_ratio", "Left", "budget", lambda: left)
    assert series(metrics, "sidecar_budget_remaining_ratio") == {("a",): 0.25, ("b",): 1.0}
    del left["a"]
    assert series(metrics, "sidecar_budget_remaining_ratio") == {("b",): 1.0}
