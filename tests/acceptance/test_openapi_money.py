"""What the description says of money holds for real replies, the refusals included."""

from __future__ import annotations

from typing import Any

import pytest

from .leaving import called, read_until
from .money import PRICES, budget, fresh
from .running import Provider, Sidecar, serving, simulated, until
from .test_openapi import CHAT, DESCRIPTION, JSON, MESSAGES, check

MODELS = {
    name: {"targets": [{"provider": "p", "model": name}], "variants": {"cheap": cheap}}
    for name, cheap in (
        ("gpt-4o", [{"provider": "p", "model": "gpt-4o-mini"}]),
        ("mystery", [{"provider": "p", "model": "mystery-1"}]),
    )
}
LADDER = [
    {"at": 0.0, "do": "use_variant", "variant": "cheap"},
    {"at": 1.0, "do": "cache_only"},
]
BUDGETS = [
    budget(1, name="all"),
    budget(1, name="each", each=["user"], match={"department": "support"}),
    budget(0, name="none", match={"department": "broke"}),
    budget(1, name="steps", match={"department": "thrifty"}, ladder=LADDER),
    budget(0, name="stopped", match={"department": "stopped"}, ladder=LADDER),
]


@pytest.fixture(scope="module")
def paying(serve) -> Sidecar:
    """With budgets of all kinds."""
    return serve(budgets=BUDGETS, prices=PRICES, models=MODELS)


@pytest.fixture
def spent(paying: Sidecar, provider: Provider) -> Sidecar:
    """It has spent something; a charge waits for its provider's word."""
    paying.post(fresh("A?"), {"x-sidecar-department": "support", "x-sidecar-user": "ann"})
    provider.script({"times": 1, "delay_ms": 50})
    client = called(paying, fresh("Tell me of the sea?", stream=True))
    read_until(client, b"200 OK")
    client.close()
    paying.idle()
    return paying


def query(**options: str) -> dict[str, Any]:
    """The options of a URL."""
    return {"query": options}


@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("/api/usage", {}),
        ("/api/usage", {"by": "department,model,status,day", "since": "2d", "format": "json"}),
        ("/api/usage", {"by": "user", "format": "csv"}),
        ("/api/usage", {"department": "support"}),
        ("/api/usage", {"by": "colour"}),
        ("/api/usage/closing", {"month": "2026-10", "timezone": "Europe/Berlin"}),
        ("/api/usage/closing", {"month": "2026-10", "format": "csv"}),
        ("/api/usage/closing", {"month": "October"}),
        ("/api/usage/charges", {"from": "2026-01-01", "to": "2099-01-01"}),
        ("/api/usage/charges", {"from": "soon", "to": "2099-01-01"}),
        ("/api/budgets", {}),
        ("/api/budgets/unsettled", {}),
        ("/api/budgets/unsettled", {"format": "csv"}),
        ("/api/budgets/unsettled", {"format": "xml"}),
    ],
)
def test_reports_on_money_are_as_described(spent: Sidecar, path: str, options: dict) -> None:
    """Full ones, empty ones and refusals; as JSON and CSV."""
    check(spent, "GET", path, **query(**options))


def test_a_full_closing_is_as_described(spent: Sidecar) -> None:
    """With rows and windows, of which a wrong month would have none."""
    month = spent.admin("GET", "/api/usage?by=month").json["rows"][0]["month"]
    check(spent, "GET", "/api/usage/closing", **query(month=month))
    assert spent.admin("GET", f"/api/usage/closing?month={month}").json["budgets"]


def test_a_reconciliation_is_as_described(spent: Sidecar) -> None:
    """Done, refused, and of a charge that there is none of."""
    path = "/api/budgets/reconcile"
    charge = spent.admin("GET", "/api/budgets/unsettled").json["rows"][0]["id"]
    for cost in ("lots", "0.0001", "0.0001"):
        check(spent, "POST", path, body={"charge": charge, "cost_usd": cost}, media_type=JSON)
    assert spent.admin("POST", path, {"charge": charge, "cost_usd": "1"}).status == 404


def test_the_row_of_a_paid_call_is_as_described(spent: Sidecar) -> None:
    """Its cost, and that of every attempt."""
    story = spent.row(spent.post(fresh("What did I cost?")))
    assert story["attempts"][0]["cost_nanousd"] == story["cost_nanousd"] > 0
    check(spent, "GET", "/api/requests/{id}", path_parameters={"id": story["id"]})


RESPONSES = {"model": "gpt-4o", "input": "How?", "temperature": 1}
EMBEDDINGS = {"model": "gpt-4o", "input": ["How?"]}
ENDPOINTS = [
    (CHAT, fresh("How?")),
    ("/v1/messages", {**MESSAGES, "temperature": 1}),
    ("/v1/responses", RESPONSES),
    ("/v1/embeddings", EMBEDDINGS),
]


@pytest.mark.parametrize(("path", "body"), ENDPOINTS)
@pytest.mark.parametrize("department", ["thrifty", "broke", "stopped"])
def test_replies_under_a_budget_are_as_described(
    paying: Sidecar, provider: Provider, path: str, body: dict[str, Any], department: str
) -> None:
    """Answered by a cheaper variant, and 402 for both of its reasons."""
    headers = {"x-sidecar-department": department}
    check(paying, "POST", path, body=body, headers=headers, media_type=JSON)


@pytest.mark.parametrize(("path", "body"), ENDPOINTS)
def test_a_model_without_a_price_is_refused_as_described(
    paying: Sidecar, provider: Provider, path: str, body: dict[str, Any]
) -> None:
    """503, in the words of each endpoint; the status tells of it."""
    check(paying, "POST", path, body={**body, "model": "mystery"}, media_type=JSON)
    check(paying, "GET", "/api/status")
    prices = paying.admin("GET", "/api/status").json["prices"]
    assert prices["unpriced"] == ["p/mystery", "p/mystery-1"]
    assert prices["notes"][1].endswith("the budget all pays; set prices.mystery-1")


def test_a_refusal_for_money_in_flight_is_as_described(tmp_path) -> None:
    """429 with the budget's numbers."""
    with (
        simulated(tmp_path / "p", tokens_per_s=2) as slow,
        serving(slow, tmp_path, budgets=[budget("0.002")], prices=PRICES) as sidecar,
    ):
        client = called(sidecar, fresh("Tell me of the sea?", stream=True, max_tokens=60))
        read_until(client, b"200 OK")
        check(sidecar, "POST", CHAT, body=fresh("B?", max_tokens=60), media_type=JSON)
        until(lambda: sidecar.post(fresh("B?", max_tokens=60)).status == 429, "a refusal")
        client.close()


def test_a_stream_tells_its_cost_as_described(paying: Sidecar, provider: Provider) -> None:
    """In the object on its last chunk, every field of which is described."""
    reply = paying.ask("How?", stream=True, stream_options={"include_usage": True})
    described = DESCRIPTION["components"]["schemas"]["ChatCompletionChunk"]["properties"]["sidecar"]
    told = reply.chunks[-1]["sidecar"]
    assert sorted(told) == sorted(described["properties"]) == sorted(described["required"])
