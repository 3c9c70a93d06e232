"""A caller's own limit holds to the last word, whether it gave a key or not."""

from __future__ import annotations

import pytest

from .running import DONE, serving, simulated


@pytest.mark.parametrize("key", [{}, {"Idempotency-Key": "k"}], ids=["plain", "keyed"])
def test_a_stream_ends_with_an_error_at_the_limit(tmp_path, key):
    """What is made for a key may go on; this caller has waited long enough."""
    with (
        simulated(tmp_path / "p", tokens_per_s=10) as provider,
        serving(provider, tmp_path / "s") as running,
    ):
        limit = {"x-sidecar-timeout-ms": "500"}
        reply = running.ask("How?", {**limit, **key}, stream=True, temperature=1.0)
        assert DONE not in reply.events
        assert reply.chunks[-1]["error"]["code"] == "upstream_timeout"
