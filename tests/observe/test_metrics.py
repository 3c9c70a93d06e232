"""Metrics: the contract's names, few labels, nobody's name."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sidecar.domain import Attempt
from sidecar.events import BreakerChanged, Decision, EntriesEvicted, FirstToken
from sidecar.observe.metrics import OTHER, Bounded, Metrics

ATTEMPT = Attempt("openai", "gpt-4o-real", 200, "ok", 100.0)
CONTRACT = {
    "sidecar_requests_total": {"endpoint", "model", "cache", "status"},
    "sidecar_request_seconds": {"cache"},
    "sidecar_overhead_seconds": {"cache"},
    "sidecar_stage_seconds": {"stage"},
    "sidecar_similarity": {"outcome"},
    "sidecar_near_misses_total": set(),
    "sidecar_cache_evictions_total": {"reason"},
    "sidecar_coalesced_total": set(),
    "sidecar_provider_attempts_total": {"provider", "model", "outcome"},
    "sidecar_breaker_state": {"provider", "model"},
    "sidecar_first_token_seconds": {"provider", "model"},
    "sidecar_tokens_total": {"model", "department", "kind"},
    "sidecar_spend_usd_total": {"model", "department"},
    "sidecar_saved_usd_total": {"department", "by"},
    "sidecar_degraded_total": {"step"},
}


@pytest.fixture
def metrics() -> Metrics:
    """Metrics of a sidecar with one configured model."""
    return Metrics(["gpt-4o"])


@pytest.fixture
def full_row(make_row):
    """A row of a stream that had a near miss and was answered by a provider."""

    def make(**changes: object):
        told = {
            "outcome": "miss",
            "attempts": (ATTEMPT,),
            "similarity": 0.9,
            "stages_ms": {"embed": 4.0},
            "total_ms": 120.0,
            "provider_ms": 100.0,
            "first_token_ms": 50.0,
            "input_tokens": 10,
            "output_tokens": 5,
            "cached_input_tokens": 2,
            "reasoning_tokens": 1,
            "department": "sales",
            "cost_nanousd": 2_500_000,
            "saved_cache_nanousd": 1_000_000,
            "degraded": "use_variant",
        }
        return make_row(**{**told, **changes})

    return make


def samples(metrics: Metrics) -> dict[tuple, float]:
    """All series by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(metrics.text().decode())
        for sample in family.samples
    }


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    """One series' value."""
    return samples(metrics).get((name, frozenset(labels.items())))


@pytest.mark.parametrize("name", CONTRACT)
def test_names_and_labels_are_the_contracts(metrics, full_row, name):
    """Dashboards and alerts rely on them."""
    metrics.observe(full_row())
    metrics.observe(full_row(outcome="coalesced"))
    metrics.observe(EntriesEvicted("expired", 2))
    metrics.observe(BreakerChanged("openai", "gpt-4o-real", 2))
    metrics.observe(FirstToken("openai", "gpt-4o-real", 0.05))
    series = name if name.endswith(("_total", "_state")) else f"{name}_count"
    labels = [set(dict(labels)) for told, labels in samples(metrics) if told == series]
    assert labels
    assert all(told == CONTRACT[name] for told in labels)


def test_no_other_name_of_ours_is_told(metrics, full_row):
    """A new one belongs into the contract first."""
    metrics.observe(full_row())
    families = {family.name for family in text_string_to_metric_families(metrics.text().decode())}
    # The client library adds a time of birth to each.
    families = {name for name in families if not name.endswith("_created")}
    assert families == {name.removesuffix("_total") for name in CONTRACT}


def test_a_request_is_counted_with_how_it_was_answered(metrics, full_row):
    """The hit rate is a quotient of these."""
    metrics.observe(full_row(outcome="exact", status=200, attempts=()))
    labels = {"endpoint": "chat", "model": "gpt-4o", "cache": "exact", "status": "200"}
    assert value(metrics, "sidecar_requests_total", **labels) == 1


def test_times_are_told_in_seconds(metrics, full_row):
    """The row's milliseconds are Prometheus' seconds."""
    metrics.observe(full_row())
    told = [
        value(metrics, f"sidecar_{name}_seconds_sum", cache="miss")
        for name in ("request", "overhead")
    ]
    assert told == [pytest.approx(0.12), pytest.approx(0.02)]
    assert value(metrics, "sidecar_stage_seconds_sum", stage="embed") == pytest.approx(0.004)


