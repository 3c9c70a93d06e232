"""Tokens counted through the real process: here where the tokenizer is known, else asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anthropic
import pytest

from .running import Provider, Reply, Sidecar, send, until
from .upstream import answering

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
        rate_limits=[
            {"match": {"feature": "few"}, "requests_per_minute": 2, "tokens_per_minute": 1},
            {"match": {"feature": "words"}, "tokens_per_minute": 40},
        ],
    )


def count(
    sidecar: Sidecar, model: str, headers: dict[str, str] | None = None, **fields: Any
) -> Reply:
    """One request to count."""
    body = {"model": model, "messages": ASKED, **fields}
    return send("POST", f"{sidecar.url}/messages/count_tokens", body, headers)


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


def test_a_count_leaves_a_row(counting: Sidecar, provider: Provider) -> None:
    """Who asked, who counted; no token was used, and the cache had no part in it."""
    reply = count(counting, "claude", {"x-sidecar-user": "ada"}, metadata={"user_id": "eve"})
    row = counting.row(reply)
    assert (row["endpoint"], row["model"], row["user"]) == ("count_tokens", "claude", "ada")
    assert (row["status"], row["outcome"], row["input_tokens"]) == (200, "bypass", None)
    told = [(each["provider"], each["model"], each["reason"]) for each in row["attempts"]]
    assert told == [("c", "claude-sonnet-4-5", "ok")]
    assert (reply.cache, reply.headers["x-sidecar-attempts"]) == ("bypass", "1")
    assert reply.headers["x-sidecar-provider"] == "c"
    assert provider.calls == 1


def test_counts_are_counted(counting: Sidecar, provider: Provider) -> None:
    """As requests at a door of their own, and the provider's tries with them."""
    requests = "sidecar_requests_total"
    mine = 'endpoint="count_tokens"'

    def series(name: str) -> float:
        lines = counting.admin("GET", "/metrics").body.decode().splitlines()
        told = [line for line in lines if line.startswith(name) and mine in line]
        return sum(float(line.rpartition(" ")[2]) for line in told)

    before, tries = series(requests), counting.gauge("sidecar_provider_attempts_total")
    count(counting, "claude")
    count(counting, "gpt")
    until(lambda: series(requests) == before + 2, "both counted")
    assert counting.gauge("sidecar_provider_attempts_total") == tries + 1


def test_what_is_counted_here_says_so(counting: Sidecar) -> None:
    """By which tokenizer; nobody was asked."""
    row = counting.row(count(counting, "gpt"))
    assert (row["attempts"], row["answered_provider"]) == ([], "")
    told = {each["stage"]: each["detail"] for each in row["decisions"]}
    assert told["count"] == {"encoding": "o200k_base"}


def test_every_failed_try_is_in_the_row(counting: Sidecar, provider: Provider) -> None:
    """And in the error, in Anthropic's shape; chats go on, for no breaker hears of it."""
    provider.script({"status": 500})
    for _ in range(2):
        reply = count(counting, "claude")
    row = counting.row(reply)
    assert (reply.status, reply.json["type"]) == (503, "error")
    assert [each["status"] for each in row["attempts"]] == [500] * len(row["attempts"]) != []
    provider.script()
    chat = {"model": "claude", "messages": ASKED, "max_tokens": 9}
    assert send("POST", f"{counting.url}/messages", chat).status == 200


def test_a_callers_fault_is_passed_on(counting: Sidecar, provider: Provider) -> None:
    """With the provider's own status and words, asked once."""
    provider.script({"status": 400, "message": "too odd"})
    reply = count(counting, "claude")
    assert (reply.status, reply.json["error"]["message"]) == (400, "too odd")
    assert provider.calls == 1


