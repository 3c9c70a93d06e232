"""One answer as its client got it, and what it is kept under. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

import orjson

from sidecar.domain import Endpoint
from sidecar.wire.body import read_object


@dataclass(frozen=True, slots=True)
class Place:
    """Whose key it is. `digest` tells apart tenants, the clients' own keys, and keys.

    `tenant` and `user` stand beside it for who wants it forgotten.
    """

    digest: bytes
    tenant: str
    user: str


@dataclass(frozen=True, slots=True)
class Recorded:
    """A whole reply, its body in bytes, whether it was a stream or not.

    `asked` is the digest of what was asked, `request_id` that of the request it was made for.
    """

    asked: bytes
    request_id: str
    head: Mapping[str, str]
    body: bytes


def place_of(tenant: str, user: str, client_key: str, key: str) -> Place:
    """Where the answer to a key of a client of a tenant is kept."""
    parts = [tenant, client_key, key]
    digest = sha256(orjson.dumps([part.encode(errors="surrogateescape").hex() for part in parts]))
    return Place(digest.digest(), tenant, user)


def asked_digest(endpoint: Endpoint, body: bytes, betas: str = "") -> bytes:
    """Equal where the endpoint and the JSON of the body are, however that is spelled.

    `betas` are part of what is asked that Anthropic's clients put into a header. What other
    headers say (about the cache, the route, the time) makes no other request: who sends a
    key again wants the answer that there is.
    """
    canonical = orjson.dumps(read_object(body), option=orjson.OPT_SORT_KEYS)
    parts = (endpoint.value.encode(), betas.encode(errors="surrogateescape"), canonical)
    return sha256(b"\0".join(parts)).digest()
