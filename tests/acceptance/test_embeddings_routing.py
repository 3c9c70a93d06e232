"""Embeddings when providers fail: the same retries, breakers and caps as chats, and a trail."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest

from .money import without_costs
from .running import Provider, Sidecar, send, until
from .upstream import Upstream, answering

MODEL = "text-embedding-3-small"
QUICK = {"attempts": 3, "base_ms": 1, "max_ms": 50}
ANSWER = {"object": "list", "model": "m", "data": [{"index": 0, "embedding": [1.0]}]}


def model(*providers: str, fallbacks: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    """A model that these answer."""
    targets, others = (
        [{"provider": name, "model": MODEL} for name in names] for names in (providers, fallbacks)
    )
    return {"targets": targets, "fallbacks": others, "retry": QUICK, **more}


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    """A provider that keeps what it is sent."""
    with answering() as upstream:
        upstream.say(json.dumps(ANSWER).encode())
        yield upstream


@pytest.fixture(scope="module")
def routed(serve: Callable[..., Sidecar], shared_provider: Provider, upstream: Upstream) -> Sidecar:
    """Models for each test, so that no breaker is anyone else's."""
    urls = {
        "p": shared_provider.base_url,
        "q": shared_provider.base_url,
        "dead": "http://127.0.0.1:1/v1",
        "upstream": upstream.base_url,
    }
    models = {
        "twice": model("p"),
        "failing": model("p", fallbacks=("q",), breaker={"failures": 10_000}),
        "breaking": {**model("dead", fallbacks=("q",)), "breaker": {"failures": 1, "open": "60s"}},
        "narrow": model("p", max_in_flight=1, breaker={"failures": 10_000}),
        "falling": model("dead", fallbacks=("q",), breaker={"failures": 10_000}),
        "told": model("upstream"),
    }
    providers = {name: {"kind": "openai", "base_url": url} for name, url in urls.items()}
    limits = [{"match": {"feature": "few"}, "requests_per_minute": 2}]
    return serve(providers=providers, models=models, rate_limits=limits)


@pytest.fixture
def sdk(routed: Sidecar, provider: Provider) -> Iterator[openai.OpenAI]:
    """The unmodified client, which retries nothing by itself; the ledger is empty."""
    with openai.OpenAI(base_url=routed.url, api_key="any", max_retries=0) as client:
        yield client


def asked(sdk: openai.OpenAI, name: str, *items: str, **more: Any) -> Any:
    """The raw response of one request."""
    raw = sdk.embeddings.with_raw_response
    return raw.create(model=name, input=list(items), encoding_format="float", **more)


def row_of(sidecar: Sidecar, request_id: str) -> dict[str, Any]:
    """The request's row, as soon as it is there."""
    path = f"/api/requests/{request_id}"
    return until(lambda: (r := sidecar.admin("GET", path)).status == 200 and r, "a row").json


def test_a_failure_is_retried(routed: Sidecar, provider: Provider, sdk: openai.OpenAI) -> None:
    """Here, not by the client; header, row and ledger tell the same."""
    provider.script({"status": 503, "times": 2})
    reply = asked(sdk, "twice", "a")
    assert reply.headers["x-sidecar-attempts"] == "3"
    row = row_of(routed, reply.headers["x-sidecar-request-id"])
    assert [attempt["status"] for attempt in row["attempts"]] == [503, 503, 200]
    assert provider.calls == 3


def test_retry_after_is_obeyed(provider: Provider, sdk: openai.OpenAI) -> None:
    """A wait that is longer than the policy's longest is not waited for."""
    provider.script({"status": 429, "retry_after": 30, "times": 1})
    with pytest.raises(openai.RateLimitError) as raised:
        asked(sdk, "twice", "later")
    assert raised.value.response.headers["retry-after"] == "30"
    assert provider.calls == 1


def test_all_who_failed_are_named(routed: Sidecar, provider: Provider, sdk: openai.OpenAI) -> None:
    """503 with every attempt: those of the ledger, in number and order."""
    provider.script({"status": 500})
    with pytest.raises(openai.InternalServerError) as raised:
        asked(sdk, "failing", "a")
    error = raised.value.body
    assert (raised.value.status_code, error["code"]) == (503, "all_targets_failed")
    assert [each["provider"] for each in error["attempts"]] == ["p"] * 3 + ["q"] * 3
    assert provider.calls == 6
    row = row_of(routed, raised.value.response.headers["x-sidecar-request-id"])
    assert without_costs(row["attempts"]) == error["attempts"]


