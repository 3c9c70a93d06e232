"""What makes two requests the same, and what keeps two scopes apart."""

from dataclasses import fields, replace

import pytest

from sidecar.cache.key import Scope, cache_key
from sidecar.domain import (
    Attachment,
    CacheControls,
    Caller,
    ChatRequest,
    Message,
    Role,
    Text,
    ToolCall,
)
from tests.cache.keying import (
    BASE,
    CALLER,
    ORIGINAL,
    SHARED,
    TENANT,
    USER,
    WEATHER,
    call_of,
    key_of,
    message,
    with_parameter,
    with_turn,
)

OTHER_SCOPES = {
    "tenant": key_of(caller=replace(CALLER, tenant="bank")),
    "user": key_of(caller=replace(CALLER, user="bob")),
    "client key": key_of(caller=replace(CALLER, client_key_digest="d2")),
    "sharing": key_of(sharing=TENANT),
    "model": key_of(replace(BASE, model="gpt-4o-mini")),
    "variant": key_of(variant="cheap"),
    "prompt": key_of(prompt="support@2"),
    "context": key_of(context_digest="c0ffee"),
    "system prompt": key_of(with_turn(0, message("Be long.", Role.SYSTEM))),
    "system prompt's role": key_of(with_turn(0, message("Be brief.", Role.DEVELOPER))),
    "no system prompt": key_of(replace(BASE, messages=BASE.messages[1:])),
    "an earlier question": key_of(with_turn(1, message("Goodbye"))),
    "an earlier answer": key_of(with_turn(2, message("Hi?", Role.ASSISTANT))),
    "an earlier role": key_of(with_turn(1, message("Hello", Role.ASSISTANT))),
    "an earlier turn's name": key_of(with_turn(1, message("Hello", name="ann"))),
    "an earlier turn's field": key_of(with_turn(1, message("Hello", extra={"x": 1}))),
    "an earlier refusal": key_of(with_turn(2, message("Hi!", Role.ASSISTANT, refusal="no"))),
    "an earlier tool call": key_of(
        with_turn(2, message("Hi!", Role.ASSISTANT, tool_calls=(ToolCall("c1", "weather", "{}"),)))
    ),
    "a turn more": key_of(replace(BASE, messages=(*BASE.messages[:3], *BASE.messages[2:]))),
    "earlier turns swapped": key_of(
        replace(BASE, messages=(*[BASE.messages[i] for i in (0, 2, 1, 3)],))
    ),
    "the questioner's name": key_of(with_turn(3, replace(BASE.messages[3], name="ann"))),
    "a field of the question": key_of(with_turn(3, replace(BASE.messages[3], extra={"a": 1}))),
    "no tools": key_of(replace(BASE, tools=())),
    "a tool more": key_of(replace(BASE, tools=(WEATHER, {"type": "web_search"}))),
    "a tool's name": key_of(replace(BASE, tools=({**WEATHER, "function": {"name": "news"}},))),
    "tool_choice": key_of(with_parameter("tool_choice", "none")),
    "temperature": key_of(with_parameter("temperature", 0.3)),
    "temperature absent": key_of(replace(BASE, parameters={"seed": 7})),
    "seed": key_of(with_parameter("seed", 8)),
    "response_format": key_of(with_parameter("response_format", {"type": "text"})),
    "a parameter more": key_of(with_parameter("max_tokens", 5)),
    "an unknown field": key_of(replace(BASE, unknown={"min_p": 0.2})),
    "an unknown field more": key_of(replace(BASE, unknown={"min_p": 0.1, "x": None})),
    "true is not 1": key_of(replace(BASE, unknown={"min_p": True})),
    "a field that moved": key_of(
        replace(BASE, parameters={**BASE.parameters, "min_p": 0.1}, unknown={})
    ),
}


@pytest.mark.parametrize("changed", OTHER_SCOPES)
def test_whatever_changes_an_answer_changes_the_scope(changed):
    """So it changes the exact key too, and the question is all that is left to meaning."""
    other = OTHER_SCOPES[changed]
    assert other.scope != ORIGINAL.scope
    assert other.exact != ORIGINAL.exact


def test_no_two_of_those_scopes_are_one():
    """Different changes never meet in one partition."""
    digests = [key.scope for key in OTHER_SCOPES.values()]
    assert len(set(digests)) == len(digests)


def test_every_field_of_the_record_counts():
    """A field added to the scope later can't be left out of its digest."""
    empty = Scope(**{item.name: "" for item in fields(Scope)})
    digests = {replace(empty, **{item.name: "x"}).digest() for item in fields(Scope)}
    assert len(digests | {empty.digest()}) == len(fields(Scope)) + 1


def test_the_question_changes_the_key_and_not_the_scope():
    """It alone is matched by meaning."""
    other = key_of(with_turn(3, message("What's the capital of France?")))
    assert other.scope == ORIGINAL.scope
    assert other.exact != ORIGINAL.exact


