"""A small real HTTP proxy: absolute-form requests and CONNECT tunnels, every name one server."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

from .faults import FaultServer, Reader, Writer, read_message


class Proxy(FaultServer):
    """Sends everything to the one port on the loopback that it was made with."""

    def __init__(self, target_port: int) -> None:
        super().__init__(self._pass_on)
        self._target_port = target_port

    async def _pass_on(self, reader: Reader, writer: Writer) -> None:
        line = self.requests[-1].split(b"\r\n")[0].decode()
        method, target, _ = line.split(" ")
        there = await asyncio.open_connection("127.0.0.1", self._target_port)
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await asyncio.gather(pump(reader, there[1]), pump(there[0], writer))
            return
        there[1].write(self.requests[-1].replace(target.encode(), urlsplit(target).path.encode()))
        writer.write(await read_message(there[0]))
        there[1].close()


async def pump(source: Reader, sink: Writer) -> None:
    """Carry bytes until one side ends."""
    try:
        while data := await source.read(65536):
            sink.write(data)
    except ConnectionError:
        pass
    finally:
        sink.close()
