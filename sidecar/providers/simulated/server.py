"""The simulated provider's HTTP face: OpenAI's endpoints, `/script` and `/ledger`.

It behaves as a provider on the far side of a network: it keeps a pace, fails as it is
told, notices when its reader leaves, and writes everything into its own ledger. It
refuses nothing for its key, and is never reached through the sidecar's own client.
The invariant: a token is billed before it is written, never after, so that no token
ever reached a client unbilled.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler

from sidecar.providers.simulated import shape
from sidecar.providers.simulated.engine import (
    Answer,
    answers,
    count_prompt_tokens,
    count_tokens,
    last_said,
)
from sidecar.providers.simulated.ledger import Ledger, Row
from sidecar.providers.simulated.reading import RefusedError, read_asked, read_json, read_texts
from sidecar.providers.simulated.script import Fault, Script, ScriptError

MODELS = ("gpt-4o", "gpt-4o-mini", "claude-sonnet-4-5", "text-embedding-3-small")
"""Those that `/v1/models` lists; any other is answered as well."""

_MOST_BODY_BYTES = 64 * 1024 * 1024
_MOST_DIMENSIONS = 8192


class SimulatedServer:
    """A provider on a port of its own; at latency 0 and pace 0 it answers at once."""

    def __init__(self, *, latency_ms: float = 300, tokens_per_s: float = 80) -> None:
        self.ledger = Ledger()
        self.script = Script()
        self._latency_s = latency_ms / 1000
        self._token_s = 1 / tokens_per_s if tokens_per_s > 0 else 0.0
        self._runner: web.AppRunner | None = None
        self._url = ""

    @property
    def url(self) -> str:
        """`http://host:port`, where `/ledger` and `/script` are; known after `start`."""
        return self._url

    @property
    def base_url(self) -> str:
        """What an OpenAI client wants: the url with `/v1`."""
        return f"{self._url}/v1"

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; port 0 takes a free one. OSError where it is taken."""
        runner = web.AppRunner(
            self._application(), access_log=None, handler_cancellation=True, shutdown_timeout=1
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner
        bound_host, bound_port = runner.addresses[0][:2]
        self._url = (
            f"http://[{bound_host}]:{bound_port}"
            if ":" in bound_host
            else (f"http://{bound_host}:{bound_port}")
        )

    async def close(self) -> None:
        """Stop listening and drop what is open."""
        if self._runner is not None:
            await self._runner.cleanup()

    def _application(self) -> web.Application:
        application = web.Application(client_max_size=_MOST_BODY_BYTES, middlewares=[_refusals])
        application.router.add_post("/v1/chat/completions", self._chat)
        application.router.add_post("/v1/embeddings", self._embeddings)
        application.router.add_get("/v1/models", _models)
        application.router.add_get("/ledger", self._ledger)
        application.router.add_delete("/ledger", self._clear_ledger)
        application.router.add_post("/script", self._set_script)
        application.router.add_delete("/script", self._clear_script)
        return application

    async def _chat(self, http: web.Request) -> web.StreamResponse:
        request = read_asked(await http.read())
        messages = request.get("messages")
        if not isinstance(messages, list) or not messages:
            raise RefusedError("messages: expected a list that is not empty")
        row = self.ledger.open("chatcmpl", request["model"], messages)
        fault = self.script.next_fault(row.model, last_said(request))
        with self._noting_who_leaves(row):
            if refusal := await self._begin(row, fault, count_prompt_tokens(request)):
                return refusal
            reply = self._stream if request.get("stream") is True else self._whole
            return await reply(http, request, row, fault)

    @contextmanager
    def _noting_who_leaves(self, row: Row) -> Iterator[None]:
        try:
            yield
        except (asyncio.CancelledError, ConnectionError):
            self.ledger.end(row, "left")
            raise

    async def _begin(self, row: Row, fault: Fault, prompt_tokens: int) -> web.Response | None:
        """Wait as scripted; then refuse as scripted, or bill the prompt."""
        if fault.delay_ms:
            await asyncio.sleep(fault.delay_ms / 1000)
        if fault.status is not None and fault.status >= 300:
            self.ledger.end(row, "refused", fault.status)
            return _scripted_error(fault)
        self.ledger.bill(row, prompt=prompt_tokens)
        return None

    async def _whole(
        self, http: web.Request, request: dict[str, Any], row: Row, fault: Fault
    ) -> web.StreamResponse:
        made = answers(request)
        tokens = sum(len(answer.tokens) for answer in made)
        self.ledger.bill(row, completion=tokens)
        await self._pause(self._latency_s + tokens * self._token_s)
        body = shape.whole_body(_head(row), made, row.prompt_tokens, fault)
        if fault.cut_after_events is not None:
            return await self._cut_whole(http, row, body)
        self.ledger.end(row, "completed")
        return web.Response(body=body, content_type="application/json")

    async def _cut_whole(self, http: web.Request, row: Row, body: bytes) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.content_length = len(body)
        await response.prepare(http)
        await response.write(body[: len(body) // 2])
        return self._drop(http, row, response)

    async def _stream(
        self, http: web.Request, request: dict[str, Any], row: Row, fault: Fault
    ) -> web.StreamResponse:
        await self._pause(self._latency_s)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(http)
        is_whole = await self._write_events(response, _events(request, row, fault), row, fault)
        if not is_whole:
            return self._drop(http, row, response)
        await response.write_eof()
        self.ledger.end(row, "completed")
        return response

    async def _write_events(
        self, response: web.StreamResponse, made: list[shape.Event], row: Row, fault: Fault
    ) -> bool:
        """Write them at the pace; False where the script cut them short."""
        kept = made[: fault.cut_after_events]
        if not self._token_s:
            self.ledger.bill(row, completion=sum(tokens for _, tokens in kept))
            await response.write(b"".join(event for event, _ in kept))
        else:
            await self._write_paced(response, kept, row)
        return len(kept) == len(made)

    async def _write_paced(
        self, response: web.StreamResponse, kept: list[shape.Event], row: Row
    ) -> None:
        due = asyncio.get_running_loop().time()
        for event, tokens in kept:
            self.ledger.bill(row, completion=tokens)
            await response.write(event)
            due += tokens * self._token_s
            await self._pause(due - asyncio.get_running_loop().time())

    async def _pause(self, seconds: float) -> None:
        if seconds > 0:
            await asyncio.sleep(seconds)

    def _drop(
        self, http: web.Request, row: Row, response: web.StreamResponse
    ) -> web.StreamResponse:
        self.ledger.end(row, "cut")
        if http.transport is not None:
            http.transport.close()
        return response

    async def _embeddings(self, http: web.Request) -> web.StreamResponse:
        request = read_asked(await http.read())
        texts = read_texts(request.get("input"))
        row = self.ledger.open("embd", request["model"], texts)
        prompt_tokens = max(1, sum(count_tokens(text) for text in texts))
        fault = self.script.next_fault(row.model, texts[-1])
        with self._noting_who_leaves(row):
            if refusal := await self._begin(row, fault, prompt_tokens):
                return refusal
        self.ledger.end(row, "completed")
        return _json(_embedding_list(request, texts, prompt_tokens))

    async def _ledger(self, _: web.Request) -> web.Response:
        return web.Response(body=self.ledger.report(), content_type="application/json")

    async def _clear_ledger(self, _: web.Request) -> web.Response:
        self.ledger.clear()
        return web.Response(status=204)

    async def _set_script(self, http: web.Request) -> web.Response:
        try:
            return _json({"rules": self.script.replace(read_json(await http.read()))})
        except ScriptError as error:
            raise RefusedError(str(error)) from None

    async def _clear_script(self, _: web.Request) -> web.Response:
        self.script.replace([])
        return web.Response(status=204)


@web.middleware
async def _refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except RefusedError as error:
        return _error(400, str(error), "invalid_request_error", None)
    except orjson.JSONEncodeError:
        # What can be read may be nested too deeply to be written into the ledger.
        return _error(400, "the body is nested too deeply", "invalid_request_error", None)
    except web.HTTPException as error:
        message = f"{request.method} {request.path}: {error.reason}"
        return _error(error.status, message, "invalid_request_error", None)


async def _models(_: web.Request) -> web.Response:
    models = [
        {"id": name, "object": "model", "created": 0, "owned_by": "simulated"} for name in MODELS
    ]
    return _json({"object": "list", "data": models})


def _embedding_list(request: dict[str, Any], texts: list[str], tokens: int) -> dict[str, Any]:
    dimensions = request.get("dimensions", 1536)
    if not isinstance(dimensions, int) or not 0 < dimensions <= _MOST_DIMENSIONS:
        raise RefusedError(f"dimensions: expected a whole number from 1 to {_MOST_DIMENSIONS}")
    encoding = str(request.get("encoding_format", "float"))
    data = [
        {"object": "embedding", "index": index, "embedding": vector}
        for index, vector in enumerate(shape.embedding(t, dimensions, encoding) for t in texts)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": request["model"], "usage": usage}


def _head(row: Row) -> dict[str, Any]:
    return {"id": row.id, "created": int(time.time()), "model": row.model}


def _events(request: dict[str, Any], row: Row, fault: Fault) -> list[shape.Event]:
    options = request.get("stream_options")
    wants_usage = isinstance(options, dict) and options.get("include_usage") is True
    made: tuple[Answer, ...] = answers(request)
    return list(shape.events(_head(row), made, row.prompt_tokens, fault, include_usage=wants_usage))


def _scripted_error(fault: Fault) -> web.Response:
    code = "rate_limit_exceeded" if fault.status == 429 else None
    response = _error(fault.status or 500, "a scripted failure", "simulated_error", code)
    if fault.retry_after is not None:
        response.headers["Retry-After"] = f"{fault.retry_after:g}"
    return response


def _error(status: int, message: str, kind: str, code: str | None) -> web.Response:
    body = shape.error_body(message, kind, code)
    return web.Response(status=status, body=body, content_type="application/json")


def _json(value: Any) -> web.Response:
    return web.Response(body=orjson.dumps(value), content_type="application/json")
