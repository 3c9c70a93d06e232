"""With which key a provider is asked: ours, which may change at run time, or the caller's own.

Heads are built from nothing, and again only when the key is another one. A key that no
header can carry is refused before anything is sent; it shows in no error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from sidecar.errors import ConfigError, InvalidApiKeyError

ApiKey: TypeAlias = str | Callable[[], str | None] | None
"""A key, or what gives the present one where it may change; None sends none."""

HeadOf: TypeAlias = Callable[[str | None], Mapping[str, str]]
"""The head that carries a key. `ConfigError` where no head can."""


class Credentials:
    """The key of one configured provider. A fixed key is checked at birth: `ConfigError`."""

    def __init__(
        self, name: str, api_key: ApiKey, head_of: HeadOf, *, from_client: bool = False
    ) -> None:
        self.from_client = from_client
        self._name = name
        self._api_key = api_key
        self._head_of = head_of
        self._key = None if callable(api_key) else (api_key or None)
        self._head = head_of(self._key)

    def __repr__(self) -> str:
        return f"Credentials({self._name!r})"

    def head(self, client_key: str) -> tuple[Mapping[str, str], str]:
        """The head for one call, and the key in it, which no reply may show.

        Raises `InvalidApiKeyError` where the caller's own key is wanted and can't be sent.
        """
        if self.from_client:
            return self._client_head(client_key), client_key
        if callable(self._api_key):
            key = self._api_key() or None
            if key != self._key:
                self._head, self._key = self._head_of(key), key
        return self._head, self._key or ""

    def _client_head(self, key: str) -> Mapping[str, str]:
        told = f"{self._name} is asked with your own API key: send it as"
        if not key:
            raise InvalidApiKeyError(f"{told} `Authorization: Bearer …` or `x-api-key`")
        try:
            return self._head_of(key)
        except ConfigError:
            raise InvalidApiKeyError(f"{told} one line of printable ASCII") from None


def check_key(key: str | None) -> None:
    """Raise `ConfigError` for a key that would break out of its header."""
    if key and not (key.isascii() and key.isprintable()):
        raise ConfigError("api_key holds what no header can carry, such as a line break")
