"""Responses that lean on what the provider keeps: passed on to it, in its own words, uncached.

The real `openai` SDK asks; the provider's ledger shows the body that it was sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI

from .models import one_try
from .responding import ASKED, mixed, post
from .running import Provider, Sidecar

MORE = "And where do I find that page?"
STREAMS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
SEARCH: Any = {"type": "web_search"}


@pytest.fixture(scope="module")
def all_kinds(serve: Callable[..., Sidecar], shared_provider: Provider) -> Sidecar:
    """A sidecar with each kind of provider."""
    return serve(**mixed(shared_provider))


@pytest.fixture
def asked(all_kinds: Sidecar, provider: Provider) -> Sidecar:
    """The same, its cache and its provider's ledger empty."""
    all_kinds.purge(all=True)
    assert provider.calls == 0
    return all_kinds


@pytest.fixture
def gpt(asked: Sidecar) -> Iterator[OpenAI]:
    """The client."""
    with OpenAI(base_url=asked.url, api_key="x", max_retries=0) as client:
        yield client


def respond(gpt: OpenAI, *, stream: bool, **fields: Any) -> Any:
    """A response, the last event's where it is streamed."""
    fields = {"model": "by-openai", "input": ASKED, **fields}
    if not stream:
        return gpt.responses.create(**fields)
    events = list(gpt.responses.create(stream=True, **fields))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert (events[0].type, events[-1].type) == ("response.created", "response.completed")
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == events[-1].response.output_text
    return events[-1].response


def sent(provider: Provider) -> list[dict[str, Any]]:
    """The bodies that came to the provider's Responses."""
    rows = provider.ledger["requests"]
    assert {row["endpoint"] for row in rows} <= {"responses"}
    return [row["messages"] for row in rows]


@STREAMS
def test_a_conversation_of_two_turns(gpt: OpenAI, provider: Provider, stream: bool) -> None:
    """An answer that was asked to be stored is continued by the provider's own id."""
    first = respond(gpt, stream=stream, store=True)
    second = respond(gpt, stream=stream, input=MORE, previous_response_id=first.id)
    assert [first.id, second.id] == [row["id"] for row in provider.ledger["requests"]]
    assert (second.previous_response_id, second.status) == (first.id, "completed")
    assert MORE in second.output_text
    bodies = sent(provider)
    assert [body.get("previous_response_id") for body in bodies] == [None, first.id]
    assert [body.get("store") for body in bodies] == [True, None]
    earlier = second.usage.input_tokens - len(MORE.split())
    assert earlier == len(ASKED.split()) + len(first.output_text.split())


@STREAMS
@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"store": True}, "stateful"),
        ({"conversation": "conv_1"}, "stateful"),
        ({"background": True}, "stateful"),
        ({"tools": [SEARCH]}, "native"),
        ({"reasoning": {"effort": "low", "summary": "auto"}}, "native"),
        ({"include": ["reasoning.encrypted_content"]}, "native"),
        ({"truncation": "auto"}, "native"),
        ({"max_tool_calls": 3}, "native"),
    ],
)
def test_it_is_passed_on_and_never_cached(
    asked: Sidecar, provider: Provider, fields: dict[str, Any], reason: str, stream: bool
) -> None:
    """The same asked twice reaches the provider twice, as it was said, and says why."""
    for _ in range(2):
        reply = post(asked, stream=stream, **fields)
        assert (reply.status, reply.cache, reply.reason) == (200, "bypass", reason)
        assert reply.headers["cache-status"] == f"sidecar; fwd=bypass; detail={reason}"
    wanted = {"model": "gpt-4o", "input": ASKED, **fields, **({"stream": True} if stream else {})}
    assert sent(provider) == [wanted, wanted]
    assert asked.cache["entries"] == 0


@STREAMS
def test_its_row_tells_usage_and_attempts(asked: Sidecar, provider: Provider, stream: bool) -> None:
    """Metered like any other: the tokens that were billed, the tags, who was asked."""
    headers = {"x-sidecar-department": "support"}
    row = asked.row(reply := post(asked, headers, store=True, stream=stream, user="u-1"))
    billed = provider.ledger["requests"][0]["billed"]
    assert (row["input_tokens"], row["output_tokens"]) == tuple(billed.values())
    assert row["output_tokens"] > 0
    assert (row["endpoint"], row["outcome"], row["reason"]) == ("responses", "bypass", "stateful")
    assert (row["department"], row["user"], row["stored"]) == ("support", "u-1", False)
    (attempt,) = row["attempts"]
    assert (attempt["provider"], attempt["model"], attempt["status"]) == ("o", "gpt-4o", 200)
    assert (reply.headers["x-sidecar-model"] if not stream else "gpt-4o") == "gpt-4o"


