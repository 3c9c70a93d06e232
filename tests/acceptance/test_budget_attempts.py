"""Every attempt is charged what the provider billed for it, whatever came of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from .leaving import called, read_until
from .money import PRICES, budget, code, fresh, nano, oracle, settled
from .running import Provider, Sidecar, serving, simulated, until

RETRYING = {
    "gpt-4o": {
        "targets": [{"provider": "p", "model": "gpt-4o"}],
        "retry": {"attempts": 3, "base_ms": 1, "max_ms": 5},
    }
}


@pytest.fixture(scope="module")
def paying(serve) -> Sidecar:
    """A sidecar with a budget that has room for all."""
    return serve(budgets=[budget(1000)], prices=PRICES, models=RETRYING)


@pytest.fixture
def spent(paying: Sidecar, provider: Provider):
    """What was charged since the test began, once all is settled."""
    before = settled(paying)["spent"]
    return lambda: settled(paying)["spent"] - before


def test_an_error_costs_nothing_and_its_repetition_is_charged_once(paying, provider, spent):
    """Providers don't bill errors."""
    provider.script({"times": 2, "status": 503})
    assert paying.post(fresh("A?")).status == 200
    assert provider.calls == 3
    assert spent() == oracle(provider) > 0


@pytest.mark.parametrize("status", [400, 429, 500])
def test_a_refusal_costs_nothing(paying, provider, spent, status):
    """Whoever's fault it is."""
    provider.script({"times": 9, "status": status})
    assert paying.post(fresh("A?")).status >= 400
    assert spent() == oracle(provider) == 0


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": -5, "completion_tokens": 1}])
def test_usage_that_is_missing_or_negative_is_charged_by_the_bound(paying, provider, spent, usage):
    """And flagged, so that it can be reconciled."""
    provider.script({"times": 1, "usage": usage})
    reply = paying.post(fresh("A?"))
    assert reply.status == 200
    assert spent() >= oracle(provider) > 0
    assert paying.row(reply)["estimated"] is True


def test_a_lie_of_a_trillion_tokens_is_charged_by_the_bound(paying, provider, spent):
    """More than the bound can't have been used."""
    lie = {"prompt_tokens": 10**12, "completion_tokens": 10**12, "total_tokens": 2 * 10**12}
    provider.script({"times": 1, "usage": lie})
    assert paying.post(fresh("A?")).status == 200
    assert oracle(provider) <= spent() < nano("0.01")


def test_a_lost_reply_is_charged_and_not_repeated_in_silence(paying, provider, spent):
    """It was worked on, so it was billed."""
    provider.script({"times": 1, "lost_reply": True})
    paying.post(fresh("A?"))
    assert spent() >= oracle(provider) > 0
    waiting = paying.admin("GET", "/api/budgets/unsettled").json["rows"]
    assert any(row["model"] == "gpt-4o" for row in waiting)


@pytest.mark.parametrize("fault", [{"cut_after_events": 5}, {"error_after_events": 5}])
def test_a_stream_that_breaks_is_charged_what_came(paying, provider, spent, fault):
    """At least what the provider billed, at most the whole."""
    provider.script({"times": 1, **fault})
    paying.post(fresh("Tell me of the sea, at length?", stream=True))
    assert 0 < oracle(provider) <= spent()


def test_a_caller_who_leaves_is_charged_at_least_what_was_billed(tmp_path: Path):
    """What it had used nobody can tell any more."""
    with (
        simulated(tmp_path / "p", tokens_per_s=20) as slow,
        serving(slow, tmp_path, budgets=[budget(1)], prices=PRICES) as sidecar,
    ):
        client = called(sidecar, fresh("Tell me of the sea?", stream=True))
        read_until(client, b"data: ", times=3)
        client.close()
        until(lambda: "left" in slow.outcomes, "the provider noticed")
        account = settled(sidecar)
        assert account["spent"] >= oracle(slow) > 0
        assert account["unsettled"] == account["spent"]


def test_a_dead_target_costs_nothing_and_the_fallback_is_held_at_its_own_price(
    provider: Provider, tmp_path: Path
):
    """Dearer than what is left, it is refused, and the error names both."""
    models = {
        "gpt-4o-mini": {
            "targets": [{"provider": "dead", "model": "gpt-4o-mini"}],
            "fallbacks": [{"provider": "p", "model": "gpt-4o"}],
            "retry": {"attempts": 1},
        }
    }
    providers = {
        "dead": {"kind": "openai", "base_url": "http://127.0.0.1:9/v1"},
        "p": {"kind": "openai", "base_url": provider.base_url},
    }
    sections = {"models": models, "providers": providers, "prices": PRICES}
    body = fresh("A?", model="gpt-4o-mini")
    with serving(provider, tmp_path / "rich", budgets=[budget(1)], **sections) as sidecar:
        reply = sidecar.post(body)
        assert nano(reply.headers["x-sidecar-cost-usd"]) == oracle(provider) > 0
        assert settled(sidecar)["spent"] == oracle(provider)
    provider.forget()
    with serving(provider, tmp_path / "poor", budgets=[budget("0.0001")], **sections) as sidecar:
        refused = sidecar.post(body)
        assert code(refused) == (503, "all_targets_failed")
        reasons = [attempt["reason"] for attempt in refused.json["error"]["attempts"]]
        assert reasons == ["connect", "budget_exceeded"]
        assert provider.calls == 0
        assert settled(sidecar)["spent"] == 0


def test_an_empty_budget_is_told_and_no_cheaper_stand_in_is_asked_in_its_place(
    provider: Provider, tmp_path: Path
):
    """Nothing has failed: that a cheaper model answers is for the ladder to say."""
    models = {
        "gpt-4o": {
            "targets": [{"provider": "p", "model": "gpt-4o"}],
            "fallbacks": [{"provider": "p", "model": "gpt-4o-mini"}],
        }
    }
    limited = budget("0.0005")  # room for the cheaper one alone
    with serving(provider, tmp_path, models=models, budgets=[limited], prices=PRICES) as sidecar:
        assert code(sidecar.post(fresh("A?"))) == (402, "budget_exceeded")
        assert provider.calls == 0
