"""Embeddings on the wire: what is read, what is sent, and replies that can't be used."""

from __future__ import annotations

import base64
import struct
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain import Usage
from sidecar.errors import InvalidRequestError, UpstreamError, UpstreamInvalidError
from sidecar.wire.embeddings import (
    build_embedding_reply,
    build_embedding_request,
    parse_embedding_reply,
    parse_embedding_request,
)

ITEMS = st.one_of(
    st.text(min_size=1), st.lists(st.integers(0, 2**32), min_size=1, max_size=5).map(tuple)
)


def body(**fields: Any) -> bytes:
    """The bytes of a request."""
    return orjson.dumps({"model": "e", "input": "x", **fields})


def reply(*vectors: Any, **fields: Any) -> bytes:
    """The bytes of a provider's reply."""
    data = [{"index": at, "embedding": vector} for at, vector in enumerate(vectors)]
    return orjson.dumps({"model": "e", "data": data, **fields})


@given(st.lists(ITEMS, min_size=1, max_size=5), st.booleans())
def test_what_is_sent_reads_back_as_what_was_asked(items: list[Any], alone: bool) -> None:
    """Texts and token numbers in any mixture, one item with and without its list."""
    given_input = items[0] if alone else items
    request = parse_embedding_request(body(input=given_input, dimensions=8, user="ada"))
    sent = build_embedding_request(request, "target", request.items)
    again = parse_embedding_request(sent)
    assert (again.items, again.is_list) == (request.items, request.is_list)
    assert (again.model, again.parameters, again.labels) == (
        "target",
        {"dimensions": 8},
        {"user": "ada"},
    )


def test_a_list_of_one_number_is_one_item() -> None:
    """And a list of lists of numbers is as many."""
    assert parse_embedding_request(body(input=[1])).items == ((1,),)
    assert parse_embedding_request(body(input=[[1], [2]])).items == ((1,), (2,))


def test_the_rest_of_a_list_is_a_list() -> None:
    """One item that is left of several token lists must not become a list of several texts."""
    request = parse_embedding_request(body(input=[[1, 2], [3]]))
    assert orjson.loads(build_embedding_request(request, "e", [(3,)]))["input"] == [[3]]


def test_nulls_are_absent_and_unknown_fields_are_passed_on() -> None:
    """As SDKs send what was not set, and as compatible servers have fields of their own."""
    request = parse_embedding_request(body(dimensions=None, user=None, task="query"))
    assert request.parameters == {"task": "query"}
    sent = orjson.loads(build_embedding_request(request, "e", request.items))
    assert sent == {"model": "e", "input": "x", "task": "query"}


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"model": ""}, "model"),
        ({"input": None}, "input"),
        ({"input": {}}, "input"),
        ({"input": [None]}, "input[0]"),
        ({"input": [True]}, "input[0]"),
        ({"input": ["a", [1.5]]}, "input[1]"),
        ({"dimensions": True}, "dimensions"),
        ({"dimensions": "8"}, "dimensions"),
        ({"encoding_format": 7}, "encoding_format"),
        ({"metadata": {"a": 1}}, "metadata"),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, Any], named: str) -> None:
    """By its place."""
    with pytest.raises(InvalidRequestError) as raised:
        parse_embedding_request(body(**fields))
    assert raised.value.param == named


def test_vectors_are_told_by_their_index() -> None:
    """A server may answer in another order."""
    data = [{"index": 1, "embedding": [1.0]}, {"index": 0, "embedding": [0.5]}]
    told = parse_embedding_reply(orjson.dumps({"model": "m", "data": data}), 2)
    assert (told.model, told.vectors) == ("m", (b"[0.5]", b"[1.0]"))


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_no_digit_is_lost(numbers: list[float]) -> None:
    """From the provider's reply to the client's."""
    told = parse_embedding_reply(reply(numbers), 1)
    written = orjson.loads(build_embedding_reply("m", told.vectors, Usage(3, 0)))
    assert written["data"][0]["embedding"] == numbers
    assert written["usage"] == {"prompt_tokens": 3, "total_tokens": 3}


def test_base64_is_kept_as_it_is() -> None:
    """Where it holds whole 32-bit floats."""
    packed = base64.b64encode(struct.pack("<2f", 1, 2)).decode()
    assert parse_embedding_reply(reply(packed), 1).vectors == (orjson.dumps(packed),)


@pytest.mark.parametrize(
    "broken",
    [
        b"{",
        b"[]",
        b"{}",
        reply(),
        reply([1.0], [2.0]),
        reply([]),
        reply(None),
        reply(["1"]),
        reply([True]),
        reply(""),
        reply("not base64!"),
        reply(base64.b64encode(b"12345").decode()),
        orjson.dumps({"data": [{"index": 1, "embedding": [1.0]}]}),
        orjson.dumps({"data": [{"index": "0", "embedding": [1.0]}]}),
        orjson.dumps({"data": [7]}),
    ],
)
def test_a_reply_without_one_vector_for_each_item_is_none(broken: bytes) -> None:
    """A vector that stands at the wrong text is worse than an error."""
    with pytest.raises(UpstreamInvalidError) as raised:
        parse_embedding_reply(broken, 1)
    assert raised.value.reason == "malformed"


def test_an_index_that_comes_twice_is_refused() -> None:
    """Or another item would have none."""
    data = [{"index": 0, "embedding": [1.0]}, {"index": 0, "embedding": [2.0]}]
    with pytest.raises(UpstreamInvalidError):
        parse_embedding_reply(orjson.dumps({"data": data}), 2)


def test_an_error_in_a_200_is_an_error() -> None:
    """As some servers tell it."""
    with pytest.raises(UpstreamError) as raised:
        parse_embedding_reply(b'{"error": {"message": "secret prompt"}}', 1)
    assert raised.value.reason == "error_in_reply"
    assert "secret" not in raised.value.message


@pytest.mark.parametrize(
    ("usage", "told"),
    [
        ({"prompt_tokens": 7, "total_tokens": 7}, Usage(7, 0)),
        ({"prompt_tokens": -1}, None),
        ({"prompt_tokens": 10**12}, None),
        ({"prompt_tokens": True}, None),
        ({"prompt_tokens": 1.5}, None),
        ("7", None),
        (None, None),
    ],
)
def test_a_lie_about_usage_is_no_usage(usage: Any, told: Usage | None) -> None:
    """What can't be true is not known."""
    assert parse_embedding_reply(reply([1.0], usage=usage), 1).usage == told