def test_a_stream_ends_with_what_its_head_could_not_tell(asked: Sidecar) -> None:
    """Beside the whole reply in its last event, as in any other stream of this format."""
    reply = post(asked, store=True, stream=True)
    last = reply.body.decode().strip().split("\n\n")[-1]
    assert last.startswith("event: response.completed")
    assert f'"request_id":"{reply.headers["x-sidecar-request-id"]}"' in last


def test_the_user_goes_on_as_a_hash(asked: Sidecar, provider: Provider) -> None:
    """The tag of a header is told to the provider as it is with any chat."""
    post(asked, {"x-sidecar-user": "alice@example.org"}, store=True)
    (body,) = sent(provider)
    assert body["user"]
    assert "alice" not in body["user"]


def test_a_response_in_the_background(gpt: OpenAI, asked: Sidecar, provider: Provider) -> None:
    """Its beginning is given as it came; what becomes of it can't be asked here."""
    begun = respond(gpt, stream=False, background=True)
    assert (begun.status, begun.output, begun.usage) == ("queued", [], None)
    assert begun.id == provider.ledger["requests"][0]["id"]
    for ask in (gpt.responses.retrieve, gpt.responses.delete, gpt.responses.cancel):
        with pytest.raises(openai.NotFoundError):
            ask(begun.id)


@STREAMS
def test_what_only_this_api_has_comes_back(gpt: OpenAI, stream: bool) -> None:
    """Items of a tool that ran at the provider, and of its reasoning, under their own names."""
    fields: Any = {"tools": [SEARCH], "reasoning": {"summary": "auto"}}
    answer = respond(gpt, stream=stream, **fields)
    assert [item.type for item in answer.output] == ["reasoning", "web_search_call", "message"]
    assert answer.output[1].action.query == ASKED


@STREAMS
def test_an_unknown_id_is_the_callers_fault(
    gpt: OpenAI, asked: Sidecar, provider: Provider, stream: bool
) -> None:
    """Passed on with the provider's own status and body, and asked once."""
    with pytest.raises(openai.BadRequestError) as raised:
        respond(gpt, stream=stream, model="retried", previous_response_id="resp_gone")
    told = (raised.value.code, raised.value.param)
    assert told == ("previous_response_not_found", "previous_response_id")
    assert "'resp_gone' not found" in str(raised.value)
    reply = post(asked, model="retried", previous_response_id="resp_gone")
    assert [a["status"] for a in asked.row(reply)["attempts"]] == [400]


@STREAMS
def test_an_id_that_was_made_here(
    gpt: OpenAI, asked: Sidecar, provider: Provider, stream: bool
) -> None:
    """A translated or stored answer can't be continued; the refusal says how it could."""
    for _ in range(2):
        first = respond(gpt, stream=stream)
        with pytest.raises(openai.BadRequestError) as raised:
            respond(gpt, stream=stream, previous_response_id=first.id)
        assert (raised.value.code, raised.value.param) == (
            "invalid_request",
            "previous_response_id",
        )
        assert "store: true" in str(raised.value)
    assert provider.calls == 1


def test_it_counts_against_the_limits(asked: Sidecar, provider: Provider) -> None:
    """A limit of requests holds for what is passed on too."""
    tagged = {"x-sidecar-feature": "scarce"}
    replies = [post(asked, tagged, store=True) for _ in range(2)]
    assert [reply.status for reply in replies] == [200, 429]
    assert provider.calls == 1


def test_only_if_cached_asks_nobody(asked: Sidecar, provider: Provider) -> None:
    """What is never cached is not there."""
    reply = post(asked, {"Cache-Control": "only-if-cached"}, store=True)
    assert (reply.status, provider.calls) == (504, 0)


def test_an_idempotency_key_holds(asked: Sidecar, provider: Provider) -> None:
    """The same key and body is answered once, whole and streamed."""
    for key, stream in (("k-1", False), ("k-2", True)):
        replies = [post(asked, {"Idempotency-Key": key}, store=True, stream=stream) for _ in "ab"]
        assert replies[0].body == replies[1].body
    assert provider.calls == 2


def test_the_simulated_kind_keeps_it_too(serve: Callable[..., Sidecar]) -> None:
    """A demo without a key can hold a conversation."""
    models = {"by-openai": one_try([{"provider": "s", "model": "gpt-4o"}])}
    own = {"s": {"kind": "simulated", "latency_ms": 0, "tokens_per_s": 1000000}}
    demo = serve(providers=own, models=models)
    first = post(demo, store=True).json
    second = post(demo, input=MORE, previous_response_id=first["id"]).json
    assert (second["previous_response_id"], second["status"]) == (first["id"], "completed")
