"""The key that a provider is asked with: fixed, changing, or the caller's own."""

from collections.abc import Mapping

import pytest

from sidecar.errors import ConfigError, InvalidApiKeyError
from sidecar.providers import anthropic, openai
from sidecar.providers.credentials import Credentials, check_key

from .asking import KEY


class Heads:
    """Builds heads and counts them."""

    built = 0

    def __call__(self, key: str | None) -> Mapping[str, str]:
        """A head with this key."""
        check_key(key)
        self.built += 1
        return {"key": key} if key else {}


def test_a_fixed_key_is_put_in_its_head_once():
    """Not for each request."""
    heads = Heads()
    credentials = Credentials("p", KEY, heads)
    assert [credentials.head("") for _ in range(3)] == [({"key": KEY}, KEY)] * 3
    assert heads.built == 1


@pytest.mark.parametrize("none", [None, ""])
def test_no_key_is_no_key(none):
    """A local server needs none, and an empty one is none."""
    assert Credentials("p", none, Heads()).head("") == ({}, "")
    assert Credentials("p", lambda: none, Heads()).head("") == ({}, "")


def test_a_key_that_changes_is_taken_with_the_next_request():
    """And the head is built again only then."""
    heads, keys = Heads(), iter(["one", "one", "two", "two", None])
    credentials = Credentials("p", lambda: next(keys), heads)
    begun = heads.built
    told = [credentials.head("") for _ in range(5)]
    assert told == [
        *([({"key": "one"}, "one")] * 2),
        *([({"key": "two"}, "two")] * 2),
        ({}, ""),
    ]
    assert heads.built - begun == 3


def test_the_callers_key_is_its_own():
    """One caller's key is never used for another, nor is ours for any."""
    credentials = Credentials("p", KEY, Heads(), from_client=True)
    assert credentials.head("one") == ({"key": "one"}, "one")
    assert credentials.head("two") == ({"key": "two"}, "two")


def test_a_caller_without_a_key_is_told_what_to_send():
    """Ours is not used in its place."""
    with pytest.raises(InvalidApiKeyError) as raised:
        Credentials("claude", KEY, Heads(), from_client=True).head("")
    assert (raised.value.status, raised.value.code) == (401, "invalid_api_key")
    assert "x-api-key" in raised.value.message
    assert "claude" in raised.value.message
    assert KEY not in str(vars(raised.value))


@pytest.mark.parametrize("key", ["a\r\nX-Injected: yes", "schlüssel", "\x00"])
def test_a_callers_key_that_no_header_can_carry_is_refused(key):
    """As the caller's fault, and without being quoted."""
    with pytest.raises(InvalidApiKeyError) as raised:
        Credentials("p", None, Heads(), from_client=True).head(key)
    assert key not in str(vars(raised.value))


def test_a_configured_key_that_no_header_can_carry_is_refused_at_birth():
    """As config's fault."""
    with pytest.raises(ConfigError):
        Credentials("p", "a\nb", Heads())


def test_its_repr_shows_no_key():
    """It may stand in a trace."""
    assert KEY not in repr(Credentials("p", KEY, Heads()))


@pytest.mark.parametrize(
    ("build", "name", "value"),
    [
        (openai.build_headers, "Authorization", f"Bearer {KEY}"),
        (anthropic.build_headers, "x-api-key", KEY),
    ],
)
def test_each_vendor_reads_it_in_a_header_of_its_own(build, name, value):
    """And no other header tells it."""
    head = build(KEY)
    assert head.pop(name) == value
    assert KEY not in str(head)
    assert name not in build(None)
