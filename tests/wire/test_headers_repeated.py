"""Headers that come more than once: lists are joined, and of two choices none is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from multidict import CIMultiDict

from sidecar.domain import CacheControls, Caller
from sidecar.errors import InvalidRequestError
from sidecar.wire.headers import (
    read_caller,
    read_controls,
    read_idempotency_key,
    read_route,
    read_timeout_s,
)

Reader = Callable[[Mapping[str, str]], object]


def test_cache_control_of_several_lines_counts_together():
    """It is a list, and of two ages the stricter one counts."""
    headers = CIMultiDict(
        [("Cache-Control", "max-age=60"), ("cache-control", "no-store, max-age=5")]
    )
    assert read_controls(headers) == CacheControls(no_store=True, max_age_s=5)


def test_tags_of_several_lines_count_together():
    """Else a purge by one of them would leave the entry behind."""
    name = "x-sidecar-cache-tags"
    headers = CIMultiDict([(name, "a, b"), (name.title(), "c,a"), (name, "")])
    assert read_controls(headers).tags == ("a", "b", "c")
    many = CIMultiDict([(name, f"{first},{first}x") for first in range(9)])
    with pytest.raises(InvalidRequestError, match=name):
        read_controls(many)


@pytest.mark.parametrize(
    ("read", "name", "value"),
    [
        (read_controls, "x-sidecar-cache-scope", "user"),
        (read_controls, "x-sidecar-cache-ttl", "5"),
        (read_controls, "x-sidecar-max-wrong", "0.01"),
        (read_timeout_s, "x-sidecar-timeout-ms", "100"),
        (read_caller, "x-sidecar-tenant", "a"),
        (read_caller, "X-Sidecar-User", "a"),
        (read_route, "x-sidecar-route", "a"),
        (read_idempotency_key, "Idempotency-Key", "a"),
    ],
)
def test_a_choice_is_made_once(read: Reader, name: str, value: str):
    """Of two neither can be meant: a proxy may have added the one that is true."""
    assert read(CIMultiDict([(name, value)])) not in (None, Caller(), CacheControls())
    with pytest.raises(InvalidRequestError, match=name.lower()):
        read(CIMultiDict([(name, value), (name.lower(), value)]))
