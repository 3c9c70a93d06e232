"""Whose money a call is: by every tag, by account, in time zones; ladders; rate limits beside."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from .money import PRICES, billed, budget, code, fresh, nano, oracle, settled, state
from .running import Provider, Reply, Sidecar, asking, until

TAGS = {
    "department": "x-sidecar-department",
    "feature": "x-sidecar-feature",
    "tenant": "x-sidecar-tenant",
    "user": "x-sidecar-user",
}
LADDER = [
    {"at": 0.2, "do": "use_variant", "variant": "cheap"},
    {"at": 0.6, "do": "cache_only"},
]
FROZEN = [{"at": 0, "do": "cache_only"}]
MODELS = {
    "gpt-4o": {
        "targets": [{"provider": "p", "model": "gpt-4o"}],
        "variants": {"cheap": [{"provider": "p", "model": "gpt-4o-mini"}]},
    },
    "gpt-4o-mini": {"targets": [{"provider": "p", "model": "gpt-4o-mini"}]},
}
ZONES = ("UTC", "America/St_Johns", "Asia/Kathmandu", "Pacific/Kiritimati")
ONLY_CACHED = {"Cache-Control": "only-if-cached"}


@pytest.fixture(scope="module")
def crowded(serve: Callable[..., Sidecar]) -> Sidecar:
    """Many budgets at once, none of which concerns the calls of another's test."""
    by_tag = [budget(0, name=f"no-{tag}", match={tag: "broke*"}) for tag in TAGS]
    zoned = [budget(5, name=zone, timezone=zone, window="day") for zone in ZONES]
    own = {"each": ["user", "tenant"], "match": {"feature": "stairs"}, "ladder": LADDER}
    return serve(
        models=MODELS,
        prices=PRICES,
        budgets=[
            *by_tag,
            *zoned,
            budget(0, name="no-mini", match={"model": "*-mini", "tenant": "modelled"}),
            budget(0, name="no-mix", match={"feature": "mix", "department": "mix"}),
            budget("0.005", name="own", **own),
            budget(1, name="frozen", match={"feature": "frozen"}, ladder=FROZEN),
            budget(1, name="each-feature", each=["feature", "model"], match={"user": "teller"}),
        ],
        rate_limits=[{"match": {"feature": "limited", "user": "*"}, "tokens_per_minute": 600}],
    )


def tagged(**tags: str) -> dict[str, str]:
    """Headers that say so."""
    return {TAGS[name]: value for name, value in tags.items()}


@pytest.mark.parametrize("tag", TAGS)
def test_every_tag_can_be_what_a_budget_matches(
    crowded: Sidecar, provider: Provider, tag: str
) -> None:
    """By pattern, as it is written, and nobody else is concerned."""
    assert named(crowded.post(fresh("A?"), tagged(**{tag: "broke-1"}))) == f"no-{tag}"
    assert provider.calls == 0
    for other in ("Broke-1", "un-broke", "rich"):
        assert crowded.post(fresh("A?"), tagged(**{tag: other})).status == 200
    for elsewhere in TAGS.keys() - {tag}:
        reply = crowded.post(fresh("A?"), tagged(**{elsewhere: f"is-{tag}"}))
        assert reply.status == 200


def named(reply: Reply) -> str:
    """The budget that refused it."""
    assert code(reply) == (402, "budget_exceeded"), reply.body
    return str(reply.json["error"]["budget"])


def test_all_tags_of_a_budget_must_match(crowded: Sidecar) -> None:
    """One of two is not enough."""
    assert named(crowded.post(fresh("A?"), tagged(feature="mix", department="mix"))) == "no-mix"
    assert crowded.post(fresh("A?"), tagged(feature="mix")).status == 200
    assert crowded.post(fresh("A?"), tagged(department="mix")).status == 200


def test_a_model_is_matched_as_asked_for_and_as_answering(crowded: Sidecar) -> None:
    """Neither its own name nor a variant's leads past its budget."""
    tags = tagged(tenant="modelled")
    assert named(crowded.post(fresh("A?", model="gpt-4o-mini"), tags)) == "no-mini"
    assert crowded.post(fresh("A?"), tags).status == 200
    assert named(crowded.post(fresh("A?"), {**tags, "x-sidecar-route": "cheap"})) == "no-mini"


def test_tags_of_the_body_count_like_those_of_headers(crowded: Sidecar) -> None:
    """Wherever they are told."""
    body = fresh("A?", metadata={"department": "broke-by-body"})
    assert named(crowded.post(body)) == "no-department"


