"""A TCP fault proxy before the provider: latency, one-byte slices, a cut or a reset at the byte."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from .leaving import ABORT


@dataclass(frozen=True)
class Weather:
    """What is done to an answer; after `end_after` bytes its connection is cut, or `reset`."""

    latency_s: float = 0.0
    slice_bytes: int = 65536
    end_after: int | None = None
    reset: bool = False


@dataclass
class RoughNetwork:
    """Passes bytes on; each answer comes in the `weather` of the moment it was asked for."""

    upstream_port: int
    weather: Weather = field(default_factory=Weather)
    port: int = 0
    _ready: threading.Event = field(default_factory=threading.Event)
    _loop: asyncio.AbstractEventLoop | None = None
    _ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        """Where the provider seems to be."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> threading.Thread:
        """Pass on, on a thread and a loop of its own; on return it listens."""
        thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        thread.start()
        assert self._ready.wait(10)
        return thread

    def end(self) -> None:
        """Close everything."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._ended.set)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._ended.wait()
        server.close()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection("127.0.0.1", self.upstream_port)
        answers = Answers(there[0], writer)
        back = asyncio.ensure_future(answers.pass_on())
        with suppress(ConnectionError):
            while piece := await reader.read(65536):
                if piece.startswith(b"POST "):
                    answers.change(self.weather)
                there[1].write(piece)
        back.cancel()
        there[1].close()
        writer.close()


@dataclass
class Answers:
    """What comes back on one connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    weather: Weather = field(default_factory=Weather)
    left: int | None = None

    def change(self, weather: Weather) -> None:
        """The next answer comes in this one."""
        self.weather, self.left = weather, weather.end_after

    async def pass_on(self) -> None:
        """Until the provider or the weather ends it."""
        with suppress(ConnectionError):
            while piece := await self.reader.read(65536):
                await asyncio.sleep(self.weather.latency_s)
                await self._write(piece[: self.left])
                self.left = None if self.left is None else max(0, self.left - len(piece))
                if self.left == 0:
                    break
        if self.weather.reset:
            end = self.writer.get_extra_info("socket")
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
        self.writer.close()

    async def _write(self, piece: bytes) -> None:
        size = self.weather.slice_bytes
        for start in range(0, len(piece), size):
            self.writer.write(piece[start : start + size])
            await self.writer.drain()
            await asyncio.sleep(0)


@contextmanager
def rough_network(upstream_port: int) -> Iterator[RoughNetwork]:
    """One until the block ends."""
    network = RoughNetwork(upstream_port)
    thread = network.start()
    try:
        yield network
    finally:
        network.end()
        thread.join(10)
