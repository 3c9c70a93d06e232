"""What every vendor's replies have in common: their status, and whether they stream.

What is asked for by all is here too: the headers that any provider is sent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sidecar import __version__
from sidecar.errors import UpstreamInvalidError
from sidecar.providers.credentials import check_key
from sidecar.providers.judge import MOST_ERROR_BYTES, Asked, judge_reply
from sidecar.providers.transport import Response


def common_headers(api_key: str | None) -> dict[str, str]:
    """What everyone is sent; `ConfigError` for a key that no header can hold."""
    check_key(api_key)
    return {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "User-Agent": f"semantic-sidecar/{__version__}",
    }


async def require_success(response: Response, asked: Asked) -> None:
    """Raise what any status but a good one means."""
    if 200 <= response.status < 300:
        return
    body = await response.read_at_most(MOST_ERROR_BYTES)
    raise judge_reply(asked, response.status, response.headers, body)


async def require_stream(response: Response, name: str, parse: Callable[[bytes], Any]) -> None:
    """Raise where a whole reply came, which is an error told with status 200, or worse.

    `parse` reads a whole reply and raises the error that it tells of.
    """
    if not response.headers.get("Content-Type", "").lower().startswith("application/json"):
        return
    parse(await response.read())
    raise UpstreamInvalidError(f"{name} does not stream", reason="not_a_stream")
