"""What a request must be before anyone reads it: from here, from no browser elsewhere, JSON.

A sidecar on localhost is reachable by every web page that the developer opens, so Host is
held against an allow-list (DNS rebinding), Origin must be the same origin (CSRF), and a
body must be declared as JSON, which no simple form post can do. No CORS header is sent.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection
from functools import lru_cache
from urllib.parse import urlsplit

from aiohttp import web

from sidecar.errors import (
    ForbiddenError,
    InvalidApiKeyError,
    RequestTooLargeError,
    UnsupportedMediaTypeError,
)

ANY_HOST = "*"


def check_origin(request: web.Request, allowed_hosts: Collection[str]) -> None:
    """Refuse a Host that isn't ours and an Origin that isn't the same as the Host."""
    host = request.headers.get("Host", "")
    if host_name(host) not in allowed_hosts and ANY_HOST not in allowed_hosts:
        raise ForbiddenError(
            f"the Host {host[:80]!r} is not allowed; add it to listen.allowed_hosts"
        )
    origin = request.headers.get("Origin")
    if origin is not None and not is_same_origin(origin, host):
        raise ForbiddenError("requests from web pages of another origin are not allowed")


def is_same_origin(origin: str, host: str) -> bool:
    """Whether a page of `origin` was served under this Host. `null` is no origin of ours."""
    try:
        place = urlsplit(origin).netloc.lower()
    except ValueError:
        return False
    return bool(place) and place == host.lower()


@lru_cache(maxsize=64)
def host_name(host: str) -> str:
    """A Host header without its port, in lower case; an IPv6 address keeps its brackets."""
    name = host.lower()
    if name.startswith("["):
        return "".join(name.partition("]")[:2])
    return name.partition(":")[0]


def check_token(request: web.Request, token: str | None) -> None:
    """Refuse a caller without the bearer token, where one is set."""
    if token is None:
        return
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    # Header bytes that are no UTF-8 arrive as lone surrogates.
    same = hmac.compare_digest(given.encode(errors="surrogateescape"), token.encode())
    if not same or scheme.lower() != "bearer":
        raise InvalidApiKeyError("send the admin token as `Authorization: Bearer …`")


async def read_json_body(request: web.Request) -> bytes:
    """The body, which must be declared as JSON, uncompressed and not over the limit."""
    declared = request.headers.get("Content-Type")
    # The plain form first: aiohttp parses the header anew for each request.
    if declared != "application/json" and request.content_type != "application/json":
        raise UnsupportedMediaTypeError("send the body with `Content-Type: application/json`")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnsupportedMediaTypeError("send the body uncompressed, without Content-Encoding")
    if (request.content_length or 0) > request.client_max_size:
        raise too_large()  # before any of it is read
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise too_large() from None


def too_large() -> RequestTooLargeError:
    """The refusal of a body over the limit."""
    return RequestTooLargeError("the body is larger than listen.max_body_mb allows")
