"""Which items share a vector, and what the cache may do with a request for embeddings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.cache.embeddings_key import EmbeddingScope, item_keys, permit_embeddings
from sidecar.cache.policy import Mode, Settings
from sidecar.domain import CacheControls, Call, Caller, ChatRequest, Endpoint, SharingScope
from sidecar.reasons import Reason

CALL = Call("r", Endpoint.EMBEDDINGS, ChatRequest("e", ()), Caller(tenant="t", user="u"))
SCOPE = EmbeddingScope(SharingScope.TENANT, "targets", "float", {"dimensions": 8})
ITEMS = st.one_of(st.text(), st.lists(st.integers(0, 9), min_size=1).map(tuple))


@given(ITEMS, ITEMS)
def test_items_share_a_key_only_when_they_are_the_same(one: Any, other: Any) -> None:
    """A text and a list of numbers never do."""
    first, second = item_keys(b"scope", [one, other])
    assert (first == second) == (one == other and type(one) is type(other))


def test_unicode_forms_are_two_items() -> None:
    """A tokenizer may tell them apart."""
    first, second = item_keys(b"", ["\u00e9", "e\u0301"])
    assert first != second


@pytest.mark.parametrize(
    "other",
    [
        replace(SCOPE, sharing=SharingScope.SHARED),
        replace(SCOPE, sharing=SharingScope.USER),
        replace(SCOPE, variant="cheap"),
        replace(SCOPE, encoding="base64"),
        replace(SCOPE, encoding=None),
        replace(SCOPE, parameters={"dimensions": 9}),
        replace(SCOPE, parameters={"dimensions": 8, "task": "query"}),
    ],
)
def test_what_changes_a_vector_is_in_the_scope(other: EmbeddingScope) -> None:
    """Each part of it."""
    assert other.digest(CALL) != SCOPE.digest(CALL)


@pytest.mark.parametrize(
    "change",
    [
        {"caller": Caller(tenant="another", user="u")},
        {"caller": Caller(tenant="t", user="u", client_key_digest="d")},
        {"request": ChatRequest("another", ())},
    ],
)
def test_who_asks_whom_is_in_the_scope(change: dict[str, Any]) -> None:
    """The tenant, the key that pays, and the model asked for."""
    assert SCOPE.digest(replace(CALL, **change)) != SCOPE.digest(CALL)


def test_a_user_counts_where_the_scope_is_the_users() -> None:
    """And only there; nor does a tenant where all share."""
    ada, bob = (replace(CALL, caller=Caller(tenant="t", user=name)) for name in ("ada", "bob"))
    assert SCOPE.digest(ada) == SCOPE.digest(bob)
    users = replace(SCOPE, sharing=SharingScope.USER)
    assert users.digest(ada) != users.digest(bob)
    shared = replace(SCOPE, sharing=SharingScope.SHARED)
    other_tenant = replace(CALL, caller=Caller(tenant="x", user="u"))
    assert shared.digest(CALL) == shared.digest(other_tenant)


@pytest.mark.parametrize(
    ("controls", "settings", "read", "write"),
    [
        ({}, {}, None, None),
        ({"no_cache": True}, {}, Reason.NO_CACHE, None),
        ({"no_store": True}, {}, Reason.NO_STORE, Reason.NO_STORE),
        ({"ttl_s": 0.0}, {}, None, Reason.TTL_ZERO),
        ({}, {"mode": Mode.OFF}, Reason.MODE_OFF, Reason.MODE_OFF),
        ({}, {"ttl_s": 0.0}, None, Reason.TTL_ZERO),
    ],
)
def test_permissions(
    controls: dict[str, Any], settings: dict[str, Any], read: Any, write: Any
) -> None:
    """What the client and the operator say."""
    call = replace(CALL, controls=CacheControls(**controls))
    allowed = permit_embeddings(call, Settings(**settings))
    assert (allowed.read, allowed.write) == (read, write)


def test_a_users_scope_needs_a_user(make_call: Callable[..., Call]) -> None:
    """Without one nothing is read or written."""
    allowed = permit_embeddings(make_call(), Settings(sharing=SharingScope.USER))
    assert (allowed.read, allowed.write) == (Reason.NO_USER, Reason.NO_USER)


def test_a_client_can_only_shorten_the_time_to_live() -> None:
    """Config's is the most."""
    for asked, allowed in ((5.0, 5.0), (1e9, 60.0)):
        call = replace(CALL, controls=CacheControls(ttl_s=asked))
        assert permit_embeddings(call, Settings(ttl_s=60.0)).ttl_s == allowed
