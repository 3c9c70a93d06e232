"""Models of a config."""

from __future__ import annotations

from typing import Any


def one_try(targets: list[dict[str, Any]]) -> dict[str, Any]:
    """A model that asks once and whose breakers stay closed: for tests of all else."""
    return {"targets": targets, "retry": {"attempts": 1}, "breaker": {"failures": 10_000}}
