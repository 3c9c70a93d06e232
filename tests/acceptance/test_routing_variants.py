"""A header picks a variant: for that call, in a scope of its own."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .running import Provider, Sidecar

ASKED = "How do I reset my password?"
CHEAP = {"x-sidecar-route": "cheap"}


@pytest.fixture(scope="module")
def shared_sidecar(serve: Callable[..., Sidecar]) -> Sidecar:
    """A sidecar whose model has a variant."""
    return serve(
        models={
            "gpt-4o": {
                "targets": [{"provider": "p", "model": "dear"}],
                "variants": {"cheap": [{"provider": "p", "model": "modest"}]},
            }
        }
    )


def test_one_body_two_routes(running: Sidecar, provider: Provider) -> None:
    """Each has its own answer and its own hit, in any order."""
    asked = [None, CHEAP, None, CHEAP]
    replies = [running.ask(ASKED, headers) for headers in asked]
    assert [reply.cache for reply in replies] == ["miss", "miss", "exact", "exact"]
    models = [reply.headers["x-sidecar-model"] for reply in replies]
    assert models == ["dear", "modest", "dear", "modest"]
    assert [row["model"] for row in provider.ledger["requests"]] == ["dear", "modest"]
    assert [running.row(reply)["variant"] for reply in replies] == ["targets", "cheap"] * 2


def test_an_unknown_variant_is_refused_with_the_known_ones(
    running: Sidecar, provider: Provider
) -> None:
    """Nothing is asked for a name that means nothing."""
    reply = running.ask(ASKED, {"x-sidecar-route": "dearest"})
    assert (reply.status, reply.json["error"]["param"]) == (400, "x-sidecar-route")
    assert "cheap" in reply.json["error"]["message"]
    assert provider.calls == 0
