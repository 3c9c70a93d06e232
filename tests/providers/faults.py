"""A raw TCP server that misbehaves exactly as a test says, and remembers what it was sent."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable
from socket import SO_LINGER, SOL_SOCKET
from ssl import SSLContext

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter
Behaviour = Callable[[Reader, Writer], Awaitable[None]]


class FaultServer:
    """Reads each request whole, keeps its bytes in `requests`, then behaves as told.

    `behaviour` runs once a request; the connection stays open between them unless it
    closes it. A connection whose client left is noted by `gone`.
    """

    def __init__(self, behaviour: Behaviour, tls: SSLContext | None = None) -> None:
        self._behaviour = behaviour
        self._tls = tls
        self.requests: list[bytes] = []
        self.connections = 0
        self.asked = asyncio.Event()
        self.gone = asyncio.Event()

    async def __aenter__(self) -> FaultServer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port: int = self._server.sockets[0].getsockname()[1]
        scheme = "https" if self._tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        self._open: set[asyncio.Task[None]] = set()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in list(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _serve(self, reader: Reader, writer: Writer) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        self.connections += 1
        try:
            while not writer.is_closing():
                self.requests.append(await read_message(reader))
                self.asked.set()
                await self._behaviour(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            self.gone.set()
        except asyncio.CancelledError:
            return  # the streams module would print a cancelled connection
        finally:
            writer.close()
            self._open.discard(task)


async def read_message(reader: Reader) -> bytes:
    """Read one HTTP message with a Content-Length, head and body."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return head + await reader.readexactly(length)


def whole(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """Return a complete HTTP reply."""
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", *headers]
    head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""])
    return head.encode() + body


def event_stream(*events: bytes, end: bool = True) -> bytes:
    """Return a chunked reply of server-sent events; without `end` the body stays open."""
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    chunks = b"".join(chunk(b"data: " + event + b"\n\n") for event in events)
    return head + chunks + (b"0\r\n\r\n" if end else b"")


def chunk(data: bytes) -> bytes:
    """Return one chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def replies(reply: bytes) -> Behaviour:
    """Send this and keep the connection."""

    async def behave(_: Reader, writer: Writer) -> None:
        writer.write(reply)
        await writer.drain()

    return behave


def closes(reply: bytes = b"") -> Behaviour:
    """Send this and close."""

    async def behave(_: Reader, writer: Writer) -> None:
        writer.write(reply)
        writer.close()

    return behave


def resets(reply: bytes = b"") -> Behaviour:
    """Send this, then a TCP reset."""

    async def behave(_: Reader, writer: Writer) -> None:
        writer.write(reply)
        await writer.drain()
        writer.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    return behave


def stalls(reply: bytes = b"") -> Behaviour:
    """Send this, then nothing until the client leaves."""

    async def behave(reader: Reader, writer: Writer) -> None:
        writer.write(reply)
        await reader.readexactly(1)

    return behave


def drips(reply: bytes) -> Behaviour:
    """Send this in slices of one byte, each in a write of its own."""

    async def behave(_: Reader, writer: Writer) -> None:
        for at in range(len(reply)):
            writer.write(reply[at : at + 1])
            await writer.drain()
            await asyncio.sleep(0)

    return behave


def floods(head: bytes, piece: bytes) -> Behaviour:
    """Send the head, then the piece for ever."""

    async def behave(_: Reader, writer: Writer) -> None:
        writer.write(head)
        while True:
            writer.write(piece)
            await writer.drain()

    return behave
