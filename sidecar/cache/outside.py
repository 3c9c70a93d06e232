"""Does an answer rest on more than its request? Then it is neither read nor written.

It does where a provider keeps something between requests (a container, a thread), and
where the provider looks something up or runs something while it answers: what the web
says, or a file holds, is another thing tomorrow, for an equal request.

A tool of a type unknown here is taken for one that the provider runs.
"""

from __future__ import annotations

from typing import Final

from sidecar.domain import ChatRequest, Json
from sidecar.native import NativeRequest
from sidecar.reasons import Reason

_KEPT: Final = ("container", "thread", "diagnostics", "fallback_credit_token")
"""Fields that name what the provider holds from earlier requests."""

_LOOKED_UP: Final = ("mcp_servers", "web_search_options", "data_sources")
"""Fields that let the provider ask others, of Anthropic, OpenAI and Azure."""

_OWN: Final = (None, "function", "custom")
_RUN_BY_CLIENT: Final = ("bash_", "text_editor_", "computer_", "browser_", "memory_")
"""Anthropic wrote these tools, the client runs them; a date follows."""

_NOTHING_ASKED: Final[tuple[Json, ...]] = (None, "", [])


def why_outside(request: ChatRequest) -> Reason | None:
    """What an answer would rest on beside its request."""
    if isinstance(request, NativeRequest):
        return Reason.STATEFUL if request.is_stateful else Reason.NATIVE
    if any(_asks(request, name) for name in _KEPT):
        return Reason.STATEFUL
    if any(_asks(request, name) for name in _LOOKED_UP) or any(map(_is_run_there, request.tools)):
        return Reason.NATIVE
    return None


def _asks(request: ChatRequest, name: str) -> bool:
    # An empty object asks: it is how a search without options is switched on.
    value = request.unknown.get(name, request.parameters.get(name))
    return value not in _NOTHING_ASKED


def _is_run_there(tool: Json) -> bool:
    kind = tool.get("type")
    return kind not in _OWN and not str(kind).startswith(_RUN_BY_CLIENT)
