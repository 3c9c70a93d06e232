"""A probe that streams: its first word is enough to let the others in."""

import asyncio
from dataclasses import replace

import pytest

from sidecar.clock import SystemClock
from sidecar.domain import Timeouts
from sidecar.events import Observers
from sidecar.providers.openai import OpenAIProvider
from sidecar.providers.simulated import SimulatedServer
from sidecar.providers.transport import Transport
from sidecar.route.dispatch import Dispatcher
from sidecar.route.policy import BreakerPolicy
from tests.route.conftest import Bench


@pytest.fixture
async def slow():
    """A dispatcher in front of a provider that says five words a second."""
    server, transport = SimulatedServer(tokens_per_s=5), Transport()
    await server.start()
    told = []
    provider = OpenAIProvider("sim", server.base_url, "", transport)
    dispatcher = Dispatcher({"sim": provider}, SystemClock(), Observers(told.append))
    yield Bench(server, dispatcher, told)
    await transport.close()
    await server.close()


async def test_a_probe_s_first_word_lets_the_others_in(slow, route, make_call):
    """They don't wait, or go elsewhere, until a long answer is over."""
    policy, patient = BreakerPolicy(1, 30.0, 0.02), Timeouts(total_s=60)
    guarded = route("first", fallbacks=("spare",), breaker=policy, timeouts=patient)
    slow.script({"match": {"model": "first"}, "status": 500, "times": 1})
    await slow.ask(make_call(), replace(guarded, fallbacks=()))
    assert slow.dispatcher.states()["sim", "first"]["state"] == "open"
    await asyncio.sleep(0.03)
    long = asyncio.ensure_future(slow.ask(make_call(stream=True), guarded))
    while slow.dispatcher.states()["sim", "first"]["state"] != "closed":
        assert not long.done()
        await asyncio.sleep(0.005)
    assert not long.done()
    long.cancel()
    await asyncio.wait([long])
