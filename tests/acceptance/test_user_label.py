"""Providers hear of the user, where there is one, and not who that is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from .models import one_try
from .running import Sidecar
from .upstream import Upstream, answering

ASKED = "How do I reset my password?"
ANSWER = {
    "id": "1",
    "model": "m",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "So."}, "finish_reason": "stop"}
    ],
}


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    """A provider that keeps what it is sent."""
    with answering() as upstream:
        upstream.say(json.dumps(ANSWER).encode())
        yield upstream


@pytest.fixture(scope="module")
def asked(serve: Callable[..., Sidecar], upstream: Upstream) -> Sidecar:
    """A sidecar before it."""
    return serve(
        providers={"p": {"kind": "openai", "base_url": upstream.base_url}},
        models={"gpt-4o": one_try([{"provider": "p", "model": "gpt-4o"}])},
    )


def sent(asked: Sidecar, upstream: Upstream, headers: dict[str, str], **fields: str) -> object:
    """The user that the provider hears of."""
    reply = asked.ask(ASKED, {"Cache-Control": "no-store", **headers}, **fields)
    assert reply.status == 200
    return json.loads(upstream.bodies[-1]).get("user")


def test_the_tag_goes_on_as_a_digest(asked: Sidecar, upstream: Upstream) -> None:
    """The same for the same user, another in another tenant, and never the name."""
    ann = {"x-sidecar-user": "ann@example.com"}
    first, again = sent(asked, upstream, ann), sent(asked, upstream, ann)
    other = sent(asked, upstream, {**ann, "x-sidecar-tenant": "shop"})
    assert first == again
    assert isinstance(first, str)
    assert first != other
    assert b"ann@example.com" not in b"".join(upstream.bodies)


def test_without_a_user_nothing_is_made_up(asked: Sidecar, upstream: Upstream) -> None:
    """And what the body says goes on as it is."""
    assert sent(asked, upstream, {}) is None
    assert sent(asked, upstream, {}, user="u-17") == "u-17"
