"""JSON bodies: what is refused, and that nothing of it is quoted."""

from contextlib import suppress

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain import NOTHING
from sidecar.errors import InvalidRequestError
from sidecar.wire.body import (
    MAX_DEPTH,
    MalformedError,
    dump,
    load_arguments,
    load_object,
    read_object,
)

CANARY = b"sk-canary-123"


def nested(levels: int) -> bytes:
    """An object with `levels` levels in all."""
    return b'{"a":' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"a": "' + CANARY,
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": 1} ' + CANARY,
        b'{"a": "\\ud800"}',
        b'{"a": "\xff"}',
        b'{"a": "\xed\xa0\x80"}',
        b'\xef\xbb\xbf{"a": 1}',
        b'{"a": ' + b"1" * 400 + b"}",
        b'["' + CANARY + b'"]',
        b'"' + CANARY + b'"',
        b"null",
        b"[" * 100_000 + b"]" * 100_000,
        nested(100_000),
        nested(MAX_DEPTH + 1),
    ],
)
def test_refused_in_one_line(body):
    """What is not an object of bounded depth is refused in one line that doesn't quote it."""
    with pytest.raises(InvalidRequestError) as caught:
        read_object(body)
    assert "\n" not in caught.value.message
    assert CANARY.decode() not in caught.value.message
    assert len(caught.value.message) < 200


def test_deepest_allowed():
    """What is as deep as allowed is read, and can be written again inside other things."""
    value = read_object(nested(MAX_DEPTH))
    assert orjson.loads(dump([[value]])) == [[value]]


def test_many_brackets_are_not_depth():
    """A long flat body is not taken for a deep one."""
    body = orjson.dumps({"a": [[] for _ in range(10 * MAX_DEPTH)], "b": "[" * 1000})
    assert len(read_object(body)["a"]) == 10 * MAX_DEPTH


def test_last_of_repeated_keys_wins():
    """Of a key given twice the last value counts."""
    assert read_object(b'{"a": 1, "a": 2}') == {"a": 2}


def test_path_grows_outwards():
    """An error's path reads from the outside in, with dots between names alone."""
    error = MalformedError("a string", "[0].text").within("content").within("messages[1]")
    assert str(error) == "messages[1].content[0].text must be a string"


def test_read_only_mappings_are_written():
    """The domain's read-only mappings are written as objects."""
    assert dump({"a": NOTHING}) == b'{"a":{}}'


def test_foreign_objects_are_not_written():
    """What is no JSON is a programming error, not a silent string."""
    with pytest.raises(TypeError):
        dump({"a": object()})


@given(st.binary(max_size=200))
def test_arbitrary_bytes(data):
    """Whatever comes, it is an object or it is refused."""
    with suppress(MalformedError):
        assert type(load_object(data)) is dict


@pytest.mark.parametrize("text", ["", " \n", "{}"])
def test_no_arguments_are_an_empty_object(text):
    """Some models write nothing where a tool takes nothing."""
    assert load_arguments(text) == {}


@pytest.mark.parametrize(
    "number", ["18446744073709551615", "-9223372036854775808", "1e30", '"' + "9" * 30 + '"']
)
def test_arguments_keep_the_numbers_that_fit(number):
    """And what only looks like one that doesn't."""
    assert load_arguments(f'{{"a": [{number}]}}') == {"a": [orjson.loads(number)]}


@pytest.mark.parametrize(
    "number", ["18446744073709551616", "-9223372036854775809", "1" * 40, "-" + "1" * 5000]
)
def test_an_argument_that_would_become_another_number_is_refused(number):
    """An account's number is no figure to be rounded."""
    with pytest.raises(MalformedError, match=r"64 bits|valid JSON"):
        load_arguments(f'{{"a": {number}}}')


@pytest.mark.parametrize("text", ["[1]", "{", "null", '{"a": "\ud800"}'])
def test_arguments_are_an_object_or_refused(text):
    """A string with half a letter in it can't be sent on either."""
    with pytest.raises(MalformedError):
        load_arguments(text)
