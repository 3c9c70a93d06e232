"""OpenAI's Responses, spoken by the simulated provider: one dialect more, with a memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from sidecar.providers.simulated.dialects import Asked, ChatDialect, Head, Posted
from sidecar.providers.simulated.engine import Answer
from sidecar.providers.simulated.reading import read_asked
from sidecar.providers.simulated.responses_reading import Kept, read_responses_request
from sidecar.providers.simulated.responses_shape import Shape
from sidecar.providers.simulated.script import Fault
from sidecar.providers.simulated.shape import Event


class ResponsesDialect(ChatDialect):
    """Answers are kept unless `store` is false. One in the background is told as queued, and
    made and billed at once, for nobody can ask for it later.
    """

    kind = "resp"
    endpoint = "responses"

    def __init__(self) -> None:
        self._kept = Kept()

    def read(self, posted: Posted) -> Asked:
        """As strict as OpenAI is about fields and ids; the ledger shows the body as it was sent."""
        raw = read_asked(posted.body)
        request = read_responses_request(raw, self._kept)
        return Asked(raw["model"], raw, request, raw.get("stream") is True)

    def whole(
        self, asked: Asked, head: Head, made: Sequence[Answer], prompt_tokens: int, fault: Fault
    ) -> bytes:
        """A `response`."""
        shape = self._shape(asked, head, made[0])
        if asked.messages.get("background"):
            return shape.queued()
        return shape.whole(made[0], prompt_tokens, fault)

    def events(
        self, asked: Asked, head: Head, made: Sequence[Answer], prompt_tokens: int, fault: Fault
    ) -> Iterator[Event]:
        """From `response.created` to `response.completed`."""
        return self._shape(asked, head, made[0]).events(made[0], prompt_tokens, fault)

    def error_event(self, fault: Fault) -> bytes:
        """An `error` event."""
        said: Any = orjson.loads(self.error(fault.status or 500, fault))["error"]
        told = {name: said[name] for name in ("code", "message", "param")}
        data = orjson.dumps({"type": "error", "sequence_number": 0, **told})
        return b"event: error\ndata: " + data + b"\n\n"

    def _shape(self, asked: Asked, head: Head, answer: Answer) -> Shape:
        turns = [turn for turn in asked.request["messages"] if turn.get("role") != "system"]
        self._kept.keep(asked.messages, head["id"], [*turns, _turn(answer)])
        return Shape(head, asked.messages, asked.request)


def _turn(answer: Answer) -> Mapping[str, Any]:
    """The answer as a turn of the conversation that goes on from it."""
    if answer.call is None:
        return {"role": "assistant", "content": answer.text}
    function = {"name": answer.call.name, "arguments": answer.text}
    call = {"id": answer.call.id, "type": "function", "function": function}
    return {"role": "assistant", "content": None, "tool_calls": [call]}
