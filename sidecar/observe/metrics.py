"""Prometheus metrics over events. Labels are few and bounded: users are never a label.

A model or department that config doesn't name comes from the request, so the number of
different ones is bounded here: past the bound they are all counted as `other`. Providers
and their models are those that config sends calls to, never what a reply claims.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TypeAlias

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sidecar.domain import Attempt
from sidecar.events import BreakerChanged, EntriesEvicted, Event, FirstToken, RequestRow

_SECONDS = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
)  # fmt: skip
_COSINES = (0.5, 0.6, 0.7, 0.8, 0.84, 0.88, 0.9, 0.92, 0.94, 0.96, 0.98, 0.99, 1.0)
_MAX_LABELS = 100
OTHER = "other"
Children: TypeAlias = tuple[Counter, Histogram, Histogram]
"""The requests' counter and their two histograms, with their labels."""


class Bounded:
    """Lets the first so many different values through and calls the rest `other`."""

    def __init__(self, known: Collection[str], limit: int = _MAX_LABELS) -> None:
        self._known = set(known)
        self._limit = limit

    def __call__(self, value: str) -> str:
        """The value, or `other`."""
        if value in self._known:
            return value
        if len(self._known) >= self._limit:
            return OTHER
        self._known.add(value)
        return value


class _Read(Collector):
    """One gauge, read when it is wanted."""

    def __init__(
        self, name: str, help_text: str, label: str, read: Callable[[], Mapping[str, float]]
    ) -> None:
        self._named = (name, help_text, label)
        self._read = read

    def collect(self) -> Iterator[Metric]:
        """All its series."""
        name, help_text, label = self._named
        family = GaugeMetricFamily(name, help_text, labels=[label])
        for key, value in self._read().items():
            family.add_metric([key], value)
        yield family

    def describe(self) -> Iterator[Metric]:
        """Its name, without reading it: what is read may not be there yet."""
        name, help_text, label = self._named
        yield GaugeMetricFamily(name, help_text, labels=[label])


