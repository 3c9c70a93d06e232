"""Ways around a budget that were tried, and lead nowhere: the provider's ledger is the oracle."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from .leaving import called, read_until
from .models import every_kind
from .money import OUTPUT_NANO, PRICES, RATES, budget, code, fresh, nano, oracle, settled
from .running import Provider, Sidecar, asking, send, serving, simulated, until
from .upstream import answering

CLAUDE = {"claude-sonnet-4-5": {"input": 3, "output": 15}}
MOST = {**PRICES, **CLAUDE}
RATES.setdefault("claude-sonnet-4-5", (3_000, 15_000))


@pytest.fixture(scope="module")
def paying(shared_provider, serve) -> Sidecar:
    """A sidecar before each kind of provider, with a budget that has room for all."""
    return serve(budgets=[budget(1000)], prices=MOST, **every_kind(shared_provider))


@pytest.fixture
def spent(paying: Sidecar, provider: Provider):
    """What was charged since the test began, once all is settled."""
    before = settled(paying)["spent"]
    return lambda: settled(paying)["spent"] - before


def responses(sidecar: Sidecar, **fields):
    """A response of OpenAI's, by its own words where `fields` need them."""
    body = {"model": "by-openai", "input": "A?", **fields}
    return send("POST", f"{sidecar.url}/responses", body)


@pytest.mark.parametrize("fields", [{"store": True}, {"truncation": "auto"}])
def test_a_native_response_is_capped_as_any_other(provider, tmp_path: Path, fields):
    """Its words are passed on as they are, but for a cap where it has none."""
    sections = every_kind(provider)
    with serving(
        provider, tmp_path, budgets=[budget(1)], prices=MOST, max_output_tokens=16, **sections
    ) as sidecar:
        reply = responses(sidecar, **fields)
        assert reply.status == 200
        assert reply.json["usage"]["output_tokens"] <= 16
        assert settled(sidecar)["spent"] == oracle(provider) > 0


@pytest.mark.parametrize("fields", [{"store": True}, {"unheard_of": 1}])
def test_a_native_response_is_held_for_its_whole_input(provider, tmp_path: Path, fields):
    """And for the cap that it sets itself."""
    sections = every_kind(provider)
    limit = budget("0.2")
    with serving(provider, tmp_path, budgets=[limit], prices=MOST, **sections) as sidecar:
        long = responses(sidecar, input="word " * 40_000, max_output_tokens=16, **fields)
        assert code(long) == (402, "budget_exceeded")
        dear = responses(sidecar, max_output_tokens=100_000, **fields)
        assert code(dear) == (402, "budget_exceeded")
        assert provider.calls == 0


def test_what_goes_on_from_an_earlier_answer_is_held_at_the_context_window(
    provider, tmp_path: Path
):
    """Nobody here knows how long that was."""
    with serving(
        provider, tmp_path, budgets=[budget("0.02")], prices=MOST, **every_kind(provider)
    ) as sidecar:
        reply = responses(sidecar, previous_response_id="resp_1", max_output_tokens=16)
        assert code(reply) == (402, "budget_exceeded")
        assert provider.calls == 0


@pytest.mark.parametrize("kind", ["web_search", "code_interpreter", "mcp"])
def test_a_tool_that_openai_bills_apart_is_refused_on_a_budget(paying, provider, kind):
    """No count of tokens bounds it."""
    reply = responses(paying, tools=[{"type": kind}])
    assert reply.status == 400
    assert kind in reply.json["error"]["message"]
    assert provider.calls == 0


@pytest.mark.parametrize("cap", [10**9, 10**15, 2**63 - 1])
def test_a_cap_beyond_all_money_is_refused_like_any_other(paying, provider, cap):
    """With 402, not with an error of ours."""
    reply = paying.post(fresh("A?", model="by-openai", max_tokens=cap))
    assert code(reply) == (402, "budget_exceeded")
    assert provider.calls == 0


@pytest.mark.parametrize("model", ["by-openai", "by-anthropic"])
@pytest.mark.parametrize(
    "fault",
    [
        {"error_after_events": 6},
        {"error_after_events": 6, "status": 529},
        {"error_after_events": 6, "status": 429},
        {"cut_after_events": 6},
        {"reset": True},
        {"lost_reply": True},
        {"false_done": True},
    ],
)
def test_a_stream_that_fails_is_charged_what_was_billed_whoever_is_asked(
    paying, provider, spent, model, fault
):
    """By whichever words a failure is told, the tokens before it are paid for."""
    provider.script({"times": 1, **fault})
    paying.post(fresh("Tell me of the sea, at length?", model=model, stream=True))
    assert 0 < oracle(provider) <= spent()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["by-openai", "by-anthropic"])
