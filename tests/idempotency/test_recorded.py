"""What an answer is kept under, and when two bodies ask for the same."""

import pytest

from sidecar.domain import Endpoint
from sidecar.errors import InvalidRequestError
from sidecar.idempotency.recorded import asked_digest, place_of

PLACE = ("shop", "ann", "client-key", "key-1")


@pytest.mark.parametrize("part", [0, 2, 3], ids=["tenant", "client key", "key"])
def test_whose_key_it_is_tells_places_apart(part):
    """No client is given what another one asked under the same name."""
    other = [*PLACE]
    other[part] += "x"
    assert place_of(*other).digest != place_of(*PLACE).digest


def test_the_parts_can_not_be_shifted_into_each_other():
    """One long tenant is not a short one with the rest in the next part."""
    assert place_of("ab", "", "c", "k").digest != place_of("a", "", "bc", "k").digest
    assert place_of("a", "", "", "k").digest != place_of("", "", "a", "k").digest


def test_a_users_tag_is_not_part_of_the_place():
    """It is kept beside it, for who wants a user forgotten."""
    assert place_of("shop", "bob", "client-key", "key-1").digest == place_of(*PLACE).digest
    assert place_of(*PLACE).user == "ann"


def test_header_bytes_that_are_no_text_have_a_place_too():
    """They arrive as lone surrogates."""
    assert place_of("", "", "\udcff", "k").digest != place_of("", "", "\udcfe", "k").digest


@pytest.mark.parametrize(
    "body", [b'{"a":1,"b":[1,2]}', b' {"b": [1, 2], "a": 1} ', b'{"a":2,"b":[1,2],"a":1}']
)
def test_spelling_makes_no_other_body(body):
    """Neither order nor white space; of a repeated key the last one counts."""
    expected = asked_digest(Endpoint.CHAT, b'{"a": 1, "b": [1, 2]}')
    assert asked_digest(Endpoint.CHAT, body) == expected


@pytest.mark.parametrize("body", [b'{"a":1}', b'{"a":1,"b":[2,1]}', b'{"a":1,"b":[1,2],"c":null}'])
def test_every_other_content_does(body):
    """Also what the cache would take for the same."""
    assert asked_digest(Endpoint.CHAT, body) != asked_digest(Endpoint.CHAT, b'{"a":1,"b":[1,2]}')


def test_the_endpoint_is_part_of_what_is_asked():
    """The same body means something else at another door."""
    chat, messages = (asked_digest(at, b"{}") for at in (Endpoint.CHAT, Endpoint.MESSAGES))
    assert chat != messages


def test_features_that_a_header_switches_on_are_part_of_what_is_asked():
    """Anthropic's clients put them there; and nothing of the body can be taken for them."""
    plain, beta = (asked_digest(Endpoint.MESSAGES, b"{}", betas) for betas in ("", "files-1"))
    assert plain != beta
    assert asked_digest(Endpoint.MESSAGES, b'{"files-1":0}') not in {plain, beta}


def test_what_is_no_json_is_refused():
    """As everywhere."""
    with pytest.raises(InvalidRequestError):
        asked_digest(Endpoint.CHAT, b"{")
