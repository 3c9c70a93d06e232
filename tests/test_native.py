"""Requests in words of their own: passed on by those who speak them, refused by all others."""

import pytest

from sidecar.domain import ChatRequest, Message, Role, Text
from sidecar.errors import InvalidRequestError
from sidecar.native import NativeRequest, require_translatable


def test_a_native_request_is_refused_by_name():
    """The field is named, and so is the model whose targets can't say it."""
    with pytest.raises(InvalidRequestError) as caught:
        require_translatable(NativeRequest("gpt-4o", (), because="tools[0].type"))
    assert caught.value.param == "tools[0].type"
    assert "gpt-4o" in caught.value.message
    assert "kind openai" in caught.value.message


def test_any_other_is_not():
    """What has messages can be put in anybody's words, or is refused by who can't."""
    require_translatable(ChatRequest("gpt-4o", (Message(Role.USER, (Text("Hello"),)),)))
