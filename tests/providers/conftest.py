"""Fixtures of this room: a transport without environment, an instant provider."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from sidecar.providers.simulated import SimulatedServer
from sidecar.providers.transport import Transport


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    """A transport that ignores the machine's proxies."""
    transport = Transport(use_environment=False)
    yield transport
    await transport.close()


@pytest.fixture
async def simulated() -> AsyncIterator[SimulatedServer]:
    """A simulated provider that answers at once."""
    server = SimulatedServer(latency_ms=0, tokens_per_s=0)
    await server.start()
    yield server
    await server.close()
