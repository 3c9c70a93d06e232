"""A stored answer told again: whole or as a stream, as it was or the other way round."""

from __future__ import annotations

from typing import Any

import pytest

from .running import Provider, Sidecar
from .streams import assert_valid, told, usage_of
from .test_sdk_answers import ASKED, JSON_MODE, NEAR, WITH_TOOLS

STREAM = {"stream": True, "stream_options": {"include_usage": True}}
KINDS = pytest.mark.parametrize(
    "fields",
    [{}, JSON_MODE, WITH_TOOLS, {"tools": WITH_TOOLS["tools"]}],
    ids=["text", "json", "call", "offered"],
)
FIRST = pytest.mark.parametrize("first", [{}, STREAM], ids=["whole", "stream"])
AGAIN = pytest.mark.parametrize("again", [{}, STREAM], ids=["whole", "stream"])


@KINDS
@FIRST
@AGAIN
def test_the_same_is_told(
    running: Sidecar, provider: Provider, fields: Any, first: Any, again: Any
) -> None:
    """An exact hit tells text, calls, finish and usage of what the provider answered."""
    given = running.ask(ASKED, **fields, **first)
    hit = running.ask(ASKED, **fields, **again)
    assert (hit.cache, provider.calls) == ("exact", 1)
    assert told(hit) == told(given)
    billed = provider.ledger["billed"]
    assert {name: usage_of(hit)[name] for name in billed} == billed


@FIRST
@AGAIN
def test_the_same_is_told_to_a_paraphrase(
    running: Sidecar, provider: Provider, first: Any, again: Any
) -> None:
    """A semantic hit tells the stored answer, not one of its own."""
    given = running.ask(ASKED, **first)
    hit = running.ask(NEAR, **again)
    assert (hit.cache, provider.calls) == ("semantic", 1)
    assert told(hit) == told(given)


@KINDS
@FIRST
@pytest.mark.parametrize("include_usage", [True, False], ids=["with", "without"])
def test_a_replay_is_a_valid_stream(
    running: Sidecar, fields: Any, first: Any, include_usage: bool
) -> None:
    """Role first, one id, one finish a choice, usage last where asked for, then the end."""
    running.ask(ASKED, **fields, **first)
    hit = running.ask(ASKED, **fields, **(STREAM if include_usage else {"stream": True}))
    assert hit.cache == "exact"
    assert_valid(hit, include_usage=include_usage)


@KINDS
@pytest.mark.parametrize("include_usage", [True, False], ids=["with", "without"])
def test_a_live_stream_is_valid(running: Sidecar, fields: Any, include_usage: bool) -> None:
    """What comes from the provider is passed on as valid as it came."""
    live = running.ask(ASKED, **fields, **(STREAM if include_usage else {"stream": True}))
    assert live.cache == "miss"
    assert_valid(live, include_usage=include_usage)


def test_a_replayed_semantic_stream_is_valid(running: Sidecar) -> None:
    """Also where it answers another question than the stored one."""
    running.ask(ASKED)
    hit = running.ask(NEAR, **STREAM)
    assert hit.cache == "semantic"
    assert_valid(hit, include_usage=True)


@AGAIN
def test_a_replay_has_an_id_of_its_own(running: Sidecar, again: Any) -> None:
    """Two answers never share an id, or a client that files by id would lose one."""
    replies = [running.ask(ASKED, **again) for _ in range(3)]
    ids = [reply.json["id"] if not again else reply.chunks[0]["id"] for reply in replies]
    assert len(set(ids)) == 3


def test_the_end_tells_what_the_head_could_not(running: Sidecar) -> None:
    """The usage chunk says that the live stream was stored, and under which request id."""
    live = running.ask(ASKED, **STREAM)
    end = live.chunks[-1]["sidecar"]
    assert end["stored"] is True
    assert end["request_id"] == live.headers["x-sidecar-request-id"]
