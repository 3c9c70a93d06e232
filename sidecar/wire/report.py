"""The `Cache-Status` response header (RFC 9211): what the cache did, in one line.

Always a valid structured field: what is no token is quoted, and what can't be quoted
is left out. One row of the contract's table per outcome.
"""

from __future__ import annotations

import re
from math import floor, isfinite
from typing import assert_never

from sidecar.domain import Outcome

_TOKEN = re.compile(r"[A-Za-z*][A-Za-z0-9:/!#$%&'*+.^_`|~-]*")
_UNQUOTABLE = re.compile(r"[^ -~]")
_MAX_INTEGER = 10**15 - 1


def cache_status(
    outcome: Outcome, *, reason: str, stored: bool, ttl_s: float | None, no_cache: bool
) -> str:
    """The header's value. `ttl_s` is what a hit has left, negative where it is stale."""
    match outcome:
        case Outcome.EXACT | Outcome.SEMANTIC:
            return f"sidecar; hit; detail={outcome.value}{_ttl(ttl_s)}"
        case Outcome.STALE:
            return f"sidecar; hit{_ttl(ttl_s)}; detail=stale"
        case Outcome.COALESCED:
            return _forwarded("miss; collapsed", stored)
        case Outcome.MISS:
            return _forwarded("request" if no_cache else "miss", stored)
        case Outcome.BYPASS:
            return _forwarded(f"bypass{_detail(reason)}", stored)
        case Outcome.SHADOW:
            # Found, and by config not used.
            return _forwarded("bypass; detail=shadow", stored)
        case _:
            assert_never(outcome)


def _forwarded(how: str, stored: bool) -> str:
    return f"sidecar; fwd={how}; stored" if stored else f"sidecar; fwd={how}"


def _ttl(ttl_s: float | None) -> str:
    if ttl_s is None or not isfinite(ttl_s):
        return ""
    return f"; ttl={max(-_MAX_INTEGER, min(_MAX_INTEGER, floor(ttl_s)))}"


def _detail(reason: str) -> str:
    if _TOKEN.fullmatch(reason):
        return f"; detail={reason}"
    quoted = _UNQUOTABLE.sub("", reason).replace("\\", "\\\\").replace('"', '\\"')
    return f'; detail="{quoted}"' if quoted else ""
