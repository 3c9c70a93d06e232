"""Proxies and certificates come from the environment, as every tool of it expects."""

from __future__ import annotations

import asyncio
import ssl
from base64 import b64encode
from pathlib import Path

import pytest

from sidecar.errors import ConfigError, UpstreamError
from sidecar.providers.environment import is_bypassed, proxy_for
from sidecar.providers.transport import NEVER_SENT, Transport

from .asking import COMPLETION, KEY, PATIENT, asks, provider
from .faults import FaultServer, Reader, Writer, closes, replies, whole
from .proxy import Proxy

CERTIFICATES = Path(__file__).parent / "certificates"
AUTHORITY = CERTIFICATES / "authority.pem"
ANSWERS = replies(whole(COMPLETION))
ELSEWHERE = "api.example.test"


def server_tls() -> ssl.SSLContext:
    """The server's side of TLS, with a certificate of an authority that nobody trusts."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATES / "server.pem")
    return context


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trust the tests' authority."""
    monkeypatch.setenv("SSL_CERT_FILE", str(AUTHORITY))


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
async def test_a_proxy_is_used(name: str) -> None:
    """The proxy resolves the name; the provider gets the request, and the proxy's login not."""
    async with FaultServer(ANSWERS) as server, Proxy(server.port) as proxy:
        login = proxy.url.replace("://", "://user:pw-canary@")
        transport = Transport(environ={name: login})
        answer = await provider(f"http://{ELSEWHERE}", transport).complete(asks(), "m", PATIENT)
        await transport.close()
        seen = proxy.requests[0]
        assert seen.startswith(f"POST http://{ELSEWHERE}/v1/chat/completions".encode())
        assert b"Proxy-Authorization: Basic " + b64encode(b"user:pw-canary") in seen
        assert answer.choices[0].text == "Hello"


@pytest.mark.usefixtures("trusted")
async def test_tls_goes_through_a_tunnel() -> None:
    """A proxy of HTTPS sees a name and a port, and nothing of the request."""
    async with FaultServer(ANSWERS, server_tls()) as server, Proxy(server.port) as proxy:
        transport = Transport(environ={"HTTPS_PROXY": proxy.url})
        answer = await provider(f"https://{ELSEWHERE}", transport).complete(asks(), "m", PATIENT)
        await transport.close()
        assert answer.choices[0].text == "Hello"
        assert proxy.requests[0].startswith(f"CONNECT {ELSEWHERE}:443".encode())
        assert KEY.encode() not in b"".join(proxy.requests)


@pytest.mark.parametrize("use_environment", [True, False])
async def test_a_proxy_is_passed_by(use_environment: bool) -> None:
    """By NO_PROXY, and always where the transport is not to look at the environment."""
    async with FaultServer(ANSWERS) as server, FaultServer(closes()) as proxy:
        environ = {"HTTP_PROXY": proxy.url} | ({"NO_PROXY": "127.0.0.1"} if use_environment else {})
        transport = Transport(use_environment=use_environment, environ=environ)
        await provider(server.url, transport).complete(asks(), "m", PATIENT)
        await transport.close()
        assert proxy.connections == 0


async def test_a_proxy_that_refuses_is_proxy() -> None:
    """A refused tunnel proves that nothing was sent; the proxy's password stays unsaid."""
    async with FaultServer(closes(whole(b"", status="403 No"))) as proxy:
        login = proxy.url.replace("://", "://user:pw-canary@")
        transport = Transport(environ={"HTTPS_PROXY": login})
        with pytest.raises(UpstreamError) as raised:
            await provider(f"https://{ELSEWHERE}", transport).complete(asks(), "m", PATIENT)
        await transport.close()
    assert raised.value.reason == "proxy"
    assert raised.value.reason in NEVER_SENT
    assert "pw-canary" not in str(raised.value)


async def test_a_dead_proxy_is_proxy() -> None:
    """It is not the provider that refused."""
    async with FaultServer(closes()) as gone:
        environ = {"HTTP_PROXY": gone.url}
    transport = Transport(environ=environ)
    with pytest.raises(UpstreamError) as raised:
        await provider(f"http://{ELSEWHERE}", transport).complete(asks(), "m", PATIENT)
    await transport.close()
    assert raised.value.reason == "proxy"


