"""What the process's environment says about the way out: proxies and trusted CAs.

It follows curl's and OpenSSL's conventions and refuses to guess: a proxy scheme that
can't be spoken, or a CA file that isn't there, is an error at start and not a failed
request later. The invariant: what is read here depends on the arguments alone, except
the certificates themselves, which OpenSSL finds.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from contextlib import suppress
from ipaddress import ip_address, ip_network
from pathlib import Path
from urllib.parse import urlsplit

from sidecar.errors import ConfigError

_SEPARATORS = re.compile(r"[\s,]+")


def proxy_for(scheme: str, host: str, port: int, environ: Mapping[str, str]) -> str | None:
    """Return the URL of the proxy that requests to this origin go through, if any.

    `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy` count in either case, the
    small one first; under CGI `HTTP_PROXY` is a request header, so it is ignored.
    """
    named = _variable(environ, f"{scheme}_proxy") or _variable(environ, "all_proxy")
    if not named or is_bypassed(host, port, _variable(environ, "no_proxy")):
        return None
    url = named if "://" in named else f"http://{named}"
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise ConfigError(
            f"the proxy that {scheme.upper()}_PROXY or ALL_PROXY names can't be used:"
            " it must be http://host:port or https://host:port"
        )
    return url


def is_bypassed(host: str, port: int, no_proxy: str) -> bool:
    """Whether `no_proxy` exempts this origin: `*`, names, `.suffixes`, addresses, CIDR blocks.

    An entry may end in `:port`. A name exempts its subdomains too.
    """
    return any(
        _exempts(entry, host.lower().rstrip("."), port)
        for entry in _SEPARATORS.split(no_proxy.lower())
        if entry
    )


def tls_context(environ: Mapping[str, str]) -> ssl.SSLContext:
    """Make a verifying context that trusts what `SSL_CERT_FILE` and `SSL_CERT_DIR` name.

    OpenSSL reads both by itself, but passes over a missing one in silence, and then
    every handshake fails for no visible reason.
    """
    file, directory = environ.get("SSL_CERT_FILE"), environ.get("SSL_CERT_DIR")
    if file and not Path(file).is_file():
        raise ConfigError(f"SSL_CERT_FILE names {file}, which is not a file")
    if directory and not any(Path(part).is_dir() for part in directory.split(":")):
        raise ConfigError(f"SSL_CERT_DIR names {directory}, which is not a directory")
    return ssl.create_default_context()


def _variable(environ: Mapping[str, str], name: str) -> str:
    if name in environ:
        return environ[name].strip()
    if name == "http_proxy" and "REQUEST_METHOD" in environ:
        return ""
    return environ.get(name.upper(), "").strip()


def _exempts(entry: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    name, wanted_port = _split_port(entry)
    if wanted_port not in (None, port):
        return False
    with suppress(ValueError):
        return ip_address(host) in ip_network(name, strict=False)
    suffix = name.removeprefix("*").removeprefix(".")
    return host == suffix or host.endswith(f".{suffix}")


def _split_port(entry: str) -> tuple[str, int | None]:
    if entry.startswith("["):
        name, _, rest = entry[1:].partition("]")
        return name, _port(rest.removeprefix(":"))
    if entry.count(":") == 1:
        name, _, rest = entry.partition(":")
        return name, _port(rest)
    return entry, None


def _port(text: str) -> int | None:
    return int(text) if text.isdecimal() else None
