"""The notes of one request, and the row they become."""

import pytest

from sidecar.domain import Attempt, Caller, Outcome, Usage
from sidecar.reasons import Reason
from sidecar.trail import MAX_NAME_CHARS, Trail, shown


@pytest.fixture
def trail(make_call, clock) -> Trail:
    """The trail of a call that says all about its caller."""
    caller = Caller("shop", "ann", "faq", "sales", "s1", "app", "digest")
    return Trail(make_call(caller=caller), clock)


def test_a_row_tells_who_asked(trail):
    """All usage tags come from the caller."""
    row = trail.close(200)
    told = (row.tenant, row.user, row.feature, row.department, row.session, row.client)
    assert told == ("shop", "ann", "faq", "sales", "s1", "app")


def test_a_row_of_a_request_that_told_nothing_is_still_a_row(trail):
    """Refused at the door, it has an id, a status and an outcome."""
    row = trail.close(400)
    assert (row.id, row.status, row.outcome, row.attempts) == ("req_1", 400, "miss", ())


def test_decisions_stand_in_their_order_with_their_time(trail, clock):
    """The row is the whole story."""
    trail.refused("policy", Reason.NO_CACHE)
    clock.advance(0.25)
    trail.note("flight", "joined", {"leader": "req_0"})
    told = [(d.stage, d.word, d.at_ms) for d in trail.close(200).decisions]
    assert told == [("policy", "no_cache", 0.0), ("flight", "joined", 250.0)]


def test_the_last_refusal_is_the_requests_reason(trail):
    """The header names the deepest stage that said no."""
    trail.refused("embed", Reason.EMBED_BUSY)
    trail.refused("verify", Reason.NUMBERS_DIFFER)
    assert trail.close(200).reason == "numbers_differ"


def test_a_hit_has_no_reason_against_it(trail):
    """What was refused on the way doesn't explain a served answer."""
    trail.refused("exact", Reason.TOO_OLD)
    trail.hit(Outcome.SEMANTIC, "e1", "gpt-4o", "openai")
    row = trail.close(200)
    assert (row.outcome, row.reason, row.entry) == ("semantic", "", "e1")


def test_a_shadowed_hit_is_a_shadow_with_its_candidate(trail):
    """Shadow mode tells what it would have served."""
    trail.judged("e1", 0.97, 0.97, 0.92)
    trail.hit(Outcome.SEMANTIC, "e1", "gpt-4o", "openai")
    trail.shadowed()
    row = trail.close(200)
    assert (row.outcome, row.reason, row.entry, row.similarity) == ("shadow", "shadow", "e1", 0.97)


def test_an_exact_hit_after_a_near_miss_has_no_similarity(trail):
    """The second look found the answer itself; what was near before is not what is given."""
    trail.judged("near", 0.91, 0.91, 0.92)
    trail.hit(Outcome.EXACT, "same", "gpt-4o", "openai")
    row = trail.close(200)
    assert (row.entry, row.similarity, row.confidence, row.threshold) == ("same", None, None, None)


def test_who_joined_names_the_flights_leader(trail):
    """A coalesced request can be traced to the one that asked."""
    trail.joined("req_0")
    row = trail.close(200)
    assert (row.outcome, row.decisions[-1].detail) == ("coalesced", {"leader": "req_0"})


def test_time_of_one_stage_adds_up(trail, clock):
    """A stage that runs twice is told once, with both times."""
    for _ in range(2):
        with trail.timed("embed"):
            clock.advance(0.5)
    assert trail.close(200).stages_ms == {"embed": 1000.0}


def test_a_stage_left_by_an_error_is_timed_all_the_same(trail, clock):
    """What failed after 5 s cost 5 s."""

    def failing() -> None:
        with trail.timed("search"):
            clock.advance(5)
            raise LookupError

    with pytest.raises(LookupError):
        failing()
    assert trail.close(200).stages_ms == {"search": 5000.0}


def test_a_closed_row_changes_no_more(trail):
    """A flight that outlives its leader doesn't write into the leader's row."""
    row = trail.close(200)
    with trail.timed("store"):
        pass
    trail.note("late", "word")
    trail.attempts.append(Attempt("p", "m", 200, "ok", 1.0))
    assert (row.stages_ms, row.decisions, row.attempts) == ({}, (), ())


