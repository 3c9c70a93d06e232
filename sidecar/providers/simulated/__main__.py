"""`python -m sidecar.providers.simulated --port 9001`: the simulated provider by itself."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence

from sidecar.providers.simulated.server import SimulatedServer


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until a signal; 2 where the port can't be had."""
    options = _parser().parse_args(arguments)
    try:
        import uvloop  # noqa: PLC0415 - optional: without it the provider is only slower
    except ImportError:
        return asyncio.run(_serve(options))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sidecar.providers.simulated",
        description="A provider without a model: OpenAI's, Anthropic's and Azure's shapes, "
        "deterministic answers.",
        epilog="example: python -m sidecar.providers.simulated --port 9001 --latency-ms 0",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=9001, help="0 takes a free one")
    parser.add_argument("--latency-ms", type=_pace, default=300, help="before the first token")
    parser.add_argument("--tokens-per-s", type=_pace, default=80, help="0: all at once")
    return parser


def _pace(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError("must be a number from 0")
    return value


async def _serve(options: argparse.Namespace) -> int:
    server = SimulatedServer(latency_ms=options.latency_ms, tokens_per_s=options.tokens_per_s)
    try:
        await server.start(options.host, options.port)
    except (OSError, OverflowError) as error:
        print(f"can't listen on {options.host}:{options.port}: {error}", file=sys.stderr)
        return 2
    print(f"simulated provider ready: {server.base_url} (ledger: {server.url}/ledger)", flush=True)
    await _until_signal()
    await server.close()
    return 0


async def _until_signal() -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()


if __name__ == "__main__":
    sys.exit(main())
