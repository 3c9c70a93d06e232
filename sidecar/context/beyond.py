"""What of a request no count of tokens can tell: neither their number nor their price. Pure.

`why_uncountable` names what becomes input whose size the request does not show (a file by
its id, speech, what a search brings); the model's context window bounds that. `why_unpriced`
names what is billed beside tokens, or at other rates than the usual ones: no bound holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from sidecar.context.images import image_bound
from sidecar.domain import Attachment, ChatRequest, Json, Part, Text
from sidecar.wire.anthropic_tools import BETA_HEADER

TEXTUAL: Final = frozenset(
    ("text", "refusal", "thinking", "redacted_thinking", "search_result", "tool_reference")
)
"""Parts whose JSON holds all that a model is given of them."""

IMAGES: Final = frozenset(("image", "image_url"))

_RUN_BY_CLIENT: Final = ("function", "custom", None)
_OWN: Final = ("bash_", "text_editor_", "computer_", "memory_")
"""Anthropic's tools that the client runs; what others do is billed apart."""

_BRINGS_INPUT: Final = frozenset(
    ("previous_response_id", "conversation", "prompt", "container", "mcp_servers", "data_sources")
) | {"plugins", "search_parameters", "web_search_options"}

_USUAL: Final[dict[str, Callable[[Json], bool]]] = {
    "service_tier": lambda v: v in ("auto", "default", "flex", "standard", "standard_only"),
    "speed": lambda v: v == "standard",
    "inference_geo": lambda v: v in ("global", "not_available"),
    "modalities": lambda v: v == ["text"],
    "audio": lambda _: False,
    "web_search_options": lambda _: False,
    "mcp_servers": lambda v: not v,
    "container": lambda _: False,
    "data_sources": lambda v: not v,
    "plugins": lambda v: not v,
    "search_parameters": lambda _: False,
    "models": lambda v: not v,
    "fallbacks": lambda v: not v,
    "provider": lambda v: not v,
    "preset": lambda v: not v,
    # What sums a conversation up reads and writes it once more.
    "context_management": lambda v: "compact" not in str(v),
}
"""Fields that change what is paid for a token or beside it, and when they do not."""


def why_unpriced(request: ChatRequest) -> str | None:
    """The first thing that the usual price of a token does not cover; None where all is."""
    for name, value in _said(request):
        if not is_usual(name, value):
            return name
    for tool in request.tools:
        if is_run_by_provider(tool):
            return f"tools: {word(tool.get('type'))}"
    spoken = any(part.kind == "input_audio" for part in _attachments(request))
    return "input_audio" if spoken else None


def why_uncountable(request: ChatRequest, model: str | None) -> str | None:
    """The first thing whose tokens the request does not show; None where all can be bounded."""
    for fields in (request.parameters, request.unknown):
        if (name := why_brings_input(fields)) is not None:
            return name
    for tool in request.tools:
        if is_run_by_provider(tool):
            return f"tools: {word(tool.get('type'))}"
    for part in _attachments(request):
        if not _is_countable(part, model):
            return f"a part of type {word(part.kind)}"
    return None


def why_brings_input(fields: Mapping[str, Json]) -> str | None:
    """The first field that names what becomes input, and does not hold it."""
    return next((name for name in fields if name in _BRINGS_INPUT and fields[name]), None)


def is_usual(name: str, value: Json) -> bool:
    """Whether a field leaves the price of a call as it is."""
    usual = _USUAL.get(name)
    return usual is None or value is None or usual(value)


def window_of(request: ChatRequest, window: int) -> int:
    """The context window, with the feature that widens Anthropic's."""
    betas = (request.unknown.get(name) or () for name in ("betas", BETA_HEADER))
    wide = any(str(beta).startswith("context-1m") for named in betas for beta in named)
    return max(window, 1_000_000) if wide else window


def is_run_by_provider(tool: Mapping[str, Json]) -> bool:
    """Whether a tool works where the model does, unseen from here."""
    kind = tool.get("type")
    return kind not in _RUN_BY_CLIENT and not str(kind).startswith(_OWN)


def image_of(part: Part, model: str | None) -> int | None:
    """The most tokens of a part that is an image; None where nobody tells."""
    if model is None or isinstance(part, Text) or part.kind not in IMAGES:
        return None
    told = part.raw.get("image_url")
    return image_bound(model, told.get("detail") if isinstance(told, Mapping) else None)


def is_textual(part: Attachment) -> bool:
    """Whether its JSON holds all that a model is given of it."""
    source = part.raw.get("source") if part.kind == "document" else None
    is_plain = isinstance(source, Mapping) and source.get("type") == "text"
    return is_plain or part.kind in TEXTUAL


def _is_countable(part: Attachment, model: str | None) -> bool:
    return is_textual(part) or image_of(part, model) is not None


def _said(request: ChatRequest) -> Iterator[tuple[str, Json]]:
    for fields in (request.parameters, request.unknown):
        for name, value in fields.items():
            if value is not None:
                yield name, value


def _attachments(request: ChatRequest) -> Iterator[Attachment]:
    for message in request.messages:
        for part in message.content:
            if isinstance(part, Attachment):
                yield part


def word(value: Json) -> str:
    """What a client chose, as far as it can be told back in one line."""
    text = str(value)[:40]
    return text if text.isascii() and text.isprintable() else "unknown"
