"""The simulated provider's HTTP face: every vendor's endpoints, `/script` and `/ledger`.

OpenAI's, Anthropic's and Azure's requests are all taken on one port, each at its
vendor's path. It refuses nothing for its key, and is never reached through the
sidecar's own client. What happens to a request is in `answering`, how it is worded in
`dialects`.
"""

from __future__ import annotations

from typing import Any

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler

from sidecar.providers.simulated import shape
from sidecar.providers.simulated.answering import JSON, Answering
from sidecar.providers.simulated.dialects import (
    AzureDialect,
    ChatDialect,
    CountingDialect,
    Dialect,
    EmbeddingDialect,
    MessagesDialect,
    Posted,
)
from sidecar.providers.simulated.engine import count_prompt_tokens, count_tokens
from sidecar.providers.simulated.ledger import Ledger, Row
from sidecar.providers.simulated.reading import RefusedError, read_json
from sidecar.providers.simulated.responses_dialect import ResponsesDialect
from sidecar.providers.simulated.script import Fault, Script, ScriptError

MODELS = ("gpt-4o", "gpt-4o-mini", "claude-sonnet-4-5", "text-embedding-3-small")
"""Those that `/v1/models` lists; any other is answered as well."""

_MOST_BODY_BYTES = 64 * 1024 * 1024
_CHAT, _AZURE, _EMBEDDING = ChatDialect(), AzureDialect(), EmbeddingDialect()
_MESSAGES, _COUNTING = MessagesDialect(), CountingDialect()


class SimulatedServer:
    """A provider on a port of its own; at latency 0 and pace 0 it answers at once."""

    def __init__(self, *, latency_ms: float = 300, tokens_per_s: float = 80) -> None:
        self.ledger = Ledger()
        self.script = Script()
        self._answering = Answering(
            self.ledger,
            self.script,
            latency_s=latency_ms / 1000,
            token_s=1 / tokens_per_s if tokens_per_s > 0 else 0.0,
        )
        self._runner: web.AppRunner | None = None
        self._url = ""

    @property
    def url(self) -> str:
        """`http://host:port`, where `/ledger` and `/script` are; known after `start`.

        It is what an Anthropic client wants, and Azure's endpoint.
        """
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
        written = f"[{bound_host}]" if ":" in bound_host else bound_host
        self._url = f"http://{written}:{bound_port}"

    async def close(self) -> None:
        """Stop listening and drop what is open."""
        if self._runner is not None:
            await self._runner.cleanup()

    def _application(self) -> web.Application:
        application = web.Application(client_max_size=_MOST_BODY_BYTES, middlewares=[_refusals])
        post = application.router.add_post
        for path, dialect in (
            ("/v1/chat/completions", _CHAT),
            ("/v1/responses", ResponsesDialect()),
            ("/v1/messages", _MESSAGES),
            ("/openai/deployments/{deployment}/chat/completions", _AZURE),
        ):
            post(path, self._chat_in(dialect))
        post("/v1/messages/count_tokens", self._count)
        post("/v1/embeddings", self._embeddings)
        post("/openai/deployments/{deployment}/embeddings", self._embeddings)
        post("/script", self._set_script)
        application.router.add_get("/v1/models", _models)
        application.router.add_get("/ledger", self._ledger)
        application.router.add_delete("/ledger", self._clear_ledger)
        application.router.add_delete("/script", self._clear_script)
        return application

    def _chat_in(self, dialect: Dialect) -> Handler:
        async def chat(http: web.Request) -> web.StreamResponse:
            asked = dialect.read(await _posted(http))
            return await self._answering.chat(http, dialect, asked)

        return chat

    async def _count(self, http: web.Request) -> web.StreamResponse:
        asked = _COUNTING.read(await _posted(http))
        body = orjson.dumps({"input_tokens": count_prompt_tokens(asked.request)})
        # To count costs nothing, so nothing is billed.
        return await self._answering.plain(http, _COUNTING, asked, lambda *_: body)

    async def _embeddings(self, http: web.Request) -> web.StreamResponse:
        asked = _EMBEDDING.read(await _posted(http))
        tokens = max(1, sum(count_tokens(text) for text in asked.messages))

        def build(_: Row, fault: Fault) -> bytes:
            body = shape.embedding_list(asked.request, asked.messages, tokens, fault)
            return orjson.dumps(body)

        return await self._answering.plain(http, _EMBEDDING, asked, build, tokens)

    async def _ledger(self, _: web.Request) -> web.Response:
        return web.Response(body=self.ledger.report(), content_type=JSON)

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
        return _refusal(request, error)
    except orjson.JSONEncodeError:
        # What can be read may be nested too deeply to be written into the ledger.
        return _refusal(request, RefusedError("the body is nested too deeply"))
    except web.HTTPException as error:
        message = f"{request.method} {request.path}: {error.reason}"
        return _refusal(request, RefusedError(message, error.status))


def _refusal(request: web.Request, error: RefusedError) -> web.Response:
    if request.path.startswith("/v1/messages"):
        body = _MESSAGES.refusal(error.status, str(error))
    else:
        body = _CHAT.refusal(error.status, str(error), error.code, error.param)
    return web.Response(status=error.status, body=body, content_type=JSON)


async def _posted(http: web.Request) -> Posted:
    deployment = http.match_info.get("deployment", "")
    return Posted(await http.read(), http.headers, http.query, deployment)


async def _models(_: web.Request) -> web.Response:
    models = [
        {"id": name, "object": "model", "created": 0, "owned_by": "simulated"} for name in MODELS
    ]
    return _json({"object": "list", "data": models})


def _json(value: Any) -> web.Response:
    return web.Response(body=orjson.dumps(value), content_type=JSON)