class Metrics:
    """Counts what happens. `models` are the configured names, `targets` provider and model of
    those who may answer.
    """

    def __init__(self, models: Collection[str], targets: Collection[tuple[str, str]] = ()) -> None:
        self.registry = CollectorRegistry()
        self._department = Bounded(())
        self._kinds: dict[tuple[str, str, str, int], Children] = {}
        self._make_request_metrics()
        self._make_provider_metrics()
        self.configured(models, targets)
        self._evictions = self._counter(
            "sidecar_cache_evictions", "Entries that left the cache", "reason"
        )

    def configured(
        self, models: Collection[str], targets: Collection[tuple[str, str]] = ()
    ) -> None:
        """Other models and targets are configured from now on. Series of old ones stay."""
        self._model = Bounded(models, len(models))
        self._answered_model = Bounded([*models, *(model for _, model in targets)])
        for target in targets:
            self._breakers.labels(*target)  # a gauge that shows nothing can't be alerted on

    def _make_request_metrics(self) -> None:
        self._requests = self._counter(
            "sidecar_requests", "Requests answered", "endpoint", "model", "cache", "status"
        )
        self._seconds = self._histogram(
            "sidecar_request_seconds", "Time to the end of an answer", "cache"
        )
        self._overhead = self._histogram(
            "sidecar_overhead_seconds", "Time not spent waiting for a provider", "cache"
        )
        self._stages = self._histogram("sidecar_stage_seconds", "Time in one stage", "stage")
        self._similarity = self._histogram(
            "sidecar_similarity", "Cosine of the best candidate", "outcome", buckets=_COSINES
        )
        self._near_misses = self._counter(
            "sidecar_near_misses", "Candidates that were near and not served"
        )
        self._coalesced = self._counter("sidecar_coalesced", "Requests that joined another's")

    def _make_provider_metrics(self) -> None:
        self._attempts = self._counter(
            "sidecar_provider_attempts", "Tries at providers", "provider", "model", "outcome"
        )
        self._first_token = self._histogram(
            "sidecar_first_token_seconds", "Time to a stream's first content", "provider", "model"
        )
        self._breakers = Gauge(
            "sidecar_breaker_state", "0 closed, 1 half-open, 2 open", ("provider", "model"),
            registry=self.registry,
        )  # fmt: skip
        self._spend = self._counter(
            "sidecar_spend_usd", "Dollars paid to providers", "model", "department"
        )
        self._saved = self._counter(
            "sidecar_saved_usd", "Dollars that were not paid", "department", "by"
        )
        self._degraded = self._counter(
            "sidecar_degraded", "Requests that a budget's ladder has stepped down", "step"
        )
        self._tokens = self._counter(
            "sidecar_tokens", "Tokens used at providers", "model", "department", "kind"
        )

    def _counter(self, name: str, help_text: str, *labels: str) -> Counter:
        return Counter(name, help_text, labels, registry=self.registry)

    def _histogram(
        self, name: str, help_text: str, *labels: str, buckets: tuple[float, ...] = _SECONDS
    ) -> Histogram:
        return Histogram(name, help_text, labels, buckets=buckets, registry=self.registry)

    def gauge(self, name: str, help_text: str, read: Callable[[], float]) -> None:
        """Add a gauge that is read when metrics are fetched."""
        Gauge(name, help_text, registry=self.registry).set_function(read)

    def gauges(
        self, name: str, help_text: str, label: str, read: Callable[[], Mapping[str, float]]
    ) -> None:
        """Add a gauge with a series for each key of what is read when metrics are fetched."""
        self.registry.register(_Read(name, help_text, label, read))

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    def observe(self, event: Event) -> None:
        """Count one event."""
        if isinstance(event, RequestRow):
            self._observe_request(event)
        elif isinstance(event, EntriesEvicted):
            self._evictions.labels(event.reason).inc(event.count)
        elif isinstance(event, BreakerChanged):
            self._breakers.labels(*self._target(event)).set(event.state)
        elif isinstance(event, FirstToken):
            self._first_token.labels(*self._target(event)).observe(event.seconds)

    def _target(self, told: Attempt | BreakerChanged | FirstToken) -> tuple[str, str]:
        return told.provider, self._answered_model(told.model)

    def _observe_request(self, row: RequestRow) -> None:
        model = self._model(row.model)
        kind = (row.endpoint, model, row.outcome, row.status)
        # Looking the labels up takes longer than counting; there are few kinds.
        children = self._kinds.get(kind) or self._kinds.setdefault(kind, self._children(*kind))
        requests, seconds, overhead = children
        requests.inc()
        seconds.observe(row.total_ms / 1e3)
        overhead.observe(row.overhead_ms / 1e3)
        for stage, spent_ms in row.stages_ms.items():
            self._stages.labels(stage).observe(spent_ms / 1e3)
        if row.similarity is not None:
            self._observe_candidate(row, row.similarity)
        self._observe_money(row, model)
        if row.joined:
            self._coalesced.inc()
        elif row.attempts:
            self._observe_provider(row, model)

    def _observe_money(self, row: RequestRow, model: str) -> None:
        if row.degraded:
            self._degraded.labels(row.degraded).inc()
        if row.cost_nanousd:
            labels = model, self._department(row.department)
            self._spend.labels(*labels).inc(row.cost_nanousd / 1e9)
        for by, nano in (
            ("cache", row.saved_cache_nanousd),
            ("context", row.saved_context_nanousd),
            ("route", row.saved_route_nanousd),
        ):
            if nano:
                self._saved.labels(self._department(row.department), by).inc(nano / 1e9)

    def _children(self, endpoint: str, model: str, outcome: str, status: int) -> Children:
        return (
            self._requests.labels(endpoint, model, outcome, str(status)),
            self._seconds.labels(outcome),
            self._overhead.labels(outcome),
        )

    def _observe_candidate(self, row: RequestRow, similarity: float) -> None:
        self._similarity.labels(row.outcome).observe(similarity)
        if row.outcome not in ("semantic", "shadow"):
            self._near_misses.inc()

    def _observe_provider(self, row: RequestRow, model: str) -> None:
        for attempt in row.attempts:
            self._attempts.labels(*self._target(attempt), attempt.reason).inc()
        department = self._department(row.department)
        for kind, tokens in (
            ("input", row.input_tokens),
            ("output", row.output_tokens),
            ("cached_input", row.cached_input_tokens),
            ("reasoning", row.reasoning_tokens),
            ("cache_write", row.cache_write_tokens),
        ):
            if tokens and tokens > 0:
                self._tokens.labels(model, department, kind).inc(tokens)
