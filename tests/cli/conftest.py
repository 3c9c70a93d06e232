"""A running sidecar for the tests that need one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.helpers import TOKEN, Running, serve
from cli.spent import spend, start, stop


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One for the whole session; its admin plane wants a token."""
    folder: Path = tmp_path_factory.mktemp("running")
    sidecar = serve(folder, SIDECAR__ADMIN__TOKEN=TOKEN)
    yield sidecar
    sidecar.process.kill()
    sidecar.process.communicate()


@pytest.fixture(scope="session")
def spent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a sidecar that has spent something and was stopped; only to be read."""
    folder: Path = tmp_path_factory.mktemp("spent")
    sidecar = start(folder)
    spend(sidecar)
    stop(sidecar.process)
    return folder
