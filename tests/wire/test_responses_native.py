"""Native replies: given on whole under the provider's ids, metered, and never half understood."""

from contextlib import suppress

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain import Usage
from sidecar.errors import UpstreamError, UpstreamInvalidError
from sidecar.wire.responses_format import ResponsesFormat
from sidecar.wire.responses_native import parse_native_reply, read_usage

FORMAT = ResponsesFormat()
ASKED = FORMAT.parse(b'{"model": "m", "input": "Hello", "store": true}')
USAGE = {
    "input_tokens": 20,
    "input_tokens_details": {"cached_tokens": 12},
    "output_tokens": 7,
    "output_tokens_details": {"reasoning_tokens": 3},
    "total_tokens": 27,
}
REPLY = {
    "id": "resp_abc",
    "object": "response",
    "created_at": 1_700_000_000,
    "status": "completed",
    "model": "gpt-4o-2024",
    "output": [{"type": "web_search_call", "id": "ws_1", "status": "completed"}],
    "usage": USAGE,
    "something_new": {"deep": [1, None, 0.5]},
}


def parse(**fields):
    """That reply, changed in these fields."""
    return parse_native_reply(orjson.dumps({**REPLY, **fields}))


def given_on(**fields):
    """What a client gets of it."""
    answer = parse(**fields)
    return orjson.loads(FORMAT.head(answer.id, answer.created) + FORMAT.tail(answer, ASKED))


@pytest.mark.parametrize("answer_id", ["resp_abc", "gen-1", "resp_sidecar_1", "chatcmpl-1"])
@pytest.mark.parametrize("status", ["completed", "queued", "in_progress", "cancelled"])
def test_a_reply_is_given_on_as_it_came(answer_id, status):
    """Whole, what is unknown here included, and under its own id, by which it is known."""
    assert given_on(id=answer_id, status=status) == {**REPLY, "id": answer_id, "status": status}


def test_what_is_read_of_it():
    """Who answered, and what it took."""
    answer = parse()
    assert (answer.id, answer.created, answer.model) == ("resp_abc", 1_700_000_000, "gpt-4o-2024")
    assert answer.usage == Usage(20, 7, 12, 3)


@pytest.mark.parametrize(
    ("fields", "finish"),
    [
        ({}, "stop"),
        ({"status": "queued"}, None),
        ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}},
         "content_filter"),
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
         "length"),
        ({"status": "incomplete", "incomplete_details": {"reason": ["x"]}}, None),
        ({"status": "failed", "error": {"code": "invalid_prompt", "message": "x"}}, None),
    ],
)  # fmt: skip
def test_how_it_ended(fields, finish):
    """Only what is complete is."""
    assert parse(**fields).choices[0].finish == finish


@pytest.mark.parametrize(
    "usage", [None, [], {}, {"input_tokens": 1}, {**USAGE, "output_tokens": -1}]
)
def test_usage_that_is_none(usage):
    """What is missing or can't be true is not known, and no reason to refuse the answer."""
    assert parse(usage=usage).usage is None
    assert read_usage(usage) is None


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("server_error", "overloaded"),
        ("rate_limit_exceeded", "rate_limited"),
        ("vector_store_timeout", "overloaded"),
    ],
)
def test_a_failure_of_the_provider(code, reason):
    """Another try may do; nothing of its text is told, for it may quote the prompt."""
    with pytest.raises(UpstreamError) as caught:
        parse(status="failed", error={"code": code, "message": "sk-canary"})
    assert caught.value.reason == reason
    assert "sk-canary" not in caught.value.message


@pytest.mark.parametrize("code", ["invalid_prompt", "image_too_large", None, 5, ["server_error"]])
def test_a_failure_of_the_request(code):
    """Is an answer: to ask again would change nothing, and would count against the provider."""
    error = {"code": code, "message": "x"}
    assert given_on(status="failed", error=error)["error"] == error


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ({"message": "x", "type": "server_error", "code": None}, "overloaded"),
        ({"message": "x", "code": "context_length_exceeded"}, "context_window"),
        ({"message": "x", "code": "insufficient_quota"}, "insufficient_quota"),
        ({"message": "x", "code": "other"}, "error_in_body"),
        ("broken", "error_in_body"),
    ],
)
def test_an_error_in_place_of_a_reply(error, reason):
    """With status 200 it is an error all the same."""
    with pytest.raises(UpstreamError) as caught:
        parse_native_reply(orjson.dumps({"error": error}))
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    "fields",
    [{"id": None}, {"id": ""}, {"id": 5}, {"output": None}, {"output": {}}, {"output": "x"}],
)
def test_what_is_no_response(fields):
    """What can't be continued, or says nothing, is no answer."""
    with pytest.raises(UpstreamInvalidError):
        parse(**fields)


@pytest.mark.parametrize("created", [None, "x", -1, True, 2**60])
def test_a_time_that_is_none(created):
    """A careless server's time is 0, and its answer is an answer."""
    assert given_on(created_at=created)["created_at"] == 0


@pytest.mark.parametrize("model", [None, 5, ["m"]])
def test_a_model_that_is_none(model):
    """A name that is none is not told as one."""
    assert parse(model=model).model == ""


json = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*REPLY, "error", "incomplete_details"]), json))
def test_arbitrary_replies(raw):
    """Whatever comes, it is given on whole or is the provider's fault."""
    with suppress(UpstreamError):
        told = given_on(**raw)
        assert {k: v for k, v in told.items() if k not in ("object", "created_at")} == {
            k: v for k, v in {**REPLY, **raw}.items() if k not in ("object", "created_at")
        }
