"""Embeddings through the real process: cached item by item, the provider's ledger as oracle."""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openai
import pytest

from .models import one_try
from .running import Provider, Reply, Sidecar, config_for, send, start_sidecar, until

MODEL = "text-embedding-3-small"
TARGETS = one_try([{"provider": "p", "model": MODEL}])


@pytest.fixture(scope="module")
def shared(serve: Callable[..., Sidecar]) -> Sidecar:
    """A sidecar with a model for embeddings and one that a Claude answers."""
    return serve(models={MODEL: TARGETS})


@pytest.fixture
def running(shared: Sidecar, provider: Provider) -> Sidecar:
    """The sidecar with nothing cached; the provider's ledger is empty."""
    shared.purge(all=True)
    shared.mode("serve")
    return shared


def embed(sidecar: Sidecar, given: Any, headers: dict[str, str] | None = None, **f: Any) -> Reply:
    """One request for embeddings."""
    body = {"model": MODEL, "input": given, **f}
    return send("POST", f"{sidecar.url}/embeddings", body, headers)


def vectors(reply: Reply) -> list[Any]:
    """The vectors of a reply, in their order."""
    assert reply.status == 200, reply.body
    assert [item["index"] for item in reply.json["data"]] == list(range(len(reply.json["data"])))
    return [item["embedding"] for item in reply.json["data"]]


def seen(provider: Provider) -> list[Any]:
    """The items of every call that the provider saw."""
    return [row["messages"] for row in provider.ledger["requests"]]


def test_the_same_item_is_asked_for_once(running: Sidecar, provider: Provider) -> None:
    """The second reply is the first's, costs nothing, and says so."""
    first, second = embed(running, "hello"), embed(running, "hello")
    assert (first.cache, second.cache) == ("miss", "exact")
    assert first.headers["cache-status"] == "sidecar; fwd=miss; stored"
    assert second.headers["cache-status"].startswith("sidecar; hit; detail=exact")
    assert vectors(first) == vectors(second)
    assert second.json["usage"] == {"prompt_tokens": 0, "total_tokens": 0}
    assert first.json["usage"]["prompt_tokens"] == 1
    assert seen(provider) == [["hello"]]


def test_only_the_rest_is_sent(running: Sidecar, provider: Provider) -> None:
    """In the order of the request, each once; usage is what the provider told for the rest."""
    alone = {text: vectors(embed(running, text))[0] for text in ("a", "b")}
    reply = embed(running, ["new one", "b", "other new one", "a", "new one"])
    assert seen(provider)[2:] == [["new one", "other new one"]]
    assert (reply.cache, reply.headers["cache-status"]) == (
        "miss",
        "sidecar; fwd=miss; detail=partial; stored",
    )
    found = vectors(reply)
    assert (found[1], found[3]) == (alone["b"], alone["a"])
    assert found[0] == found[4] == vectors(embed(running, "new one"))[0]
    assert reply.json["usage"]["prompt_tokens"] == 5
    assert provider.calls == 3


@pytest.mark.parametrize("given", ["text", ["text"], [1, 2, 3], [[1, 2, 3], [4]], ["a", [1, 2]]])
def test_every_form_of_input(running: Sidecar, provider: Provider, given: Any) -> None:
    """Texts and token numbers, alone and in lists: asked once, then cached."""
    first, second = embed(running, given), embed(running, given)
    assert (first.cache, second.cache) == ("miss", "exact")
    assert vectors(first) == vectors(second)
    assert provider.calls == 1


@pytest.mark.parametrize(
    "other",
    [
        {"dimensions": 8},
        {"encoding_format": "base64"},
        {"some_field_of_a_compatible_server": True},
    ],
)
def test_what_changes_a_vector_is_in_the_key(
    running: Sidecar, provider: Provider, other: dict[str, Any]
) -> None:
    """Another length, encoding or unknown field is another item; a label is not."""
    embed(running, "hello")
    assert embed(running, "hello", user="ada").cache == "exact"
    assert embed(running, "hello", **other).cache == "miss"
    assert provider.calls == 2


def test_a_text_is_not_its_token_numbers(running: Sidecar, provider: Provider) -> None:
    """Nor is a string that looks like a list."""
    replies = [embed(running, given) for given in ("1 2", [1, 2], "[1,2]")]
    assert [reply.cache for reply in replies] == ["miss"] * 3


