"""Our key shows nowhere but in the request it is for."""

from __future__ import annotations

import traceback

import pytest

from sidecar.errors import ConfigError, UpstreamError
from sidecar.providers.openai import build_headers, build_request
from sidecar.providers.transport import Transport

from .asking import HURRIED, KEY, asks, provider
from .faults import Behaviour, FaultServer, closes, resets, stalls


@pytest.mark.parametrize("behaviour", [resets(), closes(), closes(b"nonsense\r\n\r\n"), stalls()])
async def test_no_failure_shows_the_key(behaviour: Behaviour, transport: Transport) -> None:
    """Neither an error's text, nor its traceback, nor a repr has our key in it."""
    async with FaultServer(behaviour) as server:
        with pytest.raises(UpstreamError) as raised:
            await provider(server.url, transport).complete(asks(), "m", HURRIED)
    error = raised.value
    shown = "".join(traceback.format_exception(error)) + repr(error) + str(vars(error))
    assert KEY not in shown


def test_a_key_that_no_header_can_carry_is_refused() -> None:
    """A line break, as a key file has it, would begin another header."""
    with pytest.raises(ConfigError) as raised:
        build_headers(f"{KEY}\r\nX-Injected: yes")
    assert KEY not in str(raised.value)


def test_a_provider_does_not_show_its_key(transport: Transport) -> None:
    """Its repr names it and its place."""
    assert repr(provider("http://a:1", transport)) == "OpenAIProvider('canary', a:1)"


def test_a_request_shows_neither_key_nor_prompt(transport: Transport) -> None:
    """Its repr names where it goes."""
    route = transport.route("http://a:1/v1")
    shown = repr(build_request(route, build_headers(KEY), asks("a secret plan"), "m"))
    assert KEY not in shown
    assert "secret plan" not in shown
    assert "a:1" in shown


def test_a_route_does_not_show_the_proxys_login() -> None:
    """A proxy's URL may hold a password."""
    transport = Transport(environ={"HTTP_PROXY": "http://user:pw-canary@proxy:3128"})
    assert "pw-canary" not in repr(transport.route("http://a:1/v1"))
