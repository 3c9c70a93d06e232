"""`sidecar models list`: the embedding models that are shipped, and which is configured."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from sidecar.cli.options import Commands, add_json, command, config_of
from sidecar.cli.output import human_size, print_json, print_rows

if TYPE_CHECKING:
    from sidecar.config import Config
    from sidecar.embed.models import Model

_HEAD = ("", "name", "dimension", "max tokens", "size", "sha256", "licence")


def register(commands: Commands) -> None:
    """Add the command."""
    parser = command(
        commands,
        "list",
        run,
        help_="the shipped embedding models, and which one is configured",
        example="sidecar models list --json",
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print one line a model; a star marks the configured one."""
    config = config_of(arguments)
    from sidecar.embed import models  # noqa: PLC0415 (numpy comes with it)

    shipped = models.installed()
    chosen = models.find(config.embedding.model).name if _is_onnx(config) else None
    if arguments.json:
        print_json([_facts(model, model.name == chosen) for model in shipped])
        return 0
    print_rows([_HEAD, *(_row(model, model.name == chosen) for model in shipped)])
    if chosen is None:
        print(f"configured: {config.embedding.model} ({config.embedding.backend}), not shipped")
    return 0


def _is_onnx(config: Config) -> bool:
    return config.embedding.backend == "onnx"


def _facts(model: Model, configured: bool) -> dict[str, object]:
    return {
        "name": model.name,
        "configured": configured,
        "dimension": model.dimension,
        "max_tokens": model.max_tokens,
        "size_bytes": model.size_bytes,
        "sha256": model.sha256,
        "licence": model.licence,
        "source": model.source,
        "files": {file.name: file.sha256 for file in model.files},
    }


def _row(model: Model, configured: bool) -> tuple[str, ...]:
    return (
        "*" if configured else "",
        model.name,
        str(model.dimension),
        str(model.max_tokens),
        human_size(model.size_bytes),
        model.sha256[:12],
        model.licence,
    )
