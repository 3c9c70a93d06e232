"""Rate limits: who asks too much waits, the others don't notice."""

from __future__ import annotations

from collections.abc import Callable

import openai
import pytest

from .running import Provider, Reply, Sidecar, asking

PER_MINUTE = 3
LIMITS = [
    {"match": {"user": "*"}, "requests_per_minute": PER_MINUTE},
    {"match": {"feature": "tokens"}, "tokens_per_minute": 300},
]


@pytest.fixture(scope="module")
def limited(serve: Callable[..., Sidecar]) -> Sidecar:
    """Three requests a minute for each user, and a few tokens for one feature."""
    return serve(rate_limits=LIMITS)


def ask_as(sidecar: Sidecar, user: str, question: str, **fields: object) -> Reply:
    """One question of a user."""
    return sidecar.ask(question, {"x-sidecar-user": user}, **fields)


def test_one_more_than_allowed_waits(limited: Sidecar, provider: Provider) -> None:
    """429 with the limit's name and a wait; no provider hears of it; others go on."""
    replies = [ask_as(limited, "ann", f"Question {number}?") for number in range(PER_MINUTE + 1)]
    assert [reply.status for reply in replies] == [200] * PER_MINUTE + [429]
    refused = replies[-1]
    assert refused.json["error"]["code"] == "rate_limited"
    assert "3 requests per minute for user ann" in refused.json["error"]["message"]
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert ask_as(limited, "bob", "Question 0?").status == 200
    assert provider.calls == PER_MINUTE
    assert limited.row(refused)["error"] == "rate_limited"


def test_hits_count_as_requests(limited: Sidecar, provider: Provider) -> None:
    """The cache does not stand for more than a user may ask."""
    replies = [ask_as(limited, "carl", "The same?") for _ in range(PER_MINUTE + 1)]
    assert [reply.status for reply in replies] == [200] * PER_MINUTE + [429]
    assert (replies[1].cache, provider.calls) == ("exact", 1)


def test_tokens_are_counted_by_what_was_used(limited: Sidecar, provider: Provider) -> None:
    """Misses use the allowance up, hits don't; what never fits says so."""
    headers = {"x-sidecar-feature": "tokens"}

    def ask(number: int, user: str) -> Reply:
        said = {**headers, "x-sidecar-user": user}
        return limited.ask(f"What is number {number}?", said)

    assert ask(0, "u").status == 200
    used = sum(provider.ledger["billed"].values())
    assert 0 < used < 300
    hits = [ask(0, f"u{number}") for number in range(20)]
    assert {(reply.status, reply.cache) for reply in hits} == {(200, "exact")}
    statuses = [ask(number, f"v{number}").status for number in range(1, 40)]
    assert statuses[0] == 200
    assert statuses[-1] == 429
    assert sum(provider.ledger["billed"].values()) <= 300
    huge = limited.ask("x" * 2000, {**headers, "x-sidecar-user": "w"})
    assert (huge.status, huge.headers["x-should-retry"]) == (429, "false")


def test_the_sdk_raises_its_own_exception(limited: Sidecar) -> None:
    """And can read the wait."""
    client = openai.OpenAI(base_url=limited.url, api_key="any", max_retries=0)
    said = {"extra_headers": {"x-sidecar-user": "dora"}}
    for _ in range(PER_MINUTE):
        client.chat.completions.create(**asking("Again?"), **said)
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(**asking("Again?"), **said)
    assert int(caught.value.response.headers["retry-after"]) >= 1
