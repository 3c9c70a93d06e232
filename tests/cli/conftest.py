"""A running sidecar for the tests that need one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.helpers import TOKEN, Running, serve


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One for the whole session; its admin plane wants a token."""
    folder: Path = tmp_path_factory.mktemp("running")
    sidecar = serve(folder, SIDECAR__ADMIN__TOKEN=TOKEN)
    yield sidecar
    sidecar.process.kill()
    sidecar.process.communicate()
