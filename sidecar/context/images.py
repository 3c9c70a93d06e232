"""How many tokens an image takes at most, by the family of a model. Pure.

Vendors scale an image down before they look at it, so there is a most, whatever its size.
OpenAI's ("Images and vision"): tiles cost 85 + 170 of the first kind, of which there are
at most eight; patches are at most 1,536 (later 10,000), times a factor of up to 2.46.
Anthropic's ("Vision"): about 1,600, of newer models 4,784. For other models nobody tells.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple


class _Family(NamedTuple):
    """Models by the beginning of their names, and the most that an image takes there."""

    names: re.Pattern[str]
    most: int
    low: int


_PATCHES: Final = 3_779
_MANY_PATCHES: Final = 24_600
_FAMILIES: Final = (
    _Family(re.compile(r"gpt-4o-mini"), 2_833 + 8 * 5_667, 2_833),
    _Family(re.compile(r"gpt-4\.1-(mini|nano)|o4-mini"), _PATCHES, _PATCHES),
    _Family(re.compile(r"(chat)?gpt-4o|gpt-4\.[15]|gpt-4-turbo"), 85 + 8 * 170, 85),
    _Family(re.compile(r"o[13]\b"), 75 + 8 * 150, 75),
    _Family(re.compile(r"gpt-5(?!\.)"), _PATCHES, _PATCHES),
    _Family(re.compile(r"gpt-[5-9]"), _MANY_PATCHES, _MANY_PATCHES),
    _Family(re.compile(r"claude-"), 4_784, 4_784),
)
"""The first that fits decides."""

_BEFORE: Final = re.compile(r"(ft:|openai/|anthropic/)*")


def image_bound(model: str, detail: object = None) -> int | None:
    """The most tokens of one image; None where it is not known.

    `detail` is what the request asks for; only `low` makes an image small.
    """
    name = _BEFORE.sub("", model.lower(), count=1)
    for family in _FAMILIES:
        if family.names.match(name):
            return family.low if detail == "low" else family.most
    return None
