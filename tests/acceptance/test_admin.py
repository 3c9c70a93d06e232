"""The admin plane over real HTTP: who may look, what is told, what can be ordered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sidecar import __version__

from .refusals import assert_refused
from .running import MODELS, Provider, Reply, Sidecar, send, until

TOKEN = "t0ken-of-the-admin"  # noqa: S105
PROBES = ["/healthz", "/readyz", "/startupz"]
GUARDED = [
    ("GET", "/metrics"),
    ("GET", "/api/status"),
    ("GET", "/api/requests/req_1"),
    ("GET", "/api/openapi.json"),
    ("POST", "/api/purge"),
    ("PUT", "/api/mode"),
    ("GET", "/api/none"),
]
QUESTION = "How do I reset my password?"
NEAR = "how do i reset my password"
FAR = "What is the tallest tree of the forest?"

# Those of the contract's part 6 that exist in this version.
METRICS = {
    "sidecar_requests_total": {"endpoint", "model", "cache", "status"},
    "sidecar_request_seconds_count": {"cache"},
    "sidecar_overhead_seconds_count": {"cache"},
    "sidecar_stage_seconds_count": {"stage"},
    "sidecar_similarity_count": {"outcome"},
    "sidecar_threshold": set(),
    "sidecar_near_misses_total": set(),
    "sidecar_cache_entries": set(),
    "sidecar_cache_bytes": set(),
    "sidecar_cache_evictions_total": {"reason"},
    "sidecar_coalesced_total": set(),
    "sidecar_provider_attempts_total": {"provider", "model", "outcome"},
    "sidecar_first_token_seconds_count": {"provider", "model"},
    "sidecar_breaker_state": {"provider", "model"},
    "sidecar_tokens_total": {"model", "department", "kind"},
    "sidecar_spend_usd_total": {"model", "department"},
    "sidecar_saved_usd_total": {"department", "by"},
    "sidecar_in_flight": set(),
    "sidecar_event_loop_lag_seconds": set(),
}


@pytest.fixture(scope="module")
def guarded(serve: Callable[..., Sidecar]) -> Sidecar:
    """A sidecar whose admin plane wants a token."""
    return serve(admin={"port": 0, "token": TOKEN})


def as_who(sidecar: Sidecar, method: str, path: str, authorization: str | None) -> Reply:
    """One request to the admin plane under this Authorization."""
    headers = {} if authorization is None else {"Authorization": authorization}
    return send(method, f"{sidecar.admin_url}{path}", None, headers)


@pytest.mark.parametrize("path", PROBES)
def test_a_probe_needs_no_token(guarded: Sidecar, path: str) -> None:
    """Kubernetes has none, and it is told yes or no."""
    assert as_who(guarded, "GET", path, None).status == 200


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Basic {TOKEN}",
        TOKEN,
        "Bearer \u00fc",
    ],
)
@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_all_else_needs_the_token(
    guarded: Sidecar, method: str, path: str, authorization: str | None
) -> None:
    """Even what isn't there."""
    assert_refused(as_who(guarded, method, path, authorization), 401, "invalid_api_key")


def test_the_token_opens_the_door(guarded: Sidecar) -> None:
    """The word before it may be written in any case."""
    for word in ("Bearer", "bearer", "BEARER"):
        assert as_who(guarded, "GET", "/api/status", f"{word} {TOKEN}").status == 200


def test_the_token_is_never_told(guarded: Sidecar) -> None:
    """Not in the status, not in metrics, not in the log."""
    told = [
        as_who(guarded, "GET", path, f"Bearer {TOKEN}").body for path in ("/api/status", "/metrics")
    ]
    assert TOKEN.encode() not in b"".join(told)
    assert TOKEN not in guarded.process.said


def test_the_data_plane_has_none_of_it(running: Sidecar) -> None:
    """Apps can't purge."""
    own = running.url.removesuffix("/v1")
    for method, path in [*GUARDED, *(("GET", probe) for probe in PROBES)]:
        assert_refused(send(method, f"{own}{path}"), 404, "not_found")


def test_metrics_have_the_contract_s_names_and_labels(running: Sidecar, provider: Provider) -> None:
    """After a miss, both kinds of hit, a stream, a near miss, a failure and a purge."""
    for question in (QUESTION, QUESTION, NEAR):
        assert running.ask(question).status == 200
    running.ask(FAR, stream=True)
    running.ask("How do I reset my 2 passwords?")
    provider.script({"status": 503})
    running.ask("What fails?")
    running.purge(all=True)
    labels: dict[str, set[str]] = {}
    for line in running.admin("GET", "/metrics").body.decode().splitlines():
        name, _, rest = line.partition("{") if "{" in line else (*line.split(" ", 1), "")
        if not name.startswith("#") and not name.endswith(("_created", "_bucket", "_sum")):
            told = rest.partition("}")[0] if "{" in line else ""
            labels[name] = {part.partition("=")[0] for part in told.split(",") if part}
    assert labels == METRICS


