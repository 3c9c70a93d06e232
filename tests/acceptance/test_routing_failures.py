"""Providers that fail, seen by an app: who answers instead, what is told, what is kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from .leaving import called
from .running import DONE, Provider, Reply, Sidecar, asking, until
from .streams import assert_valid

ASKED = "How do I reset my password?"
STREAM = {"stream": True, "stream_options": {"include_usage": True}}
WAYS = pytest.mark.parametrize("fields", [{}, STREAM], ids=["whole", "stream"])
QUICK = {"attempts": 3, "base_ms": 5, "max_ms": 50}
CLOSED_PORT_URL = "http://127.0.0.1:1/v1"


def model(*targets: tuple[str, str], fallbacks: tuple[str, ...] = (), **more: Any) -> Any:
    """Config of a model name; fallbacks are models of the simulated provider."""
    return {
        "targets": [{"provider": provider, "model": name} for provider, name in targets],
        "fallbacks": [{"provider": "p", "model": name} for name in fallbacks],
        "retry": QUICK,
        **more,
    }


def config(provider: Provider) -> dict[str, Any]:
    """One provider that lives and one that doesn't; a model for each thing that can happen.

    A breaker that other tests opened must not decide here, so targets are never shared.
    """
    patient = {"failures": 1000}
    return {
        "providers": {
            "p": {"kind": "openai", "base_url": provider.base_url},
            "dead": {"kind": "openai", "base_url": CLOSED_PORT_URL},
        },
        "models": {
            "retried": model(("p", "retried"), breaker=patient),
            "chain": model(
                ("dead", "x"), fallbacks=("slow", "third"), timeout={"total": "300ms"},
                breaker=patient,
            ),
            "lost": model(("p", "lost-1"), fallbacks=("lost-2",), breaker=patient),
            "limited": model(("p", "limited-1"), fallbacks=("limited-2",), breaker=patient),
            "guarded": model(
                ("p", "guarded-1"), fallbacks=("guarded-2",), breaker={"failures": 3, "open": "1h"}
            ),
            "narrow": model(("p", "narrow"), max_in_flight=1),
        },
    }  # fmt: skip


@pytest.fixture(scope="module")
def shared_sidecar(serve: Callable[..., Sidecar], shared_provider: Provider) -> Sidecar:
    """A sidecar with those models."""
    return serve(**config(shared_provider))


def attempts(running: Sidecar, reply: Reply) -> list[tuple[str, str]]:
    """The row's trail: model and reason of each attempt."""
    return [(told["model"], told["reason"]) for told in running.row(reply)["attempts"]]


def asked_models(provider: Provider) -> list[str]:
    """Whom the provider was asked for, by its own account."""
    return [row["model"] for row in provider.ledger["requests"]]


@WAYS
def test_a_failure_that_passes_is_not_seen(running: Sidecar, provider: Provider, fields: Any):
    """The app gets its answer; the trail and the ledger tell of three calls."""
    provider.script({"status": 500, "times": 2})
    reply = running.ask(ASKED, model="retried", **fields)
    assert reply.status == 200
    assert attempts(running, reply) == [("retried", "status_500")] * 2 + [("retried", "ok")]
    assert provider.outcomes == ["refused", "refused", "completed"]


@WAYS
def test_a_chain_of_fallbacks(running: Sidecar, provider: Provider, fields: Any) -> None:
    """First dead, second slow, third answers: every attempt has its place in the trail."""
    provider.script({"match": {"model": "slow"}, "delay_ms": 3000})
    reply = running.ask(ASKED, model="chain", **fields)
    assert (reply.status, reply.cache) == (200, "miss")
    told = attempts(running, reply)
    assert told[:3] == [("x", "connect")] * 3
    assert told[3][0] == "slow"
    assert told[3][1].startswith("timeout")
    assert told[4:] == [("third", "ok")]
    assert asked_models(provider) == ["slow", "third"]
    assert running.row(reply)["answered_model"] == "third"


def test_a_fallbacks_answer_is_not_kept(running: Sidecar, provider: Provider) -> None:
    """It would be told long after those who were meant to answer are back."""
    provider.script({"match": {"model": "slow"}, "status": 400})
    replies = [running.ask(ASKED, model="chain") for _ in range(2)]
    assert [reply.cache for reply in replies] == ["miss", "miss"]
    assert [running.row(reply)["store_reason"] for reply in replies] == ["fallback"] * 2
    assert running.cache["entries"] == 0


def test_a_fallbacks_answer_is_kept_where_config_says_so(
    serve: Callable[..., Sidecar], provider: Provider
) -> None:
    """Then it is a hit like any other."""
    told = config(provider)
    keeping = serve(cache={"store_fallback": True}, **told)
    assert [keeping.ask(ASKED, model="chain").cache for _ in range(2)] == ["miss", "exact"]


def test_when_nobody_answers_everyone_is_named(running: Sidecar, provider: Provider) -> None:
    """503 with the attempts, the same in the row, and as many as the ledger saw."""
    provider.script({"status": 500})
    reply = running.ask(ASKED, model="chain")
    error = reply.json["error"]
    assert (reply.status, error["code"]) == (503, "all_targets_failed")
    named = [(told["model"], told["reason"]) for told in error["attempts"]]
    assert named == attempts(running, reply)
    assert [name for name, _ in named if name != "x"] == asked_models(provider)


