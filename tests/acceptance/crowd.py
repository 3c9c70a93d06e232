"""A client process of its own: many requests at once, their statuses on stdout.

    python crowd.py URL CALLS NAME

Sends CALLS concurrent chat completions, each a miss, and prints a JSON object: how often
each status came.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter

import aiohttp


async def main(url: str, calls: int, name: str) -> None:
    """Ask all at once."""
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=110)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:

        async def ask(number: int) -> str:
            body = {
                "model": "gpt-4o",
                "max_tokens": 20,
                "temperature": 1,
                "messages": [{"role": "user", "content": f"{name} asks question {number}"}],
            }
            async with session.post(f"{url}/chat/completions", json=body) as reply:
                told = await reply.json()
                return f"{reply.status} {told.get('error', {}).get('code', '')}".strip()

        told = Counter(await asyncio.gather(*(ask(number) for number in range(calls))))
    print(json.dumps(told))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