def test_a_fallback_answers(routed: Sidecar, provider: Provider, sdk: openai.OpenAI) -> None:
    """Who could not be reached stands in the trail, each try."""
    reply = asked(sdk, "falling", "a")
    row = row_of(routed, reply.headers["x-sidecar-request-id"])
    told = [(attempt["provider"], attempt["reason"]) for attempt in row["attempts"]]
    assert told == [("dead", "connect")] * 3 + [("q", "ok")]
    assert (provider.calls, row["store_reason"]) == (1, "fallback")


def test_a_dead_target_is_left_alone(
    routed: Sidecar, provider: Provider, sdk: openai.OpenAI
) -> None:
    """Its breaker opens, operators see it, and the next request passes it over."""
    asked(sdk, "breaking", "a")
    reply = asked(sdk, "breaking", "b")
    row = row_of(routed, reply.headers["x-sidecar-request-id"])
    told = [(attempt["provider"], attempt["reason"]) for attempt in row["attempts"]]
    assert told == [("dead", "breaker_open"), ("q", "ok")]
    routes = routed.admin("GET", "/api/routes").json["routes"]["breaking"]
    assert routes["variants"]["targets"][0]["breaker"]["state"] == "open"


def test_one_more_than_may_be_in_flight(
    routed: Sidecar, provider: Provider, sdk: openai.OpenAI
) -> None:
    """503 `overloaded`; the provider hears of one, and the next is answered."""
    provider.script({"delay_ms": 500, "times": 1})
    with ThreadPoolExecutor(1) as others:
        first = others.submit(asked, sdk, "narrow", "a")
        until(lambda: provider.calls == 1, "the first on its way")
        with pytest.raises(openai.InternalServerError, match="max_in_flight") as raised:
            asked(sdk, "narrow", "b")
        assert (raised.value.status_code, raised.value.code) == (503, "overloaded")
        first.result()
    assert asked(sdk, "narrow", "b").headers["x-sidecar-cache"] == "miss"
    assert provider.calls == 2


def test_one_more_than_allowed_waits(provider: Provider, sdk: openai.OpenAI) -> None:
    """429 with the limit's name; the provider hears of none but those before."""
    few = {"x-sidecar-feature": "few"}
    for item in "xy":
        asked(sdk, "twice", item, extra_headers=few)
    with pytest.raises(openai.RateLimitError, match="2 requests per minute for feature few"):
        asked(sdk, "twice", "z", extra_headers=few)
    assert provider.calls == 2


def test_the_user_is_told_by_hash(routed: Sidecar, upstream: Upstream) -> None:
    """As a chat's is; who is named in the body is not named twice."""
    bodies = [{"model": "told", "input": "a"}, {"model": "told", "input": "b", "user": "own"}]
    for body in bodies:
        send("POST", f"{routed.url}/embeddings", body, {"x-sidecar-user": "ada"})
    users = [json.loads(body)["user"] for body in upstream.bodies]
    assert (len(users[0]), users[1]) == (32, "own")
    assert b"ada" not in b"".join(upstream.bodies)


def test_the_callers_own_limit(routed: Sidecar, provider: Provider, sdk: openai.OpenAI) -> None:
    """504, the call is ended, and the row has it."""
    provider.script({"delay_ms": 20_000})
    with pytest.raises(openai.InternalServerError) as raised:
        asked(sdk, "twice", "slow", extra_headers={"x-sidecar-timeout-ms": "100"})
    assert (raised.value.status_code, raised.value.code) == (504, "upstream_timeout")
    assert [attempt["reason"] for attempt in raised.value.body["attempts"]] == ["cancelled"]
    until(lambda: provider.outcomes == ["left"], "the call to be ended")
    row = row_of(routed, raised.value.response.headers["x-sidecar-request-id"])
    assert (row["status"], row["error"]) == (504, "upstream_timeout")
    assert [attempt["reason"] for attempt in row["attempts"]] == ["cancelled"]
