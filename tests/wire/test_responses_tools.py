"""Tools and their choice in chat's words; what runs at OpenAI is refused by its name."""

import pytest

from sidecar.wire.body import MalformedError
from sidecar.wire.responses_tools import read_tool_choice, read_tools

WEATHER = {
    "name": "get_weather",
    "description": "d",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    "strict": True,
}
HOSTED = (
    "web_search",
    "web_search_preview",
    "file_search",
    "computer_use_preview",
    "mcp",
    "code_interpreter",
    "image_generation",
    "local_shell",
    "shell",
    "apply_patch",
)


def test_functions():
    """A function's fields stand one level down, and none is lost."""
    assert read_tools([{"type": "function", **WEATHER}]) == (
        {"type": "function", "function": WEATHER},
    )


def test_what_asks_for_nothing():
    """A null, or a false of what nobody does here, is left out; a false that chat knows is not."""
    tool = {"type": "function", "name": "f", "parameters": None, "defer_loading": False}
    assert read_tools([{**tool, "strict": False}]) == (
        {"type": "function", "function": {"name": "f", "strict": False}},
    )


def test_custom_tools():
    """A custom tool, and the grammar of its input, are what chat has."""
    grammar = {"syntax": "lark", "definition": "start: WORD"}
    plain = {"type": "custom", "name": "c", "description": "d"}
    assert read_tools([plain, {**plain, "format": {"type": "grammar", **grammar}}]) == (
        {"type": "custom", "custom": {"name": "c", "description": "d"}},
        {
            "type": "custom",
            "custom": {
                "name": "c",
                "description": "d",
                "format": {"type": "grammar", "grammar": grammar},
            },
        },
    )
    assert read_tools([{**plain, "format": {"type": "text"}}])[0]["custom"]["format"] == {
        "type": "text"
    }


@pytest.mark.parametrize("kind", HOSTED)
def test_hosted_tools_are_named(kind):
    """A tool that runs at OpenAI is refused, with its name and its place."""
    with pytest.raises(MalformedError, match=f"no chat provider takes {kind}$") as caught:
        read_tools([{"type": "function", **WEATHER}, {"type": kind}])
    assert caught.value.path == "tools[1].type"


@pytest.mark.parametrize(
    ("tool", "path"),
    [
        ({}, "tools[0].type"),
        ({"type": "function"}, "tools[0].name"),
        ({"type": "function", "function": {"name": "f"}}, "tools[0].function"),
        ({"type": "function", "name": "f", "parameters": []}, "tools[0].parameters"),
        ({"type": "function", "name": "f", "strict": "yes"}, "tools[0].strict"),
        ({"type": "function", "name": "f", "defer_loading": True}, "tools[0].defer_loading"),
        ({"type": "custom", "name": "c", "format": {}}, "tools[0].format.type"),
        (
            {"type": "custom", "name": "c", "format": {"type": "grammar", "syntax": "peg"}},
            "tools[0].format.syntax",
        ),
        (
            {"type": "custom", "name": "c", "format": {"type": "grammar", "syntax": "lark"}},
            "tools[0].format.definition",
        ),
        ({"type": "custom", "name": "c", "format": {"type": "text", "x": 1}}, "tools[0].format.x"),
    ],
)
def test_refused_by_name(tool, path):
    """Each refusal names the place that is wrong."""
    with pytest.raises(MalformedError) as caught:
        read_tools([tool])
    assert caught.value.path == path


@pytest.mark.parametrize("choice", ["none", "auto", "required"])
def test_choices(choice):
    """The three words are the same in chat."""
    assert read_tool_choice(choice) == choice


@pytest.mark.parametrize("kind", ["function", "custom"])
def test_named_choice(kind):
    """The one tool that must be called is named one level down."""
    assert read_tool_choice({"type": kind, "name": "f"}) == {"type": kind, kind: {"name": "f"}}


def test_allowed_tools():
    """A choice among some of the tools is what chat has too."""
    allowed = {"mode": "required", "tools": [{"type": "function", "name": "f"}]}
    assert read_tool_choice({"type": "allowed_tools", **allowed}) == {
        "type": "allowed_tools",
        "allowed_tools": {
            "mode": "required",
            "tools": [{"type": "function", "function": {"name": "f"}}],
        },
    }


@pytest.mark.parametrize(
    ("choice", "path"),
    [
        ("any", "tool_choice"),
        ({}, "tool_choice.type"),
        ({"type": "web_search"}, "tool_choice.type"),
        ({"type": "function"}, "tool_choice.name"),
        ({"type": "function", "name": "f", "x": 1}, "tool_choice.x"),
        ({"type": "allowed_tools", "tools": []}, "tool_choice.mode"),
        ({"type": "allowed_tools", "mode": "auto"}, "tool_choice.tools"),
        ({"type": "allowed_tools", "mode": "auto", "tools": ["f"]}, "tool_choice.tools[0]"),
    ],
)
def test_wrong_choices(choice, path):
    """A choice that can't be made is refused where it is wrong."""
    with pytest.raises(MalformedError) as caught:
        read_tool_choice(choice)
    assert caught.value.path == path
