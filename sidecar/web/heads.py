"""The response headers that tell how an answer came about."""

from __future__ import annotations

from sidecar.dollars import dollars
from sidecar.domain import Outcome
from sidecar.reasons import Reason
from sidecar.reply import Reply
from sidecar.trail import Trail
from sidecar.wire.report import cache_status

REQUEST_ID = "x-sidecar-request-id"
REPLAYED = "idempotent-replayed"
"""In what is given again under an `Idempotency-Key`; the other headers are as they were."""
_HITS = (Outcome.EXACT, Outcome.SEMANTIC, Outcome.STALE)


def reply_head(reply: Reply, *, disclose: bool) -> dict[str, str]:
    """All headers of a reply. Of a stream only what is known before its first chunk."""
    trail = reply.trail
    # What is left of the time to live tells the age as well.
    head = base_head(trail, ttl_s=reply.ttl_s if disclose else None)
    if trail.answered_model:
        head["x-sidecar-model"] = trail.answered_model
        head["x-sidecar-provider"] = trail.answered_provider
    if disclose and trail.age_s is not None and trail.outcome in _HITS:
        head["Age"] = str(max(0, int(trail.age_s)))
    if reply.chunks is None:
        head["x-sidecar-attempts"] = str(len(trail.attempts))
        if (cost := trail.cost_nanousd) is not None:
            head["x-sidecar-cost-usd"] = dollars(cost)
        if trail.saved_nanousd:
            head["x-sidecar-saved-usd"] = dollars(trail.saved_nanousd)
    if disclose and trail.similarity is not None:
        head["x-sidecar-similarity"] = f"{trail.similarity:.4f}"
        head["x-sidecar-confidence"] = f"{trail.confidence or 0.0:.4f}"
        head["x-sidecar-entry"] = trail.entry
    return head


def base_head(trail: Trail, ttl_s: float | None = None) -> dict[str, str]:
    """What every reply tells, an error's included."""
    head = {
        REQUEST_ID: trail.call.id,
        "x-sidecar-cache": trail.outcome.value,
        "Cache-Status": cache_status(
            trail.outcome,
            reason=trail.reason,
            stored=trail.stored,
            ttl_s=ttl_s,
            no_cache=trail.reason == Reason.NO_CACHE,
        ),
    }
    if trail.degraded:
        head["x-sidecar-degraded"] = trail.degraded
    if reason := trail.reason or trail.store_reason:
        head["x-sidecar-reason"] = reason
    return head
