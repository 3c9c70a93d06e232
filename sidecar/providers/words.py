"""The words for how a connection can fail, as the trail holds them, and what they mean."""

from __future__ import annotations

NEVER_SENT = frozenset({"connect", "dns", "proxy", "timeout_connect", "tls"})
"""Reasons that prove that no byte of the request reached the provider."""

SENTENCES = {
    "timeout_connect": "could not be reached in time",
    "timeout_first_token": "did not begin to answer in time",
    "timeout_between_tokens": "stopped in the middle of its answer",
    "timeout_total": "did not finish its answer in time",
    "dns": "has no address that can be found",
    "proxy": "is behind a proxy that refused or can't be reached",
    "tls": "could not prove who it is",
    "connect": "refused the connection",
    "disconnect": "closed the connection without an answer",
    "cut": "closed the connection in the middle of its answer",
    "encoding": "sent an answer that can't be unpacked",
    "malformed": "sent what is not HTTP",
    "reset": "dropped the connection",
}
"""What an error says behind the place's name."""