def test_each_account_climbs_its_own_ladder(crowded: Sidecar, provider: Provider) -> None:
    """One user is at the top of it, another at the foot, also of the same name elsewhere."""
    ann = tagged(user="ann", tenant="shop", feature="stairs")
    seen = climb(crowded, ann)
    assert seen == ["", "use_variant", "cache_only"]
    for other in ({"user": "bob", "tenant": "shop"}, {"user": "ann", "tenant": "bank"}):
        reply = crowded.post(fresh("And I?"), tagged(feature="stairs", **other))
        assert reply.headers["x-sidecar-model"] == "gpt-4o"
        assert "x-sidecar-degraded" not in reply.headers
    account = state(crowded, "own", "tenant=shop,user=ann")
    until(lambda: state(crowded, "own", "tenant=shop,user=ann")["held"] == 0, "all settled")
    mine = [row for row in provider.ledger["requests"] if "of ann" in str(row["messages"])]
    assert account["spent"] == sum(map(billed, mine))
    assert account["step"] == "cache_only"
    assert 0.6 * account["limit"] <= account["spent"] <= account["limit"]


def climb(sidecar: Sidecar, tags: dict[str, str]) -> list[str]:
    """Spend until it is refused; the steps on the way."""
    seen: list[str] = []
    for number in range(400):
        reply = sidecar.post(fresh(f"Question {number} of ann?"), tags)
        step = reply.headers.get("x-sidecar-degraded", "")
        if step not in seen:
            seen.append(step)
        if reply.status == 402:
            assert reply.json["error"]["step"] == step
            return seen
    raise AssertionError("never refused")


@pytest.mark.parametrize("feature", ["broke", "frozen"])
def test_what_only_the_cache_may_answer_is_never_refused_for_money(
    crowded: Sidecar, provider: Provider, feature: str
) -> None:
    """On an empty budget and at the ladder's top: a hit, or 504, no 402, and nobody is asked."""
    kept = asking("How tall is the Eiffel tower?", max_tokens=100)
    assert crowded.post(kept, tagged(feature="rich")).status == 200
    called = provider.calls
    tags = tagged(feature=feature)
    assert named(crowded.post(fresh("A?"), tags)) in ("no-feature", "frozen")
    assert crowded.post(kept, {**tags, **ONLY_CACHED}).cache == "exact"
    missing = crowded.post(asking("What is nowhere?", max_tokens=9), {**tags, **ONLY_CACHED})
    assert code(missing) == (504, "cache_miss")
    assert provider.calls == called


def test_a_day_begins_where_its_owner_lives(crowded: Sidecar, provider: Provider) -> None:
    """The same spending in each, from and to the midnights of the zone."""
    before = {zone: settled(crowded, zone) for zone in ZONES}
    assert crowded.post(fresh("What time is it?")).status == 200
    now = datetime.now(UTC)
    for zone in ZONES:
        account = settled(crowded, zone)
        start, end = (datetime.fromisoformat(account[key]) for key in ("starts_at", "resets_at"))
        for moment in (start, end):
            shown = moment.astimezone(ZoneInfo(zone))
            assert (shown.hour, shown.minute, shown.second) == (0, 0, 0)
        assert start <= now < end
        if account["starts_at"] == before[zone]["starts_at"]:  # else it began meanwhile
            assert account["spent"] - before[zone]["spent"] == oracle(provider)


def test_accounts_by_feature_and_model_are_apart(crowded: Sidecar, provider: Provider) -> None:
    """Named by both; what each has spent is what its calls were billed."""
    teller = {"user": "teller"}
    for feature, model in (("a", "gpt-4o"), ("b", "gpt-4o"), ("a", "gpt-4o-mini")):
        reply = crowded.post(fresh("A?", model=model), tagged(feature=feature, **teller))
        assert reply.status == 200
        each = f"feature={feature},model={model}"
        cost = nano(reply.headers["x-sidecar-cost-usd"])
        assert state(crowded, "each-feature", each)["spent"] == cost > 0


def test_a_call_that_a_budget_refuses_gives_its_tokens_back(crowded: Sidecar) -> None:
    """Else the rate limit would hold against others what was never used."""
    limited: dict[str, Any] = {"feature": "limited", "user": "ann"}
    for _ in range(10):  # each may need 200 tokens, of 600 a minute
        refused = crowded.post(fresh("A?", max_tokens=180), tagged(department="broke", **limited))
        assert named(refused) == "no-department"
    assert crowded.post(fresh("A?", max_tokens=180), tagged(**limited)).status == 200


def test_a_call_that_a_rate_limit_refuses_holds_no_money(
    crowded: Sidecar, provider: Provider
) -> None:
    """It came no further."""
    before = settled(crowded, "UTC")
    tags = tagged(feature="limited", user="bob")
    refused = crowded.post(fresh("A?", max_tokens=900), tags)
    assert code(refused) == (429, "rate_limited")
    after = state(crowded, "UTC")
    assert (after["held"], after["spent"] - before["spent"], provider.calls) == (0, 0, 0)
