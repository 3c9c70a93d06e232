"""An expired answer rather than an error, in the running process."""

from __future__ import annotations

import time
from collections.abc import Callable

from .running import Provider, Sidecar

ASKED = "How do I reset my password?"


def test_an_expired_answer_is_given_while_the_provider_fails(
    serve: Callable[..., Sidecar], provider: Provider
) -> None:
    """Marked as stale; once the provider is back, a fresh one takes its place."""
    sidecar = serve(cache={"ttl": "1s", "stale_if_error": "10m"})
    assert sidecar.ask(ASKED).cache == "miss"
    assert sidecar.ask(ASKED).cache == "exact"
    time.sleep(1.1)  # what the answer lives
    provider.script({"status": 503, "times": 1})
    stale = sidecar.ask(ASKED)
    assert (stale.status, stale.cache) == (200, "stale")
    assert "detail=stale" in stale.headers["cache-status"]
    assert sidecar.ask(ASKED).cache == "miss"


def test_no_expired_answer_is_given_where_that_is_off(
    serve: Callable[..., Sidecar], provider: Provider
) -> None:
    """Zero seconds mean never."""
    sidecar = serve(cache={"ttl": "1s", "stale_if_error": "0s"})
    assert sidecar.ask(ASKED).cache == "miss"
    time.sleep(1.1)  # what the answer lives
    provider.script({"status": 503, "times": 1})
    assert sidecar.ask(ASKED).status == 503
