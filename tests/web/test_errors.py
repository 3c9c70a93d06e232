"""Every error of a plane in the contract's shape."""

import logging

import orjson
import pytest
from aiohttp import web

from sidecar.domain import Attempt
from sidecar.errors import (
    AllTargetsFailedError,
    InvalidRequestError,
    ModelNotFoundError,
    OverloadedError,
    TargetsBusyError,
    UpstreamError,
    UpstreamInvalidError,
    UpstreamRefusedError,
    UpstreamTimeoutError,
)
from sidecar.web.errors import answer_errors, error_response


@pytest.fixture
async def url(serve) -> str:
    """An application whose one handler raises what the path names."""
    errors = {
        "model": ModelNotFoundError("no such model", param="model"),
        "bug": LookupError("canary: internals"),
        "redirect": web.HTTPFound("/"),
        "big": web.HTTPRequestEntityTooLarge(1, 2),
    }

    async def fail(request: web.Request) -> web.Response:
        raise errors[request.match_info["what"]]

    app = web.Application(middlewares=[web.middleware(answer_errors)])
    app.router.add_post("/{what}", fail)
    return await serve(app)


async def told(client, url: str, method: str = "POST") -> tuple:
    """Status and error object of a reply."""
    async with client.request(method, url, allow_redirects=False) as response:
        assert response.content_type == "application/json"
        error = orjson.loads(await response.read())["error"]
        assert {"message", "type", "param", "code"} <= set(error)
        return response.status, error


async def test_an_error_of_ours_keeps_its_status_and_words(client, url):
    """In OpenAI's shape."""
    status, error = await told(client, f"{url}/model")
    assert (status, error["code"], error["param"]) == (404, "model_not_found", "model")


async def test_a_path_that_is_not_there_is_told_in_json(client, url):
    """aiohttp's own errors too."""
    status, error = await told(client, f"{url}/a/b/c")
    assert (status, error["code"]) == (404, "not_found")


async def test_a_wrong_method_names_the_right_ones(client, url):
    """405 with `Allow`."""
    async with client.get(f"{url}/model") as response:
        assert (response.status, response.headers["Allow"]) == (405, "POST")
    assert (await told(client, f"{url}/model", "GET"))[1]["code"] == "method_not_allowed"


async def test_a_body_that_aiohttp_finds_too_large_is_413(client, url):
    """Wherever it is noticed."""
    assert (await told(client, f"{url}/big"))[0] == 413


async def test_what_is_no_error_goes_through(client, url):
    """A redirect of a handler is no failure."""
    async with client.post(f"{url}/redirect", allow_redirects=False) as response:
        assert response.status == 302


async def test_a_bug_is_logged_and_not_told(client, url, caplog):
    """The client gets a 500 without internals, and the connection lives on."""
    with caplog.at_level(logging.ERROR):
        status, error = await told(client, f"{url}/bug")
    assert (status, "canary" in str(error)) == (500, False)
    assert "canary" in caplog.text


def test_a_refusal_is_passed_on_as_the_provider_said_it():
    """Status, body, and when to call again."""
    error = UpstreamRefusedError(
        "no",
        reason="status_429",
        upstream_status=429,
        body=b'{"e":1}',
        headers={"retry-after": "7"},
    )
    response = error_response(error, headers={"x-sidecar-request-id": "req_1"})
    assert (response.status, response.body) == (429, b'{"e":1}')
    told = (response.headers["retry-after"], response.headers["x-sidecar-request-id"])
    assert told == ("7", "req_1")


def test_a_refusal_without_words_gets_ours():
    """No client sees an empty error."""
    error = UpstreamRefusedError("no", reason="status_404", upstream_status=404, body=b"")
    response = error_response(error)
    assert (response.status, b'"error"' in response.body) == (404, True)


def test_all_attempts_are_named():
    """503 `all_targets_failed` with its list."""
    error = UpstreamError("no", reason="status_503", upstream_status=503)
    error.attempts = (Attempt("a", "m", 503, "status_503", 1.5),)
    told = orjson.loads(error_response(error).body)["error"]
    assert told["code"] == "all_targets_failed"
    attempt = {"provider": "a", "model": "m", "status": 503, "reason": "status_503", "ms": 1.5}
    assert told["attempts"] == [attempt]


def test_half_a_character_in_a_message_is_no_second_error():
    """What a client sent may be quoted, whatever it is."""
    message = f"the Host {chr(0xDCFF)!r} is not allowed"
    assert error_response(InvalidRequestError(message)).status == 400


TRIED = [Attempt("p", name, 500, "status_500", 1.0) for name in ("a", "b")]
SKIPPED = [Attempt("p", "a", None, reason, 0.0) for reason in ("breaker_open", "untranslatable")]
LIMITED = {"reason": "rate_limited", "upstream_status": 429, "body": b"{}"}


@pytest.mark.parametrize(
    ("error", "attempts", "is_advised"),
    [
        (AllTargetsFailedError("no"), TRIED, True),
        (AllTargetsFailedError("no"), [*SKIPPED, TRIED[0]], True),
        (AllTargetsFailedError("no"), SKIPPED, False),
        (UpstreamTimeoutError("late", reason="timeout_client"), [], True),
        (UpstreamInvalidError("odd", reason="malformed"), TRIED, True),
        (UpstreamRefusedError("later", **LIMITED), TRIED[:1], False),
        (UpstreamRefusedError("later", **LIMITED), TRIED[:1] * 2, True),
        (TargetsBusyError("later", reason="rate_limited"), TRIED, False),
        (OverloadedError("full"), [], False),
        (ModelNotFoundError("no such model"), [], False),
    ],
)
def test_sdks_are_kept_from_multiplying_what_was_asked(error, attempts, is_advised):
    """Where a provider was asked and failed, or asked again after its limit; else they may."""
    error.attempts = tuple(attempts)
    advised = error_response(error).headers.get("x-should-retry")
    assert advised == ("false" if is_advised else None)


def test_what_a_provider_advises_does_not_undo_ours():
    """It knows of its own call alone."""
    headers = {"x-should-retry": "true"}
    error = UpstreamError("no", reason="status_503", upstream_status=503, headers=headers)
    error.attempts = tuple(TRIED)
    assert error_response(error).headers["x-should-retry"] == "false"