def test_status_tells_how_it_fares(running: Sidecar) -> None:
    """Version, mode, cache, model, who answers, where state is, what is not in force."""
    assert running.ask(QUESTION).status == 200
    running.flush()
    told = running.admin("GET", "/api/status").json
    assert told["version"] == __version__
    assert (told["ready"], told["draining"], told["mode"]) == (True, False, "serve")
    cache = told["cache"]
    assert (cache["entries"], cache["resident"], cache["vectors"]) == (1, 1, 1)
    assert (cache["store_ok"], cache["loading"], cache["pending_writes"]) == (True, False, 0)
    assert cache["disk_bytes"] > 0
    assert told["embedding"]["dimension"] == 384
    assert told["models"] == {name: [f"p/{name}"] for name in MODELS}
    assert told["providers"] == {"p": "openai"}
    assert told["state_dir"] == running.config["state_dir"]
    assert told["ledger"] == {"dropped": 0, "failing": False}
    assert any("max_wrong_hit_rate" in line for line in told["not_in_force"])


def test_memory_comes_back_to_nothing(running: Sidecar) -> None:
    """Also of answers that aren't ASCII, each of which was written out in between."""
    assert running.cache["memory_bytes"] == 0
    for number in range(5):
        for _ in range(2):
            running.ask(f"Wie sagt man \u201egr\u00fc\u00df dich\u201c Nummer {number}?")
    assert running.cache["memory_bytes"] > 0
    running.purge(all=True)
    assert running.cache["memory_bytes"] == 0


# Purge.

FILLED = [
    ("a", {"x-sidecar-tenant": "shop", "x-sidecar-cache-tags": "red,warm"}, "gpt-4o"),
    ("b", {"x-sidecar-tenant": "shop", "x-sidecar-user": "ann"}, "gpt-4o-mini"),
    ("c", {"x-sidecar-user": "ann", "x-sidecar-cache-tags": "red"}, "gpt-4o"),
    ("d", {}, "gpt-4o"),
]


@pytest.fixture
def filled(running: Sidecar) -> Sidecar:
    """Four entries that differ in all that can be selected."""
    for letter, headers, model in FILLED:
        assert running.ask(letter, headers, model=model).cache == "miss"
    return running


def left(sidecar: Sidecar) -> str:
    """The entries that are still served."""
    kept = {"Cache-Control": "only-if-cached"}
    return "".join(
        letter
        for letter, headers, model in FILLED
        if sidecar.ask(letter, {**headers, **kept}, model=model).status == 200
    )


SELECTORS = [
    ({"tenant": "shop"}, "cd"),
    ({"tag": "red"}, "bd"),
    ({"tag": "warm"}, "bcd"),
    ({"model": "gpt-4o-mini"}, "acd"),
    ({"user": "ann"}, "ad"),
    ({"prompt": "none"}, "abcd"),
    ({"tenant": "none"}, "abcd"),
    ({"tag": "re"}, "abcd"),
    ({"all": True}, ""),
]


@pytest.mark.parametrize(("selector", "rest"), SELECTORS)
def test_a_purge_forgets_what_it_selects_and_nothing_else(
    filled: Sidecar, selector: dict[str, Any], rest: str
) -> None:
    """And says how many."""
    gone = len(FILLED) - len(rest)
    assert filled.purge(**selector) == {"purged": gone, "matched": gone, "dry_run": False}
    assert left(filled) == rest


def test_a_purge_of_one_entry_takes_it_by_its_id(filled: Sidecar) -> None:
    """The one that a request's story names."""
    hit = filled.ask("d")
    entry = filled.row(hit)["entry"]
    assert filled.purge(entry=entry)["purged"] == 1
    assert left(filled) == "abc"


@pytest.mark.parametrize(("selector", "rest"), SELECTORS)
def test_a_dry_run_tells_and_forgets_nothing(
    filled: Sidecar, selector: dict[str, Any], rest: str
) -> None:
    """How many it would be."""
    told = filled.purge(**selector, dry_run=True)
    assert told == {"purged": 0, "matched": len(FILLED) - len(rest), "dry_run": True}
    assert left(filled) == "abcd"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, None),
        ({"dry_run": True}, None),
        ({"tenant": "shop", "tag": "red"}, None),
        ({"tennant": "shop"}, None),
        ({"tenant": ""}, "tenant"),
        ({"tenant": 1}, "tenant"),
        ({"tenant": None}, "tenant"),
        ({"all": False}, "all"),
        ({"all": "yes"}, "all"),
        ({"all": True, "dry_run": "yes"}, "dry_run"),
        ({"all": True, "dry_run": 0}, "dry_run"),
        ([], None),
        (b"all", None),
    ],
)
def test_a_purge_that_is_not_understood_forgets_nothing(
    filled: Sidecar, body: Any, param: str | None
) -> None:
    """Above all not everything."""
    assert_refused(filled.admin("POST", "/api/purge", body), 400, "invalid_request", param)
    assert left(filled) == "abcd"


def test_what_was_purged_is_overwritten_on_disk(running: Sidecar) -> None:
    """Its text is in no state file any more."""
    running.ask("Where is the s3cret-canary kept?")
    running.flush()
    running.purge(all=True)
    files = until(lambda: list((running.folder / "state").glob("cache*")), "cache files")
    assert not [file.name for file in files if b"s3cret-canary" in file.read_bytes()]
