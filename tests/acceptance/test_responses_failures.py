"""Responses that are passed on, where targets can't take them, refuse, break off or are busy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI

from .responding import ASKED, mixed, post
from .running import Provider, Sidecar

STREAMS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
SEARCH: Any = {"type": "web_search"}


@pytest.fixture(scope="module")
def all_kinds(serve: Callable[..., Sidecar], shared_provider: Provider) -> Sidecar:
    """A sidecar with each kind of provider."""
    return serve(**mixed(shared_provider))


@pytest.fixture
def asked(all_kinds: Sidecar, provider: Provider) -> Sidecar:
    """The same, its provider's ledger empty."""
    assert provider.calls == 0
    return all_kinds


@pytest.fixture
def gpt(asked: Sidecar) -> Iterator[OpenAI]:
    """The client."""
    with OpenAI(base_url=asked.url, api_key="x", max_retries=0) as client:
        yield client


@STREAMS
def test_a_busy_provider_is_asked_again(asked: Sidecar, provider: Provider, stream: bool) -> None:
    """Retries and fallbacks are those of any call."""
    provider.script({"status": 503, "times": 2, "match": {"model": "gpt-4o"}})
    reply = post(asked, model="retried", store=True, stream=stream)
    asked_ = [(a["model"], a["status"]) for a in asked.row(reply)["attempts"]]
    assert asked_ == [("gpt-4o", 503), ("gpt-4o", 503), ("gpt-4o-mini", 200)]
    assert provider.calls == 3


def test_a_response_that_failed_at_the_provider(asked: Sidecar, provider: Provider) -> None:
    """Told with status 200 it is a failure all the same, and the provider is asked again."""
    provider.script({"finish_reason": "failed", "times": 1})
    reply = post(asked, model="retried", store=True)
    reasons = [a["reason"] for a in asked.row(reply)["attempts"]]
    assert (reply.status, reasons) == (200, ["overloaded", "ok"])


def test_a_response_that_failed_by_its_request(asked: Sidecar, provider: Provider) -> None:
    """It is the answer, in the provider's words; nobody is asked again."""
    provider.script({"finish_reason": "failed", "code": "invalid_prompt", "message": "no"})
    reply = post(asked, model="retried", store=True)
    assert (reply.status, reply.json["status"]) == (200, "failed")
    assert reply.json["error"] == {"code": "invalid_prompt", "message": "no"}
    assert provider.calls == 1


@pytest.mark.parametrize("fault", [{"cut_after_events": 8}, {"error_after_events": 8}])
def test_a_stream_that_breaks_off(
    gpt: OpenAI, asked: Sidecar, provider: Provider, fault: dict[str, Any]
) -> None:
    """A typed error, never a clean end; the events keep their numbers."""
    provider.script(fault)
    reply = post(asked, store=True, stream=True)
    names = [block.split("\n")[0] for block in reply.body.decode().strip().split("\n\n")]
    assert names[-2:] == ["event: response.failed", "event: error"]
    assert "event: response.completed" not in names
    assert asked.row(reply)["error"]
    with pytest.raises(openai.APIError):
        list(gpt.responses.create(model="by-openai", input=ASKED, store=True, stream=True))


def test_a_false_end_is_a_failure(asked: Sidecar, provider: Provider) -> None:
    """A stream that just ends has not told its response."""
    provider.script({"false_done": True})
    reply = post(asked, store=True, stream=True)
    assert reply.body.rstrip().split(b"\n\n")[-1].startswith(b"event: error")


@STREAMS
def test_targets_without_it_are_passed_over(
    asked: Sidecar, provider: Provider, stream: bool
) -> None:
    """By name in the trail; the one that has it answers."""
    reply = post(asked, model="mixed", store=True, stream=stream)
    attempts = asked.row(reply)["attempts"]
    assert reply.status == 200
    assert {a["provider"] for a in attempts[:-1]} == {"a", "z"}
    assert {a["reason"] for a in attempts[:-1]} == {"untranslatable"}
    assert attempts[-1]["provider"] == "o"
    assert provider.calls == 1


@STREAMS
@pytest.mark.parametrize("model", ["by-anthropic", "by-azure"])
@pytest.mark.parametrize(
    ("param", "fields"),
    {
        "previous_response_id": {"previous_response_id": "resp_1"},
        "store": {"store": True},
        "tools[0].type": {"tools": [SEARCH]},
        "seed": {"seed": 1},
    }.items(),
)
def test_a_route_without_such_a_provider(
    asked: Sidecar, model: str, fields: dict[str, Any], param: str, stream: bool
) -> None:
    """400 by the name of the field, and nothing is sent."""
    reply = post(asked, model=model, stream=stream, **fields)
    error = reply.json["error"]
    assert (reply.status, error["code"], error["param"]) == (400, "invalid_request", param)
    assert error["message"].startswith(f"{param} ")
    (attempt,) = asked.row(reply)["attempts"]
    assert (attempt["reason"], attempt["status"]) == ("untranslatable", None)
