"""A bad network between sidecar and provider: every answer is whole or an error, at any byte."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest

from .models import every_kind
from .rough import RoughNetwork, Weather, rough_network
from .running import DONE, Provider, Reply, Sidecar, send

ASKED = "How do I reset my password?"
KINDS = pytest.mark.parametrize("model", ["by-openai", "by-anthropic", "by-azure"])
WAYS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
SEED = 11
CUTS = 30
SHORTEST = {False: 500, True: 1500}
"""Bytes that each answer has at least, with its head."""
BODIES: dict[str, dict[str, Any]] = {
    "chat/completions": {"messages": [{"role": "user", "content": ASKED}]},
    "messages": {"max_tokens": 500, "messages": [{"role": "user", "content": ASKED}]},
    "responses": {"input": ASKED},
}
ENDS = {"chat/completions": DONE, "messages": "message_stop", "responses": "response.completed"}


@pytest.fixture(scope="module")
def network(shared_provider: Provider) -> Iterator[RoughNetwork]:
    """Before the provider."""
    with rough_network(urlsplit(shared_provider.url).port or 0) as network:
        yield network


@pytest.fixture(scope="module")
def shared_sidecar(
    serve: Callable[..., Sidecar], shared_provider: Provider, network: RoughNetwork
) -> Sidecar:
    """A sidecar that reaches every kind of provider through it; a try is a connection."""
    config = every_kind(shared_provider)
    for provider in config["providers"].values():
        way = provider["base_url"].replace(shared_provider.url, network.url)
        provider["base_url"] = way
    return serve(**config)


@pytest.fixture(autouse=True)
def calm(network: RoughNetwork) -> Iterator[None]:
    """Fair weather before and after."""
    network.weather = Weather()
    yield
    network.weather = Weather()


@pytest.fixture
def asked(running: Sidecar, provider: Provider) -> tuple[Sidecar, Provider]:
    """Both, empty."""
    return running, provider


def ask(running: Sidecar, path: str, model: str, *, stream: bool) -> Reply:
    """One answer, kept by nobody."""
    body = {**BODIES[path], "model": model, "stream": stream}
    return send("POST", f"{running.url}/{path}", body, {"Cache-Control": "no-cache"})


@KINDS
@WAYS
@pytest.mark.parametrize("path", BODIES)
def test_slices_of_one_byte_are_the_same_answer(
    running: Sidecar, network: RoughNetwork, path: str, model: str, stream: bool
) -> None:
    """How it is cut into segments says nothing; a late packet is no end."""
    fair = ask(running, path, model, stream=stream)
    assert fair.status == 200
    assert not stream or ENDS[path] in fair.body.decode()
    for weather in (Weather(slice_bytes=1), Weather(latency_s=0.05, slice_bytes=7)):
        network.weather = weather
        rough = ask(running, path, model, stream=stream)
        assert (rough.status, likeness(rough)) == (200, likeness(fair))


def likeness(reply: Reply) -> str:
    """The whole reply but for what is its own: ids, times and the report."""
    text = re.sub(r'"(id|item_id|request_id)":"[^"]*"', "", reply.body.decode())
    return re.sub(r'"(created|created_at|completed_at|obfuscation)":[^,}]*', "", text)


@KINDS
@WAYS
@pytest.mark.parametrize("end", [Weather(), Weather(reset=True)], ids=["cut", "reset"])
def test_a_connection_that_ends_at_any_byte(
    asked: tuple[Sidecar, Provider], network: RoughNetwork, model: str, stream: bool, end: Weather
) -> None:
    """Half an answer never looks whole and is never kept; the one try stands in the row."""
    running, provider = asked
    chance = random.Random(SEED)  # noqa: S311  guards no secret
    for number in range(CUTS):
        path = list(BODIES)[number % len(BODIES)]
        network.weather = replace(end, end_after=chance.randrange(1, SHORTEST[stream]))
        reply = ask(running, path, model, stream=stream)
        text, row = reply.body.decode(), running.row(reply)
        assert '"error":{' in text or "event: error" in text, text
        assert ENDS[path] not in text
        assert (row["stored"], bool(row["error"])) == (False, True)
        assert (reply.status == 200) <= stream
        (attempt,) = row["attempts"]
        assert attempt["reason"] in ("cut", "reset", "disconnect")
    assert (running.cache["entries"], provider.calls) == (0, CUTS)
