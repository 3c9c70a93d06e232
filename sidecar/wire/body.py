"""JSON bodies, strictly: an object that can be written again, or one clear line.

Refuses what orjson refuses (bad UTF-8, lone surrogates, NaN, trailing text) and what
is nested so deeply that it could be read but not written again. Messages name a place
and what was expected there; they never echo the body, which may hold secrets.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

import orjson

from sidecar.domain import Json
from sidecar.errors import InvalidRequestError

MAX_DEPTH = 128
"""Levels of nesting. orjson writes at most 254, and what wraps a body needs a few of them."""


_LONG = re.compile(r"[0-9]{19}")
"""Where it isn't found, no integer is too long to be read as what it is."""


class MalformedError(ValueError):
    """JSON of the wrong shape. Inside `wire` only: each codec translates it at its border."""

    def __init__(self, expected: str, path: str = "") -> None:
        super().__init__(expected)
        self.expected = expected
        self.path = path

    def within(self, parent: str) -> MalformedError:
        """The same, seen from one level up. So a path costs nothing until something is wrong."""
        separator = "." if self.path and not self.path.startswith("[") else ""
        return MalformedError(self.expected, f"{parent}{separator}{self.path}")

    def __str__(self) -> str:
        return f"{self.path or 'the body'} must be {self.expected}"


def load_object(data: bytes) -> dict[str, Json]:
    """The JSON object in `data`; raises `MalformedError`. Of a repeated key the last wins."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        # orjson's own text ends with a position and never quotes the document.
        raise MalformedError(f"valid JSON in UTF-8 ({error.msg}, at byte {error.pos})") from None
    if type(value) is not dict:
        raise MalformedError("a JSON object")
    if _may_be_deep(data) and _is_deep(value):
        raise MalformedError(f"nested at most {MAX_DEPTH} levels deep")
    return value


def require_object(value: Json, path: str = "") -> dict[str, Json]:
    """The value, which is an object; raises `MalformedError`."""
    if type(value) is not dict:
        raise MalformedError("an object", path)
    return value


def load_arguments(text: str) -> dict[str, Json]:
    """The JSON object that a model called a tool with; raises `MalformedError`.

    None is an empty one. An integer of more than 64 bits would come out as another number.
    """
    if not text.strip():
        return {}
    try:
        value = load_object(text.encode())
    except UnicodeEncodeError:
        raise MalformedError("valid JSON in UTF-8") from None
    if _LONG.search(text):
        json.loads(text, parse_int=_check_integer)
    return value


def _check_integer(digits: str) -> int:
    # Of so many digits that `int` would refuse them orjson has refused the number before.
    integer = int(digits)
    if not -(2**63) <= integer < 2**64:
        raise MalformedError("made of integers of at most 64 bits")
    return integer


def read_object(body: bytes) -> dict[str, Json]:
    """The JSON object of a request's body, or `InvalidRequestError`."""
    try:
        return load_object(body)
    except MalformedError as error:
        raise InvalidRequestError(str(error), param=error.path or None) from None


def dump(value: Json) -> bytes:
    """JSON of what the domain holds; read-only mappings are written as objects."""
    return orjson.dumps(value, default=_plain)


def _plain(value: Json) -> Json:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(type(value).__name__)


def _may_be_deep(data: bytes) -> bool:
    """Whether there are enough brackets for it. Two C scans, so that most bodies aren't walked."""
    return data.count(b"{") + data.count(b"[") > MAX_DEPTH


def _is_deep(value: Json) -> bool:
    """Level by level, for recursion would itself fail on what is looked for."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            child for node in level for child in _children(node) if type(child) in (dict, list)
        ]
        if not level:
            return False
    return True


def _children(node: Json) -> Json:
    return node.values() if type(node) is dict else node
