"""What makes two items of embedding requests the same, and what the cache may do with them.

Pure. An item's key is the digest of its scope (tenant, model, variant, parameters,
encoding) and the item itself, byte for byte: a tokenizer may tell two Unicode forms of a
text apart, so they are not brought to one. A text never shares a key with a list of
token numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

import orjson

from sidecar.cache.key import canonical
from sidecar.cache.policy import Mode, Permission, Settings, sharing_of
from sidecar.domain import NOTHING, Call, Json, SharingScope
from sidecar.reasons import Reason

VERSION = 1


@dataclass(frozen=True, slots=True)
class EmbeddingScope:
    """Everything that changes a vector, but the item."""

    sharing: SharingScope
    variant: str
    encoding: str | None = None
    parameters: Mapping[str, Json] = NOTHING

    def digest(self, call: Call) -> bytes:
        """32 bytes, equal exactly when two scopes are."""
        caller = call.caller
        record = {
            "version": VERSION,
            "sharing": self.sharing.value,
            "tenant": "" if self.sharing is SharingScope.SHARED else caller.tenant,
            "user": caller.user if self.sharing is SharingScope.USER else "",
            "client_key_digest": caller.client_key_digest,
            "model": call.request.model,
            "variant": self.variant,
            "encoding": self.encoding,
            "parameters": canonical(dict(self.parameters)),
        }
        return sha256(orjson.dumps(record, option=orjson.OPT_SORT_KEYS)).digest()


def item_keys(scope: bytes, items: Sequence[str | tuple[int, ...]]) -> list[bytes]:
    """The key of each item, 32 bytes."""
    return [sha256(scope + _spelled(item)).digest() for item in items]


def _spelled(item: str | tuple[int, ...]) -> bytes:
    return b"text" + item.encode() if isinstance(item, str) else b"ids " + orjson.dumps(item)


def permit_embeddings(call: Call, settings: Settings) -> Permission:
    """Decide all permissions of a call for embeddings; there is no meaning to compare."""
    sharing = sharing_of(call, settings)
    ttl_s = settings.ttl_s
    if call.controls.ttl_s is not None:
        ttl_s = min(ttl_s, call.controls.ttl_s)
    if reason := _why_bypass(call, settings, sharing):
        return Permission(reason, reason, reason, ttl_s, sharing)
    return Permission(
        read=Reason.NO_CACHE if call.controls.no_cache else None,
        write=Reason.TTL_ZERO if ttl_s <= 0 else None,
        meaning=Reason.NOT_A_QUESTION,
        ttl_s=ttl_s,
        sharing=sharing,
        shadow=settings.mode is Mode.SHADOW,
    )


def _why_bypass(call: Call, settings: Settings, sharing: SharingScope) -> Reason | None:
    if settings.mode is Mode.OFF:
        return Reason.MODE_OFF
    if call.controls.no_store:
        return Reason.NO_STORE
    return Reason.NO_USER if sharing is SharingScope.USER and not call.caller.user else None
