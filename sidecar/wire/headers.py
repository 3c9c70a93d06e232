"""What a client's headers say: about the cache, about who asks, about how long to wait.

A header of ours that can't be understood is refused by name: a client that asked for
`max-wrong: 0,01` must not be served under a looser limit in silence. `Cache-Control`
is read as HTTP has it: directives unknown here are skipped.

Tags may stand in the body too, where OpenAI's clients put them. Every value is bounded
and free of control characters, for it goes into logs, rows and metrics.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from sidecar.domain import NOTHING, CacheControls, Caller, Json, SharingScope
from sidecar.errors import InvalidRequestError

MAX_TAG_CHARS: Final = 128
"""Of a usage tag in a header."""
MAX_LABEL_CHARS: Final = 512
"""Of a usage tag in the body: what OpenAI allows a metadata value to have."""
MAX_ROUTE_CHARS: Final = 128
MAX_IDEMPOTENCY_KEY_CHARS: Final = 255
MAX_CACHE_TAGS: Final = 16
MAX_CACHE_TAG_CHARS: Final = 64

_NO_CONTROLS: Final = CacheControls()
_TAG_HEADERS: Final = tuple(
    (tag, f"x-sidecar-{tag}") for tag in ("tenant", "user", "feature", "department", "session")
)
_CONTROL_HEADERS: Final = (
    "Cache-Control",
    "x-sidecar-cache-scope",
    "x-sidecar-cache-ttl",
    "x-sidecar-cache-tags",
    "x-sidecar-max-wrong",
)
_MAX_SECONDS: Final = 2**31
"""As RFC 9111 has it: what is more counts as this."""

_DECIMAL: Final = re.compile(r"[0-9]{1,15}(\.[0-9]{0,15})?|\.[0-9]{1,15}", re.ASCII)
_DIGITS: Final = re.compile(r"[0-9]+", re.ASCII)
_DIRECTIVE: Final = re.compile(r"""([^\s,;="]+)\s*(?:=\s*(?:"([^"]*)"|([^\s,"]*)))?""")
_VISIBLE: Final = re.compile(r"[!-~]+")
_VISIBLE_OR_SPACE: Final = re.compile(r"[ -~]+")
# Lone surrogates are what a server makes of header bytes that are not UTF-8.
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_TRACE_PARENT: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")


def read_controls(headers: Mapping[str, str]) -> CacheControls:
    """What the client says about the cache."""
    if not any(name in headers for name in _CONTROL_HEADERS):
        return _NO_CONTROLS
    directives = _directives(headers)
    return CacheControls(
        no_cache="no-cache" in directives,
        no_store="no-store" in directives,
        only_if_cached="only-if-cached" in directives,
        max_age_s=_max_age(directives),
        ttl_s=_decimal(headers, "x-sidecar-cache-ttl", "seconds, 0 or more"),
        scope=_scope(headers),
        tags=_cache_tags(headers),
        max_wrong=_decimal(headers, "x-sidecar-max-wrong", "a number from 0 to 1", at_most=1),
    )


def read_caller(
    headers: Mapping[str, str],
    labels: Mapping[str, Json] = NOTHING,
    defaults: Mapping[str, str] = NOTHING,
) -> Caller:
    """Who asks: headers first, then the body's labels, then `defaults` by tag name.

    Tenant and session come from headers alone, for labels are what an end user may fill.
    """
    said = {**defaults, **_labelled(labels)} if labels else dict(defaults)
    for tag, name in _TAG_HEADERS:
        if (value := headers.get(name)) is None:
            continue
        # An empty one is one too: it must not hide what a proxy has added behind it.
        _require_one(headers, name)
        if value := value.strip():
            said[tag] = _bounded(value, MAX_TAG_CHARS, name)
    return Caller(
        tenant=said.get("tenant", ""),
        user=said.get("user", ""),
        feature=said.get("feature", ""),
        department=said.get("department", ""),
        session=said.get("session", ""),
    )


def _require_one(headers: Mapping[str, str], name: str) -> None:
    """Two values can't both be the tenant: a proxy may have added the one that is true."""
    if sum(other.lower() == name for other, _ in headers.items()) > 1:
        raise _refusal(name, "one value, and came more than once")


def read_timeout_s(headers: Mapping[str, str]) -> float | None:
    """How long the client wants to wait in all, in seconds; config bounds it."""
    value = headers.get("x-sidecar-timeout-ms")
    if value is None:
        return None
    _require_one(headers, "x-sidecar-timeout-ms")
    if not _DIGITS.fullmatch(value) or len(value) > 10 or int(value) < 1:
        raise _refusal("x-sidecar-timeout-ms", "whole milliseconds, 1 or more")
    return int(value) / 1000


def read_route(headers: Mapping[str, str]) -> str | None:
    """The variant that the client asks for; whether there is one is for the routes to say."""
    value = headers.get("x-sidecar-route")
    if value is None:
        return None
    _require_one(headers, "x-sidecar-route")
    value = value.strip()
    return _bounded(value, MAX_ROUTE_CHARS, "x-sidecar-route") if value else None


def read_idempotency_key(headers: Mapping[str, str]) -> str | None:
    """Under which name this request is answered once, where the client gives it one."""
    value = headers.get("Idempotency-Key")
    if value is None:
        return None
    _require_one(headers, "idempotency-key")
    value = value.strip()
    if len(value) > MAX_IDEMPOTENCY_KEY_CHARS or not _VISIBLE_OR_SPACE.fullmatch(value):
        expected = f"1 to {MAX_IDEMPOTENCY_KEY_CHARS} printable ASCII characters"
        raise _refusal("Idempotency-Key", expected)
    return value


def read_trace_parent(headers: Mapping[str, str]) -> str | None:
    """The W3C trace context to continue. One that is not valid is ignored, as W3C asks."""
    value = headers.get("traceparent")
    if value is None or len(value) > 128 or not _TRACE_PARENT.fullmatch(value):
        return None
    version, trace, span = value.split("-")[:3]
    too_long = version == "00" and len(value) > 55
    return (
        None if version == "ff" or too_long or not (trace.strip("0") and span.strip("0")) else value
    )


def _directives(headers: Mapping[str, str]) -> dict[str, list[str]]:
    """The directives of all `Cache-Control` lines, with the arguments of each."""
    found: dict[str, list[str]] = {}
    for name, line in headers.items():
        if name.lower() == "cache-control":
            for directive, quoted, plain in _DIRECTIVE.findall(line):
                found.setdefault(directive.lower(), []).append(quoted or plain)
    return found


def _max_age(directives: Mapping[str, list[str]]) -> float | None:
    """The strictest one. What can't be read allows no age at all: fresh is always safe."""
    if "max-age" not in directives:
        return None
    return float(min(_seconds(argument) for argument in directives["max-age"]))


def _seconds(argument: str) -> int:
    if not _DIGITS.fullmatch(argument):
        return 0
    return min(int(argument), _MAX_SECONDS) if len(argument) <= 10 else _MAX_SECONDS


def _decimal(
    headers: Mapping[str, str], name: str, expected: str, *, at_most: float = _MAX_SECONDS
) -> float | None:
    value = headers.get(name)
    if value is None:
        return None
    _require_one(headers, name)
    if not _DECIMAL.fullmatch(value.strip()) or float(value) > at_most:
        raise _refusal(name, expected)
    return float(value)


def _scope(headers: Mapping[str, str]) -> SharingScope | None:
    value = headers.get("x-sidecar-cache-scope")
    if value is None:
        return None
    _require_one(headers, "x-sidecar-cache-scope")
    try:
        return SharingScope(value.strip().lower())
    except ValueError:
        raise _refusal("x-sidecar-cache-scope", f"one of {', '.join(SharingScope)}") from None


def _cache_tags(headers: Mapping[str, str]) -> tuple[str, ...]:
    """The tags of all lines, as of any list; each once, in the order they were given."""
    lines = (line for name, line in headers.items() if name.lower() == "x-sidecar-cache-tags")
    items = ",".join(lines).split(",")
    tags = dict.fromkeys(tag for item in items if (tag := item.strip()))
    if len(tags) > MAX_CACHE_TAGS or not all(map(_is_cache_tag, tags)):
        raise _refusal(
            "x-sidecar-cache-tags",
            f"at most {MAX_CACHE_TAGS} tags of up to {MAX_CACHE_TAG_CHARS} visible ASCII signs",
        )
    return tuple(tags)


def _is_cache_tag(tag: str) -> bool:
    return len(tag) <= MAX_CACHE_TAG_CHARS and _VISIBLE.fullmatch(tag) is not None


def _labelled(labels: Mapping[str, Json]) -> dict[str, str]:
    """The tags that the body tells. Of several names for the user the most telling one counts."""
    metadata = labels.get("metadata") or {}
    candidates = (
        ("user", labels.get("user"), "user"),
        ("user", labels.get("safety_identifier"), "safety_identifier"),
        ("user", metadata.get("user_id"), "metadata.user_id"),  # Anthropic's
        ("user", metadata.get("user"), "metadata.user"),
        ("feature", metadata.get("feature"), "metadata.feature"),
        ("department", metadata.get("department"), "metadata.department"),
    )
    return {
        tag: _bounded(value.strip(), MAX_LABEL_CHARS, path)
        for tag, value, path in candidates
        if type(value) is str and value.strip()
    }


def _bounded(value: str, limit: int, name: str) -> str:
    # Cut short, two callers could become one, so what is too long is refused.
    if len(value) > limit or _UNPRINTABLE.search(value):
        raise _refusal(name, f"at most {limit} characters without control characters")
    return value


def _refusal(name: str, expected: str) -> InvalidRequestError:
    return InvalidRequestError(f"{name} must be {expected}", param=name)
