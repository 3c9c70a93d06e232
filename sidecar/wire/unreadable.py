"""A provider's reply that can't be read, whoever's words it should have been in."""

from __future__ import annotations

from sidecar.errors import UpstreamInvalidError
from sidecar.wire.body import MalformedError


def unreadable(error: MalformedError) -> UpstreamInvalidError:
    """The provider's fault; what was expected is told, and nothing of the reply."""
    return UpstreamInvalidError(
        f"the provider's reply can't be read: {error}", reason="invalid_body"
    )
