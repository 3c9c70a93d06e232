"""The config: a frozen tree of all settings, read from YAML and the environment.

`Config` and `load` are made on first use: a probe that only needs an address is not
made to wait for pydantic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sidecar.config.loading import load
    from sidecar.config.model import Config

__all__ = ["Config", "load"]


def __getattr__(name: str) -> Any:
    if name == "Config":
        from sidecar.config.model import Config  # noqa: PLC0415 (see the module's docstring)

        return Config
    if name == "load":
        from sidecar.config.loading import load  # noqa: PLC0415

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