@pytest.mark.parametrize(
    "same",
    [
        replace(BASE, stream=True, include_usage=True, stream_options={"x": 1}),
        replace(BASE, labels={"user": "bob", "metadata": {"feature": "faq"}, "store": True}),
        replace(BASE, parameters=dict(reversed(BASE.parameters.items()))),
    ],
    ids=["streaming", "labels", "field order"],
)
def test_what_does_not_change_an_answer_changes_nothing(same):
    """Streaming, labels and the order of fields are no part of the key."""
    assert key_of(same) == ORIGINAL


def test_who_asks_does_not_count_beyond_what_sharing_says():
    """Feature, department and session are for usage."""
    caller = replace(CALLER, feature="faq", department="sales", session="s", client="app")
    assert key_of(caller=caller) == ORIGINAL


def test_controls_and_times_do_not_count():
    """The same question at another time with another ttl is the same question."""
    call = call_of(BASE, id="req_2", received_at=9.0, controls=CacheControls(ttl_s=5.0))
    assert cache_key(call, sharing=USER, variant="targets") == ORIGINAL


def test_users_of_a_tenant_share_where_sharing_says_so():
    """And tenants don't."""
    ann = key_of(sharing=TENANT)
    bob = key_of(caller=replace(CALLER, user="bob"), sharing=TENANT)
    other = key_of(caller=replace(CALLER, tenant="bank"), sharing=TENANT)
    assert ann == bob != other


def test_tenants_share_only_what_is_shared_with_all():
    """The client's own key still keeps apart what was paid with it."""
    bank = replace(CALLER, tenant="bank")
    assert key_of(sharing=SHARED) == key_of(caller=bank, sharing=SHARED)
    theirs = replace(bank, client_key_digest="d2")
    assert key_of(sharing=SHARED) != key_of(caller=theirs, sharing=SHARED)


def test_shared_entries_are_apart_from_those_of_no_tenant():
    """An app that names no tenant doesn't read what all tenants share, nor the reverse."""
    nobody = replace(CALLER, tenant="")
    assert key_of(caller=nobody, sharing=TENANT).scope != key_of(sharing=SHARED).scope


def test_a_tenant_can_not_pass_for_a_user():
    """Fields are told apart by name and not by their place in one string."""
    one = key_of(caller=replace(CALLER, tenant="a", user="bc"))
    other = key_of(caller=replace(CALLER, tenant="ab", user="c"))
    assert one.scope != other.scope


def test_parts_of_a_question_are_not_glued_together():
    """Two parts and one that reads the same are two requests."""
    two = Message(Role.USER, (Text("a"), Text("b")))
    assert key_of(with_turn(3, two)).exact != key_of(with_turn(3, message("ab"))).exact
    assert key_of(with_turn(3, two)).exact != key_of(with_turn(3, message("a\nb"))).exact


def test_a_turn_can_not_be_moved_into_the_question():
    """What is asked and what was said before are not one text."""
    two = ChatRequest("m", (message("a"), message("b")))
    one = ChatRequest("m", (message("a\nb"),))
    assert key_of(two).exact != key_of(one).exact


NOT_QUESTIONS = {
    "a system prompt": message("x", Role.SYSTEM),
    "an answer to go on with": message("x", Role.ASSISTANT),
    "a tool's result": message("x", Role.TOOL, tool_call_id="c1"),
    "an image": Message(Role.USER, (Text("x"), Attachment("image_url", {"url": "u"}))),
    "nothing": Message(Role.USER),
}


@pytest.mark.parametrize("last", NOT_QUESTIONS)
def test_only_a_users_text_is_a_question(last):
    """All else has no meaning to compare: it belongs to the scope, whole."""
    key = key_of(ChatRequest("m", (message("a"), NOT_QUESTIONS[last])))
    other = key_of(ChatRequest("m", (message("b"), NOT_QUESTIONS[last])))
    assert key.question is None
    assert key.scope != other.scope


def test_what_is_no_question_still_tells_requests_apart():
    """Two tool results are two requests."""
    one = ChatRequest("m", (message("sunny", Role.TOOL, tool_call_id="c"),))
    other = ChatRequest("m", (message("rainy", Role.TOOL, tool_call_id="c"),))
    assert key_of(one).exact != key_of(other).exact


def test_an_attachments_content_counts():
    """Two pictures are two requests."""
    keys = {
        key_of(ChatRequest("m", (Message(Role.USER, (Attachment("image_url", {"url": url}),)),)))
        for url in ("a", "b")
    }
    assert len(keys) == 2


def test_the_question_is_the_text_that_is_compared():
    """Several parts are lines of one text."""
    two = Message(Role.USER, (Text("a"), Text("b")))
    assert key_of(ChatRequest("m", (two,))).question == "a\nb"


def test_keys_are_32_bytes_that_stay_the_same_from_run_to_run():
    """A restart finds what was stored: this value changes only with the version."""
    plain = key_of(ChatRequest("m", (message("q"),)), Caller(), TENANT)
    assert (len(plain.scope), len(plain.exact)) == (32, 32)
    assert plain.exact.hex()[:16] == "1bd88ecc7a294dd2"
