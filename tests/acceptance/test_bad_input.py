"""Bodies that are no request: refused with the reason, whatever is wrong with them."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any

import pytest

from sidecar.wire.openai_fields import FIELDS

from .refusals import assert_refused
from .running import Provider, Sidecar, asking, send

GOOD = json.dumps(asking("Is this good?"))
DEPTH = 100_000


def holding(text: str) -> bytes:
    """A good request with this JSON text as the value of a field unknown here."""
    return f'{GOOD[:-1]}, "x-field": {text}}}'.encode()


MALFORMED = {
    "empty": b"",
    "white space": b" \n ",
    "cut short": GOOD[:-1].encode(),
    "text behind it": GOOD.encode() + b"x",
    "two of them": GOOD.encode() * 2,
    "single quotes": b"{'model': 'gpt-4o'}",
    "a comment": b"{} // no",
    "a form": b"model=gpt-4o&messages=hi",
    "a byte that is no UTF-8": holding('"\xff"').replace("\xff".encode(), b"\xff"),
    "half a UTF-8 sign": GOOD.replace("good?", "good\N{SNOWMAN}").encode()[:-12] + b'\xe2\x98"}]}',
    "an overlong UTF-8 sign": holding('"@"').replace(b"@", b"\xc0\xaf"),
    "a surrogate in UTF-8": holding('"@"').replace(b"@", b"\xed\xa0\x80"),
    "UTF-16": GOOD.encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf" + GOOD.encode(),
    "a lone high surrogate": holding(r'"\ud800"'),
    "a lone low surrogate": holding(r'"\udc00"'),
    "surrogates the wrong way round": holding(r'"\udc00\ud800"'),
    "a lone surrogate in a key": holding(r'{"\ud800": 1}'),
    "NaN": holding("NaN"),
    "Infinity": holding("Infinity"),
    "-Infinity": holding("-Infinity"),
    "a number beyond all bounds": holding("1e400"),
    "a negative one": holding("-1e400"),
    "a bare control character": holding('"\n"'),
    "a leading zero": holding("01"),
    "lists without end": b"[" * DEPTH,
    "deep lists": b"[" * DEPTH + b"]" * DEPTH,
    "deep objects": holding('{"a":' * DEPTH + "1" + "}" * DEPTH),
    "deeper than can be written": holding("[" * 300 + "]" * 300),
    "deeper than allowed": holding("[" * 129 + "]" * 129),
    "a list": b"[]",
    "a text": b'"model"',
    "a number": b"1",
    "null": b"null",
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_what_is_no_json_object_is_refused(
    running: Sidecar, provider: Provider, body: bytes
) -> None:
    """With what was expected and where; no provider is asked."""
    message = assert_refused(running.post(body), 400, "invalid_request")
    assert message.startswith("the body must be ")
    assert provider.calls == 0


def test_a_refusal_does_not_repeat_the_body(running: Sidecar) -> None:
    """It may hold secrets, and errors end up in logs."""
    reply = running.post(b'{"model": "gpt-4o", "messages": "s3cret-canary", "x": s3cret-canary}')
    assert b"s3cret-canary" not in reply.body
    reply = running.ask("s3cret-canary", temperature="s3cret-canary")
    assert b"s3cret-canary" not in reply.body
    assert "s3cret-canary" not in running.process.said


def test_nesting_up_to_the_limit_is_answered(running: Sidecar) -> None:
    """What is refused is depth, not brackets."""
    assert running.post(holding("[" * 127 + "]" * 127)).status == 200


def test_of_a_repeated_key_the_last_one_counts(running: Sidecar, provider: Provider) -> None:
    """And a provider is sent our own serialisation, so no reader can take the first."""
    body = f'{{"model": "nobody", "temperature": 9, {GOOD[1:-1]}, "temperature": 0}}'.encode()
    assert running.post(body).status == 200
    assert [row["model"] for row in provider.ledger["requests"]] == ["gpt-4o"]


WRONG = {
    "text": "hot",
    "number": -77.5,
    "true": True,
    "list": [1],
    "object": {"a": []},
    "list of lists": [[]],
}
RIGHT_TYPES = {
    name: {kind for kind, value in WRONG.items() if field.is_valid(value)}
    for name, field in FIELDS.items()
}


@pytest.mark.parametrize("name", FIELDS)
def test_a_value_of_another_type_is_refused_by_the_name_of_its_field(
    running: Sidecar, provider: Provider, name: str
) -> None:
    """Every known field, every other type; nothing of it reaches a provider."""
    wrong = [value for kind, value in WRONG.items() if kind not in RIGHT_TYPES[name]]
    assert len(wrong) >= 3
    for value in wrong:
        reply = running.post({**asking("Is this good?"), name: value})
        assert reply.status == 400, (value, reply.body)
        param = reply.json["error"]["param"]
        assert param.startswith(name), (value, param)
        assert param in assert_refused(reply, 400, "invalid_request", param)
    assert provider.calls == 0


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ([], "messages"),
        ([None], "messages[0]"),
        ([{}], "messages[0].role"),
        ([{"role": "root", "content": "x"}], "messages[0].role"),
        ([{"role": "user"}], "messages[0].content"),
        ([{"role": "user", "content": 1}], "messages[0].content"),
        ([{"role": "user", "content": []}], "messages[0].content"),
        ([{"role": "user", "content": ["x"]}], "messages[0].content[0]"),
        ([{"role": "user", "content": [{"type": "text"}]}], "messages[0].content[0].text"),
        ([{"role": "user", "content": "x", "name": 1}], "messages[0].name"),
        (
            [{"role": "user", "content": "x"}, {"role": "assistant", "tool_calls": [{}]}],
            "messages[1].tool_calls[0].id",
        ),
        ([{"role": "tool", "content": "x", "tool_call_id": 1}], "messages[0].tool_call_id"),
    ],
)
def test_a_wrong_message_is_refused_by_its_place(
    running: Sidecar, messages: list[Any], param: str
) -> None:
    """As deep as it goes."""
    reply = running.post({"model": "gpt-4o", "messages": messages})
    assert_refused(reply, 400, "invalid_request", param)


@pytest.mark.parametrize("name", ["model", "messages"])
def test_what_every_request_needs_is_named_where_it_is_missing(running: Sidecar, name: str) -> None:
    """Absent, and null alike."""
    body = asking("Is this good?")
    assert_refused(running.post({**body, name: None}), 400, "invalid_request", name)
    del body[name]
    assert_refused(running.post(body), 400, "invalid_request", name)


def test_a_model_that_is_not_configured_is_404(running: Sidecar) -> None:
    """With its name and without asking anyone."""
    reply = running.ask("Who?", model="gpt-none")
    assert "gpt-none" in assert_refused(reply, 404, "model_not_found", "model")


@pytest.mark.parametrize(
    "declared",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonp",
        "application/json-patch+json",
        "json",
        "",
        "application/json, text/plain",
    ],
)
def test_a_body_that_is_not_declared_as_json_is_refused(running: Sidecar, declared: str) -> None:
    """No simple form of a web page can be sent here."""
    reply = running.post(GOOD.encode(), {"Content-Type": declared})
    assert "application/json" in assert_refused(reply, 415, "unsupported_media_type")


def test_a_body_without_a_content_type_is_refused(running: Sidecar) -> None:
    """Absent is not JSON either."""
    reply = send("POST", f"{running.url}/chat/completions", None, {"Content-Length": "0"})
    assert_refused(reply, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    "declared",
    ["application/json", "Application/JSON", "application/json; charset=utf-8"],
)
def test_the_ways_to_declare_json_are_all_answered(running: Sidecar, declared: str) -> None:
    """Case and parameters make no difference."""
    assert running.post(GOOD.encode(), {"Content-Type": declared}).status == 200


BOMB = b"[" + b"0," * 16_000_000 + b"0]"


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", gzip.compress(BOMB, 1)),
        ("deflate", zlib.compress(BOMB, 1)),
        ("br", b"\x00"),
        ("zstd", b"\x00"),
        ("x-none", GOOD.encode()),
        ("identity, gzip", gzip.compress(GOOD.encode())),
    ],
    ids=["gzip", "deflate", "br", "zstd", "unknown", "two"],
)
def test_a_compressed_body_is_refused_unread(running: Sidecar, coding: str, body: bytes) -> None:
    """A few kilobytes could be gigabytes."""
    reply = running.post(body, {"Content-Encoding": coding})
    assert "uncompressed" in assert_refused(reply, 415, "unsupported_media_type")
