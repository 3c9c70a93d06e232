"""What tokens don't show is named: what has no count, and what has no usual price."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.context.beyond import why_uncountable, why_unpriced, window_of
from sidecar.domain import Attachment, ChatRequest, Message, Role, Text

FUNCTION = {"type": "function", "function": {"name": "f"}}


def asked(*parts: Any, **more: Any) -> ChatRequest:
    """A request of one message."""
    return ChatRequest("gpt-4o", (Message(Role.USER, parts or (Text("hi"),)),), **more)


def part(kind: str, **more: Any) -> Attachment:
    """A part that is not plain text."""
    return Attachment(kind, {"type": kind, **more})


USUAL: list[dict[str, Any]] = [
    {},
    {"service_tier": "auto"},
    {"service_tier": "flex"},
    {"service_tier": "standard_only"},
    {"speed": "standard"},
    {"inference_geo": "global"},
    {"modalities": ["text"]},
    {"mcp_servers": []},
    {"temperature": 1},
    {"web_search_options": None},
]
UNUSUAL: list[dict[str, Any]] = [
    {"service_tier": "priority"},
    {"service_tier": "fast"},
    {"service_tier": ["auto"]},
    {"speed": "fast"},
    {"inference_geo": "us"},
    {"modalities": ["text", "audio"]},
    {"audio": {"voice": "ash"}},
    {"web_search_options": {}},
    {"mcp_servers": [{"url": "https://example.com"}]},
    {"container": "c"},
    {"data_sources": [{}]},
    {"plugins": [{"id": "web"}]},
    {"search_parameters": {"mode": "auto"}},
    {"models": ["o1-pro"]},
]


@pytest.mark.parametrize("field", ["parameters", "unknown"])
@pytest.mark.parametrize("said", USUAL)
def test_what_is_paid_as_usual(field, said) -> None:
    """Words that ask for the usual way change no price."""
    assert why_unpriced(asked(**{field: said})) is None


@pytest.mark.parametrize("field", ["parameters", "unknown"])
@pytest.mark.parametrize("said", UNUSUAL)
def test_what_is_paid_otherwise(field, said) -> None:
    """A dearer way to be served, a fee beside the tokens, or another model's price."""
    assert why_unpriced(asked(**{field: said})) == next(iter(said))


@pytest.mark.parametrize("kind", ["web_search_20250305", "code_execution_20250825", "mcp", "x\ny"])
def test_tools_that_run_at_the_provider(kind) -> None:
    """They cost a fee, and what they find is read: neither is seen from here."""
    request = asked(tools=(FUNCTION, {"type": kind, "name": "w"}))
    assert (why_unpriced(request) or "").startswith("tools: ")
    assert why_uncountable(request, "gpt-4o") == why_unpriced(request)
    assert "\n" not in (why_unpriced(request) or "")


@pytest.mark.parametrize(
    "kind", ["function", "custom", "bash_20250124", "text_editor_20250728", "memory_20250818"]
)
def test_tools_that_the_client_runs(kind) -> None:
    """All that they bring stands in the request."""
    request = asked(tools=({"type": kind, "name": "t"},))
    assert why_unpriced(request) is None
    assert why_uncountable(request, "gpt-4o") is None


def test_speech_has_a_price_of_its_own() -> None:
    """A token of speech costs more than one of text, and its number is not in the bytes."""
    request = asked(part("input_audio", input_audio={"data": "", "format": "wav"}))
    assert why_unpriced(request) == "input_audio"
    assert why_uncountable(request, "gpt-4o") == "a part of type input_audio"


@pytest.mark.parametrize(
    "unseen",
    [
        part("file", file={"file_id": "file-1"}),
        part("file", file={"file_data": "data:application/pdf;base64,"}),
        part("document", source={"type": "base64", "media_type": "application/pdf", "data": ""}),
        part("document", source={"type": "file", "file_id": "f"}),
        part("document"),
        part("video_url", video_url={"url": "https://example.com"}),
        part("container_upload", file_id="f"),
        part("web_search_tool_result"),
        part("never heard of"),
    ],
)
def test_parts_of_unknown_size(unseen) -> None:
    """A file's pages, a video's seconds and whatever is new."""
    assert why_uncountable(asked(Text("see"), unseen), "gpt-4o") == f"a part of type {unseen.kind}"


@pytest.mark.parametrize(
    "seen",
    [
        part("text", text="x", cache_control={"type": "ephemeral"}),
        part("refusal", refusal="no"),
        part("thinking", thinking="hm", signature="abc"),
        part("document", source={"type": "text", "media_type": "text/plain", "data": "x"}),
        part("image_url", image_url={"url": "https://example.com/a.png"}),
        part("image", source={"type": "file", "file_id": "f"}),
    ],
)
def test_parts_of_known_size(seen) -> None:
    """Texts of any kind, and images of a model whose most is known."""
    assert why_uncountable(asked(seen), "gpt-4o") is None


def test_an_image_of_an_unknown_model() -> None:
    """Nobody tells what it takes, and without a model nobody can."""
    request = asked(part("image_url", image_url={"url": "https://example.com/a.png"}))
    assert why_uncountable(request, "llama3") == "a part of type image_url"
    assert why_uncountable(request, None) == "a part of type image_url"


@pytest.mark.parametrize("name", ["previous_response_id", "conversation", "prompt", "container"])
def test_what_is_kept_elsewhere(name) -> None:
    """A conversation or a prompt by its id is as long as it is."""
    assert why_uncountable(asked(unknown={name: "id"}), "gpt-4o") == name
    assert why_uncountable(asked(unknown={name: None}), "gpt-4o") is None


@pytest.mark.parametrize("name", ["betas", "anthropic-beta"])
def test_a_feature_widens_the_window(name) -> None:
    """With its million, Claude reads more than the table says."""
    assert window_of(asked(unknown={name: ["x", "context-1m-2025-08-07"]}), 200_000) == 1_000_000
    assert window_of(asked(unknown={name: ["x"]}), 200_000) == 200_000
    assert window_of(asked(), 2_000_000) == 2_000_000
