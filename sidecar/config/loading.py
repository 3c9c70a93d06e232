"""The config from a file and the environment, whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping

from sidecar.config.model import Config
from sidecar.config.tree import read, refuse
from sidecar.config.validate import InvalidTreeError, related, validate


def load(path: str | None, environ: Mapping[str, str]) -> Config:
    """The config of `--config`'s file, else `$SIDECAR_CONFIG`'s, else the embedded one.

    Raises `ConfigError`: one line for each problem, with file, line and key.
    """
    tree = read(path, environ)
    try:
        config = validate(Config, tree.values, tree.hidden)
    except InvalidTreeError as error:
        follows = [known.path for known in tree.problems if not known.where]
        fresh = [p for p in error.problems if not any(related(p.path, at) for at in follows)]
        raise refuse(tree, [*tree.problems, *fresh]) from None
    if tree.problems:
        raise refuse(tree, tree.problems)
    return config
