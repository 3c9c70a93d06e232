"""May it be read, may it be written? Every refusal with its word."""

from dataclasses import replace

import pytest

from sidecar.cache.policy import (
    Mode,
    Permission,
    Settings,
    ToolPolicy,
    more_careful,
    permit,
    why_not_stale,
    why_too_old,
    why_unstorable,
)
from sidecar.domain import (
    Attachment,
    CacheControls,
    Caller,
    Choice,
    Completion,
    Message,
    Role,
    SharingScope,
    Text,
    ToolCall,
)
from sidecar.reasons import Reason

TENANT, USER, SHARED = SharingScope.TENANT, SharingScope.USER, SharingScope.SHARED
USERS_SCOPE = CacheControls(scope=USER)
PICTURE = Message(Role.USER, (Text("see"), Attachment("image_url", {"url": "u"})))
CALL = ToolCall("c1", "weather", "{}")
HALF_A_CALL = ToolCall("c2", "weather", '{"city": "Ber')
NO_OBJECT = ToolCall("c3", "weather", "[1]")
THOUGHTS = tuple(Attachment(kind, {"type": kind}) for kind in ("thinking", "redacted_thinking"))
THOUGHT_OVER = (Message(Role.ASSISTANT, THOUGHTS), Message(Role.USER, (Text("And then?"),)))
BYPASSES = [
    (Reason.MODE_OFF, Settings(mode=Mode.OFF), {}),
    (Reason.NO_STORE, Settings(), {"controls": CacheControls(no_store=True)}),
    (Reason.TEMPERATURE, Settings(), {"parameters": {"temperature": 0.31}}),
    (Reason.TEMPERATURE, Settings(max_temperature=0.0), {"parameters": {"temperature": 0.01}}),
    (Reason.SEVERAL_CHOICES, Settings(), {"parameters": {"n": 2}}),
    (Reason.LOGPROBS, Settings(), {"parameters": {"logprobs": True}}),
    (Reason.LOGPROBS, Settings(), {"parameters": {"top_logprobs": 3}}),
    (Reason.MEDIA, Settings(), {"messages": (PICTURE,)}),
    (Reason.MEDIA, Settings(), {"messages": (PICTURE, Message(Role.USER, (Text("and?"),)))}),
    (Reason.MEDIA, Settings(), {"parameters": {"modalities": ["text", "audio"]}}),
    (Reason.MEDIA, Settings(), {"parameters": {"audio": {"voice": "alloy"}}}),
    (Reason.STATEFUL, Settings(), {"unknown": {"container": "c1"}}),
    (Reason.NATIVE, Settings(), {"tools": ({"type": "web_search_20260318"},)}),
    (Reason.TOOLS, Settings(tools=ToolPolicy.OFF), {"tools": ({"type": "function"},)}),
    (Reason.TOOLS, Settings(tools=ToolPolicy.OFF), {"parameters": {"functions": [{}]}}),
    (Reason.NO_USER, Settings(sharing=USER), {}),
    (Reason.NO_USER, Settings(), {"controls": USERS_SCOPE}),
]


@pytest.mark.parametrize(("reason", "settings", "asked"), BYPASSES)
def test_what_may_not_be_cached_is_neither_read_nor_written(make_call, reason, settings, asked):
    """One reason, for reading, for writing and for comparing by meaning."""
    permission = permit(make_call(**asked), settings)
    told = (permission.read, permission.write, permission.meaning, permission.bypass)
    assert told == (reason,) * 4
    assert not permission.coalesces


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"parameters": {"temperature": 0}},
        {"parameters": {"temperature": 0.3}},
        {"parameters": {"n": 1, "top_logprobs": 0, "logprobs": False}},
        {"parameters": {"modalities": ["text"]}},
        {"caller": Caller(user="ann"), "controls": USERS_SCOPE},
        {"messages": THOUGHT_OVER},
    ],
)
def test_an_ordinary_question_may_be_all(make_call, asked):
    """Read, written, compared, shared: nothing stands against it."""
    permission = permit(make_call(**asked), Settings())
    assert (permission.read, permission.write, permission.meaning) == (None, None, None)
    assert (permission.bypass, permission.coalesces, permission.shadow) == (None, True, False)


def test_no_cache_is_not_read_but_written(make_call):
    """A client that wants a fresh answer leaves it to the next one."""
    permission = permit(make_call(controls=CacheControls(no_cache=True)), Settings())
    told = (permission.read, permission.write, permission.bypass, permission.coalesces)
    assert told == (Reason.NO_CACHE, None, None, False)


def test_a_ttl_of_zero_is_read_but_not_written(make_call):
    """Nothing is kept that is dead at once."""
    permission = permit(make_call(controls=CacheControls(ttl_s=0.0)), Settings())
    assert (permission.read, permission.write) == (None, Reason.TTL_ZERO)


