"""Callers that config knows by their key: the rest stays outside, and nobody forges a tag."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import openai
import pytest

from .refusals import assert_refused
from .running import Provider, Sidecar, asking, send

SHOP, HR, BOT = "key-of-the-shop-canary", "key-of-hr-canary", "key-of-a-bot-canary"
CLIENTS = [
    {"key": SHOP, "tenant": "shop", "tags": {"department": "sales"}},
    {"key": HR, "tenant": "hr"},
    {"key": BOT, "tenant": "bots", "tags": {"user": "bot"}},
]
ASKED = "Who may ask?"


def with_key(key: str, **more: str) -> dict[str, str]:
    """The headers of a client."""
    return {"Authorization": f"Bearer {key}", **more}


@pytest.fixture(scope="module")
def known(serve: Callable[..., Sidecar]) -> Sidecar:
    """A sidecar with two clients."""
    return serve(clients=CLIENTS)


@pytest.mark.parametrize(
    "headers",
    [{}, with_key("nobody"), {"x-api-key": "nobody"}, with_key(SHOP[:-1]), with_key(SHOP + "x")],
    ids=["none", "unknown", "in the other header", "cut", "too long"],
)
def test_an_unknown_key_gets_nothing(
    known: Sidecar, provider: Provider, headers: Mapping[str, str]
) -> None:
    """401 at every path of the data plane, one that is not there included."""
    assert_refused(known.ask(ASKED, headers), 401, "invalid_api_key")
    for path in ("/models", "/nowhere"):
        assert send("GET", known.url + path, headers=headers).status == 401
    assert provider.calls == 0


def test_a_refusal_leaves_a_row_and_no_key(known: Sidecar) -> None:
    """An operator sees who knocks, and no log holds a key."""
    reply = known.ask(ASKED, with_key("key-of-nobody-canary"))
    row = known.row(reply)
    assert (row["status"], row["error"], row["client"]) == (401, "invalid_api_key", "")
    known.ask(ASKED, with_key(SHOP))
    assert "canary" not in reply.body.decode() + str(row) + known.process.said


@pytest.mark.parametrize("headers", [with_key(SHOP), {"x-api-key": SHOP}], ids=["bearer", "header"])
def test_a_known_key_is_answered(known: Sidecar, headers: Mapping[str, str]) -> None:
    """In whichever of the two ways it comes."""
    assert known.ask(ASKED, headers).status == 200
    assert send("GET", f"{known.url}/models", headers=headers).status == 200


def test_tags_of_a_client_can_not_be_forged(known: Sidecar) -> None:
    """Neither by headers nor in the body; the rest is the request's to say."""
    forged = {"x-sidecar-tenant": "hr", "x-sidecar-department": "hr", "x-sidecar-user": "ann"}
    body = asking(ASKED, metadata={"department": "hr", "feature": "faq"})
    row = known.row(known.post(body, with_key(SHOP, **forged)))
    told = [row[name] for name in ("tenant", "department", "user", "feature")]
    assert told == ["shop", "sales", "ann", "faq"]
    assert len(row["client"]) == 8


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("chat/completions", {"user": "ann"}),
        ("chat/completions", {"safety_identifier": "ann"}),
        ("chat/completions", {"metadata": {"user": "ann", "user_id": "ann", "tenant": "hr"}}),
        ("responses", {"input": ASKED, "safety_identifier": "ann", "metadata": {"tenant": "hr"}}),
        ("messages", {"max_tokens": 9, "metadata": {"user_id": "ann"}}),
    ],
)
def test_a_bound_user_can_not_be_forged_in_any_format(
    known: Sidecar, path: str, fields: dict[str, Any]
) -> None:
    """Nor can its tenant, by whatever name bodies have for it."""
    body = {**({} if "input" in fields else asking(ASKED)), "model": "gpt-4o", **fields}
    headers = with_key(BOT, **{"x-sidecar-user": "ann", "x-sidecar-tenant": "hr"})
    reply = send("POST", f"{known.url}/{path}", body, headers)
    row = known.row(reply)
    assert (row["status"], row["tenant"], row["user"]) == (200, "bots", "bot")


def test_keys_are_written_nowhere(known: Sidecar) -> None:
    """Neither on disk nor in what operators see, whatever they were used for."""
    for number, key in enumerate((SHOP, HR, BOT, "key-of-nobody-canary")):
        said = {"Idempotency-Key": f"canary-name-{number}", "Cache-Control": "no-store"}
        known.ask(ASKED, with_key(key, **said))
        known.ask(ASKED, {"x-api-key": key})
    known.flush()
    known.purge(tenant="nobody")  # what is written before it is on disk when it returns
    files = [file for file in known.folder.glob("state/**/*") if file.is_file()]
    assert "idempotency.sqlite" in [file.name for file in files]
    told = [known.admin("GET", path).body for path in ("/metrics", "/api/status", "/api/routes")]
    held = b"".join([*(file.read_bytes() for file in files), *told])
    assert b"canary" not in held
    assert "canary" not in known.process.said


def test_a_client_never_sees_what_another_was_told(known: Sidecar, provider: Provider) -> None:
    """Whichever tenant it claims to be."""
    question = "What do only we know?"
    assert known.ask(question, with_key(SHOP)).cache == "miss"
    assert known.ask(question, with_key(SHOP)).cache == "exact"
    stolen = known.ask(question, with_key(HR, **{"x-sidecar-tenant": "shop"}))
    assert (stolen.cache, provider.calls) == ("miss", 2)


def test_the_sdk_says_what_is_wrong(known: Sidecar) -> None:
    """With the exception that it has for this."""
    client = openai.OpenAI(base_url=known.url, api_key="nobody", max_retries=0)
    with pytest.raises(openai.AuthenticationError, match="not known here"):
        client.chat.completions.create(**asking(ASKED))
    good = openai.OpenAI(base_url=known.url, api_key=SHOP, max_retries=0)
    assert good.chat.completions.create(**asking(ASKED)).choices


@pytest.fixture(scope="module")
def strict(serve: Callable[..., Sidecar]) -> Sidecar:
    """A sidecar that wants to know user and department of each request."""
    return serve(tags={"required": ["user", "department"], "defaults": {"department": "unknown"}})


def test_a_missing_tag_is_refused_by_name(strict: Sidecar, provider: Provider) -> None:
    """A default is no answer to who asks."""
    said = {"x-sidecar-user": "ann"}
    message = assert_refused(
        strict.ask(ASKED, said), 400, "missing_tag", param="x-sidecar-department"
    )
    assert "x-sidecar-department" in message
    assert provider.calls == 0


@pytest.mark.parametrize(
    ("headers", "fields"),
    [
        ({"x-sidecar-user": "ann", "x-sidecar-department": "hr"}, {}),
        ({}, {"metadata": {"user": "ann", "department": "hr"}}),
        ({"x-sidecar-department": "hr"}, {"safety_identifier": "ann"}),
    ],
    ids=["headers", "body", "both"],
)
def test_tags_may_come_in_each_way(
    strict: Sidecar, headers: dict[str, str], fields: dict[str, Any]
) -> None:
    """As the contract has it."""
    row = strict.row(strict.ask(ASKED, headers, **fields))
    assert (row["status"], row["user"], row["department"]) == (200, "ann", "hr")
