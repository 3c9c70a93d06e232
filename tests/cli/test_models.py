"""`sidecar models list`."""

from __future__ import annotations

import json
from pathlib import Path

from cli.helpers import run
from sidecar.embed import models


def test_every_shipped_model_is_listed_with_its_facts(tmp_path: Path) -> None:
    """Dimension, size, digest, licence, and that it is the configured one."""
    (told,) = json.loads(run("models", "list", "--json", cwd=tmp_path).out)
    (shipped,) = models.installed()
    assert told["sha256"] == shipped.sha256
    assert (told["name"], told["dimension"], told["configured"]) == (shipped.name, 384, True)
    assert (told["size_bytes"], told["licence"]) == (shipped.size_bytes, shipped.licence)


def test_a_star_marks_the_configured_one(tmp_path: Path) -> None:
    """For people."""
    head, row = run("models", "list", cwd=tmp_path).out.splitlines()
    assert head.split() == ["name", "dimension", "max", "tokens", "size", "sha256", "licence"]
    assert row.startswith("*  minilm-l6-v2-int8")


def test_a_model_that_is_not_shipped_is_named(tmp_path: Path) -> None:
    """Another backend loads any model."""
    environ = {
        "SIDECAR__EMBEDDING__BACKEND": "sentence-transformers",
        "SIDECAR__EMBEDDING__MODEL": "all-mpnet-base-v2",
    }
    told = run("models", "list", cwd=tmp_path, **environ).out.splitlines()
    assert told[-1] == "configured: all-mpnet-base-v2 (sentence-transformers), not shipped"


def test_an_unknown_model_is_bad_config(tmp_path: Path) -> None:
    """One line, with the names that are known."""
    told = run("models", "list", cwd=tmp_path, SIDECAR__EMBEDDING__MODEL="nope")
    assert (told.status, told.err.count("\n")) == (2, 1)
    assert "minilm-l6-v2-int8" in told.err
