"""A TCP relay before the provider that can hold its answers back, at the byte.

It runs on a thread and a loop of its own, so that it outlives the loop of one test.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class Relay:
    """Passes bytes on. `hold` keeps back what a provider says, `release` lets it go."""

    upstream_port: int
    port: int = 0
    open_connections: int = 0
    _loop: asyncio.AbstractEventLoop | None = None
    _gate: asyncio.Event = field(default_factory=asyncio.Event)
    _ended: asyncio.Event = field(default_factory=asyncio.Event)
    _ready: threading.Event = field(default_factory=threading.Event)
    _let_through: int = 0

    @property
    def url(self) -> str:
        """Where the provider seems to be."""
        return f"http://127.0.0.1:{self.port}"

    def hold(self, after_bytes: int = 0) -> None:
        """Of what the provider says from now on pass on so many bytes, and keep the rest."""

        async def close() -> None:
            self._gate, self._let_through = asyncio.Event(), after_bytes

        assert self._loop is not None
        asyncio.run_coroutine_threadsafe(close(), self._loop).result(10)

    def release(self) -> None:
        """Let everything go."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._gate.set)

    async def serve(self) -> None:
        """Relay until the end."""
        self._loop = asyncio.get_running_loop()
        self._gate.set()
        server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._ended.wait()
        server.close()

    def start(self) -> threading.Thread:
        """Relay on a thread of its own; on return it listens."""
        thread = threading.Thread(target=lambda: asyncio.run(self.serve()), daemon=True)
        thread.start()
        assert self._ready.wait(10)
        return thread

    def end(self) -> None:
        """Close everything."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._ended.set)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open_connections += 1
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.upstream_port)
        back = asyncio.ensure_future(self._answers(up_reader, writer))
        try:
            with suppress(ConnectionError):
                while piece := await reader.read(65536):
                    up_writer.write(piece)
        finally:
            back.cancel()
            up_writer.close()
            writer.close()
            self.open_connections -= 1

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while piece := await reader.read(65536):
                if not self._gate.is_set():
                    passed, piece = piece[: self._let_through], piece[self._let_through :]
                    self._let_through -= len(passed)
                    writer.write(passed)
                    if piece:
                        await self._gate.wait()
                writer.write(piece)
            writer.close()


@contextmanager
def relaying(upstream_port: int) -> Iterator[Relay]:
    """A relay until the block ends."""
    relay = Relay(upstream_port)
    thread = relay.start()
    try:
        yield relay
    finally:
        relay.end()
        thread.join(10)
