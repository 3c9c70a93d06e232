"""What a body must be before anyone reads it."""

import gzip

import pytest

from tests.web.doors import door

JSON = {"Content-Type": "application/json"}


@pytest.fixture
async def url(serve) -> str:
    """The door with its default list of hosts and no token."""
    return await serve(door())


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/json; charset=utf-8", "Application/JSON;charset=UTF-8"],
)
async def test_json_is_read(client, url, content_type):
    """With or without a charset."""
    async with client.post(url, data=b"{}", headers={"Content-Type": content_type}) as response:
        assert (response.status, await response.text()) == (200, "2")


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain; application/json",
        "application/json-patch+json",
        "application/jsonx",
        "json",
        "",
    ],
)
async def test_what_a_form_can_send_is_refused(client, url, content_type):
    """A simple POST of a foreign page never carries JSON's type."""
    async with client.post(url, data=b"{}", headers={"Content-Type": content_type}) as response:
        assert response.status == 415


async def test_a_missing_content_type_is_refused(url, raw):
    """Undeclared is not JSON."""
    sent = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
    assert b" 415 " in await raw(url, sent)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, identity", "x"])
async def test_a_compressed_body_is_refused_unread(client, url, encoding):
    """No bomb is ever unpacked."""
    bomb = gzip.compress(b"0" * 10_000_000)[:900]
    headers = {**JSON, "Content-Encoding": encoding}
    async with client.post(url, data=bomb, headers=headers) as response:
        assert response.status == 415


@pytest.mark.parametrize("encoding", ["identity", "Identity"])
async def test_identity_is_no_compression(client, url, encoding):
    """It says that there is none."""
    headers = {**JSON, "Content-Encoding": encoding}
    async with client.post(url, data=b"{}", headers=headers) as response:
        assert response.status == 200


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(("size", "expected"), [(1000, 200), (1001, 413), (100_000, 413)])
async def test_a_body_over_the_limit_is_refused(client, url, chunked, size, expected):
    """Whether its length was told or not."""

    async def pieces():
        for start in range(0, size, 500):
            yield b"x" * min(500, size - start)

    data = pieces() if chunked else b"x" * size
    async with client.post(url, data=data, headers=JSON) as response:
        assert response.status == expected


@pytest.mark.parametrize(
    "body", [b"ZZ\r\n{}\r\n0\r\n\r\n", b"2\r\n{}X\r\n0\r\n\r\n", b"-1\r\n\r\n"]
)
async def test_broken_chunks_are_the_clients_fault(url, raw, body):
    """No 5xx for what isn't HTTP."""
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    answer = await raw(url, head + b"Transfer-Encoding: chunked\r\n\r\n" + body)
    assert b" 400 " in answer.partition(b"\r\n")[0]
