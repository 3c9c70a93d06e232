"""An operator's view over nothing, for the tests of the admin plane."""

from __future__ import annotations

import orjson

TOKEN = {"Authorization": "Bearer t0ken"}


class Books:
    """Money to look at: it says what it was asked for, and notes what it is told to do."""

    def __init__(self) -> None:
        self.done: list[tuple[str, ...]] = []

    async def usage(self, options: dict) -> dict:
        row = {"user": "=1+1", "cost_usd": "0.5"}
        by = ["user"] if "by" in options else []
        return {"by": by, "rows": [row], "total": {"cost_usd": "7"}, "asked": options}

    async def closing(self, options: dict) -> dict:
        return {"rows": [], "columns": ["day"], "asked": options}

    async def charges(self, options: dict) -> dict:
        return {"rows": [], "asked": options}

    async def budgets(self) -> dict:
        return {"budgets": []}

    async def unsettled(self) -> dict:
        return {"rows": [], "columns": ["id"]}

    async def reconcile(self, charge: str, cost_usd: str, note: str) -> dict:
        self.done.append((charge, cost_usd, note))
        return {"charge": charge}


class Desk:
    """An operator's view over nothing: it notes what it is told to do."""

    def __init__(self) -> None:
        self.up = True
        self.finance = Books()
        self.done: list[tuple] = []

    def started(self) -> bool:
        return self.up

    def ready(self) -> bool:
        return self.up

    def metrics(self) -> bytes:
        return b"sidecar_in_flight 0.0\n"

    def status(self) -> dict:
        return {"mode": "serve"}

    async def request_row(self, request_id: str) -> dict | None:
        return {"id": request_id} if request_id == "req_1" else None

    async def purge(self, field: str, value: str, *, dry_run: bool) -> int:
        self.done.append((field, value, dry_run))
        return 7

    def set_mode(self, mode: str) -> None:
        self.done.append(("mode", mode))

    def routes(self) -> dict:
        return {"gpt-4o": {"active": "targets"}}

    async def toggle(self, name: str, variant: str | None) -> dict:
        self.done.append(("toggle", name, variant))
        return {"routes": {}, "saved": True}

    async def reload(self) -> dict:
        self.done.append(("reload",))
        return {"changed": []}


async def ask(client, url: str, method: str = "GET", body: object = None, **headers: str):
    """Status and body of a call with the token."""
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    headers = {**TOKEN, "Content-Type": "application/json", **headers}
    sent = None if method == "GET" else data
    async with client.request(method, url, data=sent, headers=headers) as response:
        return response.status, orjson.loads(await response.read())
