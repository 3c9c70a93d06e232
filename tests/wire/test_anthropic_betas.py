"""Features that a client of Anthropic's switches on by a header."""

import orjson
import pytest

from sidecar.errors import InvalidRequestError
from sidecar.wire.anthropic_build import betas_of, build_messages_request
from sidecar.wire.anthropic_request import with_beta_header
from sidecar.wire.openai_request import build_chat_request

from .messages import parse


def test_a_header_names_features_too():
    """They go on to Anthropic, beside those of the body and each once; the body keeps them not."""
    request = with_beta_header(parse(betas=["a-1"]), "b-2, a-1,")
    assert betas_of(request) == "a-1,b-2"
    assert "anthropic-beta" not in orjson.loads(build_messages_request(request, "m"))
    assert with_beta_header(parse(), " , ") == parse()


def test_a_header_that_names_no_features_is_refused():
    """A line break would begin another header."""
    with pytest.raises(InvalidRequestError) as raised:
        with_beta_header(parse(), "a b")
    assert raised.value.param == "anthropic-beta"


def test_features_of_a_header_do_not_keep_another_vendor_from_answering():
    """What they allow to say would be refused by its own name."""
    request = with_beta_header(parse(), "b-2")
    assert "anthropic-beta" not in orjson.loads(build_chat_request(request, "m"))