def test_counts_take_from_the_limit_on_requests(counting: Sidecar, provider: Provider) -> None:
    """And not from that on tokens, whatever their size."""
    few, words = {"x-sidecar-feature": "few"}, {"x-sidecar-feature": "words"}
    replies = [count(counting, "gpt", few) for _ in range(3)]
    assert [reply.status for reply in replies] == [200, 200, 429]
    refused = replies[-1]
    assert refused.json["error"]["type"] == "rate_limit_error"
    assert "2 requests per minute" in refused.json["error"]["message"]
    assert counting.row(refused)["error"] == "rate_limited"
    assert counting.post({"model": "gpt", "messages": ASKED}, words).status == 200
    assert counting.post({"model": "gpt", "messages": ASKED}, words).status == 429
    assert [count(counting, "gpt", words, max_tokens=99).status for _ in range(4)] == [200] * 4


def test_betas_go_along(serve: Callable[..., Sidecar]) -> None:
    """As with a chat: what they allow may change what is counted."""
    with answering() as upstream:
        upstream.say(b'{"input_tokens": 3}')
        sidecar = serve(
            providers={"c": {"kind": "anthropic", "base_url": upstream.base_url, "api_key": "k"}},
            models={"claude": {"targets": [{"provider": "c", "model": "claude"}]}},
        )
        assert count(sidecar, "claude", {"anthropic-beta": "some-beta"}).json["input_tokens"] == 3
        assert "anthropic-beta: some-beta" in upstream.heard[-1].lower()


def test_a_count_is_never_cached(counting: Sidecar, provider: Provider) -> None:
    """Who wants only what is cached is told so, by its own error."""
    reply = count(counting, "claude", {"Cache-Control": "only-if-cached"})
    assert (reply.status, counting.row(reply)["error"], provider.calls) == (504, "cache_miss", 0)


def test_no_longer_than_the_caller_waits(counting: Sidecar, provider: Provider) -> None:
    """504, and the provider's call is ended."""
    provider.script({"delay_ms": 20_000})
    reply = count(counting, "claude", {"x-sidecar-timeout-ms": "100"})
    assert reply.status == 504
    until(lambda: provider.outcomes == ["left"], "the call to be ended")
    assert [each["reason"] for each in counting.row(reply)["attempts"]] == ["cancelled"]


@pytest.fixture(scope="module")
def strict(serve: Callable[..., Sidecar]) -> Sidecar:
    """A sidecar with one client, that wants to know the user of each request."""
    return serve(
        clients=[{"key": "sk-shop", "tenant": "shop"}],
        tags={"required": ["user"]},
        models={
            "gpt": {"targets": [{"provider": "p", "model": "gpt-4o"}]},
            "embed": {"targets": [{"provider": "p", "model": "embed"}]},
        },
    )


@pytest.mark.parametrize(
    ("path", "body", "endpoint"),
    [
        ("messages/count_tokens", {"model": "gpt", "messages": ASKED}, "count_tokens"),
        ("embeddings", {"model": "embed", "input": "a"}, "embeddings"),
    ],
)
def test_who_is_unknown_or_says_too_little_leaves_a_row(
    strict: Sidecar, provider: Provider, path: str, body: Any, endpoint: str
) -> None:
    """401 and 400 as at the doors of chats, and an operator sees who knocks."""
    url, known = f"{strict.url}/{path}", {"x-api-key": "sk-shop"}
    stranger = send("POST", url, body, {"x-api-key": "sk-nobody"})
    row = strict.row(stranger)
    assert (stranger.status, row["status"], row["error"]) == (401, 401, "invalid_api_key")
    assert (row["endpoint"], row["tenant"]) == (endpoint, "")
    unnamed = send("POST", url, body, known)
    row = strict.row(unnamed)
    assert (unnamed.status, row["error"]) == (400, "missing_tag")
    assert "x-sidecar-user" in unnamed.json["error"]["message"]
    named = send("POST", url, body, {**known, "x-sidecar-user": "ada"})
    row = strict.row(named)
    assert (named.status, row["tenant"], row["user"]) == (200, "shop", "ada")


@pytest.mark.parametrize("path", ["messages/count_tokens", "embeddings"])
def test_a_stranger_learns_nothing_by_another_method(strict: Sidecar, path: str) -> None:
    """401 before 405."""
    assert send("GET", f"{strict.url}/{path}").status == 401
