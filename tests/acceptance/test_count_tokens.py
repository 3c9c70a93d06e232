"""Tokens counted through the real process: here where the tokenizer is known, else asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anthropic
import pytest

from .running import Provider, Reply, Sidecar, send

ASKED = [{"role": "user", "content": "How do I reset my password?"}]


@pytest.fixture(scope="module")
def counting(serve: Callable[..., Sidecar], shared_provider: Provider) -> Sidecar:
    """A sidecar with a Claude, a GPT, and a model that nobody can count for."""
    url = shared_provider.url
    return serve(
        providers={
            "p": {"kind": "openai", "base_url": f"{url}/v1"},
            "c": {"kind": "anthropic", "base_url": url, "api_key": "k"},
        },
        models={
            "claude": {"targets": [{"provider": "c", "model": "claude-sonnet-4-5"}]},
            "gpt": {"targets": [{"provider": "p", "model": "gpt-4o"}]},
            "llama": {"targets": [{"provider": "p", "model": "llama3"}]},
        },
    )


def count(sidecar: Sidecar, model: str, **fields: Any) -> Reply:
    """One request to count."""
    body = {"model": model, "messages": ASKED, **fields}
    return send("POST", f"{sidecar.url}/messages/count_tokens", body)


def test_a_claude_is_asked(counting: Sidecar, provider: Provider) -> None:
    """Through its own endpoint, with the target's name; the reply is what it told."""
    reply = count(counting, "claude")
    assert (reply.status, reply.json) == (200, {"input_tokens": 6})
    (row,) = provider.ledger["requests"]
    assert (row["endpoint"], row["model"]) == ("count_tokens", "claude-sonnet-4-5")


def test_a_gpt_is_counted_here(counting: Sidecar, provider: Provider) -> None:
    """By its own tokenizer: seven tokens of text, four of the message, three of the answer."""
    reply = count(counting, "gpt")
    assert (reply.status, reply.json) == (200, {"input_tokens": 7 + 4 + 3})
    assert provider.calls == 0


def test_system_and_tools_count(counting: Sidecar, provider: Provider) -> None:
    """What is part of the prompt is part of the count."""
    tool = {"name": "get_weather", "input_schema": {"type": "object"}}
    plain, more = count(counting, "gpt"), count(counting, "gpt", system="Be brief.", tools=[tool])
    assert more.json["input_tokens"] > plain.json["input_tokens"] + 10


def test_a_model_that_can_not_be_counted(counting: Sidecar, provider: Provider) -> None:
    """400 that names it, in Anthropic's shape: no number is better than a wrong one."""
    reply = count(counting, "llama")
    assert (reply.status, reply.json["type"]) == (400, "error")
    assert "llama3" in reply.json["error"]["message"]
    assert provider.calls == 0


def test_an_image_is_not_guessed_at(counting: Sidecar, provider: Provider) -> None:
    """400 that names it, where the count is made here."""
    source = {"type": "base64", "media_type": "image/png", "data": "aGk="}
    content = [{"type": "image", "source": source}, {"type": "text", "text": "?"}]
    reply = count(counting, "gpt", messages=[{"role": "user", "content": content}])
    assert reply.status == 400
    assert "image" in reply.json["error"]["message"]


@pytest.mark.parametrize("body", [{}, {"messages": ASKED}, {"model": "gpt", "messages": []}])
def test_bad_input_is_refused(counting: Sidecar, body: dict[str, Any]) -> None:
    """400 in Anthropic's shape."""
    reply = send("POST", f"{counting.url}/messages/count_tokens", body)
    assert (reply.status, reply.json["type"]) == (400, "error")


def test_an_unknown_model(counting: Sidecar) -> None:
    """404, as everywhere."""
    assert count(counting, "nobody").status == 404


def test_the_anthropic_sdk(counting: Sidecar, provider: Provider) -> None:
    """Unmodified, for both kinds of models."""
    base_url = counting.url.removesuffix("/v1")
    with anthropic.Anthropic(base_url=base_url, api_key="any", max_retries=0) as client:
        counts = [
            client.messages.count_tokens(model=model, messages=ASKED).input_tokens
            for model in ("claude", "gpt")
        ]
    assert counts == [6, 14]
