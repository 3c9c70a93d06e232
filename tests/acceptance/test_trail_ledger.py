"""Every failure before every kind of provider: the trail tells what the ledger saw, each call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from .models import every_kind
from .money import without_costs
from .running import DONE, Provider, Reply, Sidecar, send
from .watching import sent

ASKED = "How do I reset my password?"
FIRST, SECOND = "first", "second"
WAYS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
KINDS = pytest.mark.parametrize("kind", ["o", "a", "z"], ids=["openai", "anthropic", "azure"])
QUOTA = {"status": 429, "code": "insufficient_quota", "message": "credit balance is too low"}
WINDOW = {"status": 400, "code": "context_length_exceeded", "message": "prompt is too long"}
FILTER = {"status": 400, "code": "content_filter", "message": "blocked by content filtering policy"}


class Story(NamedTuple):
    """A fault of the first target, and how its attempts and the fallback's are told.

    `ends` is the reason of each attempt at the first; the fallback is well.
    """

    fault: dict[str, Any]
    ends: tuple[str, ...]


THRICE = 3
STORIES = {
    "429": Story({"status": 429}, ("rate_limited",) * THRICE),
    "429-once": Story({"status": 429, "retry_after": 0.1, "times": 1}, ("rate_limited", "ok")),
    "429-for-long": Story({"status": 429, "retry_after": 9}, ("rate_limited",)),
    "500": Story({"status": 500}, ("status_500",) * THRICE),
    "503": Story({"status": 503}, ("overloaded",) * THRICE),
    "529-twice": Story({"status": 529, "times": 2}, ("overloaded", "overloaded", "ok")),
    "quota": Story(QUOTA, ("insufficient_quota",)),
    "key": Story({"status": 401}, ("auth",)),
    "window": Story(WINDOW, ("context_window",)),
    "filter": Story(FILTER, ("content_filter",)),
    "slow": Story({"delay_ms": 2000}, ("timeout",)),
    "lost": Story({"lost_reply": True}, ("disconnect",)),
    "lost-by-reset": Story({"lost_reply": True, "reset": True}, ("reset",)),
    "cut": Story({"cut_after_events": 1}, ("cut",)),
    "cut-by-reset": Story({"cut_after_events": 1, "reset": True}, ("cut",)),
}


MIDWAY = "midway"
"""The model of stories that come later."""


def config(provider: Provider) -> dict[str, Any]:
    """For each kind and story a model with a fallback, and a stubborn one, which repeats what
    got no answer. Targets have a budget of retries, so stories share none.
    """
    models: dict[str, Any] = {}
    for kind in "oaz":
        for name in (*STORIES, MIDWAY):
            models[f"{name}-{kind}"] = model(kind, name)
            models[f"stubborn-{name}-{kind}"] = model(kind, f"stubborn-{name}", ambiguous=True)
    return {"providers": every_kind(provider)["providers"], "models": models}


def model(kind: str, name: str, *, ambiguous: bool = False) -> dict[str, Any]:
    """One of them."""
    return {
        "targets": [{"provider": kind, "model": f"{name}-{FIRST}"}],
        "fallbacks": [{"provider": kind, "model": f"{name}-{SECOND}"}],
        "breaker": {"failures": 10_000},
        "retry": {"attempts": 3, "base_ms": 1, "max_ms": 300, "ambiguous": ambiguous},
        "timeout": {"first_token": "400ms", "total": "400ms"},
        "fallback_on": ["failure", "context_window", "content_filter"],
    }


@pytest.fixture(scope="module")
def shared_sidecar(serve: Callable[..., Sidecar], shared_provider: Provider) -> Sidecar:
    """A sidecar with those."""
    return serve(**config(shared_provider))


def places(named: list[dict[str, Any]]) -> list[str]:
    """Whom attempts, or calls of the ledger, went to: the first or the second."""
    return [each["model"].rpartition("-")[2] for each in named]


@KINDS
@WAYS
@pytest.mark.parametrize("name", STORIES)
def test_what_is_told_is_what_was_done(
    running: Sidecar, provider: Provider, kind: str, stream: bool, name: str
) -> None:
    """As many attempts as the ledger has calls, in its order; nothing is repeated in silence."""
    fault, ends = STORIES[name]
    provider.script({"match": {"model": f"*-{FIRST}"}, **fault})
    reply = running.ask(ASKED, model=f"{name}-{kind}", stream=stream)
    assert reply.status == 200, reply.body
    row, calls = running.row(reply), provider.ledger["requests"]
    wanted = [FIRST] * len(ends) + [SECOND] * (ends[-1] != "ok")
    assert places(row["attempts"]) == places(calls) == wanted
    reasons = sent(row)
    assert all(map(str.startswith, reasons, (*ends, "ok"))), reasons
    answered = [told["status"] for told in row["attempts"] if told["status"]]
    assert answered == [c["status"] for c in calls if c["outcome"] in ("refused", "completed")]
    assert row["answered_model"].endswith(wanted[-1])
    assert row["stored"] is (wanted[-1] == FIRST)
    assert stream or reply.headers["x-sidecar-attempts"] == str(len(wanted))


@KINDS
@WAYS
@pytest.mark.parametrize("name", [n for n in STORIES if "times" not in STORIES[n].fault])
def test_when_the_fallback_fails_alike_everyone_is_named(
    running: Sidecar, provider: Provider, kind: str, stream: bool, name: str
) -> None:
    """In the error as in the row, as often as the ledger saw; nothing is kept."""
    fault, ends = STORIES[name]
    provider.script(fault)
    reply = running.ask(ASKED, model=f"{name}-{kind}", stream=stream)
    assert reply.status >= 400
    row = running.row(reply)
    wanted = [FIRST] * len(ends) + [SECOND] * len(ends)
    assert places(row["attempts"]) == places(provider.ledger["requests"]) == wanted
    if "attempts" in reply.json["error"]:
        assert reply.json["error"]["attempts"] == without_costs(row["attempts"])
    else:  # the provider's own words about the caller's fault
        assert name in ("window", "filter")
    assert reply.headers["x-sidecar-attempts"] == str(len(wanted))
    assert running.cache["entries"] == 0


@KINDS
@WAYS
@pytest.mark.parametrize("name", ["slow", "lost", "lost-by-reset", "cut", "cut-by-reset"])
def test_what_got_no_answer_is_repeated_where_config_allows_it(
    running: Sidecar, provider: Provider, kind: str, stream: bool, name: str
) -> None:
    """At the same target, and told."""
    fault, ends = STORIES[name]
    provider.script({"match": {"model": f"*-{FIRST}"}, **fault, "times": 1})
    reply = running.ask(ASKED, model=f"stubborn-{name}-{kind}", stream=stream)
    assert reply.status == 200
    row = running.row(reply)
    assert places(row["attempts"]) == [FIRST, FIRST]
    assert all(map(str.startswith, sent(row), (*ends, "ok")))
    assert provider.calls == 2


BODIES: dict[str, dict[str, Any]] = {
    "chat/completions": {"messages": [{"role": "user", "content": ASKED}]},
    "messages": {"max_tokens": 500, "messages": [{"role": "user", "content": ASKED}]},
    "responses": {"input": ASKED},
}
DEATHS: list[dict[str, Any]] = [
    {"cut_after_events": 6},
    {"cut_after_events": 6, "reset": True},
    {"error_after_events": 6},
]


def ask_in(running: Sidecar, path: str, model: str) -> Reply:
    """A stream in one of the formats."""
    return send("POST", f"{running.url}/{path}", {**BODIES[path], "model": model, "stream": True})


@KINDS
@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("death", DEATHS, ids=["cut", "reset", "told"])
def test_a_stream_that_dies_in_the_middle(
    running: Sidecar, provider: Provider, kind: str, path: str, death: dict[str, Any]
) -> None:
    """A typed error in the caller's format, never an end; nobody else is asked, nothing kept."""
    provider.script({"match": {"model": f"*-{FIRST}"}, **death})
    reply = ask_in(running, path, f"{MIDWAY}-{kind}")
    text = reply.body.decode()
    assert reply.status == 200
    assert_ends_with_error(path, text)
    row = running.row(reply)
    assert (len(row["attempts"]), provider.calls, row["stored"]) == (1, 1, False)
    assert row["error"]
    assert running.cache["entries"] == 0


