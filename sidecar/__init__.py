"""A sidecar that answers near-duplicate prompts from a verified cache and forwards the rest.

As a library: `from sidecar import Config, create_app`. Both are loaded on first use, since
a health probe that runs every few seconds has no need of an inference engine.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sidecar.app import create_app as create_app
    from sidecar.config import Config as Config

__version__ = "0.1.0"
__all__ = ["Config", "__version__", "create_app"]
_HOMES = {"Config": "sidecar.config", "create_app": "sidecar.app"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
