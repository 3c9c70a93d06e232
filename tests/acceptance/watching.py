"""What a running sidecar holds: its work, its sockets, and the rows of all that it was asked."""

from __future__ import annotations

import json
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import psutil

from .running import Sidecar, until

UNSENT = ("connect", "timeout_connect", "breaker_open", "untranslatable")
"""Reasons of attempts that no provider has heard of."""


def work(running: Sidecar) -> dict[str, int]:
    """Requests, calls and tasks under way."""
    told: dict[str, int] = running.admin("GET", "/api/status").json["work"]
    return told


def held(running: Sidecar) -> Counter[str]:
    """Open files and sockets: of callers, towards each provider's port, and all others."""
    process = psutil.Process(running.process.popen.pid)
    own = {urlsplit(url).port for url in (running.url, running.admin_url)}
    count = Counter({"all": process.num_fds()})
    for each in process.net_connections("tcp"):
        if each.raddr:
            place = "callers" if each.laddr.port in own else f"to {each.raddr.port}"
            count[place] += 1
    count["others"] = 2 * count["all"] - count.total()
    return count


def request_ids(running: Sidecar) -> list[str]:
    """Of all requests so far, by the process's own log, which is a moment behind."""

    def told() -> list[str]:
        lines = [line for line in running.process.said.splitlines() if '"request_id":' in line]
        return [json.loads(line)["request_id"] for line in lines]

    counted = running.gauge("sidecar_requests_total")
    until(lambda: len(told()) >= counted, "a line for each request")
    return told()


def row_of(running: Sidecar, request_id: str) -> dict[str, Any]:
    """One request's row, as soon as it is there."""
    path = f"/api/requests/{request_id}"
    found = until(lambda: (r := running.admin("GET", path)).status == 200 and r, "a row")
    told: dict[str, Any] = found.json
    return told


def sent(row: dict[str, Any]) -> list[str]:
    """How each attempt ended that a provider has heard of and that is on this row's account.

    The attempts of a shared flight stand in the rows of all who shared it, and are on the
    account of one.
    """
    words = {told["word"] for told in row["decisions"] if told["stage"] == "flight"}
    if words and "inherited" not in words:
        return []
    reasons = [told["reason"] for told in row["attempts"]]
    return [reason for reason in reasons if reason not in UNSENT]


@contextmanager
def black_hole() -> Iterator[int]:
    """A port where no connection ever comes to stand: its queue is full and nobody reads it."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
        for each in waiting:
            each.close()
