"""The input of an OpenAI Responses request as the turns of a chat.

A call of a tool is an item of its own there and a part of the assistant's turn here, so
an assistant's words and the calls around them become one turn: a chat provider wants
each answer of a tool right behind the turn that called it.

Left out by rule, for no model is ever given them: what an item of an earlier reply says
of itself (id, status, annotations, logprobs). Reasoning items have no word in chat and
are refused, as are those of tools that run at OpenAI.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from sidecar.domain import Attachment, Json, Message, Part, Role, Text, ToolCall
from sidecar.wire.body import MalformedError
from sidecar.wire.responses_fields import (
    ANY,
    NAME,
    OBJECT,
    STRING,
    TEXT,
    at,
    kind_of,
    one_of,
    read_fields,
)

_ROLES: Final = {
    role.value: role for role in (Role.USER, Role.ASSISTANT, Role.SYSTEM, Role.DEVELOPER)
}
_ITEM: Final = {"type": ANY, "id": ANY, "status": ANY}
_MESSAGE: Final = {**_ITEM, "role": one_of(*_ROLES, required=True), "content": ANY}
_FUNCTION_CALL: Final = {**_ITEM, "call_id": NAME, "name": NAME, "arguments": TEXT}
_CUSTOM_CALL: Final = {**_ITEM, "call_id": NAME, "name": NAME, "input": TEXT}
_CALL_OUTPUT: Final = {**_ITEM, "call_id": NAME, "output": ANY}
_INPUT_TEXT: Final = {"type": ANY, "text": TEXT}
_INPUT_IMAGE: Final = {
    "type": ANY,
    "image_url": TEXT,
    "detail": one_of("auto", "low", "high"),
}
_INPUT_FILE: Final = {"type": ANY, "file_data": STRING, "file_id": STRING, "filename": STRING}
_INPUT_AUDIO: Final = {"type": ANY, "input_audio": OBJECT._replace(required=True)}
_OUTPUT_TEXT: Final = {**_INPUT_TEXT, "annotations": ANY, "logprobs": ANY}
_REFUSAL: Final = {"type": ANY, "refusal": TEXT}


def read_input(value: Json) -> list[Message]:
    """The turns that an `input` holds."""
    if type(value) is str:
        return [Message(Role.USER, (Text(value),))]
    if type(value) is not list or not value:
        raise MalformedError("a string or a list of at least one item", "input")
    turns = _Turns()
    for place, item in enumerate(value):
        with at(f"input[{place}]"):
            read = _ITEMS[kind_of(item, _ITEMS, default="message")]
            read(item, turns)
    return turns.whole()


class _Turns:
    """Gathers turns. The assistant's stays open until somebody else speaks."""

    def __init__(self) -> None:
        self._closed: list[Message] = []
        self._said: Message | None = None
        self._calls: list[ToolCall] = []

    def add(self, turn: Message) -> None:
        """The turn of anyone but the assistant."""
        self._close()
        self._closed.append(turn)

    def say(self, turn: Message) -> None:
        """The assistant's words; a second time they are a turn of their own."""
        if self._said is not None:
            self._close()
        self._said = turn

    def call(self, call: ToolCall) -> None:
        """A call of the assistant's."""
        self._calls.append(call)

    def whole(self) -> list[Message]:
        """All turns."""
        self._close()
        return self._closed

    def _close(self) -> None:
        if self._said is None and not self._calls:
            return
        said = self._said or Message(Role.ASSISTANT)
        self._closed.append(replace(said, tool_calls=tuple(self._calls)))
        self._said, self._calls = None, []


def _read_message(raw: Json, turns: _Turns) -> None:
    said = read_fields(raw, _MESSAGE)
    role = _ROLES[said["role"]]
    content = said.get("content")
    if role is Role.ASSISTANT:
        turns.say(_read_said(content))
    else:
        turns.add(Message(role, _read_content(content)))


def _read_content(content: Json, name: str = "content") -> tuple[Part, ...]:
    if type(content) is str:
        return (Text(content),)
    if type(content) is not list or not content:
        raise MalformedError("a string or a list of at least one part", name)
    parts: list[Part] = []
    for place, raw in enumerate(content):
        with at(f"{name}[{place}]"):
            parts.append(_PARTS[kind_of(raw, _PARTS)](raw))
    return tuple(parts)


def _read_said(content: Json) -> Message:
    """What an assistant said earlier: text, or why it would not."""
    if type(content) is str:
        return Message(Role.ASSISTANT, (Text(content),))
    if type(content) is not list:
        raise MalformedError("a string or a list of parts", "content")
    texts: list[Text] = []
    refusals: list[str] = []
    for place, raw in enumerate(content):
        with at(f"content[{place}]"):
            if kind_of(raw, _SAID) == "output_text":
                texts.append(Text(read_fields(raw, _OUTPUT_TEXT)["text"]))
            else:
                refusals.append(read_fields(raw, _REFUSAL)["refusal"])
    return Message(Role.ASSISTANT, tuple(texts), refusal="".join(refusals) if refusals else None)


def _read_function_call(raw: Json, turns: _Turns) -> None:
    said = read_fields(raw, _FUNCTION_CALL)
    turns.call(ToolCall(said["call_id"], said["name"], said["arguments"]))


def _read_custom_call(raw: Json, turns: _Turns) -> None:
    said = read_fields(raw, _CUSTOM_CALL)
    turns.call(ToolCall(said["call_id"], said["name"], said["input"], "custom"))


def _read_call_output(raw: Json, turns: _Turns) -> None:
    said = read_fields(raw, _CALL_OUTPUT)
    content = _read_content(said.get("output"), "output")
    turns.add(Message(Role.TOOL, content, tool_call_id=said["call_id"]))


def _read_text(raw: Json) -> Part:
    return Text(read_fields(raw, _INPUT_TEXT)["text"])


def _read_image(raw: Json) -> Part:
    said = read_fields(raw, _INPUT_IMAGE)
    image = {"url": said["image_url"]}
    if "detail" in said:
        image["detail"] = said["detail"]
    return Attachment("image_url", {"type": "image_url", "image_url": image})


def _read_file(raw: Json) -> Part:
    said = read_fields(raw, _INPUT_FILE)
    if not ("file_data" in said or "file_id" in said):
        raise MalformedError("given, or a file_id in its place", "file_data")
    file = {name: value for name, value in said.items() if name != "type"}
    return Attachment("file", {"type": "file", "file": file})


def _read_audio(raw: Json) -> Part:
    audio = read_fields(raw, _INPUT_AUDIO)["input_audio"]
    return Attachment("input_audio", {"type": "input_audio", "input_audio": audio})


_ITEMS: Final[Mapping[str, Callable[[Json, _Turns], None]]] = {
    "message": _read_message,
    "function_call": _read_function_call,
    "function_call_output": _read_call_output,
    "custom_tool_call": _read_custom_call,
    "custom_tool_call_output": _read_call_output,
}
_PARTS: Final[Mapping[str, Callable[[Json], Part]]] = {
    "input_text": _read_text,
    "input_image": _read_image,
    "input_file": _read_file,
    "input_audio": _read_audio,
}
_SAID: Final = ("output_text", "refusal")
