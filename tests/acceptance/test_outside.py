"""What an answer rests on outside of its request, through the real SDKs to Anthropic's API."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from anthropic import Anthropic
from openai import OpenAI

from .models import one_try
from .running import Sidecar
from .test_betas import ANSWER, ASKED
from .upstream import Upstream, answering

SEARCH = {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}
SERVERS = [{"type": "url", "url": "https://mcp.example.com", "name": "m"}]
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    """Anthropic, which keeps what it is sent."""
    with answering() as upstream:
        upstream.say(json.dumps(ANSWER).encode())
        yield upstream


@pytest.fixture(scope="module")
def sidecar(serve: Callable[..., Sidecar], upstream: Upstream) -> Sidecar:
    """A sidecar before it."""
    base_url = upstream.base_url.removesuffix("/v1")
    return serve(
        providers={"a": {"kind": "anthropic", "base_url": base_url, "api_key": "sk-test"}},
        models={"claude": one_try([{"provider": "a", "model": "claude"}])},
    )


@pytest.fixture(scope="module")
def client(sidecar: Sidecar) -> Iterator[Anthropic]:
    """Anthropic's SDK, as it is."""
    url = sidecar.url.removesuffix("/v1")
    with Anthropic(base_url=url, api_key="x", max_retries=0) as client:
        yield client


@pytest.mark.parametrize(
    ("reason", "fields"),
    [
        ("native", {"tools": [SEARCH]}),
        ("native", {"extra_body": {"mcp_servers": SERVERS}}),
        ("stateful", {"container": "c1"}),
    ],
)
def test_it_goes_on_as_it_came_and_is_never_kept(
    client: Anthropic, upstream: Upstream, reason: str, fields: dict[str, Any]
) -> None:
    """Asked for twice, asked twice, in the client's own words."""
    before = upstream.calls
    for _ in range(2):
        reply = client.messages.with_raw_response.create(**ASKED, **fields)
        assert reply.headers["x-sidecar-cache"] == "bypass"
        assert reply.headers["x-sidecar-reason"] == reason
    assert upstream.calls == before + 2
    asked = json.loads(upstream.bodies[-1])
    for name, value in fields.get("extra_body", fields).items():
        assert asked[name] == value


def test_openais_words_for_form_and_effort_reach_anthropic(
    sidecar: Sidecar, upstream: Upstream
) -> None:
    """And what Anthropic has none for is refused by OpenAI's name for it."""
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}
    messages: Any = ASKED["messages"]
    with OpenAI(base_url=sidecar.url, api_key="x", max_retries=0) as client:
        ask: Any = client.chat.completions.create
        ask(model="claude", messages=messages, response_format=form, reasoning_effort="low")
        told = json.loads(upstream.bodies[-1])["output_config"]
        assert told == {"format": {"type": "json_schema", "schema": SCHEMA}, "effort": "low"}
        with pytest.raises(openai.BadRequestError) as raised:
            ask(model="claude", messages=messages, seed=7)
    assert raised.value.param == "seed"


def test_the_user_is_told_to_anthropic_as_a_digest(sidecar: Sidecar, upstream: Upstream) -> None:
    """Whatever door the tag came through, and never as it came."""
    sidecar.post({**ASKED, "metadata": {"user": "ann@example.com"}})
    named = json.loads(upstream.bodies[-1])["metadata"]["user_id"]
    sidecar.post(ASKED, {"x-sidecar-user": "ann@example.com", "Cache-Control": "no-cache"})
    assert json.loads(upstream.bodies[-1])["metadata"]["user_id"] == named
    assert b"ann@example.com" not in b"".join(upstream.bodies)
