"""What every stream must be, whoever made it: a provider, or the cache that tells it again."""

from __future__ import annotations

from typing import Any

from .running import DONE, Reply


def assert_valid(reply: Reply, *, include_usage: bool) -> None:
    """Fail where an event is not as OpenAI's own would be."""
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert (reply.events[-1], reply.events.count(DONE)) == (DONE, 1)
    chunks = reply.chunks
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    for name in ("id", "created", "model"):
        assert len({chunk[name] for chunk in chunks}) == 1, name
    _assert_usage_last(chunks, include_usage=include_usage)
    for index in {choice["index"] for chunk in chunks for choice in chunk["choices"]}:
        _assert_choice([c for chunk in chunks for c in chunk["choices"] if c["index"] == index])


def _assert_usage_last(chunks: list[dict[str, Any]], *, include_usage: bool) -> None:
    if not include_usage:
        assert all("usage" not in chunk and chunk["choices"] for chunk in chunks)
        return
    *others, last = chunks
    assert last["choices"] == []
    assert last["usage"]["total_tokens"] > 0
    assert all(chunk["usage"] is None and chunk["choices"] for chunk in others)


def _assert_choice(pieces: list[dict[str, Any]]) -> None:
    assert ["role" in piece["delta"] for piece in pieces] == [True] + [False] * (len(pieces) - 1)
    finishes = [piece["finish_reason"] for piece in pieces]
    assert finishes[-1] is not None
    assert finishes[:-1] == [None] * (len(pieces) - 1)


def told(reply: Reply) -> dict[str, Any]:
    """Finish, text and tool calls of the first choice, whole or put together from a stream."""
    if not reply.headers["content-type"].startswith("text/event-stream"):
        choice = reply.json["choices"][0]
        message = choice["message"]
        calls = message.get("tool_calls") or []
        return {"finish": choice["finish_reason"], "text": message["content"], "calls": calls}
    choices = [chunk["choices"][0] for chunk in reply.chunks if chunk["choices"]]
    deltas = [choice["delta"] for choice in choices]
    texts = [delta["content"] for delta in deltas if delta.get("content") is not None]
    return {
        "finish": choices[-1]["finish_reason"],
        "text": "".join(texts) if texts else None,
        "calls": _calls(deltas),
    }


def _calls(deltas: list[dict[str, Any]]) -> list[dict[str, Any]]:
    calls: dict[int, dict[str, Any]] = {}
    for piece in (piece for delta in deltas for piece in delta.get("tool_calls") or ()):
        call = calls.setdefault(piece["index"], {"function": {"name": "", "arguments": ""}})
        call.update({name: piece[name] for name in ("id", "type") if piece.get(name)})
        for name, value in (piece.get("function") or {}).items():
            call["function"][name] += value or ""
    return [calls[index] for index in sorted(calls)]


def usage_of(reply: Reply) -> dict[str, Any]:
    """The usage that was told."""
    if not reply.headers["content-type"].startswith("text/event-stream"):
        return reply.json["usage"]
    return reply.chunks[-1]["usage"]