def assert_ends_with_error(path: str, text: str) -> None:
    """The last event is the format's own error, and no event says that all is well."""
    last = text.strip().rpartition("\n\n")[2]
    starts = {
        "chat/completions": 'data: {"error":{',
        "messages": 'event: error\ndata: {"type":"error","error":{',
        "responses": "event: error\n",
    }
    assert last.startswith(starts[path]), last
    assert not any(end in text for end in (DONE, "message_stop", "response.completed"))
    assert '"finish_reason":"stop"' not in text
    assert "end_turn" not in text


@KINDS
@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("events", [0, 1])
def test_a_stream_that_dies_before_its_first_word_falls_back(
    running: Sidecar, provider: Provider, kind: str, path: str, events: int
) -> None:
    """The fallback's answer is whole, and nothing of the dead one is in it."""
    rule = {"match": {"model": f"*-{FIRST}"}, "error_after_events": events, "status": 500}
    provider.script(rule)
    reply = ask_in(running, path, f"{MIDWAY}-{kind}")
    text = reply.body.decode()
    assert '"error":{' not in text
    assert any(end in text for end in (DONE, "message_stop", "response.completed"))
    told = places(running.row(reply)["attempts"])
    assert told == places(provider.ledger["requests"])
    assert (told[0], told[-1]) == (FIRST, SECOND)
