"""Who is let in before anyone reads a request: by its host, its origin and its token."""

import pytest

from sidecar.web.checks import ANY_HOST, host_name, is_same_origin
from tests.web.doors import door

TOKEN = "s3cret-ü"  # noqa: S105  opens a door in this file alone


@pytest.fixture
async def url(serve) -> str:
    """The door with its default list of hosts and no token."""
    return await serve(door())


async def status(client, url: str, **headers: str) -> int:
    """The status that a GET with these headers gets."""
    async with client.get(url, headers=headers) as response:
        return response.status


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:8080", "LocalHost:8080", "127.0.0.1:1", "[::1]", "[::1]:8080"],
)
async def test_our_own_names_are_let_in(client, url, host):
    """With any port, in any case."""
    assert await status(client, url, Host=host) == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8080",
        "localhost.evil.example",
        "evil.example#localhost",
        "localhost@evil.example",
        "127.0.0.1.evil.example",
        "127.0.0.2",
        "localhost.",
        "::1",
        "[::2]:8080",
        "[::1",
        "[::ffff:127.0.0.1]",
    ],
)
async def test_other_names_are_refused(client, url, host):
    """A name that was rebound to loopback gets nothing."""
    assert await status(client, url, Host=host) == 403


async def test_a_missing_host_is_refused(url, raw):
    """HTTP/1.0 may leave it out."""
    assert b" 403 " in await raw(url, b"GET / HTTP/1.0\r\n\r\n")


async def test_two_hosts_are_refused(url, raw):
    """No reader may choose which of them it believes."""
    sent = b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    assert b" 400 " in await raw(url, sent)


async def test_a_long_host_is_not_echoed_whole(client, url):
    """An error is short, whatever was sent."""
    async with client.get(url, headers={"Host": "e" * 5000}) as response:
        assert (response.status, len(await response.read()) < 500) == (403, True)


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("localhost:8080", "http://localhost:8080"),
        ("LOCALHOST:8080", "http://localhost:8080"),
        ("[::1]:8080", "http://[::1]:8080"),
    ],
)
async def test_a_page_of_our_own_is_let_in(client, url, host, origin):
    """The dashboard calls where it came from."""
    assert await status(client, url, Host=host, Origin=origin) == 200


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "http://evil.example",
        "http://localhost:3000",
        "http://localhost",
        "http://localhost:8080@evil.example",
        "http://evil.example/localhost:8080",
        "localhost:8080",
        "file://",
        "chrome-extension://localhost",
        "http://[",
        "http://[::1",
        "http://]localhost:8080",
        "\udcff",
    ],
)
async def test_pages_of_other_origins_are_refused(client, url, origin):
    """With a 403, also where the header can't be read."""
    assert is_same_origin(origin, "localhost:8080") is False
    if origin.isascii():
        assert await status(client, url, Host="localhost:8080", Origin=origin) == 403


async def test_bytes_that_are_no_text_are_a_foreign_origin(url, raw):
    """And no error of ours."""
    sent = b"GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: \xff\xfe\r\nConnection: close\r\n\r\n"
    assert b" 403 " in await raw(url, sent)


def test_null_is_no_origin_of_a_nameless_host():
    """Where any Host is allowed, an absent one doesn't match a sandboxed page."""
    assert not is_same_origin("null", "")


async def test_any_host_is_let_in_where_config_says_so(serve, client):
    """Foreign origins still are not."""
    url = await serve(door({ANY_HOST}))
    assert await status(client, url, Host="pod-7.internal") == 200
    assert await status(client, url, Host="pod-7", Origin="http://evil.example") == 403


async def test_no_reply_carries_a_cors_header(client, url):
    """Neither a good one nor a refusal."""
    for headers in ({}, {"Origin": "http://evil.example"}):
        async with client.get(url, headers=headers) as response:
            assert not [name for name in response.headers if name.lower().startswith("access-")]


async def test_a_preflight_is_refused(client, url):
    """So that no page elsewhere can send JSON."""
    headers = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    async with client.options(url, headers=headers) as response:
        assert response.status == 403


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("localhost", "localhost"),
        ("A.B:80", "a.b"),
        ("[::1]:80", "[::1]"),
        ("[FE80::1]", "[fe80::1]"),
        ("", ""),
        (":80", ""),
        ("[::1", "[::1"),
    ],
)
def test_a_host_is_named_without_its_port(host, name):
    """In lower case; IPv6 keeps its brackets."""
    assert host_name(host) == name


@pytest.mark.parametrize("said", [f"Bearer {TOKEN}", f"bearer {TOKEN}", f"BEARER {TOKEN}"])
async def test_the_token_opens(serve, client, said):
    """The scheme's case doesn't matter."""
    assert await status(client, await serve(door(token=TOKEN)), Authorization=said) == 200


@pytest.mark.parametrize(
    "said",
    [
        "",
        "Bearer",
        "Bearer ",
        TOKEN,
        f"Basic {TOKEN}",
        f"Bearer {TOKEN.upper()}",
        f"Bearer  {TOKEN}",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer Bearer {TOKEN}",
    ],
)
async def test_nothing_else_does(serve, client, said):
    """Not even what comes near."""
    assert await status(client, await serve(door(token=TOKEN)), Authorization=said) == 401


async def test_without_a_token_header_the_door_is_shut(serve, client):
    """Absent is wrong."""
    assert await status(client, await serve(door(token=TOKEN))) == 401


async def test_bytes_that_are_no_text_are_a_wrong_token(serve, raw):
    """And no error of ours."""
    url = await serve(door(token=TOKEN))
    head = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    assert b" 401 " in await raw(url, head + b"Authorization: Bearer \xff\xfe\r\n\r\n")


async def test_a_refusal_does_not_tell_the_token(serve, client):
    """Neither the right one nor the one that was tried."""
    url = await serve(door(token=TOKEN))
    async with client.get(url, headers={"Authorization": "Bearer canary"}) as response:
        told = await response.text() + str(response.headers)
    assert "canary" not in told
    assert TOKEN not in told


async def test_where_no_token_is_set_none_is_asked_for(client, url):
    """Loopback is open by default, and a needless token does no harm."""
    assert await status(client, url, Authorization="Bearer x") == 200
