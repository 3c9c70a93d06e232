"""OpenAI's models in Azure: the same words, at an address for each deployment.

A target's `model` is the name of a deployment. The key goes into a header of its own, and
the version of the API into the query. All else is `OpenAIProvider`'s, its promises too.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace
from urllib.parse import quote

from sidecar.domain import ChatRequest, Chunk, Completion, Timeouts
from sidecar.providers.credentials import ApiKey, Credentials
from sidecar.providers.openai import OpenAIProvider, build_headers
from sidecar.providers.transport import Transport


class AzureProvider:
    """One configured resource. `api_key` None sends no key at all.

    With `from_client` it is asked with the caller's own key and never with one of ours.
    """

    def __init__(  # noqa: PLR0913 - what it stands on, each by name
        self,
        name: str,
        base_url: str,
        api_key: ApiKey,
        transport: Transport,
        *,
        api_version: str,
        from_client: bool = False,
    ) -> None:
        self.name = name
        self._place = transport.route(base_url).place  # checked now, not at the first call
        self._base_url = base_url.rstrip("/")
        self._api_version = api_version
        self._credentials = Credentials(name, api_key, azure_headers, from_client=from_client)
        self._transport = transport
        # As many as config names: no caller can choose another one.
        self._deployments: dict[str, _Deployment] = {}

    def __repr__(self) -> str:
        return f"AzureProvider({self.name!r}, {self._place})"

    async def complete(
        self,
        request: ChatRequest,
        model: str,
        timeouts: Timeouts,
        *,
        client_key: str = "",
    ) -> Completion:
        """Ask the deployment `model` for a whole answer."""
        deployment = self._deployment(model)
        return await deployment.complete(request, model, timeouts, client_key=client_key)

    def stream(
        self,
        request: ChatRequest,
        model: str,
        timeouts: Timeouts,
        *,
        client_key: str = "",
    ) -> AsyncGenerator[Chunk, None]:
        """Ask the deployment `model` for a stream; its end is the end of the answer."""
        deployment = self._deployment(model)
        return deployment.stream(request, model, timeouts, client_key=client_key)

    def _deployment(self, model: str) -> _Deployment:
        known = self._deployments.get(model)
        if known is None:
            base_url = f"{self._base_url}/openai/deployments/{quote(model, safe='')}"
            known = _Deployment(
                self.name, base_url, self._api_version, self._credentials, self._transport
            )
            self._deployments[model] = known
        return known


class _Deployment(OpenAIProvider):
    """One deployment: OpenAI's words at an address with a query, under Azure's head."""

    def __init__(
        self,
        name: str,
        base_url: str,
        api_version: str,
        credentials: Credentials,
        transport: Transport,
    ) -> None:
        super().__init__(name, base_url, None, transport)
        url = self._route.url.with_query({"api-version": api_version})
        self._route = replace(self._route, url=url)
        self._credentials = credentials

    def _responses_at(self, url: str) -> None:
        """Azure has them at another address, of another version of its API."""


def azure_headers(api_key: str | None) -> dict[str, str]:
    """All headers that Azure is sent, but those of HTTP itself; `ConfigError` for a bad key."""
    headers = build_headers(api_key)
    headers.pop("Authorization", None)
    return headers | ({"api-key": api_key} if api_key else {})
