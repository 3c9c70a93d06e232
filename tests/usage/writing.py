"""Runs a ledger for as long as a test needs it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sidecar.usage.ledger import RequestLedger

DAY_S = 86_400.0


@asynccontextmanager
async def opened(ledger: RequestLedger) -> AsyncIterator[RequestLedger]:
    """The ledger while its thread runs; all is written when this is left."""
    ledger.open()
    yield ledger
    await ledger.close()


async def written(ledger: RequestLedger, *rows) -> RequestLedger:
    """The ledger after these rows went to disk and its thread ended."""
    async with opened(ledger):
        for row in rows:
            ledger.observe(row)
    return ledger
