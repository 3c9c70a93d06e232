"""Limits that a caller sets for itself, and answers that meaning must not find."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from .running import Provider, Sidecar, until
from .upstream import Upstream, answering

ASKED = "How do I reset my password?"
NEAR = "How can I reset my password?"
IMPATIENT = {"x-sidecar-timeout-ms": "100"}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_no_longer_than_the_caller_waits(
    running: Sidecar, provider: Provider, stream: bool
) -> None:
    """504, and the provider's call is ended since nobody else wants it."""
    provider.script({"delay_ms": 20_000})
    reply = running.ask(ASKED, IMPATIENT, stream=stream)
    assert (reply.status, reply.json["error"]["code"]) == (504, "upstream_timeout")
    until(lambda: provider.outcomes == ["left"], "the call to be ended")


def test_one_caller_s_haste_is_not_the_others(running: Sidecar, provider: Provider) -> None:
    """Who shares the flight and has time gets the answer, from the one call."""
    provider.script({"delay_ms": 1500})
    with ThreadPoolExecutor() as others:
        patient = others.submit(running.ask, ASKED)
        until(lambda: provider.calls == 1, "the flight to be under way")
        assert running.ask(ASKED, IMPATIENT).status == 504
        assert (patient.result().status, provider.calls) == (200, 1)


def test_a_limit_that_nobody_can_prove_is_kept_by_not_serving(running: Sidecar) -> None:
    """The near answer is not given, the equal one is, and what came is found by others."""
    running.ask(ASKED)
    strict = running.ask(NEAR, {"x-sidecar-max-wrong": "0.001"})
    assert (strict.cache, strict.reason) == ("miss", "unproven")
    assert running.ask(NEAR, {"x-sidecar-max-wrong": "0.001"}).cache == "exact"
    assert running.ask("How might I reset my password?").cache == "semantic"


def test_two_tenants_in_one_request(running: Sidecar, provider: Provider) -> None:
    """Neither is believed; a proxy may have added one of them."""
    reply = running.ask(ASKED, {"x-sidecar-tenant": "a", "X-Sidecar-Tenant": "b"})
    assert (reply.status, provider.calls) == (400, 0)


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    """A provider that says whatever it is told to."""
    with answering() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def beside(upstream: Upstream, serve: Callable[..., Sidecar]) -> Sidecar:
    """A sidecar before it, which discloses nothing."""
    return serve(
        cache={"disclose": False},
        providers={"p": {"kind": "openai", "base_url": upstream.base_url}},
    )


def whole(message: dict[str, object], finish: str) -> bytes:
    """A provider's whole reply."""
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    head = {"id": "x", "object": "chat.completion", "created": 1, "model": "gpt-4o"}
    return json.dumps({**head, "choices": [choice]}).encode()


def test_a_tool_call_that_nobody_offered_is_not_found_by_meaning(
    beside: Sidecar, upstream: Upstream
) -> None:
    """An answer that wants a tool called serves the equal request and no other."""
    call = {"id": "c", "type": "function", "function": {"name": "reset", "arguments": "{}"}}
    upstream.say(whole({"content": None, "tool_calls": [call]}, "tool_calls"))
    beside.ask(ASKED)
    assert (beside.ask(ASKED).cache, beside.ask(NEAR).cache) == ("exact", "miss")


def test_what_is_left_of_an_entry_s_life_is_not_disclosed(
    beside: Sidecar, upstream: Upstream
) -> None:
    """It tells the age as well as `Age` does."""
    upstream.say(whole({"content": "Berlin."}, "stop"))
    beside.ask("What is the capital of Germany?")
    hit = beside.ask("What is the capital of Germany?")
    assert (hit.cache, hit.headers["cache-status"]) == ("exact", "sidecar; hit; detail=exact")


@pytest.mark.parametrize(
    ("code", "told"), [("server_error", True), ("sk-proj-C4naryKey0123456789", False)]
)
def test_a_provider_can_not_put_a_key_into_our_errors(
    beside: Sidecar, upstream: Upstream, code: str, told: bool
) -> None:
    """Of an error inside a 200 a plain word is told, and nothing that may be a secret."""
    upstream.say(json.dumps({"error": {"message": "no", "code": code}}).encode())
    reply = beside.ask("Is this told?", {"Cache-Control": "no-store"})
    assert (reply.status, code in reply.body.decode()) == (503, told)
