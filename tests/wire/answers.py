"""Anthropic's answers that several tests read: whole, and as the events of a stream."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import orjson
from hypothesis import strategies as st

from sidecar.domain import Chunk, Completion
from sidecar.wire.anthropic_events import MessageReader
from sidecar.wire.anthropic_reply import message_head, message_tail
from sidecar.wire.anthropic_writer import MessagesWriter
from sidecar.wire.sse import SseDecoder

TEXT = {"type": "text", "text": "Let me see."}
THOUGHT = {"type": "thinking", "thinking": "Hm, well", "signature": "c2ln"}
HIDDEN = {"type": "redacted_thinking", "data": "ZGF0YQ"}
CITED = {
    "type": "text",
    "text": "Grass is green.",
    "citations": [
        {
            "type": "char_location",
            "cited_text": "green",
            "document_index": 0,
            "start_char_index": 9,
            "end_char_index": 14,
        }
    ],
}
USE = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Bonn"}}
SEARCH = {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {"query": "q"}}
FOUND = {"type": "web_search_tool_result", "tool_use_id": "srv_1", "content": []}
USAGE = {
    "input_tokens": 10,
    "cache_creation_input_tokens": 5,
    "cache_read_input_tokens": 20,
    "output_tokens": 7,
}


def message(*blocks: dict, **fields: object) -> dict:
    """A whole answer of these blocks."""
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-x",
        "content": list(blocks),
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": USAGE,
        **fields,
    }


def events(answer: dict, cut: int = 3) -> Iterator[dict]:
    """The events that a provider tells an answer by, its texts in pieces of `cut` characters."""
    start = {
        **{key: answer[key] for key in ("id", "type", "role", "model")},
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {**answer["usage"], "output_tokens": 1},
    }
    yield {"type": "message_start", "message": start}
    yield {"type": "ping"}
    for index, block in enumerate(answer["content"]):
        empty, deltas = _told(block, cut)
        yield {"type": "content_block_start", "index": index, "content_block": empty}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    delta = {key: answer[key] for key in ("stop_reason", "stop_sequence")}
    usage = {"output_tokens": answer["usage"]["output_tokens"]}
    yield {"type": "message_delta", "delta": delta, "usage": usage}
    yield {"type": "message_stop"}


def read(told: Iterable[dict], *, keep: bool = True) -> list[Chunk]:
    """The chunks that these events are read as."""
    reader = MessageReader(created=9, keep=keep)
    chunks = [reader.read(orjson.dumps(event)) for event in told]
    assert reader.ended
    return [chunk for chunk in chunks if chunk is not None]


def written(chunks: Iterable[Chunk], writer: MessagesWriter | None = None) -> list[dict]:
    """The events that a client is told these chunks by; each is named twice, alike."""
    writer = writer or MessagesWriter()
    usage, raw = None, b""
    for chunk in chunks:
        usage = chunk.usage or usage
        raw += writer.chunk(chunk)
    found = SseDecoder().feed(raw + writer.end(usage, {}))
    told = [orjson.loads(event.data) for event in found]
    assert [event.event for event in found] == [event["type"] for event in told]
    return told


def whole(answer: Completion) -> dict:
    """The body of a whole reply."""
    return orjson.loads(message_head(answer.id) + message_tail(answer))


def folded(told: Iterable[dict]) -> dict:
    """What a careful client makes of a stream: refuses disorder, and joins the rest."""
    answer: dict = {}
    partial, opened = "", -1
    for event in told:
        match event["type"]:
            case "message_start":
                assert not answer
                answer = {**event["message"], "content": []}
            case "content_block_start":
                assert opened < 0
                assert event["index"] == len(answer["content"])
                opened, partial = event["index"], ""
                answer["content"].append(dict(event["content_block"]))
            case "content_block_delta":
                assert event["index"] == opened
                partial += _grow(answer["content"][-1], event["delta"])
            case "content_block_stop":
                assert event["index"] == opened
                opened = -1
                if partial:
                    answer["content"][-1]["input"] = orjson.loads(partial)
            case "message_delta":
                assert opened < 0
                answer |= event["delta"]
                answer["usage"] = {**answer["usage"], **event["usage"]}
            case "message_stop":
                assert answer["stop_reason"]
    return answer


def _told(block: dict, cut: int) -> tuple[dict, list[dict]]:
    match block["type"]:
        case "text":
            cited = [{"type": "citations_delta", "citation": c} for c in block.get("citations", ())]
            empty = {**block, "text": ""} | ({"citations": []} if cited else {})
            return empty, [
                *({"type": "text_delta", "text": text} for text in _cut(block["text"], cut)),
                *cited,
            ]
        case "thinking":
            said = _cut(block["thinking"], cut)
            return {**block, "thinking": "", "signature": ""}, [
                *({"type": "thinking_delta", "thinking": text} for text in said),
                {"type": "signature_delta", "signature": block["signature"]},
            ]
        case "tool_use" | "server_tool_use":
            partial = orjson.dumps(block["input"]).decode()
            return {**block, "input": {}}, [
                {"type": "input_json_delta", "partial_json": text}
                for text in ["", *_cut(partial, cut)]
            ]
    return block, []


def _cut(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def _grow(block: dict, delta: dict) -> str:
    match delta["type"]:
        case "input_json_delta":
            return delta["partial_json"]
        case "citations_delta":
            block["citations"] = [*(block.get("citations") or []), delta["citation"]]
        case kind:
            field = kind.removesuffix("_delta")
            block[field] = block.get(field, "") + delta[field]
    return ""


_words = st.text(min_size=1, max_size=10)
blocks = st.one_of(
    st.fixed_dictionaries({"type": st.just("text"), "text": _words}),
    st.fixed_dictionaries(
        {"type": st.just("text"), "text": _words, "citations": st.just([{"a": 1}])}
    ),
    st.fixed_dictionaries(
        {"type": st.just("tool_use"), "id": _words, "name": _words,
         "input": st.dictionaries(_words, st.integers(0, 9) | _words, max_size=2)},
        optional={"caller": st.just({"type": "direct"})},
    ),
    st.fixed_dictionaries({"type": st.just("thinking"), "thinking": _words, "signature": _words}),
    st.sampled_from([HIDDEN, SEARCH, FOUND, {"type": "new_kind", "x": [1, None]}]),
)  # fmt: skip
answers = st.builds(
    lambda content, reason, sequence: message(
        *content, stop_reason=reason, stop_sequence=sequence
    ),
    st.lists(blocks, min_size=1, max_size=5),
    st.sampled_from(["end_turn", "max_tokens", "tool_use", "refusal", "pause_turn", "new_reason",
                     "stop_sequence", "model_context_window_exceeded"]),
    st.none() | _words,
)  # fmt: skip
