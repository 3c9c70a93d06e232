"""Anthropic's beta header, from the client to the provider."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic

from .models import one_try
from .running import Sidecar
from .upstream import answering

ANSWER = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude",
    "content": [{"type": "text", "text": "So."}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 1},
}
ASKED: Any = {
    "model": "claude",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "How do I reset my password?"}],
}


def test_the_header_goes_on_and_belongs_to_the_scope(serve: Callable[..., Sidecar]) -> None:
    """An answer that was given with a feature is not given without it."""
    with answering() as upstream:
        upstream.say(json.dumps(ANSWER).encode())
        base_url = upstream.base_url.removesuffix("/v1")
        sidecar = serve(
            providers={"a": {"kind": "anthropic", "base_url": base_url, "api_key": "sk-test"}},
            models={"claude": one_try([{"provider": "a", "model": "claude"}])},
        )
        client = Anthropic(base_url=sidecar.url.removesuffix("/v1"), api_key="x", max_retries=0)
        with_feature = {"anthropic-beta": "some-feature-2026-01-01"}
        for headers in ({}, with_feature, with_feature):
            assert client.messages.create(**ASKED, extra_headers=headers).content
        assert upstream.calls == 2
        assert "anthropic-beta: some-feature-2026-01-01" in upstream.heard[-1].lower()
        assert "anthropic-beta" not in upstream.heard[0].lower()
        with pytest.raises(anthropic.BadRequestError):
            client.messages.create(**ASKED, extra_headers={"anthropic-beta": "two words"})
