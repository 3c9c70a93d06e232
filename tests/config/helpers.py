"""What tests of the config share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from sidecar.config.loading import load
from sidecar.config.model import Config
from sidecar.errors import ConfigError

MODELS = {"m": {"targets": [{"provider": "sim", "model": "m"}]}}


def parsed(tree: Mapping[str, Any]) -> Config:
    """The config of a good tree."""
    return Config.parse(tree)


def lines(tree: Mapping[str, Any]) -> list[str]:
    """The problems of a bad tree."""
    with pytest.raises(ConfigError) as refused:
        Config.parse(tree)
    return refused.value.message.splitlines()


def written(folder: Path, text: str | bytes) -> str:
    """A config file with this text; its path."""
    path = folder / "sidecar.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(path)


def loaded(folder: Path, text: str | bytes, **environ: str) -> Config:
    """The config of a good file."""
    return load(written(folder, text), environ)


def refused(folder: Path, text: str | bytes, **environ: str) -> list[str]:
    """The problems of a bad file, its folder left out."""
    with pytest.raises(ConfigError) as error:
        load(written(folder, text), environ)
    return [line.replace(f"{folder}/", "") for line in error.value.message.splitlines()]