def test_waiting_for_a_provider_is_not_overhead(trail, clock):
    """The time added by this process is told apart."""
    with trail.waiting():
        clock.advance(2)
    clock.advance(0.5)
    row = trail.close(200)
    assert (row.total_ms, row.provider_ms, row.overhead_ms) == (2500.0, 2000.0, 500.0)


def test_overhead_is_never_negative(make_row):
    """Two clocks' rounding doesn't make time run backwards."""
    assert make_row(total_ms=1.0, provider_ms=2.0).overhead_ms == 0.0


def test_only_the_first_token_counts(trail, clock):
    """Later chunks don't move it."""
    clock.advance(0.1)
    trail.first_token()
    clock.advance(1)
    trail.first_token()
    assert trail.close(200).first_token_ms == pytest.approx(100)


def test_usage_and_attempts_come_from_the_provider(trail):
    """Tokens by kind, attempts by name."""
    attempt = Attempt("openai", "gpt-4o", 200, "ok", 9.0)
    trail.answered("gpt-4o-2024", "openai", (attempt,), Usage(10, 5, 4, 2))
    row = trail.close(200)
    tokens = (row.input_tokens, row.output_tokens, row.cached_input_tokens, row.reasoning_tokens)
    assert (tokens, row.attempts, row.answered_model) == ((10, 5, 4, 2), (attempt,), "gpt-4o-2024")


def test_the_cost_is_the_sum_of_all_attempts(trail):
    """A failed one may have been paid for too; an estimate among them makes it one."""
    paid = [Attempt("p", "m", 200, "ok", 1.0, nano, nano == 7) for nano in (7, 0, 5)]
    trail.answered("m", "p", tuple(paid), None)
    row = trail.close(200)
    assert (trail.cost_nanousd, row.cost_nanousd) == (12, 12)
    assert (row.estimated, row.unpriced) == (True, False)


def test_a_cost_that_is_not_known_in_full_is_not_told(trail):
    """No figure is better than a wrong one."""
    paid = [Attempt("p", "m", 200, "ok", 1.0, nano) for nano in (7, None)]
    trail.answered("m", "p", tuple(paid), None)
    row = trail.close(200)
    assert (trail.cost_nanousd, row.cost_nanousd, row.unpriced) == (None, None, True)


def test_what_no_provider_was_asked_for_costs_nothing(trail):
    """That is known, and not empty."""
    row = trail.close(200)
    assert (row.cost_nanousd, row.unpriced, row.estimated) == (0, False, False)


@pytest.mark.parametrize("bad", ["a\r\nSet-Cookie: x", "a\nINFO forged", "\x1b[31m", "\udcff"])
def test_names_from_outside_can_not_forge_a_line(make_call, clock, bad):
    """Neither a header nor a log line is broken by a model's name."""
    trail = Trail(make_call(model=bad), clock)
    trail.answered(bad, "openai", (), None)
    row = trail.close(200)
    assert row.model.isprintable()
    assert row.answered_model.isprintable()


def test_names_from_outside_are_short(make_call, clock):
    """Ten megabytes of model name don't go into every row."""
    trail = Trail(make_call(model="x" * 10_000), clock)
    assert len(trail.close(404).model) == MAX_NAME_CHARS


def test_a_plain_name_is_shown_as_it_is():
    """Also where it isn't English."""
    assert shown("modèle-1 β") == "modèle-1 β"


def test_no_text_of_a_prompt_is_in_the_row(make_call, clock):
    """The ledger, the log and the metrics are made from it."""
    trail = Trail(make_call("my secret question"), clock)
    trail.understood(b"\x01", b"\x02", "targets")
    assert "secret" not in repr(trail.close(200))


def test_a_hit_that_is_held_back_saves_nothing(trail):
    """The answer is paid for after all."""
    trail.saved_cache = 7
    trail.shadowed()
    assert (trail.saved_nanousd, trail.close(200).saved_cache_nanousd) == (0, None)