@WAYS
def test_a_lost_reply_is_not_sent_again_in_silence(
    running: Sidecar, provider: Provider, fields: Any
) -> None:
    """Billed once at the target that lost it; the fallback is another's bill, and told."""
    provider.script({"match": {"model": "lost-1"}, "lost_reply": True})
    reply = running.ask(ASKED, model="lost", **fields)
    assert reply.status == 200
    assert asked_models(provider) == ["lost-1", "lost-2"]
    assert [name for name, _ in attempts(running, reply)] == ["lost-1", "lost-2"]


def test_limits_on_every_side(running: Sidecar, provider: Provider) -> None:
    """429 `rate_limited`, the soonest time, every attempt; each was asked once."""
    provider.script(
        {"match": {"model": "limited-1"}, "status": 429, "retry_after": 90},
        {"match": {"model": "limited-2"}, "status": 429, "retry_after": 70},
    )
    reply = running.ask(ASKED, model="limited")
    assert (reply.status, reply.json["error"]["code"]) == (429, "rate_limited")
    assert reply.headers["retry-after"] == "70"
    assert len(reply.json["error"]["attempts"]) == provider.calls == 2


def test_a_stream_that_dies_in_the_middle(running: Sidecar, provider: Provider) -> None:
    """A typed error and no end; nobody else is asked, nothing is kept."""
    provider.script({"match": {"model": "lost-1"}, "cut_after_events": 3})
    reply = running.ask(ASKED, model="lost", **STREAM)
    assert reply.status == 200
    assert DONE not in reply.events
    assert reply.chunks[-1]["error"]["code"] == "all_targets_failed"
    assert asked_models(provider) == ["lost-1"]
    assert attempts(running, reply) == [("lost-1", "cut")]
    assert running.cache["entries"] == 0


def test_a_stream_that_dies_before_its_first_word(running: Sidecar, provider: Provider) -> None:
    """The fallback's stream is whole, and nothing of the dead one is in it."""
    provider.script({"match": {"model": "lost-1"}, "cut_after_events": 1})
    reply = running.ask(ASKED, model="lost", **STREAM)
    assert_valid(reply, include_usage=True)
    assert {chunk["model"] for chunk in reply.chunks} == {"lost-2"}


def test_an_open_breaker(running: Sidecar, provider: Provider) -> None:
    """The target is left alone, named in the trail and shown in the metrics."""
    provider.script({"match": {"model": "guarded-1"}, "status": 500})
    running.ask(ASKED, model="guarded")
    reply = running.ask("Another question", model="guarded")
    assert attempts(running, reply) == [("guarded-1", "breaker_open"), ("guarded-2", "ok")]
    assert asked_models(provider) == ["guarded-1"] * 3 + ["guarded-2"] * 2
    metrics = running.admin("GET", "/metrics").body.decode()
    assert 'sidecar_breaker_state{model="guarded-1",provider="p"} 2.0' in metrics
    assert 'sidecar_breaker_state{model="guarded-2",provider="p"} 0.0' in metrics


def test_too_many_at_once(running: Sidecar, provider: Provider) -> None:
    """The one that is too much is told to come again; the other is answered."""
    provider.script({"delay_ms": 500})
    with ThreadPoolExecutor() as pool:
        first = pool.submit(running.ask, "one", None, model="narrow")
        until(lambda: provider.calls == 1, "the first call is under way")
        reply = running.ask("two", model="narrow")
        assert (reply.status, reply.json["error"]["code"]) == (503, "overloaded")
        assert reply.headers["retry-after"] == "1"
        assert first.result().status == 200
    assert provider.calls == 1


def test_followers_share_the_whole_story(running: Sidecar, provider: Provider) -> None:
    """Twenty at once cost the calls of one, and all have its trail."""
    provider.script({"status": 503, "delay_ms": 200})
    with ThreadPoolExecutor(20) as pool:
        replies = list(pool.map(lambda _: running.ask(ASKED, model="retried"), range(20)))
    assert {reply.status for reply in replies} == {503}
    assert provider.calls == 3
    for reply in replies:
        named = [(told["model"], told["reason"]) for told in reply.json["error"]["attempts"]]
        assert named == attempts(running, reply)
        assert len(named) == 3


@WAYS
def test_a_client_that_leaves(running: Sidecar, provider: Provider, fields: Any) -> None:
    """What was under way for it stands in its row as cancelled, once, as in the ledger."""
    provider.script({"delay_ms": 5000})
    known = left(running)
    with called(running, asking(ASKED, model="retried", **fields)):
        until(lambda: provider.calls == 1, "the provider is asked")
    until(lambda: provider.outcomes == ["left"], "the provider sees its reader leave")
    (request_id,) = until(lambda: left(running) - known, "the log tells of who left")
    path = f"/api/requests/{request_id}"
    row = until(lambda: (r := running.admin("GET", path)).status == 200 and r, "a row").json
    assert [told["reason"] for told in row["attempts"]] == ["cancelled"]


def left(running: Sidecar) -> set[str]:
    """The ids of all requests whose client did not wait, by the process's own log."""
    told = (json.loads(line) for line in running.process.said.splitlines() if line[:1] == "{")
    return {line["request_id"] for line in told if line.get("status") == 499}
