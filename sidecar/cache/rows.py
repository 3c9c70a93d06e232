"""An entry and its vector as rows of two tables, each row sealed with a digest. Pure.

The seal is blake2b over every column, its type and length included, so a row in which a
byte flipped is never taken for an answer. It is a check against damage, not against an
attacker who may write the file. A vector's row names the entry's key and scope, so it
can't be joined to another entry either.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from hashlib import blake2b
from sys import intern
from typing import Any, NamedTuple, TypeAlias

from sidecar.cache.entry import Entry
from sidecar.cache.slots import Place
from sidecar.errors import UpstreamError
from sidecar.wire.openai_reply import build_completion, parse_completion

Column: TypeAlias = bytes | str | int | float
Record: TypeAlias = tuple[Column, ...]

ENTRY_COLUMNS = (
    "row", "key", "scope", "id", "question", "model", "answered_model", "provider", "tenant",
    "user", "prompt", "tags", "created_at", "expires_at", "value", "size", "body", "seal",
)  # fmt: skip
VECTOR_COLUMNS = ("row", "key", "scope", "embedding", "vector", "seal")
# What is read back of a vector: its model is the one that was asked for.
VECTOR_PARTS = ("row", "key", "scope", "vector", "seal")


class DamagedRowError(Exception):
    """A row is not what was written."""


class VectorRow(NamedTuple):
    """A stored vector: raw float32 as it was given, and whose it is."""

    row: int
    key: bytes
    scope: bytes
    vector: bytes


def encode_entry(row: int, entry: Entry, size: int) -> Record:
    """The row of an entry, in the order of `ENTRY_COLUMNS`; ValueError or TypeError for
    text that has no UTF-8 form.
    """
    return _sealed(
        row, entry.key, entry.scope, entry.id, entry.question, entry.model,
        entry.answered_model, entry.provider, entry.tenant, entry.user, entry.prompt,
        pack_tags(entry.tags), float(entry.created_at), float(entry.expires_at),
        float(entry.value), size, build_completion(entry.completion),
    )  # fmt: skip


def decode_entry(record: Sequence[Any], place: Place) -> Entry:
    """The entry in a row that is meant to be `place`; raises DamagedRowError."""
    (
        row, key, scope, id_, question, model, answered_model, provider, tenant,
        user, prompt, tags, created_at, expires_at, value, _size, body,
    ) = _unsealed(record)  # fmt: skip
    _check_place(row, key, place)
    try:
        completion = parse_completion(body)
    except UpstreamError:
        raise DamagedRowError from None
    # Words that recur in every entry are kept once.
    return Entry(
        id_, place.key, scope, question, completion, intern(model), intern(answered_model),
        intern(provider), intern(tenant), user, intern(prompt), unpack_tags(tags),
        created_at, expires_at, value,
    )  # fmt: skip


def encode_vector(row: int, entry: Entry, embedding: str, vector: bytes) -> Record:
    """The row of an entry's vector, in the order of `VECTOR_COLUMNS`."""
    return _sealed(row, entry.key, entry.scope, embedding, vector)


def decode_vector(record: Sequence[Any], model: bytes) -> VectorRow:
    """The vector in `VECTOR_PARTS` of the model whose frame this is; raises DamagedRowError."""
    row, key, scope, vector, seal = record
    number = b"%d" % row
    try:
        # What `_seal` joins, in two thirds of its time: every start checks every vector.
        framed = b"".join((
            b"i%d:%b" % (len(number), number), b"b%d:%b" % (len(key), key),
            b"b%d:%b" % (len(scope), scope), model, b"b%d:" % len(vector), vector,
        ))  # fmt: skip
    except TypeError:
        raise DamagedRowError from None
    if blake2b(framed, digest_size=16).digest() != seal:
        raise DamagedRowError
    return VectorRow(row, key, scope, vector)


def pack_tags(tags: Sequence[str]) -> str:
    """Tags as one text in which each stands between line ends, so that SQL can look for one."""
    return "".join(f"\n{_escape(tag)}" for tag in tags) + "\n" if tags else ""


def unpack_tags(packed: str) -> tuple[str, ...]:
    """What `pack_tags` was given."""
    return tuple(_unescape(tag) for tag in packed[1:-1].split("\n")) if packed else ()


def _escape(tag: str) -> str:
    return tag.replace("\\", "\\\\").replace("\n", "\\n")


def _unescape(tag: str) -> str:
    # Split at the escaped backslash first, so that what follows one is not read as an escape.
    return "\\".join(part.replace("\\n", "\n") for part in tag.split("\\\\"))


def _sealed(*columns: Column) -> Record:
    return (*columns, _seal(columns))


def _unsealed(record: Sequence[Any]) -> Sequence[Any]:
    *columns, seal = record
    if _seal(columns) != seal:
        raise DamagedRowError
    return columns


def _check_place(row: int, key: bytes, place: Place) -> None:
    if (row, key) != place:
        raise DamagedRowError


def _seal(columns: Sequence[Any]) -> bytes:
    return blake2b(b"".join(map(frame, columns)), digest_size=16).digest()


def frame(column: Any) -> bytes:
    """How a column goes into a seal, so that no two lists of columns give the same bytes;
    raises DamagedRowError for what can't be a column.
    """
    match column:
        case bytes():
            raw, kind = column, b"b"
        case str():
            raw, kind = _utf8(column), b"s"
        case int():
            raw, kind = b"%d" % column, b"i"
        case float():
            raw, kind = struct.pack("<d", column), b"f"
        case _:
            raise DamagedRowError
    return b"%b%d:%b" % (kind, len(raw), raw)


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
