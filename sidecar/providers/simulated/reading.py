"""What was asked, read and checked: enough to be strict, and no more than it needs.

Pure. The sidecar's own codec is not used here: a provider that reads as the sidecar
writes would forgive its mistakes.
"""

from __future__ import annotations

from typing import Any

import orjson


class RefusedError(Exception):
    """A request that is answered with this status and this sentence.

    OpenAI's words name the code and the field as well, where there are such.
    """

    def __init__(
        self,
        message: str,
        status: int = 400,
        *,
        code: str | None = None,
        param: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param


def read_json(body: bytes) -> Any:
    """Parse a body."""
    try:
        return orjson.loads(body)
    except ValueError:
        raise RefusedError("the body is not JSON") from None


def read_object(body: bytes) -> dict[str, Any]:
    """Parse a body that must be an object."""
    request = read_json(body)
    if not isinstance(request, dict):
        raise RefusedError("the body is not a JSON object")
    return request


def read_asked(body: bytes) -> dict[str, Any]:
    """Parse the body of a request to a model."""
    request = read_object(body)
    if not isinstance(request.get("model"), str):
        raise RefusedError("model: expected text")
    return request


def read_texts(given: Any) -> list[str]:
    """Read what is to be embedded: one text or several, or lists of token numbers."""
    items = given if isinstance(given, list) else [given]
    if items and all(isinstance(item, int) for item in items):
        items = [items]
    texts = [" ".join(map(str, item)) if isinstance(item, list) else item for item in items]
    if not texts or not all(isinstance(text, str) and text for text in texts):
        raise RefusedError("input: expected text or a list of texts, none of them empty")
    return texts
