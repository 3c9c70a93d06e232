"""When a stream has begun to answer: with its first content, not with its opening."""

import pytest

from sidecar.domain import Timeouts
from sidecar.errors import UpstreamTimeoutError
from sidecar.providers.transport import Transport
from tests.providers.asking import provider, read_stream
from tests.providers.faults import FaultServer, event_stream, stalls

ROLE = (
    b'{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":'
    b'[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}'
)
FILTERS = (
    b'{"id":"","object":"","created":0,"model":"","choices":[],'
    b'"prompt_filter_results":[{"prompt_index":0}]}'
)


@pytest.mark.parametrize("opening", [ROLE, FILTERS], ids=["role", "azure"])
async def test_an_opening_is_no_token(opening):
    """A stream that only says that it has begun misses the deadline of its first token."""
    timeouts = Timeouts(connect_s=5, first_token_s=0.2, total_s=3, between_tokens_s=2)
    transport = Transport(use_environment=False)
    async with FaultServer(stalls(event_stream(opening, end=False))) as server:
        with pytest.raises(UpstreamTimeoutError) as raised:
            await read_stream(provider(server.url, transport), timeouts)
    await transport.close()
    assert raised.value.reason == "timeout_first_token"
