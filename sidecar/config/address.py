"""Where the admin plane is when config does not say: known without reading a config.

Apart from the models, because a probe that runs every few seconds has no time to
build them.
"""

from __future__ import annotations

from typing import Final

DEFAULT_ADMIN_HOST: Final = "127.0.0.1"
DEFAULT_ADMIN_PORT: Final = 9090


def url_of(host: str, port: int) -> str:
    """An http address that this machine can reach; a wildcard address becomes loopback."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host.strip("[]"), host.strip("[]"))  # noqa: S104
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"