@pytest.mark.parametrize(
    "usage",
    [
        None,
        {},
        {"prompt_tokens": 0, "completion_tokens": 0, "input_tokens": 0, "output_tokens": 0},
        {"prompt_tokens": 9, "completion_tokens": 0, "input_tokens": 9, "output_tokens": 0},
        {"prompt_tokens": -1, "completion_tokens": 5, "input_tokens": -1, "output_tokens": 5},
        {"prompt_tokens": 1e12, "completion_tokens": 5, "input_tokens": 1e12, "output_tokens": 5},
        {"prompt_tokens": 10**8, "completion_tokens": 5, "input_tokens": 10**8, "output_tokens": 5},
        {"prompt_tokens": True, "completion_tokens": "5", "input_tokens": [], "output_tokens": {}},
    ],
)
def test_no_word_of_a_provider_makes_an_answer_free_or_dear(  # noqa: PLR0917
    paying, provider, spent, model, usage, stream
):
    """What can't be true is charged by the bound, and flagged."""
    provider.script({"times": 1, "usage": usage})
    reply = paying.post(fresh("A?", model=model, stream=stream))
    assert reply.status == 200
    assert oracle(provider) <= spent() < nano("0.01")
    assert oracle(provider) > 0
    assert paying.row(reply)["estimated"] is True


def test_who_leaves_midway_is_seen_in_the_row_with_what_it_cost(tmp_path: Path):
    """Disconnects are paid, and told."""
    with (
        simulated(tmp_path / "p", tokens_per_s=20) as slow,
        serving(slow, tmp_path, budgets=[budget(1)], prices=PRICES) as sidecar,
    ):
        client = called(sidecar, fresh("Tell me of the sea?", stream=True))
        read_until(client, b"data: ", times=3)
        client.close()
        total = until(
            lambda: (t := sidecar.admin("GET", "/api/usage").json["total"])["requests"] and t,
            "a row",
        )
        assert nano(total["cost_usd"]) == settled(sidecar)["spent"] >= oracle(slow) > 0


def test_a_shadowed_hit_saves_nothing(provider, tmp_path: Path):
    """It was paid for in full."""
    with serving(
        provider, tmp_path, budgets=[budget(1)], prices=PRICES, cache={"mode": "serve"}
    ) as sidecar:
        sidecar.ask("How tall is the Eiffel tower?")
        sidecar.mode("shadow")
        again = sidecar.ask("How tall is the Eiffel tower?")
        assert again.cache == "shadow"
        assert "x-sidecar-saved-usd" not in again.headers
        assert nano(again.headers["x-sidecar-cost-usd"]) > 0
        assert settled(sidecar)["spent"] == oracle(provider)


@pytest.mark.parametrize("fields", [{"model": "mystery"}, {"service_tier": "priority"}])
def test_a_follower_without_a_budget_is_not_refused_for_what_its_leader_lacks(
    tmp_path: Path, fields: dict
):
    """That a price or a bound is not known is no matter to who has no limit."""
    models = {
        name: {"targets": [{"provider": "p", "model": name}]} for name in ("mystery", "gpt-4o")
    }
    limited = budget(1, match={"department": "support"})
    with (
        simulated(tmp_path / "p", latency_ms=50) as slow,
        serving(slow, tmp_path, models=models, budgets=[limited]) as sidecar,
        ThreadPoolExecutor(8) as pool,
    ):

        def ask(department: str) -> tuple[str, int]:
            head = {"x-sidecar-department": department}
            return department, sidecar.ask("How deep?", head, **fields).status

        for _ in range(3):
            sidecar.purge(all=True)
            told = set(pool.map(ask, ["support", "sales"] * 4))
            assert {status for department, status in told if department == "sales"} == {200}


def answer(completion_tokens: int, text: str) -> bytes:
    """What a server of OpenAI's words says, and counts."""
    choice = {"index": 0, "message": {"content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 5, "completion_tokens": completion_tokens}
    body = {"id": "c", "created": 1, "model": "gpt-4o", "choices": [choice], "usage": usage}
    return json.dumps(body).encode()


def test_a_server_that_obeys_no_cap_is_charged_for_what_it_wrote(provider, tmp_path: Path):
    """An answer longer than was held for is paid whole: it is here to be seen."""
    with answering() as upstream:
        providers = {"p": {"kind": "openai", "base_url": upstream.base_url}}
        upstream.say(answer(3_000, "word " * 3_000))
        with serving(
            provider, tmp_path, providers=providers, budgets=[budget(1)], prices=PRICES
        ) as sidecar:
            reply = sidecar.post(fresh("A?"))
            assert reply.status == 200
            assert settled(sidecar)["spent"] >= 3_000 * OUTPUT_NANO
            assert sidecar.row(reply)["estimated"] is True


def test_a_cap_in_the_newer_word_is_sent_in_the_older_where_that_alone_may_be_known(
    provider, tmp_path: Path
):
    """A server that passes over the one would have no cap at all."""
    with answering() as upstream:
        providers = {"p": {"kind": "openai", "base_url": upstream.base_url}}
        upstream.say(answer(3, "So it is."))
        limited = budget(1, match={"department": "support"})
        with serving(
            provider, tmp_path, providers=providers, budgets=[limited], prices=PRICES
        ) as sidecar:
            for department in ("support", "sales"):
                body = asking("A?", temperature=1, max_completion_tokens=20)
                assert sidecar.post(body, {"x-sidecar-department": department}).status == 200
        first, second = map(json.loads, upstream.bodies)
        assert first["max_tokens"] == 20
        assert "max_completion_tokens" not in first
        assert second["max_completion_tokens"] == 20
