"""Asks a running sidecar's admin plane, with the standard library's client alone.

The address comes from `--admin-url`, else from the config, of which only that much is
read. Redirects are not followed and proxies not used: the token goes to that address
or nowhere.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

from sidecar.cli.options import config_of
from sidecar.config.address import DEFAULT_ADMIN_HOST, DEFAULT_ADMIN_PORT, url_of
from sidecar.errors import ConfigError, SidecarError

TIMEOUT_S = 10.0
MAX_REPLY_BYTES = 64_000_000


class NotRunningError(SidecarError):
    """Nothing listens at the admin address."""

    code = "not_running"


@dataclass(frozen=True, slots=True)
class Reply:
    """What the admin plane answered; `body` is parsed JSON, None where it was none."""

    status: int
    body: Any


@dataclass(frozen=True, slots=True)
class Admin:
    """One admin plane. `token` None sends none."""

    url: str
    token: str | None = None
    timeout_s: float = TIMEOUT_S

    def ask(self, method: str, path: str, body: object = None) -> Reply:
        """One request. `NotRunningError` where nothing listens, `SidecarError` else."""
        try:
            return self._ask(method, path, json.dumps(body) if body is not None else None)
        except (ConnectionRefusedError, FileNotFoundError) as error:
            raise NotRunningError(f"no sidecar runs at {self.url}") from error
        except (OSError, http.client.HTTPException) as error:
            raise SidecarError(
                f"{self.url} did not answer: {str(error) or type(error).__name__}"
            ) from error

    def require(self, method: str, path: str, body: object = None) -> Any:
        """The body of a 200; any other answer is an error of one line."""
        return self._good(self.ask(method, path, body))

    def report(self, method: str, path: str, body: object = None) -> Any:
        """The same where the command's own words are in the question: a 400 is bad usage."""
        reply = self.ask(method, path, body)
        if reply.status == 400:
            raise ConfigError(_message(reply.body))
        return self._good(reply)

    def _good(self, reply: Reply) -> Any:
        if reply.status == 200 and reply.body is not None:
            return reply.body
        if reply.status == 401:
            raise ConfigError(
                f"{self.url} wants another token: give --token or SIDECAR_ADMIN_TOKEN"
            )
        raise SidecarError(f"{self.url} answered {reply.status}: {_message(reply.body)}")

    def _ask(self, method: str, path: str, body: str | None) -> Reply:
        address = split(self.url)
        secure = address.scheme == "https"
        maker = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = maker(address.hostname or "", address.port, timeout=self.timeout_s)
        try:
            connection.request(method, address.path.rstrip("/") + path, body, self._headers(body))
            response = connection.getresponse()
            return Reply(response.status, _parsed(_whole(response)))
        finally:
            connection.close()

    def _headers(self, body: str | None) -> dict[str, str]:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        return headers | ({"Authorization": f"Bearer {self.token}"} if self.token else {})


def admin_of(arguments: argparse.Namespace) -> Admin:
    """The admin plane that a command is to ask, with its token."""
    token = arguments.token or os.environ.get("SIDECAR_ADMIN_TOKEN")
    if not token and not arguments.admin_url:
        secret = config_of(arguments).admin.token
        token = secret.get_secret_value() if secret else None
    return Admin(address_of(arguments), token)


def address_of(arguments: argparse.Namespace) -> str:
    """`--admin-url`, else the config's address, read without checking the whole config."""
    if arguments.admin_url:
        return split(arguments.admin_url).geturl()
    from sidecar.config.tree import read  # noqa: PLC0415 (only without --admin-url)

    said = read(arguments.config, os.environ).values.get("admin")
    try:
        host, port = _host_and_port(said if isinstance(said, dict) else {})
    except ValueError:
        admin = config_of(arguments).admin  # tells what is wrong, in the config's own words
        host, port = admin.host, admin.port
    return url_of(host, port)


def split(url: str) -> SplitResult:
    """The parts of an admin URL. `ConfigError` where it is none."""
    try:
        parts = urlsplit(url.rstrip("/"))
        good = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise ConfigError(f"--admin-url: expected an address such as {_EXAMPLE}, got {url!r}")
    return parts


_EXAMPLE = url_of(DEFAULT_ADMIN_HOST, DEFAULT_ADMIN_PORT)


def _host_and_port(said: dict[str, Any]) -> tuple[str, int]:
    host, port = said.get("host", DEFAULT_ADMIN_HOST), int(said.get("port", DEFAULT_ADMIN_PORT))
    if not isinstance(host, str) or not host or not 0 <= port <= 65_535:
        raise ValueError("not an address")
    if port == 0:
        raise ConfigError("admin.port is 0, a port not known beforehand: give --admin-url")
    return host, port


def _whole(response: http.client.HTTPResponse) -> bytes:
    body = response.read(MAX_REPLY_BYTES + 1)
    if len(body) > MAX_REPLY_BYTES:
        raise SidecarError(f"the reply has more than {MAX_REPLY_BYTES:,} bytes: ask for less")
    return body


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _message(body: Any) -> str:
    error = body.get("error") if isinstance(body, dict) else None
    return str(error.get("message")) if isinstance(error, dict) else "no reason given"
