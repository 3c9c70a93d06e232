"""Budgets to the cent: held before, settled after, refused when spent, hits served always."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from .money import (
    INPUT_NANO,
    OUTPUT_NANO,
    PRICES,
    budget,
    code,
    fresh,
    nano,
    oracle,
    settled,
    state,
)
from .running import Provider, Sidecar, asking, serving, simulated, until

ONE_USD = 10**9
TINY = "0.002"
"""Dollars: twice the worst case of an answer with a cap of 20 tokens."""


@pytest.fixture
def spending(provider: Provider, tmp_path: Path):
    """Start a sidecar with these budgets; it ends with the test."""
    with_all = []

    def start(*budgets: dict, **changes) -> Sidecar:
        folder = tmp_path / str(len(with_all))
        manager = serving(provider, folder, budgets=list(budgets), prices=PRICES, **changes)
        with_all.append(manager)
        return manager.__enter__()

    yield start
    for manager in with_all:
        manager.__exit__(None, None, None)


def test_what_a_call_cost_is_what_the_provider_billed(spending, provider):
    """In the head, in the row and in the budget, to the nano-dollar."""
    sidecar = spending(budget(1))
    reply = sidecar.ask("How tall is the Eiffel tower?")
    cost = nano(reply.headers["x-sidecar-cost-usd"])
    assert cost == oracle(provider) > 0
    assert sidecar.row(reply)["cost_nanousd"] == cost
    account = settled(sidecar)
    assert (account["spent"], account["held"], account["remaining"]) == (cost, 0, ONE_USD - cost)


def test_a_hit_costs_nothing_and_tells_what_it_saved(spending, provider):
    """As much as the first answer cost."""
    sidecar = spending(budget(1))
    first, again = (sidecar.ask("How tall is the Eiffel tower?") for _ in range(2))
    assert again.cache == "exact"
    assert again.headers["x-sidecar-cost-usd"] == "0"
    assert again.headers["x-sidecar-saved-usd"] == first.headers["x-sidecar-cost-usd"]
    assert settled(sidecar)["spent"] == oracle(provider)


def test_a_spent_budget_refuses_with_402_and_its_numbers(spending, provider):
    """And the client is told not to try again."""
    sidecar = spending(budget(TINY))
    refused = until(lambda: (r := sidecar.post(fresh("A?"))).status != 200 and r, "a refusal")
    assert code(refused) == (402, "budget_exceeded")
    assert refused.headers["x-should-retry"] == "false"
    error = refused.json["error"]
    assert (error["budget"], error["window"], error["limit_usd"]) == ("b", "month", TINY)
    assert nano(error["spent_usd"]) == oracle(provider) <= nano(TINY)
    assert error["resets_at"]
    assert sidecar.row(refused)["error"] == "budget_exceeded"


def test_hits_are_served_when_all_is_spent(spending, provider):
    """They cost nothing."""
    sidecar = spending(budget("0.003"))
    kept = asking("How tall is the Eiffel tower?", max_tokens=100)
    assert sidecar.post(kept).status == 200
    until(lambda: sidecar.post(fresh("Another?")).status == 402, "a refusal")
    assert sidecar.post(kept).cache == "exact"


def test_money_in_flight_is_429_and_free_again_afterwards(tmp_path):
    """Only holds stand in the way, so the client may come again in a moment."""
    with (
        simulated(tmp_path / "p", latency_ms=800) as slow,
        serving(slow, tmp_path, budgets=[budget(TINY)], prices=PRICES) as sidecar,
        ThreadPoolExecutor(8) as pool,
    ):
        replies = list(pool.map(lambda n: sidecar.post(fresh(f"Q{n}?")), range(8)))
        told = {code(reply) if reply.status != 200 else (200, "") for reply in replies}
        assert told == {(200, ""), (429, "budget_busy")}
        assert all(r.headers["retry-after"] == "1" for r in replies if r.status == 429)
        assert settled(sidecar)["spent"] == oracle(slow)
        assert sidecar.post(fresh("Once more?")).status == 200


def test_only_calls_that_match_are_limited(spending, provider):
    """By any tag, and all patterns of a budget together."""
    match = {"department": "support", "feature": "faq-*"}
    sidecar = spending(budget(0, match=match))
    tags = {"x-sidecar-department": "support", "x-sidecar-feature": "faq-1"}
    assert sidecar.post(fresh("A?"), tags).status == 402
    for other in ({"x-sidecar-department": "sales"}, {"x-sidecar-feature": "chat"}):
        assert sidecar.post(fresh("A?"), tags | other).status == 200


def test_each_user_can_have_an_account(spending, provider):
    """What one has spent is nothing to another."""
    sidecar = spending(budget(TINY, each=["user"]))
    ann, bob = ({"x-sidecar-user": name} for name in ("ann", "bob"))
    until(lambda: sidecar.post(fresh("A?"), ann).status == 402, "a refusal")
    assert sidecar.post(fresh("A?"), bob).status == 200


def test_every_budget_that_matches_must_have_room(spending, provider):
    """The smallest refuses, and nothing is left held in the others."""
    sidecar = spending(budget(1), budget(0, name="zero"))
    refused = sidecar.post(fresh("A?"))
    assert (code(refused), refused.json["error"]["budget"]) == ((402, "budget_exceeded"), "zero")
    assert provider.calls == 0
    assert state(sidecar)["held"] == 0


def test_a_call_without_a_cap_gets_one(spending, provider):
    """Else its worst case would have no bound; the config says which."""
    sidecar = spending(budget(1), max_output_tokens=5)
    reply = sidecar.post(asking("Tell me everything about the sea.", temperature=1))
    assert reply.json["usage"]["completion_tokens"] <= 5
    assert reply.json["choices"][0]["finish_reason"] == "length"


def test_without_a_budget_no_cap_is_added(spending, provider):
    """What the app asked for is passed on as it is."""
    sidecar = spending(max_output_tokens=1)
    reply = sidecar.post(asking("Tell me everything about the sea.", temperature=1))
    assert reply.json["usage"]["completion_tokens"] > 1


def test_an_unpriced_model_is_refused_where_a_budget_matches(provider, tmp_path):
    """And said how to cure it; without a budget it is answered and flagged."""
    models = {"mystery": {"targets": [{"provider": "p", "model": "mystery-1"}]}}
    matched = budget(1, match={"department": "support"})
    with serving(provider, tmp_path, models=models, budgets=[matched]) as sidecar:
        body = fresh("A?", model="mystery")
        refused = sidecar.post(body, {"x-sidecar-department": "support"})
        assert code(refused) == (503, "budget_unavailable")
        assert "prices.mystery-1" in refused.json["error"]["message"]
        assert refused.headers["x-should-retry"] == "false"  # an SDK would ask again in vain
        assert provider.calls == 0
        row = sidecar.row(sidecar.post(body))
        assert (row["cost_nanousd"], row["unpriced"]) == (None, True)


def test_the_ladder_takes_a_cheaper_variant_then_the_cache_then_refuses(provider, tmp_path):
    """Each step stands in a header and a metric; hits are served at every one."""
    ladder = [
        {"at": 0.2, "do": "use_variant", "variant": "cheap"},
        {"at": 0.6, "do": "cache_only"},
        {"at": 1.0, "do": "reject"},
    ]
    models = {
        "gpt-4o": {
            "targets": [{"provider": "p", "model": "gpt-4o"}],
            "variants": {"cheap": [{"provider": "p", "model": "gpt-4o-mini"}]},
        }
    }
    limited = budget("0.005", ladder=ladder)
    with serving(provider, tmp_path, models=models, budgets=[limited], prices=PRICES) as sidecar:
        kept = asking("How tall is the Eiffel tower?", max_tokens=100)
        assert sidecar.post(kept).headers["x-sidecar-model"] == "gpt-4o"
        seen = []
        for number in range(400):
            reply = sidecar.post(fresh(f"Question {number}?"))
            step = reply.headers.get("x-sidecar-degraded", "")
            if not seen or seen[-1] != step:
                seen.append(step)
                assert sidecar.post(kept).cache == "exact"
            if step == "use_variant":
                assert reply.headers["x-sidecar-model"] == "gpt-4o-mini"
                assert "stored" not in reply.headers["cache-status"]
            if reply.status == 402:
                break
        assert seen == ["", "use_variant", "cache_only"]
        assert state(sidecar)["step"] == "cache_only"
        assert sidecar.gauge("sidecar_degraded_total") >= 2


def test_a_stream_is_charged_what_it_used_and_says_so_at_its_end(spending, provider):
    """The head is long gone by then."""
    sidecar = spending(budget(1))
    reply = sidecar.ask("A?", stream=True, stream_options={"include_usage": True})
    assert "x-sidecar-cost-usd" not in reply.headers
    cost = nano(reply.chunks[-1]["sidecar"]["cost_usd"])
    assert cost == oracle(provider) == settled(sidecar)["spent"]


def usage_total(sidecar: Sidecar) -> dict:
    """What `/api/usage` says of all requests."""
    return sidecar.admin("GET", "/api/usage").json["total"]


def test_followers_of_a_flight_pay_nothing(tmp_path):
    """One call, one charge; each follower saved it."""
    with (
        simulated(tmp_path / "p", latency_ms=300) as slow,
        serving(slow, tmp_path, budgets=[budget(1)], prices=PRICES) as sidecar,
        ThreadPoolExecutor(5) as pool,
    ):
        replies = list(pool.map(lambda _: sidecar.ask("How deep is the sea?"), range(5)))
        costs = sorted(nano(reply.headers["x-sidecar-cost-usd"]) for reply in replies)
        assert costs == [0, 0, 0, 0, oracle(slow)]
        assert slow.calls == 1
        for reply in replies:
            sidecar.row(reply)
        until(lambda: usage_total(sidecar)["requests"] == 5, "all rows")
        total = usage_total(sidecar)
        assert nano(total["cost_usd"]) == oracle(slow)
        assert total["output_tokens"] == slow.ledger["billed"]["completion_tokens"]


def test_a_follower_whose_own_budget_has_room_is_not_refused_with_the_leader(tmp_path):
    """Whoever pays nothing of an empty budget must not suffer from it."""
    empty = budget(0, match={"department": "broke"})
    with (
        simulated(tmp_path / "p", latency_ms=100) as slow,
        serving(slow, tmp_path, budgets=[empty], prices=PRICES) as sidecar,
        ThreadPoolExecutor(8) as pool,
    ):
        departments = ["broke", "rich"] * 4

        def ask(department: str) -> tuple[str, int]:
            head = {"x-sidecar-department": department}
            return department, sidecar.ask("How deep is the sea?", head).status

        told = set(pool.map(ask, departments))
        # Whoever is broke may still join a flight that another one pays, or find its answer.
        assert ("rich", 200) in told
        assert told <= {("rich", 200), ("broke", 402), ("broke", 200)}


def test_a_limit_that_is_raised_holds_at_once(spending, provider):
    """A reload is enough, and what was spent stays spent."""
    sidecar = spending(budget(TINY))
    until(lambda: sidecar.post(fresh("A?")).status == 402, "a refusal")
    spent = settled(sidecar)["spent"]
    file = sidecar.folder / "sidecar.yaml"
    file.write_text(file.read_text().replace(TINY, "1.0"))
    assert sidecar.admin("POST", "/api/reload").status == 200
    assert sidecar.post(fresh("A?")).status == 200
    assert settled(sidecar)["spent"] > spent


def test_worst_cases_are_never_below_what_is_billed(spending, provider):
    """Whatever the input is made of: the hold of each call covers its bill."""
    sidecar = spending(budget(1))
    for text in ("€" * 300, "a " * 500, "\n" * 400, "🤖👩‍👩‍👧" * 50):
        before = oracle(provider)
        assert sidecar.post(fresh(text)).status == 200
        cost = oracle(provider) - before
        assert cost <= 20 * OUTPUT_NANO + (len(text.encode()) + 200) * INPUT_NANO
    assert settled(sidecar)["spent"] == oracle(provider)
