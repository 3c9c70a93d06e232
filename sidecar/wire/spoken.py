"""What an answer says, where some vendors say it in parts among others that are no text."""

from __future__ import annotations

from collections.abc import Mapping

from sidecar.domain import Json


def spoken(text: str | None, extra: Mapping[str, Json]) -> str:
    """The text of an answer or a piece of it; Mistral's thinking models send a list."""
    parts = extra.get("content")
    if type(parts) is not list:
        return text or ""
    return "".join(part["text"] for part in parts if _is_text(part)) + (text or "")


def _is_text(part: Json) -> bool:
    return type(part) is dict and part.get("type") == "text" and type(part.get("text")) is str
