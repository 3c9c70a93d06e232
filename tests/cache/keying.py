"""One request, its key, and the same request with a part changed."""

from __future__ import annotations

from dataclasses import replace

from sidecar.cache.key import CacheKey, cache_key
from sidecar.domain import (
    Call,
    Caller,
    ChatRequest,
    Endpoint,
    Message,
    Role,
    SharingScope,
    Text,
)

TENANT, USER, SHARED = SharingScope.TENANT, SharingScope.USER, SharingScope.SHARED
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {}}}


def message(text: str, role: Role = Role.USER, **extra: object) -> Message:
    """A turn of one text."""
    return Message(role, (Text(text),), **extra)


BASE = ChatRequest(
    model="gpt-4o",
    messages=(
        message("Be brief.", Role.SYSTEM),
        message("Hello"),
        message("Hi!", Role.ASSISTANT),
        message("What is the capital of France?"),
    ),
    tools=(WEATHER,),
    parameters={"temperature": 0.2, "seed": 7, "response_format": {"type": "json_object"}},
    unknown={"min_p": 0.1},
)
CALLER = Caller(tenant="shop", user="ann", client_key_digest="d1")


def call_of(request: ChatRequest, caller: Caller = CALLER, **changes: object) -> Call:
    """A call of this request."""
    return replace(Call("req_1", Endpoint.CHAT, request, caller), **changes)


def key_of(
    request: ChatRequest = BASE,
    caller: Caller = CALLER,
    sharing: SharingScope = USER,
    variant: str = "targets",
    **more: str,
) -> CacheKey:
    """The key of a request, by default under `scope: user`, where every field counts."""
    return cache_key(call_of(request, caller), sharing=sharing, variant=variant, **more)


def with_turn(place: int, turn: Message) -> ChatRequest:
    """The base request with another message at `place`."""
    turns = list(BASE.messages)
    turns[place] = turn
    return replace(BASE, messages=tuple(turns))


def with_parameter(name: str, value: object) -> ChatRequest:
    """The base request with one parameter set."""
    return replace(BASE, parameters={**BASE.parameters, name: value})


ORIGINAL = key_of()
