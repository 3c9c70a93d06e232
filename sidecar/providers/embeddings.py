"""Providers that make embeddings beside answers: OpenAI's, compatible servers', Azure's.

They ask once, for the items they are given and no others. As with chat, the head is built
from nothing, our key is in no error, and a reply that doesn't hold one vector for each
item is no answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import quote

from sidecar.domain import ChatRequest, Timeouts
from sidecar.providers.anthropic import AnthropicProvider
from sidecar.providers.azure import AzureProvider
from sidecar.providers.credentials import ApiKey, Credentials
from sidecar.providers.judge import MOST_ERROR_BYTES, Asked, judge_reply
from sidecar.providers.openai import OpenAIProvider
from sidecar.providers.transport import HttpRequest, Route, Transport
from sidecar.wire.embeddings import (
    Embedded,
    EmbeddingRequest,
    Item,
    build_embedding_request,
    parse_embedding_reply,
)


class OpenAIEmbeddings(OpenAIProvider):
    """An `OpenAIProvider` that is asked for embeddings too, at the same server."""

    def __init__(
        self,
        name: str,
        base_url: str,
        api_key: ApiKey,
        transport: Transport,
        *,
        from_client: bool = False,
    ) -> None:
        super().__init__(name, base_url, api_key, transport, from_client=from_client)
        self._embeddings_route = transport.route(f"{base_url.rstrip('/')}/embeddings")

    async def embed(
        self,
        request: EmbeddingRequest,
        model: str,
        items: Sequence[Item],
        timeouts: Timeouts,
        *,
        client_key: str = "",
    ) -> Embedded:
        """The vectors of `items`, in their order; the request's own items are not looked at."""
        errand = _Errand(self.name, self._embeddings_route, self._credentials, self._transport)
        body = build_embedding_request(request, model, items)
        return parse_embedding_reply(await errand.run(body, timeouts, client_key), len(items))


class SimulatedProvider(OpenAIEmbeddings):
    """The simulated provider, which counts tokens as well: by its own words, as it bills."""

    def __init__(self, name: str, url: str, transport: Transport) -> None:
        super().__init__(name, f"{url}/v1", None, transport)
        self._counter = AnthropicProvider(name, url, None, transport)

    async def count_tokens(
        self, request: ChatRequest, model: str, timeouts: Timeouts, *, client_key: str = ""
    ) -> int:
        """The input tokens of a request to `model`."""
        return await self._counter.count_tokens(request, model, timeouts)


class AzureEmbeddings(AzureProvider):
    """An `AzureProvider` that is asked for embeddings too; the model is a deployment."""

    async def embed(
        self,
        request: EmbeddingRequest,
        model: str,
        items: Sequence[Item],
        timeouts: Timeouts,
        *,
        client_key: str = "",
    ) -> Embedded:
        """The vectors of `items`, in their order; the request's own items are not looked at."""
        errand = _Errand(
            self.name, self._embeddings_route(model), self._credentials, self._transport
        )
        body = build_embedding_request(request, model, items)
        return parse_embedding_reply(await errand.run(body, timeouts, client_key), len(items))

    def _embeddings_route(self, model: str) -> Route:
        deployment = quote(model, safe="")
        route = self._transport.route(
            f"{self._base_url}/openai/deployments/{deployment}/embeddings"
        )
        return replace(route, url=route.url.with_query({"api-version": self._api_version}))


class _Errand:
    """One POST whose answer is a whole body."""

    def __init__(
        self, name: str, route: Route, credentials: Credentials, transport: Transport
    ) -> None:
        self._name = name
        self._route = route
        self._credentials = credentials
        self._transport = transport

    async def run(self, body: bytes, timeouts: Timeouts, client_key: str) -> bytes:
        """The body of the reply; any other than 200 is an `UpstreamError`."""
        head, key = self._credentials.head(client_key)
        async with self._transport.send(HttpRequest(self._route, head, body), timeouts) as response:
            if 200 <= response.status < 300:
                return await response.read()
            told = await response.read_at_most(MOST_ERROR_BYTES)
            asked = Asked(self._name, secret=key, clients_key=self._credentials.from_client)
            raise judge_reply(asked, response.status, response.headers, told)
