"""Providers that make embeddings beside answers: OpenAI's, compatible servers', Azure's.

They ask once, for the items they are given and no others. What else holds of them as
providers of chats (the head, the key, what a bad reply means) is theirs here too; a reply
that doesn't hold one vector for each item is no answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import quote

from sidecar.domain import ChatRequest, Timeouts
from sidecar.providers.anthropic import AnthropicProvider
from sidecar.providers.azure import AzureProvider
from sidecar.providers.credentials import ApiKey, Credentials
from sidecar.providers.openai import OpenAIProvider
from sidecar.providers.responses import RaiseFor
from sidecar.providers.transport import HttpRequest, Route, Transport
from sidecar.wire.embeddings import (
    Embedded,
    EmbeddingRequest,
    Item,
    build_embedding_request,
    parse_embedding_reply,
)


class EmbeddingsApi:
    """The embeddings of one server, beside its other endpoints."""

    def __init__(
        self, route: Route, credentials: Credentials, transport: Transport, raise_for: RaiseFor
    ) -> None:
        self._route = route
        self._credentials = credentials
        self._transport = transport
        self._raise_for = raise_for

    async def embed(
        self,
        request: EmbeddingRequest,
        model: str,
        items: Sequence[Item],
        timeouts: Timeouts,
        *,
        client_key: str,
    ) -> Embedded:
        """The vectors of `items`, in their order; the request's own items are not looked at."""
        head, key = self._credentials.head(client_key)
        asked = HttpRequest(self._route, head, build_embedding_request(request, model, items))
        async with self._transport.send(asked, timeouts) as response:
            await self._raise_for(response, key)
            return parse_embedding_reply(await response.read(), len(items))


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
        route = transport.route(f"{base_url.rstrip('/')}/embeddings")
        self._embeddings = EmbeddingsApi(route, self._credentials, transport, self._raise_for)

    async def embed(
        self,
        request: EmbeddingRequest,
        model: str,
        items: Sequence[Item],
        timeouts: Timeouts,
        *,
        client_key: str = "",
    ) -> Embedded:
        """The vectors of `items`."""
        return await self._embeddings.embed(request, model, items, timeouts, client_key=client_key)


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
        """The vectors of `items`."""
        raise_for = self._deployment(model)._raise_for  # it judges replies as for chats
        route = self._embeddings_route(model)
        asked = EmbeddingsApi(route, self._credentials, self._transport, raise_for)
        return await asked.embed(request, model, items, timeouts, client_key=client_key)

    def _embeddings_route(self, model: str) -> Route:
        deployment = quote(model, safe="")
        route = self._transport.route(
            f"{self._base_url}/openai/deployments/{deployment}/embeddings"
        )
        return replace(route, url=route.url.with_query({"api-version": self._api_version}))
