"""What the tests of many rooms start from: a still clock, tasks, flights, a call, a row."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable

import pytest
from hypothesis import settings

from sidecar.clock import ManualClock
from sidecar.domain import CacheControls, Call, Caller, ChatRequest, Endpoint, Message, Role, Text
from sidecar.events import RequestRow
from sidecar.singleflight import Flights
from sidecar.tasks import Tasks
from sidecar.trail import Trail
from tests.flying import Job

# How long an example takes says nothing about it where others use the machine too.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture
def clock() -> ManualClock:
    """A clock that the test moves."""
    return ManualClock()


@pytest.fixture
async def tasks() -> AsyncIterator[Tasks]:
    """Background tasks, ended with the test."""
    tasks = Tasks()
    yield tasks
    await tasks.close()


@pytest.fixture
def flights(tasks) -> Flights:
    """No flight under way."""
    return Flights(tasks)


@pytest.fixture
def job() -> Job:
    """Work that waits for orders."""
    return Job()


@pytest.fixture(scope="session")
def make_call() -> Callable[..., Call]:
    """A call that asks `text`; other arguments are fields of its request."""

    def make(
        text: str = "How do I reset my password?",
        *,
        id: str = "req_1",  # noqa: A002
        caller: Caller | None = None,
        controls: CacheControls | None = None,
        **request: object,
    ) -> Call:
        message = Message(Role.USER, (Text(text),))
        fields = {"model": "gpt-4o", "messages": (message,), **request}
        return Call(
            id,
            Endpoint.CHAT,
            ChatRequest(**fields),
            caller or Caller(),
            controls or CacheControls(),
            received_at=1_700_000_000.0,
        )

    return make


@pytest.fixture(scope="session")
def make_row(make_call) -> Callable[..., RequestRow]:
    """The row of an answered request, with `changes`."""

    def make(status: int = 200, **changes: object) -> RequestRow:
        return Trail(make_call(), ManualClock()).close(status)._replace(**changes)

    return make


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """In CI nothing may be skipped: what isn't run there is run nowhere."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and exitstatus == 0 and reporter.stats.get("skipped"):
        reporter.write_line("tests were skipped that CI ought to run", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