def test_no_cache_with_a_ttl_of_zero_bypasses(make_call):
    """Neither read nor written, whatever the words."""
    controls = CacheControls(no_cache=True, ttl_s=0.0)
    assert permit(make_call(controls=controls), Settings()).bypass is Reason.NO_CACHE


def test_no_store_outweighs_no_cache(make_call):
    """A client that says both wants neither."""
    controls = CacheControls(no_cache=True, no_store=True)
    assert permit(make_call(controls=controls), Settings()).bypass is Reason.NO_STORE


def test_shadow_looks_and_stores_but_shares_no_flight(make_call):
    """What it would have done is measured on every call."""
    permission = permit(make_call(), Settings(mode=Mode.SHADOW))
    assert (permission.read, permission.write, permission.shadow) == (None, None, True)
    assert not permission.coalesces


NOT_BY_MEANING = [
    (Reason.NOT_A_QUESTION, {"messages": (Message(Role.ASSISTANT, (Text("go on"),)),)}),
    (Reason.NOT_A_QUESTION, {"messages": (Message(Role.TOOL, (Text("sunny"),)),)}),
    (Reason.NOT_A_QUESTION, {"messages": (Message(Role.USER, (Text(""),)),)}),
    (Reason.NOT_A_QUESTION, {"messages": (Message(Role.USER, (Text(" \n"), Text("\t"))),)}),
    (Reason.TOOLS_EXACT_ONLY, {"tools": ({"type": "function"},)}),
    (Reason.TOOLS_EXACT_ONLY, {"parameters": {"functions": [{"name": "f"}]}}),
]


@pytest.mark.parametrize(("reason", "asked"), NOT_BY_MEANING)
def test_some_calls_match_only_their_equals(make_call, reason, asked):
    """The exact tier stays open to them."""
    permission = permit(make_call(**asked), Settings())
    assert (permission.read, permission.write, permission.meaning) == (None, None, reason)


@pytest.mark.parametrize(
    ("operator", "client", "expected"),
    [(60.0, None, 60.0), (60.0, 5.0, 5.0), (60.0, 3600.0, 60.0), (0.0, 5.0, 0.0)],
)
def test_a_client_can_shorten_a_ttl_and_never_lengthen_it(make_call, operator, client, expected):
    """Config is law."""
    call = make_call(controls=CacheControls(ttl_s=client))
    assert permit(call, Settings(ttl_s=operator)).ttl_s == expected


@pytest.mark.parametrize(
    ("operator", "client", "expected"),
    [
        (TENANT, None, TENANT),
        (TENANT, USER, USER),
        (TENANT, SHARED, TENANT),
        (USER, TENANT, USER),
        (USER, SHARED, USER),
        (SHARED, None, SHARED),
        (SHARED, TENANT, TENANT),
    ],
)
def test_a_client_can_narrow_its_scope_and_never_widen_it(make_call, operator, client, expected):
    """`shared` holds only where config allows it."""
    call = make_call(controls=CacheControls(scope=client), caller=Caller(user="ann"))
    assert permit(call, Settings(sharing=operator)).sharing is expected


@pytest.mark.parametrize("one", list(Mode))
@pytest.mark.parametrize("other", list(Mode))
def test_of_two_modes_the_more_careful_is_heard(one, other):
    """Off before shadow before serve, whoever said which."""
    careful = [Mode.OFF, Mode.SHADOW, Mode.SERVE]
    assert more_careful(one, other) is min(one, other, key=careful.index)


def answer(**changes: object) -> Completion:
    """A whole answer of one choice."""
    choice = replace(Choice(0, "Paris.", "stop"), **changes)
    return Completion("id", 1, "m", (choice,))


UNSTORABLE = [
    (Reason.TRUNCATED, {"finish": "length"}),
    (Reason.FILTERED, {"finish": "content_filter"}),
    (Reason.UNFINISHED, {"finish": None}),
    (Reason.UNFINISHED, {"finish": ""}),
    (Reason.UNFINISHED, {"finish": "error"}),
    (Reason.UNFINISHED, {"finish": "STOP"}),
    (Reason.UNFINISHED, {"finish": "tool_calls"}),
    (Reason.UNFINISHED, {"finish": "tool_calls", "tool_calls": (CALL, HALF_A_CALL)}),
    (Reason.UNFINISHED, {"finish": "tool_calls", "tool_calls": (NO_OBJECT,)}),
    (Reason.UNFINISHED, {"finish": "function_call"}),
    (Reason.REFUSAL, {"refusal": "I can't."}),
    (Reason.REFUSAL, {"refusal": "I can't.", "tool_calls": (CALL,)}),
    (Reason.EMPTY, {"text": None}),
    (Reason.EMPTY, {"text": " \n"}),
]


