"""Runs a sidecar as a process: sockets, signals, the start-up block and the end.

Ports are bound before anything is loaded, so that a busy one is told at once, and they
are served only when requests can be answered. SIGTERM drains as `sidecar.web.drain` says;
SIGINT (Ctrl-C) ends as soon as open requests are answered; a second signal ends at once.
SIGHUP reads the config again, unless it means that the terminal is gone: then it is SIGINT.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from aiohttp import web

from sidecar.app import Sidecar
from sidecar.config import Config
from sidecar.config.address import url_of
from sidecar.errors import ConfigError
from sidecar.events import Event, Observer
from sidecar.hangup import HangUp
from sidecar.observe import log
from sidecar.observe.request_log import RequestLog
from sidecar.reload import ConfigSource
from sidecar.startup import block
from sidecar.state import StateDir

BACKLOG = 1024
POLL_S = 0.05
INTERRUPT_GRACE_S = 5.0


def run(config: Config, source: ConfigSource | None = None, hang_up: HangUp | None = None) -> int:
    """Serve until a signal ends it; the exit status. `ConfigError` where it can't start."""
    hang_up = hang_up or HangUp()
    log.set_up(config.log.format, config.log.level)
    _run_loop(_serve(config, source, hang_up))
    return 0


def _run_loop(main: Coroutine[Any, Any, None]) -> None:
    try:
        import uvloop  # noqa: PLC0415  absent where it doesn't build
    except ImportError:
        asyncio.run(main)
    else:
        uvloop.run(main)


async def _serve(config: Config, source: ConfigSource | None, hang_up: HangUp) -> None:
    async with AsyncExitStack() as stack:
        data = bind(config.listen.host, config.listen.port, "listen.port")
        stack.callback(data.close)
        admin = bind(config.admin.host, config.admin.port, "admin.port")
        stack.callback(admin.close)
        addresses = (url_of(*data.getsockname()[:2]), url_of(*admin.getsockname()[:2]))
        state = stack.enter_context(StateDir(config.state_dir, addresses))
        sidecar = Sidecar(config, state, source)
        sidecar.followers.append(_take_level)
        requests = RequestLog(sys.stderr, readable=log.is_readable(config.log.format, sys.stderr))
        sidecar.observers.add(_when_told(requests))
        stack.push_async_callback(requests.close)
        stack.push_async_callback(sidecar.close)
        await _listen(stack, sidecar.admin_app, admin)
        await sidecar.start()
        await _listen(stack, sidecar.data_app, data, config.listen.unix_socket)
        signals = _signals(sidecar, hang_up)  # before anyone is told that it is ready for them
        print(block(config, sidecar.operations.status(), *addresses), flush=True)
        await _until_the_end(sidecar, signals)


def _take_level(config: Config) -> None:
    """The log's level as another config has it."""
    logging.getLogger().setLevel(config.log.level.upper())


def _when_told(requests: RequestLog) -> Observer:
    """The request log, for as long as the log's level wants a line a request."""
    root = logging.getLogger()

    def observe(event: Event) -> None:
        if root.isEnabledFor(logging.INFO):
            requests.observe(event)

    return observe


def bind(host: str, port: int, key: str) -> socket.socket:
    """A bound socket, not listening yet. `ConfigError` naming what to change."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host.strip("[]"), port))
    except OSError as error:
        bound.close()
        reason = error.strerror or str(error)
        raise ConfigError(
            f"can't listen on {host}:{port}: {reason}; stop what uses it or change {key}"
        ) from error
    return bound


async def _listen(
    stack: AsyncExitStack,
    app: web.Application,
    bound: socket.socket,
    unix_socket: str | None = None,
) -> None:
    # auto_decompress off: a compressed body is refused, not unpacked. handler_cancellation
    # on: a client that leaves ends its handler, so that nothing is asked for nobody.
    # lingering: what a refused client still writes is read for this long and thrown away,
    # so that it sees the refusal; longer would let it keep this process busy.
    runner = web.AppRunner(
        app,
        access_log=None,
        auto_decompress=False,
        handle_signals=False,
        handler_cancellation=True,
        shutdown_timeout=1.0,
        lingering_time=1.0,
    )
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.SockSite(runner, bound, backlog=BACKLOG).start()
    if unix_socket is not None:
        await web.SockSite(runner, bind_unix(Path(unix_socket)), backlog=BACKLOG).start()


def bind_unix(path: Path) -> socket.socket:
    """A bound Unix socket that only this user may use; what an earlier run left is replaced."""
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.is_socket():
            path.unlink()
        bound.bind(str(path))
        path.chmod(0o600)
    except OSError as error:
        bound.close()
        raise ConfigError(
            f"can't listen on {path}: {error.strerror}; change listen.unix_socket"
        ) from error
    return bound


def _signals(sidecar: Sidecar, hang_up: HangUp) -> asyncio.Queue[int]:
    """The signals that end it, as they come; SIGHUP is dealt with at once."""
    loop, signals = asyncio.get_running_loop(), asyncio.Queue[int]()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signals.put_nowait, number)
    hang_up.follow(loop, _hung_up(sidecar, hang_up, signals))
    return signals


async def _until_the_end(sidecar: Sidecar, signals: asyncio.Queue[int]) -> None:
    first = await signals.get()
    again = sidecar.tasks.start(signals.get(), name="second-signal")
    graceful = sidecar.tasks.start(_drain(sidecar, first), name="drain")
    await asyncio.wait([again, graceful], return_when=asyncio.FIRST_COMPLETED)


def _hung_up(sidecar: Sidecar, hang_up: HangUp, signals: asyncio.Queue[int]) -> Callable[[], None]:
    """What SIGHUP does: a new config, or an end where the terminal that it ran in is closed."""

    def heard() -> None:
        if hang_up.means_the_end:
            signals.put_nowait(signal.SIGINT)
        else:
            sidecar.tasks.start(sidecar.reloader.reload_or_log("SIGHUP"), name="reload")

    return heard


async def _drain(sidecar: Sidecar, reason: int) -> None:
    drain = sidecar.drain
    drain.begin()
    if reason == signal.SIGTERM:
        print("draining: calls are still answered", file=sys.stderr, flush=True)
        await asyncio.sleep(drain.refuses_in_s)
        grace_s = drain.ends_in_s
    else:
        grace_s = INTERRUPT_GRACE_S
    for _ in range(int(grace_s / POLL_S)):
        if not sidecar.desk.in_flight:
            return
        await asyncio.sleep(POLL_S)
