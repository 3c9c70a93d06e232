"""Two scopes never see each other's answers: 2,000 pairs and more, over HTTP, in both tiers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import aiohttp
import pytest

from .running import Provider, Reply, Sidecar
from .scopes import NEAR_QUESTIONS, PLACES, Place

CONNECTIONS = 16
CONTROL = 7
"""Every so many-th is asked again, to see both tiers at work: each scope is among them."""
Asked = tuple[Place, str]


def ask_all(running: Sidecar, asked: Sequence[Asked]) -> list[Reply]:
    """Everything at once, on a few connections; replies in the order of what was asked."""
    return asyncio.run(_ask_all(running, asked))


async def _ask_all(running: Sidecar, asked: Sequence[Asked]) -> list[Reply]:
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    url = f"{running.url}/chat/completions"
    async with aiohttp.ClientSession(connector=connector) as session:

        async def ask(place: Place, question: str) -> Reply:
            body = place.body(question)
            async with session.post(url, json=body, headers=place.headers) as answer:
                content = await answer.read()
            named = {name.lower(): value for name, value in answer.headers.items()}
            return Reply(answer.status, named, content)

        return await asyncio.gather(*(ask(*one) for one in asked))


@pytest.fixture(scope="module")
def first() -> list[Asked]:
    """In every scope one of each pair of near questions; which one differs from place to place."""
    return [
        (place, pair[(number + turn) % 2])
        for turn, pair in enumerate(NEAR_QUESTIONS)
        for number, place in enumerate(PLACES)
    ]


@pytest.fixture(scope="module")
def other() -> list[Asked]:
    """The other question of each pair."""
    return [
        (place, pair[(number + turn + 1) % 2])
        for turn, pair in enumerate(NEAR_QUESTIONS)
        for number, place in enumerate(PLACES)
    ]


def counted(replies: Sequence[Reply]) -> dict[str, int]:
    """How often which outcome."""
    words = [reply.cache for reply in replies]
    return {word: words.count(word) for word in sorted(set(words))}


def test_no_scope_answers_for_another(
    running: Sidecar, provider: Provider, first: list[Asked], other: list[Asked]
) -> None:
    """Every first question in a scope is its own call, though all others hold it or a near one.

    Afterwards both tiers do serve within each scope, and what that scope was told: else the
    first part would prove nothing.
    """
    assert len(first) >= 2000
    assert {id(place) for place, _ in first[::CONTROL]} == {id(place) for place in PLACES}
    fresh = ask_all(running, first)
    assert counted(fresh) == {"miss": len(first)}
    assert provider.calls == len(first)

    exact = ask_all(running, first[::CONTROL])
    assert counted(exact) == {"exact": len(exact)}
    assert [reply.text for reply in exact] == [reply.text for reply in fresh[::CONTROL]]

    pairs = zip(other[::CONTROL], fresh[::CONTROL], strict=True)
    near = [(asked, reply) for asked, reply in pairs if asked[0].by_meaning]
    semantic = ask_all(running, [asked for asked, _ in near])
    assert counted(semantic) == {"semantic": len(near)}
    assert [reply.text for reply in semantic] == [reply.text for _, reply in near]
    assert provider.calls == len(first)


def test_where_tools_are_offered_only_equals_match(running: Sidecar, provider: Provider) -> None:
    """A near question is a call of its own, and says why."""
    places = [place for place in PLACES if not place.by_meaning]
    question, near = NEAR_QUESTIONS[0]
    ask_all(running, [(place, question) for place in places])
    replies = ask_all(running, [(place, near) for place in places])
    assert {reply.reason for reply in replies} == {"tools_exact_only"}
    assert provider.calls == 2 * len(places)


@pytest.mark.parametrize(
    "label",
    [
        {"stream": True},
        {"stream": True, "stream_options": {"include_usage": True}},
        {"metadata": {"a": "b"}},
        {"user": "ann"},
        {"safety_identifier": "ann"},
        {"store": True},
        {"temperature": None},
    ],
    ids=lambda label: next(iter(label)),
)
def test_what_does_not_change_an_answer_is_shared(
    running: Sidecar, provider: Provider, label: dict[str, Any]
) -> None:
    """How an answer is delivered or filed is no part of the scope."""
    question = NEAR_QUESTIONS[0][0]
    running.ask(question)
    assert running.ask(question, **label).cache == "exact"
    assert provider.calls == 1


def test_tags_do_not_divide_a_tenant(running: Sidecar, provider: Provider) -> None:
    """User, feature, department and session are for the books; under `tenant` all share."""
    question = NEAR_QUESTIONS[0][0]
    for name in ("user", "feature", "department", "session"):
        running.ask(question, {f"x-sidecar-{name}": "one"})
    assert provider.calls == 1


def test_keys_do_not_divide_a_tenant(running: Sidecar, provider: Provider) -> None:
    """Where no clients are configured any key is accepted, and means nothing."""
    question = NEAR_QUESTIONS[0][0]
    for key in ("one", "two"):
        running.ask(question, {"Authorization": f"Bearer {key}"})
    assert provider.calls == 1


def test_a_client_cannot_widen_its_scope(running: Sidecar, provider: Provider) -> None:
    """`shared` is refused by keeping to the tenant, where config does not allow more."""
    question = NEAR_QUESTIONS[0][0]
    for tenant in ("a", "b"):
        headers = {"x-sidecar-tenant": tenant, "x-sidecar-cache-scope": "shared"}
        assert running.ask(question, headers).cache == "miss"
    assert provider.calls == 2


def test_shared_by_config(serve: Callable[..., Sidecar], provider: Provider) -> None:
    """Where config shares, tenants do share; a client may still keep to itself."""
    shared = serve(cache={"scope": "shared"})
    question = NEAR_QUESTIONS[0][0]
    outcomes = [shared.ask(question, {"x-sidecar-tenant": tenant}).cache for tenant in ("a", "b")]
    assert outcomes == ["miss", "exact"]
    alone = {"x-sidecar-tenant": "b", "x-sidecar-cache-scope": "tenant"}
    assert shared.ask(question, alone).cache == "miss"
    assert provider.calls == 2


def test_no_user_no_cache(running: Sidecar, provider: Provider) -> None:
    """Under `scope: user` a request that names nobody is neither read nor written."""
    headers = {"x-sidecar-cache-scope": "user"}
    replies = [running.ask(NEAR_QUESTIONS[0][0], headers) for _ in range(2)]
    assert {(reply.cache, reply.reason) for reply in replies} == {("bypass", "no_user")}
    assert provider.calls == 2