def test_tenants_share_nothing(running: Sidecar, provider: Provider) -> None:
    """Each is answered by the provider once."""
    for tenant in ("a", "b"):
        assert embed(running, "secret", {"x-sidecar-tenant": tenant}).cache == "miss"
        assert embed(running, "secret", {"x-sidecar-tenant": tenant}).cache == "exact"
    assert provider.calls == 2


def test_no_store(running: Sidecar, provider: Provider) -> None:
    """Neither read nor written."""
    replies = [embed(running, "x", {"Cache-Control": "no-store"}) for _ in range(2)]
    assert {reply.headers["cache-status"] for reply in replies} == {
        "sidecar; fwd=bypass; detail=no_store"
    }
    assert (provider.calls, embed(running, "x").cache) == (2, "miss")


def test_no_cache(running: Sidecar, provider: Provider) -> None:
    """Not read, but written."""
    reply = embed(running, "x", {"Cache-Control": "no-cache"})
    assert reply.headers["cache-status"] == "sidecar; fwd=request; stored"
    embed(running, "x", {"Cache-Control": "no-cache"})
    assert (provider.calls, embed(running, "x").cache) == (2, "exact")


def test_only_if_cached(running: Sidecar, provider: Provider) -> None:
    """504 where one item is not, and nobody is asked."""
    embed(running, "x")
    header = {"Cache-Control": "only-if-cached"}
    assert embed(running, "x", header).cache == "exact"
    refused = embed(running, ["x", "y"], header)
    assert (refused.status, refused.json["error"]["code"]) == (504, "cache_miss")
    assert provider.calls == 1


def test_a_time_to_live_of_zero(running: Sidecar, provider: Provider) -> None:
    """Is read and not written, and says why."""
    reply = embed(running, "x", {"x-sidecar-cache-ttl": "0"})
    assert running.row(reply)["store_reason"] == "ttl_zero"
    assert embed(running, "x").cache == "miss"


def test_the_kill_switch(running: Sidecar, provider: Provider) -> None:
    """`off` neither reads nor writes; `shadow` notes what it would have served."""
    embed(running, "x")
    running.mode("off")
    assert embed(running, "x").headers["cache-status"] == "sidecar; fwd=bypass; detail=mode_off"
    running.mode("shadow")
    assert (embed(running, "x").cache, embed(running, "y").cache) == ("shadow", "miss")
    assert provider.calls == 4


@pytest.mark.parametrize(
    "selector", [{"all": True}, {"tenant": "t"}, {"tag": "docs"}, {"model": MODEL}]
)
def test_a_purge_forgets_vectors(
    running: Sidecar, provider: Provider, selector: dict[str, Any]
) -> None:
    """In memory and on disk; a dry run only counts them."""
    headers = {"x-sidecar-tenant": "t", "x-sidecar-cache-tags": "docs"}
    embed(running, ["x", "y"], headers)
    assert running.purge(**selector, dry_run=True)["matched"] == 2
    assert embed(running, "x", headers).cache == "exact"
    running.purge(**selector)
    assert embed(running, "x", headers).cache == "miss"


def test_a_request_leaves_a_row(running: Sidecar, provider: Provider) -> None:
    """Who, what, every attempt, and the tokens that the provider counted."""
    headers = {"x-sidecar-feature": "search", "x-sidecar-user": "ada"}
    row = running.row(embed(running, "three little words", headers))
    assert (row["endpoint"], row["model"], row["outcome"]) == ("embeddings", MODEL, "miss")
    assert (row["feature"], row["user"], row["input_tokens"]) == ("search", "ada", 3)
    assert [attempt["reason"] for attempt in row["attempts"]] == ["ok"]
    assert row["answered_provider"] == "p"


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"input": "x"}, "model"),
        ({"model": MODEL}, "input"),
        ({"model": MODEL, "input": []}, "input"),
        ({"model": MODEL, "input": ["x", 7]}, "input[1]"),
        ({"model": MODEL, "input": [[1], []]}, "input[1]"),
        ({"model": MODEL, "input": [-1]}, "input[0]"),
        ({"model": MODEL, "input": "x", "dimensions": 0}, "dimensions"),
        ({"model": MODEL, "input": "x", "encoding_format": "hex"}, "encoding_format"),
        ({"model": MODEL, "input": "x", "user": 7}, "user"),
    ],
)
def test_bad_input_is_named(
    running: Sidecar, provider: Provider, body: dict[str, Any], named: str
) -> None:
    """400, and nobody is asked."""
    reply = send("POST", f"{running.url}/embeddings", body)
    assert (reply.status, reply.json["error"]["param"]) == (400, named)
    assert provider.calls == 0


