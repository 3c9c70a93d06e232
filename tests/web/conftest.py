"""A real server on loopback, a real client, and a raw socket for what no client sends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from aiohttp import ClientSession, web

from sidecar.web.admin import AdminSettings, admin_plane
from tests.web.operating import Desk


@pytest.fixture
async def serve() -> AsyncIterator[Callable[[web.Application], Awaitable[str]]]:
    """Serve an application; gives its base URL."""
    async with AsyncExitStack() as stack:

        async def start(app: web.Application) -> str:
            runner = web.AppRunner(
                app, access_log=None, auto_decompress=False, handler_cancellation=True
            )
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            return f"http://127.0.0.1:{runner.addresses[0][1]}"

        yield start


@pytest.fixture
async def client() -> AsyncIterator[ClientSession]:
    """A client that follows nothing and unpacks nothing."""
    async with ClientSession(auto_decompress=False) as session:
        yield session


async def exchange(url: str, sent: bytes) -> bytes:
    """What comes back for these bytes, until the server closes."""
    host, _, port = url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(sent)
    received = await reader.read()
    writer.close()
    return received


@pytest.fixture
def raw() -> Callable[[str, bytes], Awaitable[bytes]]:
    """Bytes on a socket, and the bytes that come back."""
    return exchange


@pytest.fixture
def desk() -> Desk:
    """What the admin plane acts on."""
    return Desk()


@pytest.fixture
async def url(serve: Callable[[web.Application], Awaitable[str]], desk: Desk) -> str:
    """An admin plane with a token."""
    return await serve(admin_plane(AdminSettings({"127.0.0.1"}, "t0ken"), desk))
