"""Who asks: a client that config knows by its key, and the tags that it may not forge.

Where config names clients, a key that is none of theirs is refused, and whoever comes
with one of them has the tenant and the tags that config gives it, whatever its headers
and bodies say. Without clients any key is accepted and means nothing.

Keys are compared by digest: what a wrong key's digest shares with a right one tells
nothing about the right key, so the time of the look-up is no secret. A key itself goes
no further than to a provider that is configured to be asked with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256

from sidecar.domain import NOTHING, Caller, ChatRequest, Json
from sidecar.errors import InvalidApiKeyError, MissingTagError
from sidecar.wire.headers import read_caller

NAME_CHARS = 8
HASHED_USER_CHARS = 32


def passes_none(model: str) -> bool:
    """No provider is asked with a caller's own key."""
    return False


@dataclass(frozen=True, slots=True)
class Client:
    """A caller that config knows. `name` is for logs and rows, and is not its key."""

    name: str
    tenant: str = ""
    tags: Mapping[str, str] = NOTHING


@dataclass(frozen=True, slots=True)
class IdentityRules:
    """What config says about callers.

    `clients` are known by the digest of their key; none: any key is accepted. A tag of
    `required` must come with the request or be bound to its client; a default is no
    answer. `passes_client_key` tells for which models a caller's own key is passed on.
    """

    clients: Mapping[bytes, Client] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    passes_client_key: Callable[[str], bool] = passes_none


def key_digest(key: str) -> bytes:
    """What a key is known by. Header bytes that are no UTF-8 arrive as lone surrogates."""
    return sha256(key.encode(errors="surrogateescape")).digest()


def known_client(key: str, tenant: str, tags: Mapping[str, str]) -> tuple[bytes, Client]:
    """An entry of `IdentityRules.clients`."""
    digest = key_digest(key)
    return digest, Client(digest.hex()[:NAME_CHARS], tenant, dict(tags))


def keys_given(headers: Mapping[str, str]) -> Iterator[str]:
    """The keys that a request came with: OpenAI's clients send a bearer, Anthropic's a header."""
    scheme, _, bearer = headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and (bearer := bearer.strip()):
        yield bearer
    if key := headers.get("x-api-key", "").strip():
        yield key


def require_client(headers: Mapping[str, str], rules: IdentityRules) -> Client | None:
    """The client that asks; None where config names none. `InvalidApiKeyError` for others."""
    if not rules.clients:
        return None
    for key in keys_given(headers):
        if client := rules.clients.get(key_digest(key)):
            return client
    raise InvalidApiKeyError(
        "this API key is not known here: send the key of a configured client"
        " as `Authorization: Bearer …` or as `x-api-key`"
    )


def key_known_by(headers: Mapping[str, str], rules: IdentityRules, passed_on: str = "") -> str:
    """What tells this caller's keys from those of others: the key of its client where config
    names clients, else the first that it came with; and beside it what is `passed_on`, for
    answers that were paid with one key are not given to who came with another.
    """
    given = keys_given(headers)
    if rules.clients:
        given = (key for key in given if key_digest(key) in rules.clients)
    known = next(given, "")
    # No header holds a line break, so neither can be taken for a part of the other.
    return f"{known}\n{passed_on}" if passed_on not in ("", known) else known


def identify(
    headers: Mapping[str, str],
    labels: Mapping[str, Json],
    client: Client | None,
    rules: IdentityRules,
    defaults: Mapping[str, str] = NOTHING,
) -> Caller:
    """Who asks, with the tags that are bound to it. `MissingTagError` where one is missing."""
    if rules.required:
        defaults = {tag: said for tag, said in defaults.items() if tag not in rules.required}
    caller = read_caller(headers, labels, defaults)
    if client is not None:
        caller = replace(caller, client=client.name, tenant=client.tenant, **client.tags)
    for tag in rules.required:
        if not getattr(caller, tag):
            raise MissingTagError(
                f"the tag {tag} is required here: send it as the header x-sidecar-{tag}",
                param=f"x-sidecar-{tag}",
            )
    return caller


def with_key(
    caller: Caller, headers: Mapping[str, str], model: str, rules: IdentityRules
) -> tuple[Caller, str]:
    """The caller and its own key, where that is passed on for this model; else an empty one.

    Answers that were paid with one key are not given to who came with another, so the
    key's digest belongs to the caller, and by that to the scope.
    """
    if not rules.passes_client_key(model):
        return caller, ""
    key = next(keys_given(headers), "")
    return replace(caller, client_key_digest=key_digest(key).hex() if key else ""), key


def with_user_label(request: ChatRequest, caller: Caller) -> ChatRequest:
    """The request as a provider is sent it: the user's tag, hashed, where the body names none.

    Providers ask for a stable name of the end user, to tell one who misuses them from the
    rest; they have no need to know who that is. `user` is the name that all servers which
    speak OpenAI's format know; a newer one is refused by some.
    """
    if not caller.user or _names_user(request.labels):
        return request
    return replace(request, labels={**request.labels, "user": hashed_user(caller)})


def hashed_user(caller: Caller) -> str:
    """The same for the same user of the same tenant, in every process and for ever.

    It hides who that is from who can't guess it, and no more: without a salt, for every pod
    has to say the same, whoever thinks of a name can compute its digest.
    """
    said = f"{caller.tenant}\0{caller.user}".encode(errors="surrogateescape")
    return sha256(said).hexdigest()[:HASHED_USER_CHARS]


def _names_user(labels: Mapping[str, Json]) -> bool:
    metadata = labels.get("metadata") or NOTHING
    return bool(labels.get("user") or labels.get("safety_identifier") or metadata.get("user_id"))
