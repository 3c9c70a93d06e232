"""A provider and a sidecar for all, others on demand, and nothing left over between two tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from .running import Provider, Sidecar, serving, simulated


@pytest.fixture(scope="session")
def shared_provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """A simulated provider that answers at once; use `provider`, which forgets."""
    with simulated(tmp_path_factory.mktemp("provider")) as provider:
        yield provider


@pytest.fixture
def provider(shared_provider: Provider) -> Provider:
    """The provider, with an empty ledger and no script."""
    shared_provider.forget()
    return shared_provider


@pytest.fixture(scope="module")
def serve(
    shared_provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Sidecar]]:
    """Start a sidecar whose config has these sections; it ends with the module."""
    with ExitStack() as stack:

        def start(**changes: Any) -> Sidecar:
            folder = tmp_path_factory.mktemp("sidecar")
            return stack.enter_context(serving(shared_provider, folder, **changes))

        yield start


@pytest.fixture(scope="session")
def shared_sidecar(
    shared_provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sidecar]:
    """A sidecar with default config for all modules that want no other; use `running`."""
    with serving(shared_provider, tmp_path_factory.mktemp("shared-sidecar")) as sidecar:
        yield sidecar


@pytest.fixture
def running(shared_sidecar: Sidecar, provider: Provider) -> Sidecar:
    """The sidecar, its cache empty and its mode `serve`; the provider's ledger is empty too."""
    shared_sidecar.purge(all=True)
    shared_sidecar.mode("serve")
    return shared_sidecar
