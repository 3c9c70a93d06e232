"""Requests that are wrong before their body: from a web page, at a wrong door, or no HTTP."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .refusals import assert_refused, exchange, head, status_of
from .running import Provider, Sidecar, asking, send

CHAT = "/v1/chat/completions"
BODY = json.dumps(asking("Is this good?")).encode()
JSON = b"Content-Type: application/json"
SIZED = (JSON, b"Content-Length: %d" % len(BODY))

FOREIGN_HOSTS = [
    "evil.example",
    "127.0.0.1.evil.example",
    "localhost.evil.example:8080",
    "evil.example:80",
    "localhost@evil.example",
    "127.0.0.2",
    "[::2]",
    "[::1",
    "*",
    "",
]
FOREIGN_ORIGINS = [
    "null",
    "https://evil.example",
    "http://localhost",
    "http://127.0.0.1:1",
    "file://",
    "chrome-extension://abc",
    "http://[",
    "",
]


def planes(sidecar: Sidecar) -> list[str]:
    """A path of each that needs nothing else."""
    return [f"{sidecar.url}/models", f"{sidecar.admin_url}/api/status"]


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
def test_a_foreign_host_is_refused_on_both_planes(running: Sidecar, host: str) -> None:
    """However it is dressed: names can be made to point here."""
    for url in planes(running):
        assert_refused(send("GET", url, None, {"Host": host}), 403, "forbidden")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:8080"])
def test_our_own_hosts_are_answered(running: Sidecar, host: str) -> None:
    """On any port, for it may be forwarded."""
    for url in planes(running):
        assert send("GET", url, None, {"Host": host}).status == 200


@pytest.mark.parametrize("origin", FOREIGN_ORIGINS)
def test_a_foreign_origin_is_refused_on_both_planes(running: Sidecar, origin: str) -> None:
    """`null` too, which is what a sandboxed frame sends."""
    for url in planes(running):
        assert_refused(send("GET", url, None, {"Origin": origin}), 403, "forbidden")


def test_a_page_of_the_same_origin_is_answered(running: Sidecar) -> None:
    """The dashboard is one."""
    for url in planes(running):
        own = url.split("/", 3)[2]
        assert send("GET", url, None, {"Origin": f"http://{own}"}).status == 200


def test_nothing_a_web_page_sends_reaches_a_provider(running: Sidecar, provider: Provider) -> None:
    """A post from another origin, and the preflight before it, with no CORS header in return."""
    hostile = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    for method in ("POST", "OPTIONS"):
        reply = send(method, f"{running.url}/chat/completions", BODY, hostile)
        assert_refused(reply, 403, "forbidden")
        assert not [name for name in reply.headers if name.startswith("access-control")]
    assert provider.calls == 0


@pytest.mark.parametrize(
    "path",
    [
        "/v1/completions",
        "/v1/moderations",
        "/v1/files",
        "/v1/chat",
        "/v1/chat/completions/",
        "/v1/chat/completions/x",
        "/v1//chat/completions",
        "/v1/%63hat/completions/..",
        "/v1/../api/status",
        "/V1/models",
        "/v1",
        "/",
        "/metrics",
        "/api/purge",
        "/%00",
        "/%ff",
        "//evil.example/v1/models",
    ],
)
def test_an_unknown_path_is_404_and_never_passed_on(
    running: Sidecar, provider: Provider, path: str
) -> None:
    """In OpenAI's shape; what is not listed here is not served, nor is the admin plane."""
    own = running.url.removesuffix("/v1")
    for method in ("GET", "POST"):
        said = exchange(own, head(method, path, JSON, b"Content-Length: 2") + b"{}")
        assert status_of(said) == 404, said
        assert json.loads(said.partition(b"\r\n\r\n")[2])["error"]["code"] == "not_found"
    assert provider.calls == 0


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_a_wrong_method_is_405_and_says_which_is_right(running: Sidecar, method: str) -> None:
    """With `Allow`."""
    reply = send(method, f"{running.url}/chat/completions")
    assert_refused(reply, 405, "method_not_allowed")
    assert reply.headers["allow"] == "POST"


def test_a_wrong_method_of_the_admin_plane_is_405(running: Sidecar) -> None:
    """A link can't purge."""
    assert_refused(running.admin("GET", "/api/purge"), 405, "method_not_allowed")
    assert_refused(running.admin("POST", "/api/mode", {}), 405, "method_not_allowed")


BAD_VALUES = [
    ("x-sidecar-cache-scope", ["", "everyone", "tenant,user", "\u00fc"]),
    ("x-sidecar-cache-ttl", ["", "-1", "1e3", "0x10", "soon", "1,5", "9" * 400, "nan", "inf"]),
    ("x-sidecar-cache-tags", ["a b", "x" * 65, ",".join(f"t{n}" for n in range(17)), "\u00fc"]),
    ("x-sidecar-max-wrong", ["", "-0.1", "1.01", "0,01", "1%", "nan", "inf", "1e-2"]),
    ("x-sidecar-timeout-ms", ["", "0", "-5", "1.5", "1s", "9" * 400, "\u0661"]),
    ("x-sidecar-user", ["u" * 129, "\u00fc"]),
    ("x-sidecar-tenant", ["t" * 129, "a\u0085b"]),
    ("x-sidecar-feature", ["f" * 129]),
    ("x-sidecar-department", ["d" * 129]),
    ("x-sidecar-session", ["s" * 129]),
]


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in BAD_VALUES for value in values]
)
def test_a_header_of_ours_that_makes_no_sense_is_refused_by_name(
    running: Sidecar, provider: Provider, name: str, value: str
) -> None:
    """Whoever asked for less must not be given more in silence."""
    own = running.url.removesuffix("/v1")
    try:
        line = f"{name}: {value}".encode("latin-1")  # so a lone byte that is no UTF-8
    except UnicodeEncodeError:
        line = f"{name}: {value}".encode()
    said = exchange(own, head("POST", CHAT, *SIZED, line) + BODY)
    assert status_of(said) == 400, said
    error = json.loads(said.partition(b"\r\n\r\n")[2])["error"]
    assert (error["code"], error["param"]) == ("invalid_request", name)
    assert name in error["message"]
    assert provider.calls == 0


