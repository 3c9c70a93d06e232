"""Where a provider is: an address from config, checked before anything is sent there."""

from __future__ import annotations

from yarl import URL

from sidecar.errors import ConfigError


def checked_url(url: str) -> URL:
    """The URL of a provider; `ConfigError` where it is none, or holds what it may not hold."""
    try:
        parsed = URL(url)
    except ValueError:
        raise ConfigError("base_url is not a URL") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ConfigError(f"base_url must be http://host or https://host, not {parsed.scheme}:…")
    if parsed.user or parsed.password or parsed.query_string or parsed.fragment:
        raise ConfigError(
            f"base_url for {parsed.host} may hold no user, password, query or fragment"
        )
    return parsed
