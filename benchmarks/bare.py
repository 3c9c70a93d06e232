"""What there would be without a sidecar: the least aiohttp servers that do the same I/O.

python -m benchmarks.bare echo --port 9101            # parses JSON, writes fixed JSON
python -m benchmarks.bare proxy --port 9102 --to http://127.0.0.1:9001
"""

from __future__ import annotations

import argparse
import json
import sys

import aiohttp
import uvloop
from aiohttp import web

UPSTREAM = web.AppKey("upstream", str)
SESSION = web.AppKey("session", aiohttp.ClientSession)


def echo_app(reply: bytes) -> web.Application:
    """Parses the request and serialises a completion, as aiohttp's own documentation does it."""
    completion = json.loads(reply)

    async def handler(request: web.Request) -> web.Response:
        await request.json()
        return web.json_response(completion)

    app = web.Application()
    app.router.add_post("/v1/chat/completions", handler)
    return app


def proxy_app(upstream: str) -> web.Application:
    """Passes bodies on unread, chunk by chunk."""

    async def handler(request: web.Request) -> web.StreamResponse:
        headers = {"Content-Type": "application/json"}
        url, body = app[UPSTREAM] + request.path, await request.read()
        async with app[SESSION].post(url, data=body, headers=headers) as answer:
            if answer.content_length is not None:
                return web.Response(
                    body=await answer.read(), status=answer.status, content_type=answer.content_type
                )
            response = web.StreamResponse(headers={"Content-Type": answer.content_type})
            await response.prepare(request)
            async for piece in answer.content.iter_any():
                await response.write(piece)
            await response.write_eof()
            return response

    async def session(app: web.Application):  # type: ignore[no-untyped-def]  # noqa: ANN202
        async with aiohttp.ClientSession() as app[SESSION]:
            yield

    app = web.Application()
    app[UPSTREAM] = upstream
    app.cleanup_ctx.append(session)
    app.router.add_post("/v1/chat/completions", handler)
    return app


async def _serve(app: web.Application, port: int) -> None:
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    print("ready", flush=True)
    await web.asyncio.Event().wait()


def main() -> int:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=["echo", "proxy"])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--to", default="")
    arguments = parser.parse_args()
    app = (
        proxy_app(arguments.to) if arguments.kind == "proxy" else echo_app(sys.stdin.buffer.read())
    )
    uvloop.run(_serve(app, arguments.port))
    return 0


if __name__ == "__main__":
    sys.exit(main())
