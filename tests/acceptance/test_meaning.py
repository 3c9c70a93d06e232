"""The semantic tier: what is near is served, what only looks near is not."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from .running import Provider, Sidecar, asking

ASKED = "How do I reset my password?"
NEAR = "How can I reset my password?"
LONG = (
    "Summarise the following report for our board in plain words. " + "The quarter was good. " * 90
)


def test_a_paraphrase_is_a_hit(running: Sidecar, provider: Provider) -> None:
    """Its head tells how near the entry was, which one it is, how old, and who answered then."""
    stored = running.ask(ASKED)
    hit = running.ask(NEAR)
    assert (hit.cache, hit.text, provider.calls) == ("semantic", stored.text, 1)
    assert 0.92 <= float(hit.headers["x-sidecar-similarity"]) < 1
    assert 0.92 <= float(hit.headers["x-sidecar-confidence"]) <= 1
    assert hit.headers["x-sidecar-entry"]
    assert int(hit.headers["age"]) >= 0
    assert (hit.headers["x-sidecar-model"], hit.headers["x-sidecar-provider"]) == ("gpt-4o", "p")
    assert hit.headers["x-sidecar-attempts"] == "0"


@pytest.mark.parametrize(
    ("stored", "asked"),
    [
        ("List the top 5 cheeses of France", "List the top 50 cheeses of France"),
        ("List the top five cheeses of France", "List the top ten cheeses of France"),
        ("Convert 1,000 euros to dollars", "Convert 1.000 euros to dollars"),
        ("How long do I boil ½ kilo of potatoes?", "How long do I boil 12 kilo of potatoes?"),
    ],
)
def test_other_numbers_are_another_question(
    running: Sidecar, provider: Provider, stored: str, asked: str
) -> None:
    """However near the vectors are; the reason says so."""
    running.ask(stored)
    reply = running.ask(asked)
    assert (reply.cache, reply.reason) == ("miss", "numbers_differ")
    assert float(reply.headers["x-sidecar-similarity"]) >= 0.92
    assert provider.calls == 2


def test_the_same_numbers_are_the_same_question(running: Sidecar) -> None:
    """However they are written."""
    running.ask("List the top 5 cheeses of France")
    assert running.ask("List the top five cheeses of France").cache == "semantic"


def test_another_question_is_a_miss(running: Sidecar) -> None:
    """What is not near enough says so, or that nothing was near at all."""
    running.ask("Write a poem about the sea")
    near_miss = running.ask("Write a song about the sea")
    assert (near_miss.reason, near_miss.cache) == ("below_threshold", "miss")
    assert float(near_miss.headers["x-sidecar-similarity"]) < 0.92
    assert running.ask("What is the capital of France?").reason == "not_found"


def test_long_prompts_with_one_beginning(running: Sidecar, provider: Provider) -> None:
    """Over the encoder's window nothing is compared or kept by meaning; equals still match."""
    first, second = f"{LONG} Sales rose.", f"{LONG} Sales fell."
    for question in (first, second):
        reply = running.ask(question)
        assert (reply.cache, reply.reason) == ("miss", "too_long")
        assert "x-sidecar-similarity" not in reply.headers
    assert running.cache["vectors"] == 0
    again = running.ask(first)
    assert (again.cache, provider.calls) == ("exact", 2)
    assert running.ask(second).text != again.text


@pytest.mark.parametrize("sign", ["𒀀", "🜁", "ꙮ"])
def test_what_the_model_has_no_token_for(running: Sidecar, provider: Provider, sign: str) -> None:
    """Signs that the encoder can't tell apart are never compared by meaning."""
    replies = [running.ask(f"What does {mark} mean?") for mark in (sign, sign + sign)]
    assert {(reply.cache, reply.reason) for reply in replies} == {("miss", "unknown_tokens")}
    assert running.cache["vectors"] == 0
    assert running.ask(f"What does {sign} mean?").cache == "exact"
    assert provider.calls == 2


def turns(subject: str, last: str) -> dict[str, Any]:
    """A conversation about one thing, and the last word."""
    return asking(last) | {
        "messages": [
            {"role": "user", "content": f"Please look at my {subject}"},
            {"role": "assistant", "content": f"Do you want me to cancel your {subject}?"},
            {"role": "user", "content": last},
        ]
    }


def test_a_last_word_belongs_to_its_conversation(running: Sidecar, provider: Provider) -> None:
    """The same “yes, cancel it”, or a near one, after other turns is another request."""
    running.post(turns("order", "yes, cancel it"))
    for subject in ("subscription", "flight", "order from yesterday"):
        for last in ("yes, cancel it", "yes please, cancel it"):
            headers = {"Cache-Control": "only-if-cached"}
            assert running.post(turns(subject, last), headers).status == 504
    assert running.post(turns("order", "yes please, cancel it")).cache == "semantic"
    assert provider.calls == 1


def test_a_hit_is_not_stored_again(running: Sidecar, provider: Provider) -> None:
    """Meaning is not transitive: a paraphrase stays one, and adds no entry."""
    running.ask(ASKED)
    outcomes = [running.ask(NEAR).cache for _ in range(3)]
    assert outcomes == ["semantic"] * 3
    assert (running.cache["entries"], running.cache["vectors"]) == (1, 1)


def test_an_exact_entry_is_preferred(running: Sidecar, provider: Provider) -> None:
    """Once the new question has an answer of its own, that is what it gets."""
    running.ask(ASKED)
    own = running.ask(NEAR, {"Cache-Control": "no-cache"})
    hit = running.ask(NEAR)
    assert (hit.cache, hit.text) == ("exact", own.text)


@pytest.mark.parametrize(
    "last",
    [
        {"role": "assistant", "content": "Continue"},
        {"role": "user", "content": "   "},
        {"role": "system", "content": "Summarise"},
    ],
    ids=["assistant", "blank", "system"],
)
def test_what_is_no_question(running: Sidecar, provider: Provider, last: dict[str, str]) -> None:
    """Where the last message is no user's text only equals match."""
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}, last]}
    first, again = running.post(body), running.post(body)
    assert (first.reason, again.cache, provider.calls) == ("not_a_question", "exact", 1)


def test_a_picture_is_never_cached(running: Sidecar, provider: Provider) -> None:
    """Images are neither compared nor kept."""
    picture = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    body = asking("") | {
        "messages": [{"role": "user", "content": [{"type": "text", "text": ASKED}, picture]}]
    }
    replies = [running.post(body) for _ in range(2)]
    assert {(reply.cache, reply.reason) for reply in replies} == {("bypass", "media")}
    assert provider.calls == 2


def test_parts_of_text_are_compared(running: Sidecar) -> None:
    """A question in parts is a question."""
    running.ask(ASKED)
    parts = [{"type": "text", "text": NEAR}]
    body = asking("") | {"messages": [{"role": "user", "content": parts}]}
    assert running.post(body).cache == "semantic"


def test_the_same_vector_whatever_runs_beside(serve: Callable[..., Sidecar]) -> None:
    """A similarity is the same to the last bit, asked alone or beside fifteen others."""
    similarities = []
    for beside in (0, 15):
        fresh = serve()  # a process of its own: the other one remembers the vector
        fresh.ask(ASKED)
        others = [
            f"Tell me something about topic {letter}" for letter in "abcdefghijklmno"[:beside]
        ]
        with ThreadPoolExecutor(16) as pool:
            replies = list(pool.map(fresh.ask, [*others, NEAR]))
        similarities.append(fresh.row(replies[-1])["similarity"])
    assert similarities[0] == similarities[1]
    assert math.isfinite(similarities[0])