def test_a_model_that_config_does_not_name_is_other(metrics, full_row):
    """A client that makes up models makes no series."""
    for number in range(300):
        metrics.observe(full_row(model=f"made-up-{number}", status=404, attempts=()))
    models = {dict(labels).get("model") for name, labels in samples(metrics) if "requests" in name}
    assert models == {OTHER}


def test_departments_are_bounded(metrics, full_row):
    """Beyond the bound they are counted, together."""
    for number in range(300):
        metrics.observe(full_row(department=f"d{number}"))
    told = {dict(labels).get("department") for _, labels in samples(metrics)} - {None}
    assert len(told) == 101
    lost = value(metrics, "sidecar_tokens_total", model="gpt-4o", department=OTHER, kind="input")
    assert lost == 10 * 200


def test_models_that_answered_are_bounded(metrics, full_row):
    """A provider that invents names makes no endless series."""
    for number in range(300):
        attempt = Attempt("openai", f"m{number}", 200, "ok", 1.0)
        metrics.observe(full_row(attempts=(attempt,)))
    attempts = [labels for name, labels in samples(metrics) if name.endswith("attempts_total")]
    assert len(attempts) <= 101


@pytest.mark.parametrize("field", ["user", "tenant", "session", "client", "id", "key", "scope"])
def test_nobody_is_named(metrics, full_row, field):
    """Users, tenants and ids are never a label, whatever the row holds."""
    metrics.observe(full_row(**{field: "canary-7f3a"}))
    assert b"canary" not in metrics.text()


@pytest.mark.parametrize(
    ("outcome", "near"), [("miss", 1), ("bypass", 1), ("semantic", 0), ("shadow", 0)]
)
def test_a_near_miss_is_a_candidate_that_was_not_served(metrics, full_row, outcome, near):
    """What shadow mode would have served is none."""
    metrics.observe(full_row(outcome=outcome))
    assert value(metrics, "sidecar_near_misses_total") == near


def test_without_a_candidate_there_is_no_similarity(metrics, full_row):
    """A cosine that nobody took is not 0."""
    metrics.observe(full_row(similarity=None))
    assert value(metrics, "sidecar_similarity_count", outcome="miss") is None


def test_a_flight_is_counted_once_though_many_joined(metrics, full_row):
    """Followers show the leader's attempts in their rows; the provider was asked once."""
    metrics.observe(full_row())
    for _ in range(99):
        metrics.observe(full_row(outcome="coalesced"))
    labels = {"provider": "openai", "model": "gpt-4o-real", "outcome": "ok"}
    assert value(metrics, "sidecar_provider_attempts_total", **labels) == 1
    assert value(metrics, "sidecar_coalesced_total") == 99
    tokens = {"model": "gpt-4o", "department": "sales", "kind": "output"}
    assert value(metrics, "sidecar_tokens_total", **tokens) == 5


def test_a_hit_uses_no_tokens(metrics, full_row):
    """What was paid long ago is not paid again."""
    metrics.observe(full_row(outcome="exact", attempts=(), first_token_ms=1.0))
    tokens = [v for (name, _), v in samples(metrics).items() if name == "sidecar_tokens_total"]
    assert tokens == []
    assert value(metrics, "sidecar_first_token_seconds_count", provider="", model="") is None


def test_every_attempt_counts_by_its_outcome(metrics, full_row):
    """The failed ones too."""
    failed = Attempt("openai", "gpt-4o-real", 503, "status_503", 5.0)
    metrics.observe(full_row(attempts=(failed, ATTEMPT)))
    for outcome in ("status_503", "ok"):
        labels = {"provider": "openai", "model": "gpt-4o-real", "outcome": outcome}
        assert value(metrics, "sidecar_provider_attempts_total", **labels) == 1


