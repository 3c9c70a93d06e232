"""`/api/requests/{id}` tells what happened to a request; `/api/mode` decides what happens next."""

from __future__ import annotations

from typing import Any

import pytest

from .money import without_costs
from .refusals import assert_refused
from .running import Provider, Reply, Sidecar, until

QUESTION = "How do I reset my password?"
NEAR = "how do i reset my password"
WHO = {
    "x-sidecar-tenant": "shop",
    "x-sidecar-user": "ann",
    "x-sidecar-feature": "faq",
    "x-sidecar-department": "support",
    "x-sidecar-session": "s-1",
}


def told(sidecar: Sidecar, reply: Reply) -> dict[str, Any]:
    """The story without its times."""
    return sidecar.row(reply)


def words(story: dict[str, Any]) -> list[str]:
    """What was decided, in order."""
    return [f"{each['stage']}:{each['word']}" for each in story["decisions"]]


def test_the_story_of_a_miss(running: Sidecar) -> None:
    """Who asked, why it was not served, who answered, at what cost in tokens and time."""
    reply = running.ask(QUESTION, WHO)
    story = told(running, reply)
    assert story["id"] == reply.headers["x-sidecar-request-id"]
    assert {name: story[name] for name in ("tenant", "user", "feature", "session")} == {
        "tenant": "shop", "user": "ann", "feature": "faq", "session": "s-1",
    }  # fmt: skip
    assert (story["department"], story["endpoint"], story["model"]) == ("support", "chat", "gpt-4o")
    assert (story["status"], story["outcome"], story["reason"]) == (200, "miss", "not_found")
    assert (story["stored"], story["store_reason"]) == (True, "")
    assert words(story) == ["verify:not_found"]
    (attempt,) = story["attempts"]
    assert (attempt["provider"], attempt["model"]) == ("p", "gpt-4o")
    assert (attempt["status"], attempt["reason"]) == (200, "ok")
    usage = reply.json["usage"]
    assert story["input_tokens"] == usage["prompt_tokens"]
    assert story["output_tokens"] == usage["completion_tokens"]
    assert story["total_ms"] >= story["provider_ms"] > 0
    assert {"embed", "search", "verify", "store"} <= story["stages_ms"].keys()


def test_the_story_of_an_exact_hit(running: Sidecar) -> None:
    """Which entry was given, how old it was; nobody was asked."""
    first = told(running, running.ask(QUESTION))
    story = told(running, running.ask(QUESTION))
    assert (story["outcome"], story["reason"], story["status"]) == ("exact", "", 200)
    assert words(story) == ["cache:exact"]
    assert (story["scope"], story["key"]) == (first["scope"], first["key"])
    assert story["entry"]
    assert story["age_s"] >= 0
    assert (story["attempts"], story["stored"], story["provider_ms"]) == ([], False, 0)
    assert story["similarity"] is None


def test_the_story_of_a_semantic_hit(running: Sidecar) -> None:
    """How near it was and how near it had to be; the same scope, another key."""
    first = told(running, running.ask(QUESTION))
    reply = running.ask(NEAR)
    story = told(running, reply)
    assert (story["outcome"], story["reason"]) == ("semantic", "")
    assert words(story) == ["cache:semantic"]
    assert story["scope"] == first["scope"]
    assert story["key"] != first["key"]
    assert story["similarity"] >= story["threshold"] > 0
    assert f"{story['similarity']:.4f}" == reply.headers["x-sidecar-similarity"]
    assert story["entry"] == reply.headers["x-sidecar-entry"]
    assert story["attempts"] == []


def test_the_story_of_a_near_miss(running: Sidecar) -> None:
    """The candidate that was refused, and why."""
    running.ask("How do I reset 2 passwords?")
    story = told(running, running.ask("How do I reset 3 passwords?"))
    assert (story["outcome"], story["reason"]) == ("miss", "numbers_differ")
    assert words(story) == ["verify:numbers_differ"]
    assert story["entry"]
    assert story["similarity"] > story["threshold"]


def test_the_story_of_an_error_names_its_attempts(running: Sidecar, provider: Provider) -> None:
    """As the reply does."""
    provider.script({"status": 503})
    reply = running.ask(QUESTION)
    assert reply.status == 503
    story = told(running, reply)
    assert (story["status"], story["error"]) == (503, "all_targets_failed")
    assert (story["stored"], story["outcome"]) == (False, "miss")
    assert without_costs(story["attempts"]) == reply.json["error"]["attempts"]
    assert [(a["provider"], a["status"]) for a in story["attempts"]] == [("p", 503)]


def test_the_story_of_a_bad_request(running: Sidecar) -> None:
    """It leaves a row too, and what was wrong with it is not repeated there."""
    story = told(running, running.post(b"s3cret-canary"))
    assert (story["status"], story["error"]) == (400, "invalid_request")
    assert "s3cret-canary" not in str(story)


def test_a_story_holds_neither_question_nor_answer(running: Sidecar) -> None:
    """The ledger is for those who count, not for those who read."""
    reply = running.ask("Where is the s3cret-canary kept?")
    assert "s3cret-canary" in reply.text
    assert "s3cret-canary" not in str(told(running, reply))
    until(lambda: running.admin("GET", "/api/status").status == 200, "status")
    assert "s3cret-canary" not in running.process.said


@pytest.mark.parametrize("request_id", ["req_none", "x" * 300, "%27%20OR%201=1", "%00", "%ff"])
def test_a_request_that_is_not_on_record_is_404(running: Sidecar, request_id: str) -> None:
    """Whatever it is called."""
    assert_refused(running.admin("GET", f"/api/requests/{request_id}"), 404, "not_found")


def test_switched_off_the_cache_is_left_alone(running: Sidecar, provider: Provider) -> None:
    """From the next request on: neither read nor written."""
    running.ask(QUESTION)
    running.mode("off")
    reply = running.ask(QUESTION)
    assert (reply.cache, reply.reason) == ("bypass", "mode_off")
    assert provider.calls == 2


def test_in_shadow_a_hit_is_told_and_not_given(running: Sidecar, provider: Provider) -> None:
    """What would have been served goes to a provider all the same."""
    running.ask(QUESTION)
    running.mode("shadow")
    reply = running.ask(NEAR)
    assert (reply.cache, reply.reason) == ("shadow", "shadow")
    assert words(told(running, reply)) == ["cache:semantic", "cache:shadow"]
    assert provider.calls == 2


def test_switched_on_again_it_serves_what_it_had(running: Sidecar, provider: Provider) -> None:
    """The switch forgets nothing."""
    running.ask(QUESTION)
    running.mode("off")
    running.mode("serve")
    assert running.ask(QUESTION).cache == "exact"
    assert provider.calls == 1


@pytest.mark.parametrize(
    "body", [{}, {"mode": None}, {"mode": "on"}, {"mode": "OFF"}, {"mode": ["off"]}, {"mode": 0}]
)
def test_a_mode_that_is_not_understood_changes_nothing(running: Sidecar, body: Any) -> None:
    """It says which there are."""
    reply = running.admin("PUT", "/api/mode", body)
    assert "serve, shadow, off" in assert_refused(reply, 400, "invalid_request", "mode")
    assert running.admin("GET", "/api/status").json["mode"] == "serve"
