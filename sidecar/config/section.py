"""What all parts of the config share: frozen models and the types of their values.

A number is a number: `true` is not taken for 1, nor NaN for a limit. A secret is
masked wherever it is shown. `Says` gives a type the words in which an error asks for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SecretStr,
)

from sidecar.config import units


class Section(BaseModel):
    """A part of the config: frozen, no unknown keys, and no values in error texts."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        validate_default=False,
    )


@dataclass(frozen=True, slots=True)
class Says:
    """How an error names what a type expects.

    `quiet` keeps the value given out of it; `render` writes limits as the file would.
    """

    expected: str
    quiet: bool = False
    render: Callable[[Any], str] = str


def _not_bool(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("not a number")  # noqa: TRY004 (pydantic reads ValueError only)
    return value


def _plain(number: float) -> int | float:
    return int(number) if float(number).is_integer() else number


def _base_url(text: str) -> str:
    parts = urlsplit(text)
    _ = parts.port  # raises ValueError where it is no port
    extra = parts.username is not None or parts.password is not None or "?" in text or "#" in text
    if parts.scheme not in {"http", "https"} or not parts.hostname or extra:
        raise ValueError("not a base URL")
    if not text.isascii() or any(c <= " " or c in '\\"<>' for c in text):
        raise ValueError("not a base URL")
    return text.rstrip("/")


Whole: TypeAlias = Annotated[int, BeforeValidator(_not_bool)]
"""A whole number; `true` is none."""

Number: TypeAlias = Annotated[
    float,
    BeforeValidator(_not_bool),
    PlainSerializer(_plain, return_type=int | float, when_used="json"),
]
"""A number; `true` is none. Each field bounds it on both sides, which leaves out NaN."""

Share: TypeAlias = Annotated[float, BeforeValidator(_not_bool), Field(ge=0, le=1)]
"""A part of a whole, 0 to 1."""

Text: TypeAlias = Annotated[str, Field(min_length=1)]
"""A text with something in it."""

Duration: TypeAlias = Annotated[
    float,
    BeforeValidator(units.parse_duration),
    PlainSerializer(units.render_duration, return_type=str, when_used="json"),
    Says(units.DURATION_HELP, render=units.render_duration),
]
"""Seconds in memory, a text with its unit in the file."""

Size: TypeAlias = Annotated[
    int,
    BeforeValidator(units.parse_size),
    PlainSerializer(units.render_size, return_type=str, when_used="json"),
    Says(units.SIZE_HELP, render=units.render_size),
]
"""Bytes in memory, a text with its unit in the file."""

Secret: TypeAlias = Annotated[
    SecretStr,
    Field(min_length=1),
    Says("a text that is not empty (quote it where it looks like a number)", quiet=True),
]
"""A text that is never shown; an empty one is refused, since it would protect nothing."""

BaseUrl: TypeAlias = Annotated[
    str,
    AfterValidator(_base_url),
    Says("an http or https address without credentials, query or fragment", quiet=True),
]
"""Where a provider is, without a slash at its end. Shown in no error: it may hold a password."""
