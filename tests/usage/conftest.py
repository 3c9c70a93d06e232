"""What the tests of the ledger share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sidecar.usage.ledger import RequestLedger
from tests.usage.writing import DAY_S


@pytest.fixture
def path(tmp_path) -> Path:
    """Where the ledger lives."""
    return tmp_path / "requests.sqlite"


@pytest.fixture
def make(path, clock) -> Callable[..., RequestLedger]:
    """A ledger on that file."""

    def build(**changes: float) -> RequestLedger:
        limits = {"retention_s": DAY_S, "max_rows": 1000, **changes}
        return RequestLedger(path, clock, **limits)

    return build
