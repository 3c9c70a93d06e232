"""The admin plane: health for all, the rest for who has the token."""

import pytest

from sidecar.errors import InvalidRequestError
from sidecar.web.admin import MAX_BODY_BYTES, AdminSettings, admin_plane, read_selector
from tests.web.operating import TOKEN, ask

OPEN = ("/healthz", "/readyz", "/startupz")
CLOSED = (
    "/metrics", "/api/status", "/api/requests/req_1", "/api/routes", "/api/openapi.json",
    "/api/usage", "/api/usage/closing", "/api/usage/charges",
    "/api/budgets", "/api/budgets/unsettled",
)  # fmt: skip
CHANGING = [
    ("POST", "/api/purge"),
    ("PUT", "/api/mode"),
    ("PUT", "/api/routes/gpt-4o"),
    ("POST", "/api/reload"),
    ("POST", "/api/budgets/reconcile"),
]


@pytest.mark.parametrize("path", OPEN)
async def test_probes_need_no_token(client, url, path):
    """They tell yes or no."""
    async with client.get(url + path) as response:
        assert response.status == 200


@pytest.mark.parametrize("path", [*CLOSED, "/api/nothing", "/healthz/"])
async def test_everything_else_needs_the_token(client, url, path):
    """Also what isn't there: nothing can be mapped from outside."""
    async with client.get(url + path) as response:
        assert response.status == 401


@pytest.mark.parametrize(("method", "path"), CHANGING)
async def test_without_the_token_nothing_is_done(client, url, desk, method, path):
    """Not even looked at."""
    body = {"all": True, "mode": "off", "active": None}
    async with client.request(method, url + path, json=body) as response:
        assert response.status == 401
    assert desk.done == []


@pytest.mark.parametrize("path", [*OPEN, *CLOSED])
async def test_foreign_hosts_and_origins_see_nothing(client, url, path):
    """With the token or without, the probes included."""
    for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}):
        async with client.get(url + path, headers={**TOKEN, **headers}) as response:
            assert response.status == 403


@pytest.mark.parametrize(
    ("path", "expected"), [("/healthz", 200), ("/readyz", 503), ("/startupz", 503)]
)
async def test_a_process_that_is_not_ready_is_alive(client, url, desk, path, expected):
    """Health says that the loop answers, and no more."""
    desk.up = False
    async with client.get(url + path) as response:
        assert response.status == expected


async def test_metrics_are_prometheus_text(client, url):
    """With the type that scrapers ask for."""
    async with client.get(f"{url}/metrics", headers=TOKEN) as response:
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert await response.read() == b"sidecar_in_flight 0.0\n"


async def test_a_requests_story_is_told(client, url):
    """By its id."""
    assert await ask(client, f"{url}/api/requests/req_1") == (200, {"id": "req_1"})


async def test_an_unknown_request_is_404(client, url):
    """With a short echo of the id."""
    status, body = await ask(client, f"{url}/api/requests/{'x' * 2000}")
    assert (status, body["error"]["code"]) == (404, "not_found")
    assert len(body["error"]["message"]) < 200


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"tenant": "shop"}, ("tenant", "shop", False)),
        ({"tag": "a", "dry_run": True}, ("tag", "a", True)),
        ({"all": True}, ("all", "", False)),
        ({"entry": "e1", "dry_run": False}, ("entry", "e1", False)),
    ],
)
async def test_a_purge_does_what_it_is_told(client, url, desk, body, expected):
    """One selector, and a dry run only counts."""
    status, told = await ask(client, f"{url}/api/purge", "POST", body)
    assert (status, desk.done) == (200, [expected])
    dry = expected[2]
    assert told == {"purged": 0 if dry else 7, "matched": 7, "dry_run": dry}


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        None,
        {"all": False},
        {"all": "true"},
        {"all": 1},
        {"all": True, "tenant": "a"},
        {"tenant": "a", "tag": "b"},
        {"tenant": ""},
        {"tenant": None},
        {"tenant": ["a"]},
        {"tenant": "a", "dry_run": "yes"},
        {"tenant": "a", "dry_run": 1},
        {"everything": True},
        {"dry_run": True},
        b"{",
        b"\xff",
        b"",
    ],
)
async def test_a_purge_that_is_unclear_purges_nothing(client, url, desk, body):
    """A slip of the hand costs a 400 and no entries."""
    status, told = await ask(client, f"{url}/api/purge", "POST", body)
    assert (status, told["error"]["code"], desk.done) == (400, "invalid_request", [])


