"""The description of both planes says what is there, all of it, and holds for real replies."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from aiohttp import web

from sidecar import Config, __version__, create_app
from sidecar.app import ADMIN_APP
from sidecar.wire.openai_fields import FIELDS

from .running import Provider, Sidecar, asking, send

DESCRIPTION = json.loads(files("sidecar.web").joinpath("openapi.json").read_text())
SCHEMA = schemathesis.openapi.from_dict(DESCRIPTION)
DATA_PREFIX = "/v1/"
CHAT = "/v1/chat/completions"


def routes(app: web.Application) -> set[tuple[str, str]]:
    """What an application answers; HEAD comes with GET of its own accord."""
    return {
        (route.method.lower(), route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }


def described(is_data: bool) -> set[tuple[str, str]]:
    """What the description tells of one plane."""
    return {
        (method, path)
        for path, item in DESCRIPTION["paths"].items()
        if path.startswith(DATA_PREFIX) is is_data
        for method in item.keys() - {"servers", "parameters"}
    }


def test_the_description_is_valid() -> None:
    """By the rules of OpenAPI 3.1."""
    SCHEMA.validate()


def test_it_carries_this_version() -> None:
    """Whoever reads it knows what it describes."""
    assert DESCRIPTION["info"]["version"] == __version__


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> web.Application:
    """The applications as they are put together for real; nothing is served."""
    return create_app(Config.parse({"state_dir": str(tmp_path_factory.mktemp("state"))}))


def test_every_route_of_the_data_plane_is_described_and_no_other(app: web.Application) -> None:
    """Paths and methods, both ways round."""
    assert routes(app) == described(is_data=True)


def test_every_route_of_the_admin_plane_is_described_and_no_other(app: web.Application) -> None:
    """Paths and methods, both ways round."""
    assert routes(app[ADMIN_APP]) == described(is_data=False)


def test_every_path_says_which_plane_serves_it() -> None:
    """The two planes have different addresses, so one list for all would be wrong."""
    ports = {path: item["servers"][0]["url"] for path, item in DESCRIPTION["paths"].items()}
    assert {path for path, url in ports.items() if url.endswith(":8080")} == {
        path for path in ports if path.startswith(DATA_PREFIX)
    }


def test_every_known_field_of_a_request_is_described() -> None:
    """And what is refused by name as not available yet."""
    told = DESCRIPTION["components"]["schemas"]["ChatRequest"]["properties"]
    assert set(told) == {*FIELDS, "prompt", "context"}


def test_a_running_sidecar_serves_it(running: Sidecar) -> None:
    """As it is in the package."""
    assert running.admin("GET", "/api/openapi.json").json == DESCRIPTION


def check(sidecar: Sidecar, method: str, path: str, **asked: Any) -> None:
    """Ask for real; status, headers and body of the reply must be as described."""
    own = sidecar.url.removesuffix("/v1") if path.startswith(DATA_PREFIX) else sidecar.admin_url
    case = SCHEMA[path][method].Case(**asked)
    response = case.call(base_url=own)
    # What is asked here is wrong on purpose at times, so only replies are checked.
    case.validate_response(
        response,
        checks=[
            schemathesis.checks.status_code_conformance,
            schemathesis.checks.content_type_conformance,
            schemathesis.checks.response_schema_conformance,
            schemathesis.checks.response_headers_conformance,
        ],
    )


def named(path: str) -> dict[str, str]:
    """What a path needs to be one; nothing that is there."""
    return {name: "req_none" for name in ("id", "name") if f"{{{name}}}" in path}


JSON = "application/json"
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}


@pytest.mark.parametrize(
    "body",
    [
        asking("How do I change my address?"),
        asking("How do I change my address?", stream=True),
        asking("How do I change my address?", temperature=1),
        asking("How do I change my address?", n=2),
        asking("What is the weather like?", tools=[TOOL]),
        asking("Who is there?", model="nobody"),
        asking("How hot?", temperature=3),
        {},
        [],
    ],
    ids=["whole", "stream", "bypass", "choices", "tools", "unknown", "hot", "empty", "list"],
)
def test_replies_of_chat_completions_are_as_described(running: Sidecar, body: Any) -> None:
    """Twice each, so that a hit is held against it too."""
    for _ in range(2):
        check(running, "POST", CHAT, body=body, media_type=JSON)


TURNS = [{"role": "user", "content": "How do I change my address?"}]
MESSAGES = {"model": "gpt-4o", "max_tokens": 50, "messages": TURNS}
RESPONSES = {"model": "gpt-4o", "input": "How do I change my address?"}
EMBEDDINGS = {"model": "gpt-4o", "input": ["How?", "Where?"]}


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/messages", MESSAGES, 200),
        ("/v1/messages", {**MESSAGES, "stream": True}, 200),
        ("/v1/messages", {**MESSAGES, "model": "nobody"}, 404),
        ("/v1/messages", {**MESSAGES, "thinking": {"type": "enabled", "budget_tokens": 9}}, 400),
        ("/v1/messages", [], 400),
        ("/v1/messages/count_tokens", MESSAGES, 200),
        ("/v1/messages/count_tokens", {}, 400),
        ("/v1/responses", RESPONSES, 200),
        ("/v1/responses", {**RESPONSES, "stream": True}, 200),
        ("/v1/responses", {**RESPONSES, "background": True}, 200),
        ("/v1/responses", {**RESPONSES, "background": True, "stream": True}, 200),
        ("/v1/responses", {**RESPONSES, "background": "yes"}, 400),
        ("/v1/embeddings", EMBEDDINGS, 200),
        ("/v1/embeddings", {**EMBEDDINGS, "encoding_format": "base64"}, 200),
        ("/v1/embeddings", {**EMBEDDINGS, "input": []}, 400),
    ],
)
def test_replies_of_the_other_endpoints_are_as_described(
    running: Sidecar, path: str, body: Any, status: int
) -> None:
    """Twice each, so that a hit is held against it too."""
    for _ in range(2):
        check(running, "POST", path, body=body, media_type=JSON)
    asked = send("POST", f"{running.url.removesuffix('/v1')}{path}", body)
    assert asked.status == status, asked.body


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/responses", "/v1/embeddings"])
@pytest.mark.parametrize("status", [400, 401, 429, 503])
def test_failures_of_a_provider_are_as_described_everywhere(
    running: Sidecar, provider: Provider, path: str, status: int
) -> None:
    """In the words of each endpoint."""
    bodies = {"/v1/messages": MESSAGES, "/v1/responses": RESPONSES, "/v1/embeddings": EMBEDDINGS}
    provider.script({"status": status})
    check(running, "POST", path, body=bodies[path], media_type=JSON)


def test_a_semantic_hit_is_as_described(running: Sidecar) -> None:
    """With the headers that tell how near it was."""
    check(running, "POST", CHAT, body=asking("How do I reset my password?"), media_type=JSON)
    near = asking("how do I reset my password")
    assert running.post(near).cache == "semantic"
    check(running, "POST", CHAT, body=near, media_type=JSON)


@pytest.mark.parametrize("status", [400, 401, 404, 422, 429, 500, 503])
def test_failures_of_a_provider_are_as_described(
    running: Sidecar, provider: Provider, status: int
) -> None:
    """Those that are passed on and those that are told in our own words."""
    provider.script({"status": status})
    check(running, "POST", CHAT, body=asking(f"What fails with {status}?"), media_type=JSON)


@pytest.mark.parametrize("value", ["only-if-cached", "no-cache", "no-store", "max-age=0"])
def test_replies_under_cache_control_are_as_described(running: Sidecar, value: str) -> None:
    """504 `cache_miss` among them."""
    headers = {"Cache-Control": value}
    check(running, "POST", CHAT, body=asking("Who is it?"), headers=headers, media_type=JSON)


@pytest.mark.parametrize(
    ("method", "path"),
    sorted((method.upper(), path) for method, path in described(True) | described(False)),
)
@pytest.mark.parametrize("host", ["127.0.0.1", "evil.example"])
def test_every_path_answers_as_described(
    running: Sidecar, method: str, path: str, host: str
) -> None:
    """With nothing given but what its path needs: a 200, or a refusal in the same shape."""
    given: dict[str, Any] = {"headers": {"Host": host}}
    given["path_parameters"] = named(path)
    if method != "GET":
        given |= {"body": {}, "media_type": JSON}
    check(running, method, path, **given)


def test_the_story_of_a_request_is_as_described(running: Sidecar) -> None:
    """Every field of its row."""
    story = running.row(running.ask("What is told of me?"))
    check(running, "GET", "/api/requests/{id}", path_parameters={"id": story["id"]})


@pytest.mark.parametrize("body", [{"all": True}, {"tenant": "t", "dry_run": True}, {"all": False}])
def test_replies_to_a_purge_are_as_described(running: Sidecar, body: dict[str, Any]) -> None:
    """Done, dry and refused."""
    check(running, "POST", "/api/purge", body=body, media_type=JSON)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("gpt-4o", {"active": "targets"}),
        ("*", {"active": None}),
        ("gpt-4o", {"active": "dear"}),
        ("gpt-4o", {"active": 1}),
    ],
)
def test_replies_to_a_toggle_are_as_described(
    running: Sidecar, name: str, body: dict[str, Any]
) -> None:
    """Done and refused; all routes after it too."""
    path = "/api/routes/{name}"
    check(running, "PUT", path, path_parameters={"name": name}, body=body, media_type=JSON)
    check(running, "GET", "/api/routes")
    check(running, "PUT", path, path_parameters={"name": "*"}, body={"active": None},
          media_type=JSON)  # fmt: skip


def test_a_refused_reload_is_as_described(serve: Any) -> None:
    """And the state that tells of it."""
    own = serve()
    (own.folder / "sidecar.yaml").write_text("models: []")
    check(own, "POST", "/api/reload")
    check(own, "GET", "/api/status")


def test_a_foreign_token_is_refused_as_described(serve: Any, tmp_path: Path) -> None:
    """401 on the admin plane."""
    guarded = serve(admin={"port": 0, "token": "a-token-of-the-admin"})
    for method, path in sorted(described(is_data=False)):
        headers = {"Authorization": "Bearer nope"}
        check(guarded, method.upper(), path, headers=headers, path_parameters=named(path))
