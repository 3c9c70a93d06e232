"""The headers that tell how an answer came about."""

import pytest

from sidecar.domain import Attempt, Choice, Completion, Outcome
from sidecar.reasons import Reason
from sidecar.reply import Reply
from sidecar.trail import Trail
from sidecar.web.heads import base_head, reply_head

ANSWER = Completion("1", 1, "gpt-4o", (Choice(0, "Hi", "stop"),))


@pytest.fixture
def trail(make_call, clock) -> Trail:
    """A request that nothing is known of yet."""
    return Trail(make_call(), clock)


def semantic(trail: Trail) -> Reply:
    """A hit by meaning."""
    trail.judged("e1", 0.98765, 0.91234, 0.9)
    trail.hit(Outcome.SEMANTIC, "e1", "gpt-4o-2024", "openai")
    trail.age_s = 59.9
    return Reply(trail, ANSWER, ttl_s=3540.5, replayed=True)


def test_every_reply_has_its_id_and_outcome(trail):
    """An error's head too."""
    assert base_head(trail) == {
        "x-sidecar-request-id": "req_1",
        "x-sidecar-cache": "miss",
        "Cache-Status": "sidecar; fwd=miss",
    }


def test_a_semantic_hit_tells_how_near_and_how_old(trail):
    """Everything of the contract's table."""
    head = reply_head(semantic(trail), disclose=True)
    assert head["x-sidecar-cache"] == "semantic"
    assert head["Cache-Status"] == "sidecar; hit; detail=semantic; ttl=3540"
    assert (head["x-sidecar-similarity"], head["x-sidecar-confidence"]) == ("0.9877", "0.9123")
    assert (head["x-sidecar-entry"], head["Age"]) == ("e1", "59")
    assert (head["x-sidecar-model"], head["x-sidecar-provider"]) == ("gpt-4o-2024", "openai")
    assert "x-sidecar-reason" not in head


def test_nothing_is_disclosed_where_config_says_so(trail):
    """Neither similarity nor confidence nor the entry."""
    head = reply_head(semantic(trail), disclose=False)
    assert not {"x-sidecar-similarity", "x-sidecar-confidence", "x-sidecar-entry"} & set(head)


def test_a_near_miss_tells_its_best_candidate(trail):
    """And why it was not served."""
    trail.judged("e1", 0.91, 0.91, 0.92)
    trail.refused("verify", Reason.BELOW_THRESHOLD)
    head = reply_head(Reply(trail, ANSWER), disclose=True)
    told = (head["x-sidecar-entry"], head["x-sidecar-reason"], head["x-sidecar-cache"])
    assert told == ("e1", "below_threshold", "miss")


def test_an_exact_hit_has_no_similarity(trail):
    """Equal is not near."""
    trail.hit(Outcome.EXACT, "e1", "gpt-4o", "openai")
    assert "x-sidecar-similarity" not in reply_head(Reply(trail, ANSWER), disclose=True)


def test_a_miss_tells_who_answered_and_how_often_was_tried(trail):
    """`stored` means queued for commit."""
    trail.answered("gpt-4o", "openai", (Attempt("openai", "m", 200, "ok", 1.0),), None)
    trail.stored = True
    head = reply_head(Reply(trail, ANSWER), disclose=True)
    assert (head["x-sidecar-attempts"], head["Cache-Status"]) == ("1", "sidecar; fwd=miss; stored")
    assert "Age" not in head


def test_a_streams_head_tells_no_more_than_is_known(trail):
    """Neither attempts nor whether it will be stored."""

    async def chunks():
        yield None

    head = reply_head(Reply(trail, chunks=chunks()), disclose=True)
    assert "x-sidecar-attempts" not in head
    assert head["Cache-Status"] == "sidecar; fwd=miss"


def test_what_was_not_stored_tells_why(trail):
    """Where nothing else was against the cache."""
    trail.store_reason = "truncated"
    assert base_head(trail)["x-sidecar-reason"] == "truncated"


def test_why_it_was_not_served_outranks_why_it_was_not_stored(trail):
    """One word, the first cause."""
    trail.refused("policy", Reason.NO_CACHE)
    trail.store_reason = "truncated"
    head = base_head(trail)
    assert (head["x-sidecar-reason"], head["Cache-Status"]) == ("no_cache", "sidecar; fwd=request")


def test_a_bypass_names_its_reason_in_both_headers(trail):
    """As the contract's example."""
    trail.refused("policy", Reason.TEMPERATURE)
    trail.outcome = Outcome.BYPASS
    head = base_head(trail)
    told = (head["Cache-Status"], head["x-sidecar-reason"])
    assert told == ("sidecar; fwd=bypass; detail=temperature", "temperature")


def test_a_shadowed_hit_has_no_age(trail):
    """The answer given is a new one."""
    reply = semantic(trail)
    trail.shadowed()
    head = reply_head(reply, disclose=True)
    assert (head["x-sidecar-cache"], "Age" in head) == ("shadow", False)


def test_a_clock_set_back_makes_no_negative_age(trail):
    """`Age` is a whole number, 0 or more."""
    trail.hit(Outcome.EXACT, "e1", "gpt-4o", "openai")
    trail.age_s = -30.0
    assert reply_head(Reply(trail, ANSWER), disclose=True)["Age"] == "0"


def test_a_providers_model_name_can_not_break_the_head(trail):
    """A line break in it doesn't become a header, nor an error of ours."""
    trail.answered("gpt\r\nSet-Cookie: a=b", "openai", (), None)
    head = reply_head(Reply(trail, ANSWER), disclose=True)
    assert all(text.isprintable() for text in head.values())