@pytest.mark.parametrize("mode", ["serve", "shadow", "off"])
async def test_the_kill_switch_takes_the_three_modes(client, url, desk, mode):
    """And says what it took."""
    assert await ask(client, f"{url}/api/mode", "PUT", {"mode": mode}) == (200, {"mode": mode})
    assert desk.done == [("mode", mode)]


@pytest.mark.parametrize(
    "body", [{}, {"mode": "OFF"}, {"mode": None}, {"mode": ["off"]}, {"mode": {}}]
)
async def test_the_kill_switch_takes_nothing_else(client, url, desk, body):
    """Half a word switches nothing."""
    status, _ = await ask(client, f"{url}/api/mode", "PUT", body)
    assert (status, desk.done) == (400, [])


@pytest.mark.parametrize(("method", "path"), [("POST", "/api/purge"), ("PUT", "/api/mode")])
async def test_a_form_of_a_web_page_changes_nothing(client, url, desk, method, path):
    """Only declared JSON is read."""
    status, _ = await ask(
        client, url + path, method, {"all": True, "mode": "off"}, **{"Content-Type": "text/plain"}
    )
    assert (status, desk.done) == (415, [])


async def test_routes_are_told(client, url):
    """As the operator's view has them."""
    told = {"routes": {"gpt-4o": {"active": "targets"}}}
    assert await ask(client, f"{url}/api/routes") == (200, told)


@pytest.mark.parametrize(
    ("path", "name"), [("gpt-4o", "gpt-4o"), ("*", "*"), ("org/own", "org/own"), ("a%2Fb", "a/b")]
)
async def test_a_toggle_names_a_model_and_a_variant(client, url, desk, path, name):
    """Also a model with a slash in its name; null is a choice too."""
    for variant in ("cheap", None):
        told = await ask(client, f"{url}/api/routes/{path}", "PUT", {"active": variant})
        assert told == (200, {"routes": {}, "saved": True})
    assert desk.done == [("toggle", name, "cheap"), ("toggle", name, None)]


@pytest.mark.parametrize(
    "body", [{}, [], {"active": 1}, {"active": ["a"]}, {"activ": "a"}, {"active": "a", "b": 1}]
)
async def test_a_toggle_that_is_unclear_toggles_nothing(client, url, desk, body):
    """An absent variant is not null."""
    status, told = await ask(client, f"{url}/api/routes/gpt-4o", "PUT", body)
    assert (status, told["error"]["code"], desk.done) == (400, "invalid_request", [])


async def test_a_reload_needs_no_body(client, url, desk):
    """There is nothing to say."""
    async with client.post(f"{url}/api/reload", headers=TOKEN) as response:
        assert (response.status, desk.done) == (200, [("reload",)])


async def test_a_large_body_is_refused(client, url, desk):
    """An operator's wishes are short."""
    body = b"x" * (MAX_BODY_BYTES + 1)
    status, _ = await ask(client, f"{url}/api/purge", "POST", body)
    assert (status, desk.done) == (413, [])


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/api/purge"), ("POST", "/api/mode"), ("DELETE", "/metrics")]
)
async def test_other_methods_are_405(client, url, method, path):
    """With the right ones named."""
    async with client.request(method, url + path, headers=TOKEN) as response:
        assert (response.status, bool(response.headers["Allow"])) == (405, True)


async def test_the_plane_describes_itself(client, url):
    """Every path it serves stands in the description."""
    status, described = await ask(client, f"{url}/api/openapi.json")
    assert status == 200
    assert {*OPEN, "/metrics", "/api/status", "/api/purge", "/api/mode"} <= set(described["paths"])


async def test_without_a_configured_token_the_plane_is_open(serve, client, desk):
    """As on loopback by default."""
    url = await serve(admin_plane(AdminSettings({"127.0.0.1"}, None), desk))
    async with client.get(f"{url}/api/status") as response:
        assert response.status == 200


def test_a_selector_is_told_by_name():
    """The error lists what can be purged by."""
    with pytest.raises(InvalidRequestError, match="tenant, tag, model, prompt, user, entry, all"):
        read_selector({"colour": "red"})