def test_a_refusal_is_passed_on(running: Sidecar, provider: Provider) -> None:
    """With the provider's own status and body, and nothing is kept of it."""
    reply = embed(running, ["good", ""])
    assert reply.status == 400
    assert "none of them empty" in reply.json["error"]["message"]
    assert embed(running, "good").cache == "miss"


def test_a_failure_is_not_cached(running: Sidecar, provider: Provider) -> None:
    """It names its attempts; the next request is answered."""
    provider.script({"status": 503, "times": 1})
    failed = embed(running, "x")
    assert failed.status == 503
    assert [each["status"] for each in failed.json["error"]["attempts"]] == [503]
    assert embed(running, "x").cache == "miss"


def test_the_next_target_is_asked(serve: Callable[..., Sidecar], provider: Provider) -> None:
    """A fallback of the same model name, not one of another: its vectors mean something else."""
    fallbacks = [
        {"provider": "p", "model": "another-model"},
        {"provider": "q", "model": MODEL},
    ]
    providers = {name: {"kind": "openai", "base_url": provider.base_url} for name in ("p", "q")}
    sidecar = serve(providers=providers, models={MODEL: {**TARGETS, "fallbacks": fallbacks}})
    provider.script({"status": 500, "times": 1})
    reply = embed(sidecar, "x")
    assert (reply.headers["x-sidecar-provider"], reply.headers["x-sidecar-attempts"]) == ("q", "2")
    assert [row["model"] for row in provider.ledger["requests"]] == [MODEL, MODEL]
    assert sidecar.row(reply)["store_reason"] == "fallback"
    assert embed(sidecar, "x").cache == "miss"


def test_a_provider_without_embeddings(serve: Callable[..., Sidecar], provider: Provider) -> None:
    """Is refused by its name, and not asked."""
    providers = {"c": {"kind": "anthropic", "base_url": provider.url, "api_key": "k"}}
    models = {"claude": {"targets": [{"provider": "c", "model": "claude"}]}}
    sidecar = serve(providers=providers, models=models)
    reply = send("POST", f"{sidecar.url}/embeddings", {"model": "claude", "input": "x"})
    assert (reply.status, reply.json["error"]["param"]) == (400, "model")
    assert "(c)" in reply.json["error"]["message"]


def test_a_restart_keeps_vectors(provider: Provider, tmp_path: Path) -> None:
    """Also after a kill, once they were written."""
    config = config_for(provider, tmp_path, {"models": {MODEL: TARGETS}})
    first = start_sidecar(tmp_path, config)
    kept = vectors(embed(first, ["a", "b"]))
    file = tmp_path / "state" / "embeddings.sqlite"
    until(lambda: b"text-embedding" in file.with_name(f"{file.name}-wal").read_bytes(), "a row")
    first.process.kill()
    assert file.stat().st_mode & 0o777 == 0o600
    second = start_sidecar(tmp_path, config)
    try:
        reply = embed(second, ["b", "a"])
        assert (reply.cache, vectors(reply)) == ("exact", kept[::-1])
    finally:
        second.process.kill()
    assert provider.calls == 1


def test_the_openai_sdk(running: Sidecar, provider: Provider) -> None:
    """Unmodified: it asks for base64 by itself and gets unit vectors, whole and partly cached."""
    with openai.OpenAI(base_url=running.url, api_key="any", max_retries=0) as client:
        first = client.embeddings.create(model=MODEL, input=["a", "b"])
        second = client.embeddings.create(model=MODEL, input=["b", "c"])
    assert first.data[1].embedding == second.data[0].embedding
    assert math.hypot(*second.data[1].embedding) == pytest.approx(1, abs=1e-5)
    assert len(first.data[0].embedding) == 1536
    assert seen(provider) == [["a", "b"], ["c"]]


def test_base64_is_the_float_vector(running: Sidecar, provider: Provider) -> None:
    """Both encodings of an item hold the same numbers."""
    floats = vectors(embed(running, "x", dimensions=4))[0]
    packed = base64.b64decode(
        vectors(embed(running, "x", dimensions=4, encoding_format="base64"))[0]
    )
    assert struct.unpack("<4f", packed) == pytest.approx(floats, abs=1e-6)
