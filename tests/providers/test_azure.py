"""Azure: a deployment's address, a header of its own, a version; the rest as OpenAI."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from sidecar.domain import Completion
from sidecar.errors import ConfigError, InvalidApiKeyError, UpstreamError, UpstreamRefusedError
from sidecar.providers.azure import AzureProvider
from sidecar.providers.simulated import SimulatedServer
from sidecar.providers.transport import Transport

from .asking import COMPLETION, EVENT, KEY, PATIENT, asks

VERSION = "2024-10-21"


class Azure:
    """A resource that notes how it was asked."""

    def __init__(self) -> None:
        self.asked: list[web.BaseRequest] = []
        self.status = 200
        self.error = b"{}"

    async def answer(self, request: web.Request) -> web.Response:
        """What a deployment says."""
        self.asked.append(request)
        if self.status != 200:
            return web.Response(status=self.status, body=self.error)
        if (await request.json()).get("stream"):
            body = b"data: " + EVENT + b"\n\ndata: [DONE]\n\n"
            return web.Response(body=body, content_type="text/event-stream")
        return web.Response(body=COMPLETION, content_type="application/json")


@pytest.fixture
def azure() -> Azure:
    """A resource that answers."""
    return Azure()


@pytest.fixture
async def url(azure: Azure) -> AsyncIterator[str]:
    """Where it is."""
    app = web.Application()
    app.router.add_post("/{path:.*}", azure.answer)
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/")


def provider(
    url: str, transport: Transport, key: str | Callable[[], str] | None = KEY, **options: bool
) -> AzureProvider:
    """A provider at this resource."""
    return AzureProvider("canary", url, key, transport, api_version=VERSION, **options)


async def ask(asked: AzureProvider, model: str = "my-gpt", client_key: str = "") -> Completion:
    """A whole answer."""
    return await asked.complete(asks(), model, PATIENT, client_key=client_key)


async def test_a_deployment_is_asked_at_its_address_with_the_version(azure, url, transport):
    """And with the key in Azure's header, nowhere else."""
    completion = await ask(provider(f"{url}/", transport))
    (asked,) = azure.asked
    assert asked.path_qs == f"/openai/deployments/my-gpt/chat/completions?api-version={VERSION}"
    assert asked.headers["api-key"] == KEY
    assert "Authorization" not in asked.headers
    assert completion.choices[0].text == "Hello"


async def test_each_deployment_has_its_own_address(azure, url, transport):
    """A name can't break out of it."""
    asked = provider(url, transport)
    for model in ("one", "two", "a/../b?c"):
        await ask(asked, model)
    named = [request.raw_path.split("/")[3] for request in azure.asked]
    assert named == ["one", "two", "a%2F..%2Fb%3Fc"]


async def test_a_stream_comes_in_pieces(azure, url, transport):
    """Until its terminal event."""
    stream = provider(url, transport).stream(asks(stream=True), "my-gpt", PATIENT)
    assert [chunk.deltas[0].text async for chunk in stream] == ["Hello"]


async def test_a_key_that_changes_is_sent_as_it_is_now(azure, url, transport):
    """As of a file."""
    keys = iter(["first", "second"])
    asked = provider(url, transport, lambda: next(keys))
    azure.asked.clear()
    await ask(asked)
    await ask(asked)
    assert [request.headers["api-key"] for request in azure.asked] == ["first", "second"]


async def test_the_callers_own_key_is_sent_where_config_says_so(azure, url, transport):
    """And without one nobody is asked."""
    asked = provider(url, transport, None, from_client=True)
    await ask(asked, client_key="theirs")
    assert azure.asked[0].headers["api-key"] == "theirs"
    with pytest.raises(InvalidApiKeyError):
        await ask(asked)
    assert len(azure.asked) == 1


async def test_a_filtered_prompt_is_the_callers_and_names_the_reason(azure, url, transport):
    """Azure's own words for it."""
    azure.status = 400
    azure.error = b'{"error": {"code": "content_filter", "message": "filtered"}}'
    with pytest.raises(UpstreamRefusedError) as refused:
        await ask(provider(url, transport))
    assert (refused.value.reason, refused.value.body) == ("content_filter", azure.error)


async def test_no_error_shows_the_key(azure, url, transport):
    """Neither the one told to the caller nor the provider's repr."""
    azure.status, azure.error = 401, f'{{"error": {{"message": "bad {KEY}"}}}}'.encode()
    asked = provider(url, transport)
    with pytest.raises(UpstreamError) as refused:
        await ask(asked)
    assert refused.value.reason == "auth"
    assert KEY not in f"{refused.value!r} {refused.value.message} {asked!r}"


@pytest.mark.parametrize("base_url", ["ftp://host", "https://u:p@host", "https://host?a=b"])
def test_a_bad_address_is_told_at_birth(base_url: str, transport: Transport):
    """Not at the first call."""
    with pytest.raises(ConfigError):
        provider(base_url, transport)


async def test_the_simulated_provider_is_asked_in_azures_words(
    simulated: SimulatedServer, transport: Transport
):
    """The shipped stand-in speaks them too; its ledger has the deployment."""
    asked = provider(simulated.base_url.removesuffix("/v1"), transport)
    completion = await ask(asked, "my-gpt")
    assert completion.choices[0].text
