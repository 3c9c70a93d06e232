"""Several targets behind one name: shares, loyalty, and answers that stay with their variant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from .running import Provider, Sidecar

ASKED = "How do I reset my password?"
NEAR = "How can I reset my password?"
UNCACHED = {"Cache-Control": "no-store"}
CALLS = 600
SHARES = {"big": 80, "small": 15, "canary": 5}


def target(model: str, weight: float = 100) -> dict[str, Any]:
    """One at the provider."""
    return {"provider": "p", "model": model, "weight": weight}


@pytest.fixture(scope="module")
def shared_sidecar(serve: Callable[..., Sidecar]) -> Sidecar:
    """A sidecar whose models share their traffic in all ways."""
    halves = [target("left", 50), target("right", 50)]
    patient = {"breaker": {"failures": 10_000}, "retry": {"attempts": 1}}
    weighted = {"targets": [target(name, weight) for name, weight in SHARES.items()]}
    return serve(
        models={
            "weighted": weighted,
            "by-session": {"targets": halves, "sticky": "session", **patient},
            "by-user": {"targets": halves, "sticky": "user", **patient},
            "toggled": {
                "targets": [target("a")],
                "variants": {"b": [target("b")]},
                "fallbacks": [{"provider": "p", "model": "spare"}],
                **patient,
            },
        },
    )


def asked_models(provider: Provider) -> list[str]:
    """Whom the provider was asked for."""
    return [row["model"] for row in provider.ledger["requests"]]


def toggle(running: Sidecar, variant: str | None) -> None:
    """Let it answer from now on."""
    assert running.admin("PUT", "/api/routes/toggled", {"active": variant}).status == 200


def test_traffic_goes_by_weight(running: Sidecar, provider: Provider) -> None:
    """Within five standard deviations of each share: chance fails one run in a million."""
    for number in range(CALLS):
        running.ask(f"Question {number}?", UNCACHED, model="weighted")
    counted = Counter(asked_models(provider))
    assert counted.total() == CALLS
    for name, weight in SHARES.items():
        share = weight / 100
        spread = (CALLS * share * (1 - share)) ** 0.5
        assert abs(counted[name] - CALLS * share) <= 5 * spread, counted


@pytest.mark.parametrize(
    ("model", "header"), [("by-session", "x-sidecar-session"), ("by-user", "x-sidecar-user")]
)
def test_one_conversation_stays_with_one_target(
    running: Sidecar, provider: Provider, model: str, header: str
) -> None:
    """Whatever it asks; others go to the other target."""
    went: dict[str, set[str]] = {}
    for number in range(60):
        who = f"conversation-{number % 12}"
        reply = running.ask(f"Turn {number}?", {**UNCACHED, header: who}, model=model)
        went.setdefault(who, set()).add(reply.headers["x-sidecar-model"])
    assert all(len(models) == 1 for models in went.values())
    assert set().union(*went.values()) == {"left", "right"}
    assert len(asked_models(provider)) == 60


def test_loyalty_ends_where_the_target_does(running: Sidecar, provider: Provider) -> None:
    """The other one answers, and when the first is back the conversation is back too."""
    mine = {**UNCACHED, "x-sidecar-session": "mine"}
    first = running.ask("One?", mine, model="by-session").headers["x-sidecar-model"]
    provider.script({"match": {"model": first}, "status": 500})
    second = running.ask("Two?", mine, model="by-session").headers["x-sidecar-model"]
    provider.script()
    third = running.ask("Three?", mine, model="by-session").headers["x-sidecar-model"]
    assert {first, second} == {"left", "right"}
    assert third == first


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_an_answer_stays_with_its_variant(
    running: Sidecar, provider: Provider, stream: bool
) -> None:
    """Never told under the other, equal or near; toggled back it is told again."""
    ask = lambda question: running.ask(question, model="toggled", stream=stream)  # noqa: E731
    try:
        told = [ask(ASKED)]
        toggle(running, "b")
        told += [ask(NEAR), ask(ASKED)]
        toggle(running, None)
        told += [ask(ASKED), ask(NEAR)]
    finally:
        toggle(running, None)
    assert [reply.cache for reply in told[:2]] == ["miss", "miss"]
    assert told[2].headers["x-sidecar-model"] == "b"
    assert [reply.cache for reply in told[3:]] == ["exact", "semantic"]
    assert {reply.headers["x-sidecar-model"] for reply in told[3:]} == {"a"}
    assert {reply.text for reply in told[3:]} == {told[0].text}
    assert asked_models(provider) in (["a", "b"], ["a", "b", "b"])


def test_a_variant_s_flight_is_nobody_else_s(running: Sidecar, provider: Provider) -> None:
    """Who asks under the other variant while the first is being answered gets its own."""
    provider.script({"delay_ms": 300})
    with ThreadPoolExecutor(2) as pool:
        asks = [
            pool.submit(running.ask, ASKED, {"x-sidecar-route": name}, model="toggled")
            for name in ("targets", "b")
        ]
        replies = [each.result() for each in asks]
    assert [reply.headers["x-sidecar-model"] for reply in replies] == ["a", "b"]
    assert {reply.cache for reply in replies} == {"miss"}
    assert sorted(asked_models(provider)) == ["a", "b"]


@pytest.mark.parametrize("variant", ["targets", "b"])
def test_a_fallback_s_answer_is_kept_for_nobody(
    running: Sidecar, provider: Provider, variant: str
) -> None:
    """Under neither variant; and those who were meant to answer are asked again at once."""
    own = {"x-sidecar-route": variant}
    meant = "a" if variant == "targets" else "b"
    provider.script({"match": {"model": meant}, "status": 500, "times": 1})
    first, second = (running.ask(ASKED, own, model="toggled") for _ in range(2))
    assert [reply.headers["x-sidecar-model"] for reply in (first, second)] == ["spare", meant]
    assert [reply.cache for reply in (first, second)] == ["miss", "miss"]
    assert running.row(first)["store_reason"] == "fallback"
    assert asked_models(provider) == [meant, "spare", meant]