@pytest.mark.parametrize(("reason", "changes"), UNSTORABLE)
def test_only_a_regular_end_is_stored(reason, changes):
    """Each way to be no whole answer has its word."""
    assert why_unstorable(answer(**changes), Settings()) is reason


def test_a_whole_answer_is_stored():
    """One choice, ended by itself, with text."""
    assert why_unstorable(answer(), Settings()) is None


def test_an_answer_without_choices_is_unfinished():
    """A stream that brought nothing is no answer."""
    assert why_unstorable(replace(answer(), choices=()), Settings()) is Reason.UNFINISHED


def test_several_choices_are_not_stored():
    """Not even where the provider sent them unasked."""
    twice = replace(answer(), choices=answer().choices * 2)
    assert why_unstorable(twice, Settings()) is Reason.SEVERAL_CHOICES


TOOL_ANSWERS = [
    {"tool_calls": (CALL,), "finish": "tool_calls", "text": None},
    {"tool_calls": (CALL,), "finish": "stop", "text": None},
    {"extra": {"function_call": {"name": "f"}}, "finish": "function_call", "text": None},
]


@pytest.mark.parametrize("changes", TOOL_ANSWERS)
def test_tool_calls_are_stored_only_where_allowed(changes):
    """`cache.tools` decides."""
    told = [why_unstorable(answer(**changes), Settings(tools=policy)) for policy in ToolPolicy]
    assert dict(zip(ToolPolicy, told, strict=True)) == {
        ToolPolicy.EXACT: None,
        ToolPolicy.OFF: Reason.TOOL_CALLS,
    }


def test_a_function_call_of_null_is_none():
    """Some servers send the field with every answer."""
    plain = answer(extra={"function_call": None})
    assert why_unstorable(plain, Settings(tools=ToolPolicy.OFF)) is None
    empty = answer(extra={"function_call": None}, text=None)
    assert why_unstorable(empty, Settings()) is Reason.EMPTY


@pytest.mark.parametrize(
    ("age_s", "limit", "expected"),
    [
        (10.0, None, None),
        (10.0, 10.0, None),
        (10.1, 10.0, Reason.TOO_OLD),
        (0.1, 0.0, Reason.TOO_OLD),
    ],
)
def test_max_age_bounds_the_age_of_an_entry(make_call, age_s, limit, expected):
    """What is older than the client allows doesn't satisfy it."""
    assert why_too_old(age_s, make_call(controls=CacheControls(max_age_s=limit))) is expected


@pytest.mark.parametrize(
    ("controls", "settings", "expected"),
    [
        (CacheControls(), Settings(stale_if_error_s=1), None),
        (CacheControls(), Settings(stale_if_error_s=0), Reason.TTL_ZERO),
        (CacheControls(no_cache=True), Settings(stale_if_error_s=1), Reason.NO_CACHE),
        (CacheControls(no_store=True), Settings(stale_if_error_s=1), Reason.NO_STORE),
        (CacheControls(), Settings(mode=Mode.OFF, stale_if_error_s=1), Reason.MODE_OFF),
        (CacheControls(), Settings(mode=Mode.SHADOW, stale_if_error_s=1), Reason.SHADOW),
    ],
)
def test_what_may_not_be_read_is_not_read_when_it_is_stale(make_call, controls, settings, expected):
    """A failing provider loosens nothing."""
    permission = permit(make_call(controls=controls), settings)
    assert why_not_stale(permission, settings) is expected


def test_every_refusal_that_policy_knows_is_tested_here():
    """A word added to policy without a test fails this one."""
    tested = {reason for reason, *_ in (*BYPASSES, *NOT_BY_MEANING, *UNSTORABLE)} | {
        Reason.NO_CACHE,
        Reason.TTL_ZERO,
        Reason.TOOL_CALLS,
        Reason.SEVERAL_CHOICES,
        Reason.TOO_OLD,
    }
    elsewhere = {
        *(Reason.NOT_FOUND, Reason.SHADOW, Reason.CACHE_UNAVAILABLE, Reason.NOT_KEPT),
        *(Reason.FALLBACK, Reason.DEGRADED),
        *(Reason.UNPROVEN, Reason.TOO_LONG, Reason.UNKNOWN_TOKENS),
        *(Reason.EMBED_TIMEOUT, Reason.EMBED_BUSY, Reason.EMBED_FAILED),
        *(Reason.BELOW_THRESHOLD, Reason.NUMBERS_DIFFER),
    }
    assert tested | elsewhere == set(Reason)
    assert not tested & elsewhere


def test_bypass_needs_both_refusals():
    """What may be written is no bypass, though it may not be read."""
    assert Permission(Reason.NO_CACHE, None, None, 1.0, TENANT).bypass is None