@pytest.mark.parametrize("url", ["socks5://host:1080", "http://", "ftp://host"])
def test_a_proxy_that_cannot_be_spoken_to_is_refused(url: str) -> None:
    """Going round a proxy that was asked for would be a leak, so it is an error at start."""
    with pytest.raises(ConfigError):
        proxy_for("https", "host", 443, {"HTTPS_PROXY": url})


@pytest.mark.parametrize(
    ("environ", "proxy"),
    [
        ({}, None),
        ({"HTTPS_PROXY": "http://big", "https_proxy": "http://small"}, "http://small"),
        ({"HTTPS_PROXY": "http://big", "https_proxy": ""}, None),
        ({"HTTP_PROXY": "http://other-scheme"}, None),
        ({"HTTPS_PROXY": "host:3128"}, "http://host:3128"),
        ({"HTTPS_PROXY": "http://a", "ALL_PROXY": "http://b"}, "http://a"),
        ({"HTTPS_PROXY": "http://a", "no_proxy": "example.test"}, None),
    ],
)
def test_which_proxy(environ: dict[str, str], proxy: str | None) -> None:
    """The small spelling is read first, and an empty one switches the proxy off."""
    assert proxy_for("https", ELSEWHERE, 443, environ) == proxy


def test_a_header_is_no_proxy() -> None:
    """Under CGI, HTTP_PROXY is what a client wrote into its `Proxy` header."""
    environ = {"HTTP_PROXY": "http://evil", "REQUEST_METHOD": "GET"}
    assert proxy_for("http", ELSEWHERE, 80, environ) is None


@pytest.mark.parametrize(
    ("host", "no_proxy", "bypassed"),
    [
        ("api.example.test", "", False),
        ("api.example.test", "*", True),
        ("api.example.test", "other, example.test", True),
        ("api.example.test", ".example.test", True),
        ("api.example.test", "*.example.test", True),
        ("API.Example.test", "example.TEST", True),
        ("notexample.test", "example.test", False),
        ("api.example.test", "example.test:443", True),
        ("api.example.test", "example.test:8443", False),
        ("10.1.2.3", "10.0.0.0/8", True),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("::1", "[::1]", True),
        ("::1", "::1", True),
        ("fd00::7", "fd00::/8", True),
    ],
)
def test_whom_no_proxy_exempts(host: str, no_proxy: str, bypassed: bool) -> None:
    """Names, suffixes, ports, addresses and blocks, as curl and Go read them."""
    assert is_bypassed(host, 443, no_proxy) is bypassed


@pytest.mark.usefixtures("trusted")
async def test_a_private_authority_is_trusted() -> None:
    """SSL_CERT_FILE names whom to trust."""
    async with FaultServer(ANSWERS, server_tls()) as server:
        transport = Transport(environ={"SSL_CERT_FILE": str(AUTHORITY)})
        answer = await provider(server.url, transport).complete(asks(), "m", PATIENT)
        await transport.close()
    assert answer.choices[0].text == "Hello"


async def test_an_unknown_authority_is_tls(transport: Transport) -> None:
    """Without it the handshake fails, and the request with the key was never sent."""
    async with FaultServer(ANSWERS, server_tls()) as server:
        with pytest.raises(UpstreamError) as raised:
            await provider(server.url, transport).complete(asks(), "m", PATIENT)
        assert server.requests == []
    assert raised.value.reason == "tls"


async def test_a_server_without_tls_is_tls(transport: Transport) -> None:
    """An https address of a plain server, which complains in plain HTTP."""

    async def complain(_: Reader, writer: Writer) -> None:
        writer.write(whole(b"", status="400 Bad Request"))
        writer.close()

    async with await asyncio.start_server(complain, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(UpstreamError) as raised:
            await provider(f"https://127.0.0.1:{port}", transport).complete(asks(), "m", PATIENT)
    assert raised.value.reason == "tls"


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_missing_certificates_are_named(name: str) -> None:
    """OpenSSL would pass over them in silence."""
    with pytest.raises(ConfigError, match=name):
        Transport(environ={name: "/nowhere/at.all"}).route("https://host/v1")