def test_tokens_that_can_not_be_are_not_counted(metrics, full_row):
    """A lie of one kind doesn't cost the other kinds."""
    metrics.observe(full_row(input_tokens=-5))
    told = {"model": "gpt-4o", "department": "sales"}
    assert value(metrics, "sidecar_tokens_total", **told, kind="input") is None
    assert value(metrics, "sidecar_tokens_total", **told, kind="output") == 5


def test_who_joined_a_flight_and_got_an_expired_answer_counts_no_attempt(metrics, full_row):
    """The attempts that failed are the leader's, whatever stood in for its answer."""
    metrics.observe(full_row(outcome="stale"))
    joined = (Decision("flight", "joined", 1.0),)
    metrics.observe(full_row(outcome="stale", decisions=joined))
    labels = {"provider": "openai", "model": "gpt-4o-real", "outcome": "ok"}
    assert value(metrics, "sidecar_provider_attempts_total", **labels) == 1
    assert value(metrics, "sidecar_coalesced_total") == 1


def test_what_a_leader_left_counts_in_the_row_of_who_inherited_it(metrics, full_row):
    """Once: neither twice nor for nobody."""
    metrics.observe(full_row(decisions=(Decision("flight", "handed_over", 1.0),)))
    joined, inherited = Decision("flight", "joined", 1.0), Decision("flight", "inherited", 2.0)
    metrics.observe(full_row(outcome="coalesced", decisions=(joined,)))
    metrics.observe(full_row(outcome="coalesced", decisions=(joined, inherited)))
    labels = {"provider": "openai", "model": "gpt-4o-real", "outcome": "ok"}
    assert value(metrics, "sidecar_provider_attempts_total", **labels) == 1
    tokens = {"model": "gpt-4o", "department": "sales", "kind": "output"}
    assert value(metrics, "sidecar_tokens_total", **tokens) == 5


def test_a_breaker_shows_the_state_it_is_in():
    """From the start, closed; an alert needs a series that is there before the outage."""
    metrics = Metrics(["gpt-4o"], [("openai", "gpt-4o-real")])
    labels = {"provider": "openai", "model": "gpt-4o-real"}
    assert value(metrics, "sidecar_breaker_state", **labels) == 0
    for state in (2, 1):
        metrics.observe(BreakerChanged("openai", "gpt-4o-real", state))
        assert value(metrics, "sidecar_breaker_state", **labels) == state


def test_the_time_to_a_first_token_is_the_targets_own(metrics, full_row):
    """Not that of the targets that failed before it."""
    metrics.observe(full_row(first_token_ms=9000.0))
    metrics.observe(FirstToken("openai", "gpt-4o-real", 0.25))
    labels = {"provider": "openai", "model": "gpt-4o-real"}
    assert value(metrics, "sidecar_first_token_seconds_sum", **labels) == 0.25
    assert value(metrics, "sidecar_first_token_seconds_count", **labels) == 1


def test_targets_that_a_reload_brings_are_told_by_name():
    """However many were known before."""
    metrics = Metrics(["gpt-4o"], [("openai", f"m{number}") for number in range(200)])
    metrics.configured(["gpt-4o", "new"], [("openai", "m-new")])
    labels = {"provider": "openai", "model": "m-new"}
    assert value(metrics, "sidecar_breaker_state", **labels) == 0


def test_evictions_are_counted_by_reason(metrics):
    """As many as the event tells."""
    metrics.observe(EntriesEvicted("memory", 7))
    assert value(metrics, "sidecar_cache_evictions_total", reason="memory") == 7


def test_a_gauge_is_read_when_it_is_asked_for(metrics):
    """So that it needs no upkeep on the path."""
    now = [1.0]
    metrics.gauge("sidecar_in_flight", "Requests being answered", lambda: now[0])
    now[0] = 4.0
    assert value(metrics, "sidecar_in_flight") == 4


def test_two_sidecars_in_one_process_count_apart(full_row):
    """There is no global registry."""
    one, other = Metrics(["gpt-4o"]), Metrics(["gpt-4o"])
    one.observe(full_row())
    assert value(other, "sidecar_near_misses_total") == 0


def test_known_values_are_let_through_beyond_the_limit():
    """What config names is always told."""
    bounded = Bounded(["a", "b", "c"], limit=1)
    assert [bounded(name) for name in "abcd"] == ["a", "b", "c", OTHER]