NO_HTTP = {
    "a bare CR in a value": head("POST", CHAT, *SIZED, b"x-sidecar-user: a\rx-evil: 1") + BODY,
    "a bare LF in a value": head("POST", CHAT, *SIZED, b"x-sidecar-user: a\nx-evil: 1") + BODY,
    "NUL in a value": head("POST", CHAT, *SIZED, b"x-sidecar-user: a\x00b") + BODY,
    "an escape in a value": head("POST", CHAT, *SIZED, b"x-sidecar-tenant: \x1b[31m") + BODY,
    "a folded line": head("POST", CHAT, *SIZED, b"x-sidecar-user: a\r\n b") + BODY,
    "no colon": head("POST", CHAT, *SIZED, b"x-sidecar-user") + BODY,
    "no name": head("POST", CHAT, *SIZED, b": a") + BODY,
    "white space in a name": head("POST", CHAT, *SIZED, b"x-sidecar user: a") + BODY,
    "white space before the colon": head("POST", CHAT, *SIZED, b"x-sidecar-user : a") + BODY,
    "a line of 100 kB": head("POST", CHAT, *SIZED, b"x-big: " + b"a" * 100_000) + BODY,
    "100,000 headers": head("POST", CHAT, *SIZED, *[b"x-a: 1"] * 100_000) + BODY,
    "a target of 100 kB": head("GET", "/" + "a" * 100_000),
    "two lengths": head("POST", CHAT, *SIZED, b"Content-Length: 3") + BODY,
    "a length and chunks": head("POST", CHAT, *SIZED, b"Transfer-Encoding: chunked") + BODY,
    "a negative length": head("POST", CHAT, JSON, b"Content-Length: -1") + BODY,
    "a length in words": head("POST", CHAT, JSON, b"Content-Length: ten") + BODY,
    "a length beyond all bounds": head("POST", CHAT, JSON, b"Content-Length: " + b"9" * 400),
    "a chunk of no size": head("POST", CHAT, JSON, b"Transfer-Encoding: chunked") + b"zz\r\n",
    "an unknown coding": head("POST", CHAT, JSON, b"Transfer-Encoding: x-none") + BODY,
    "two hosts": head("GET", "/v1/models", b"Host: evil.example"),
    "no host": b"GET /v1/models HTTP/1.1\r\nConnection: close\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64) + b"\r\n\r\n",
    "another version": b"GET /v1/models HTTP/9.9\r\nHost: 127.0.0.1\r\n\r\n",
    "noise": bytes(range(256)) * 8 + b"\r\n\r\n",
}


@pytest.mark.parametrize("request_", NO_HTTP.values(), ids=NO_HTTP)
def test_what_is_no_proper_http_is_refused_and_smuggles_nothing(
    running: Sidecar, provider: Provider, request_: bytes
) -> None:
    """A 4xx and the end of the connection; nobody asked a provider, nobody set a header."""
    said = exchange(running.url.removesuffix("/v1"), request_)
    assert 400 <= status_of(said) < 500, said[:200]
    assert b"x-evil" not in said.partition(b"\r\n\r\n")[0].lower()
    assert provider.calls == 0


def test_no_line_of_the_log_repeats_what_was_no_http(running: Sidecar) -> None:
    """It may have been a prompt or a key."""
    line = b"x-sidecar-user: s3cret-of-the-caller\rx"
    exchange(running.url.removesuffix("/v1"), head("POST", CHAT, *SIZED, line) + BODY)
    assert running.ask("Still there?").status == 200
    assert "s3cret-of-the-caller" not in running.process.said


@pytest.mark.parametrize("line", [b"Expect: 100-continue", b"Upgrade: websocket", b"TE: trailers"])
def test_headers_that_ask_for_more_than_an_answer_change_nothing(
    running: Sidecar, line: bytes
) -> None:
    """The request is answered as it is."""
    said = exchange(running.url.removesuffix("/v1"), head("POST", CHAT, *SIZED, line) + BODY)
    assert b"HTTP/1.1 200 OK" in said


def test_a_caller_s_headers_never_reach_a_provider(running: Sidecar, provider: Provider) -> None:
    """None can name another upstream, and no answer repeats one."""
    hostile: dict[str, Any] = {
        "api-base": "http://169.254.169.254",
        "X-Forwarded-Host": "evil.example",
        "x-sidecar-provider": "evil",
        "Authorization": "Bearer of-the-caller",
    }
    reply = running.ask("Where does this go?", hostile, api_base="http://169.254.169.254/")
    assert reply.status == 200
    assert reply.headers["x-sidecar-provider"] == "p"
    assert provider.calls == 1
