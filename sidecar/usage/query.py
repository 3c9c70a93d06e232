"""What is asked of the ledger of requests: a period, groups, and the SQL of it. Pure.

Names of groups come from a fixed list and values are bound, so nothing that a caller
writes becomes SQL. Money is summed as integers and told as decimal text, so that no sum
is off by a fraction of a cent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sidecar.dollars import dollars
from sidecar.domain import Json
from sidecar.errors import InvalidRequestError

COLUMNS: Mapping[str, str] = {
    "user": '"user"',
    "feature": "feature",
    "department": "department",
    "tenant": "tenant",
    "session": "session",
    "client": "client",
    "endpoint": "endpoint",
    "model": "model",
    "route": "variant",
    "answered_model": "answered_model",
    "provider": "answered_provider",
    "prompt": "prompt",
    "cache": "outcome",
    "status": "status",
    "degraded": "degraded",
    "hour": "hour_of(started_at)",
    "day": "day_of(started_at)",
    "month": "month_of(started_at)",
}
"""Groups by name, each with the SQL that tells it; the last are told in the asked time zone."""
MONEY = ("cost_nanousd", "saved_cache_nanousd", "saved_context_nanousd", "saved_route_nanousd")
MOST_GROUPS = 6
MOST_ROWS = 10_000
_SUMS: Mapping[str, str] = {
    "requests": "count(*)",
    "exact": "sum(outcome = 'exact')",
    "semantic": "sum(outcome = 'semantic')",
    "coalesced": "sum(outcome = 'coalesced')",
    "errors": "sum(status >= 400)",
    "input_tokens": "coalesce(sum(input_tokens), 0)",
    "cached_input_tokens": "coalesce(sum(cached_input_tokens), 0)",
    "cache_write_tokens": "coalesce(sum(cache_write_tokens), 0)",
    "output_tokens": "coalesce(sum(output_tokens), 0)",
    "reasoning_tokens": "coalesce(sum(reasoning_tokens), 0)",
    "context_tokens_removed": "coalesce(sum(context_tokens_removed), 0)",
    "unpriced": "sum(unpriced)",
    "estimated": "sum(estimated)",
    **{name: f"coalesce(sum({name}), 0)" for name in MONEY},
    "total_ms": "avg(total_ms)",
    "overhead_ms": "avg(max(0, total_ms - provider_ms))",
}
_MEANS = ("total_ms", "overhead_ms")


@dataclass(frozen=True, slots=True)
class UsageQuery:
    """Rows from `since` to before `until` (Unix seconds), grouped `by` names of `COLUMNS`.

    `InvalidRequestError` names a group that there is none of. `where` keeps rows whose
    columns, by the same names, have these values.
    """

    since: float
    until: float
    by: tuple[str, ...] = ()
    where: Mapping[str, str] | None = None
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        for name in (*self.by, *(self.where or {})):
            if name not in COLUMNS:
                known = ", ".join(COLUMNS)
                raise InvalidRequestError(f"no group {name[:40]!r}; there are: {known}", param="by")
        if len(self.by) > MOST_GROUPS or len(set(self.by)) < len(self.by):
            raise InvalidRequestError(f"give up to {MOST_GROUPS} groups, each once", param="by")
        if self.until < self.since:
            raise InvalidRequestError("until lies before since", param="until")


def statement(query: UsageQuery) -> tuple[str, Sequence[Json]]:
    """The SQL of a query and the values that are bound to it: dearest groups first."""
    groups = [COLUMNS[name] for name in query.by]
    kept = [f"{COLUMNS[name]} = ?" for name in query.where or {}]
    told = ", ".join((*groups, *_SUMS.values()))
    text = f"SELECT {told} FROM requests WHERE started_at >= ? AND started_at < ?"  # noqa: S608
    text += "".join(f" AND {condition}" for condition in kept)
    if groups:
        text += f" GROUP BY {', '.join(groups)}"
        cost = f"coalesce(sum({MONEY[0]}), 0)"
        text += f" ORDER BY {cost} DESC, count(*) DESC, {', '.join(groups)} LIMIT {MOST_ROWS + 1}"
    return text, [query.since, query.until, *(query.where or {}).values()]


def record(query: UsageQuery, values: Sequence[Json]) -> dict[str, Json]:
    """One row of the answer: the groups, the counts, money in decimal dollars."""
    names = (*query.by, *_SUMS)
    told: dict[str, Json] = {}
    for name, value in zip(names, values, strict=True):
        if name in MONEY:
            told[name.replace("_nanousd", "_usd")] = dollars(value)
        elif name in _MEANS:
            told[f"mean_{name}"] = round(value or 0.0, 3)
        else:
            told[name] = value if value is not None else 0
    told["hit_ratio"] = _ratio(told["exact"] + told["semantic"], told["requests"])
    return told


def _ratio(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0
