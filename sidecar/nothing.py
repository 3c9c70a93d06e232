"""The empty mapping, which can't be changed and so is shared by all data that has nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

Json: TypeAlias = Any
"""What a JSON parser gives: None, bool, int, float, str, list or dict."""


class Nothing(Mapping[str, Json]):
    """The empty mapping. Hashable, as Python 3.11 asks of a dataclass's default."""

    __slots__ = ()

    def __getitem__(self, name: str) -> Json:
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __hash__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "{}"


NOTHING: Mapping[str, Json] = Nothing()
"""The one empty mapping, shared because it can't be changed."""
