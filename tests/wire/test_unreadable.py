"""A provider's reply that can't be read."""

from sidecar.wire.body import MalformedError
from sidecar.wire.unreadable import unreadable


def test_it_is_the_providers_fault():
    """The place and what was expected there are told, by one word for the trail."""
    error = unreadable(MalformedError("a string", "choices[0].text"))
    assert (error.reason, error.status) == ("invalid_body", 502)
    assert str(error) == "the provider's reply can't be read: choices[0].text must be a string"
