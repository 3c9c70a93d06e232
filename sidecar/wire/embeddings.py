"""OpenAI's Embeddings: requests read from clients, written for providers, replies both ways.

A request is a list of items, each a text or a list of token numbers, and each stands for
itself: that is what lets a part of them come from the cache. Vectors are kept as the
provider wrote them, in JSON and in the encoding asked for, so that a stored one is given
again without a digit lost. Refused: what no provider could embed, by the place it stands.
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from sidecar.domain import NOTHING, Json, Usage
from sidecar.errors import InvalidRequestError, UpstreamError, UpstreamInvalidError
from sidecar.wire.body import MalformedError, dump, load_object
from sidecar.wire.openai_fields import FIELDS, LABELS

Item: TypeAlias = str | tuple[int, ...]
"""One text, or the numbers of its tokens."""

ENCODINGS: Final = ("float", "base64")
_NAMED: Final = ("model", "input", "encoding_format")
_MOST_TOKENS: Final = 10**9
"""A count above it is a lie, and no count at all."""
_EXPECTED_INPUT: Final = "a string, a list of strings, a list of token numbers, or a list of such"


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """What is to be embedded. `parameters` change the vectors, `labels` do not.

    `is_list` tells how the client wrote a single item. `encoding` is None where the client
    left it to the provider.
    """

    model: str
    items: tuple[Item, ...]
    is_list: bool = True
    encoding: str | None = None
    parameters: Mapping[str, Json] = NOTHING
    labels: Mapping[str, Json] = NOTHING


@dataclass(frozen=True, slots=True)
class Embedded:
    """A provider's reply: the JSON of one vector for each item asked for, in their order."""

    model: str
    vectors: tuple[bytes, ...]
    usage: Usage | None = None


def parse_embedding_request(body: bytes) -> EmbeddingRequest:
    """The request in `body`, or `InvalidRequestError` naming what is wrong."""
    try:
        return _read_request(load_object(body))
    except MalformedError as error:
        raise InvalidRequestError(str(error), param=error.path or None) from None


def build_embedding_request(request: EmbeddingRequest, model: str, items: Sequence[Item]) -> bytes:
    """The body that asks a provider's `model` for these items alone."""
    alone = len(items) == 1 and not request.is_list
    raw: dict[str, Json] = {"model": model, "input": items[0] if alone else items}
    if request.encoding is not None:
        raw["encoding_format"] = request.encoding
    return dump({**raw, **request.parameters, **request.labels})


def parse_embedding_reply(data: bytes, count: int) -> Embedded:
    """The reply of a provider that was asked for `count` vectors, or `UpstreamError`."""
    try:
        raw = load_object(data)
        if raw.get("error") and "data" not in raw:
            raise UpstreamError("the provider answered with an error", reason="error_in_reply")
        return Embedded(_model(raw), _vectors(raw.get("data"), count), _usage(raw.get("usage")))
    except MalformedError as error:
        raise UpstreamInvalidError(
            f"the provider's embeddings can't be used: {error}", reason="malformed"
        ) from None


def build_embedding_reply(model: str, vectors: Sequence[bytes], usage: Usage) -> bytes:
    """The reply to a client; vectors are JSON already."""
    listed = b",".join(
        b'{"object":"embedding","index":%d,"embedding":%b}' % (index, vector)
        for index, vector in enumerate(vectors)
    )
    told = {"prompt_tokens": usage.input_tokens, "total_tokens": usage.input_tokens}
    return b'{"object":"list","data":[%b],"model":%b,"usage":%b}' % (
        listed, dump(model), dump(told),
    )  # fmt: skip


def _read_request(raw: dict[str, Json]) -> EmbeddingRequest:
    model = raw.get("model")
    if type(model) is not str or not model:
        raise MalformedError("a non-empty string", "model")
    items, is_list = _read_input(raw.get("input"))
    parameters, labels = _sorted(raw)
    return EmbeddingRequest(model, items, is_list, _read_encoding(raw), parameters, labels)


def _sorted(raw: dict[str, Json]) -> tuple[dict[str, Json], dict[str, Json]]:
    """What changes the vectors, and what doesn't. A null is the same as nothing."""
    parameters: dict[str, Json] = {}
    labels: dict[str, Json] = {}
    for name, value in raw.items():
        if value is None or name in _NAMED:
            continue
        field = FIELDS.get(name)
        if field is None or field.group != LABELS:
            parameters[name] = value
        elif field.is_valid(value):
            labels[name] = value
        else:
            raise MalformedError(field.expected, name)
    _check_dimensions(parameters.get("dimensions"))
    return parameters, labels


def _check_dimensions(value: Json) -> None:
    if value is not None and (type(value) is not int or value < 1):
        raise MalformedError("an integer of at least 1", "dimensions")


def _read_encoding(raw: dict[str, Json]) -> str | None:
    encoding = raw.get("encoding_format")
    if encoding is not None and encoding not in ENCODINGS:
        raise MalformedError(f"one of {', '.join(ENCODINGS)}", "encoding_format")
    return encoding


def _read_input(value: Json) -> tuple[tuple[Item, ...], bool]:
    """The items, and whether they came as a list of items."""
    if type(value) is str:
        return (value,), False
    if type(value) is not list or not value:
        raise MalformedError(_EXPECTED_INPUT, "input")
    if all(map(_is_token, value)):
        return (tuple(value),), False
    return tuple(_read_item(item, index) for index, item in enumerate(value)), True


def _read_item(value: Json, index: int) -> Item:
    if type(value) is str:
        return value
    if type(value) is list and value and all(map(_is_token, value)):
        return tuple(value)
    raise MalformedError("a string or a list of token numbers", f"input[{index}]")


def _is_token(value: Json) -> bool:
    return type(value) is int and value >= 0


def _model(raw: dict[str, Json]) -> str:
    model = raw.get("model")
    return model if type(model) is str else ""


def _vectors(listed: Json, count: int) -> tuple[bytes, ...]:
    """One vector for each item, by its index: servers may answer in another order."""
    if type(listed) is not list or len(listed) != count:
        raise MalformedError(f"a list of {count} embeddings", "data")
    found: dict[int, bytes] = {}
    for place, item in enumerate(listed):
        if type(item) is not dict:
            raise MalformedError("an object", f"data[{place}]")
        index = item.get("index", place)
        if type(index) is not int or not 0 <= index < count or index in found:
            raise MalformedError("the index of one item, once", f"data[{place}].index")
        found[index] = _vector(item.get("embedding"), f"data[{place}].embedding")
    return tuple(found[index] for index in range(count))


def _vector(value: Json, path: str) -> bytes:
    is_numbers = type(value) is list and value and all(type(x) in (float, int) for x in value)
    if not is_numbers and not _is_packed(value):
        raise MalformedError("a list of numbers, or base64 of 32-bit floats", path)
    return dump(value)


def _is_packed(value: Json) -> bool:
    if type(value) is not str or not value:
        return False
    try:
        return len(binascii.a2b_base64(value, strict_mode=True)) % 4 == 0
    except (binascii.Error, ValueError):
        return False


def _usage(value: Json) -> Usage | None:
    """The tokens that were counted; None where what is told can't be true."""
    tokens = value.get("prompt_tokens") if type(value) is dict else None
    if type(tokens) is not int or not 0 <= tokens <= _MOST_TOKENS:
        return None
    return Usage(tokens, 0)
