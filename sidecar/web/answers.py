"""Replies of the admin plane: JSON, and CSV for spreadsheets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson
from aiohttp import web

from sidecar.domain import Json
from sidecar.errors import InvalidRequestError
from sidecar.tables import csv_of


def answer(body: Mapping[str, Json]) -> web.Response:
    """A JSON reply."""
    return web.Response(
        body=orjson.dumps(body, option=orjson.OPT_NON_STR_KEYS), content_type="application/json"
    )


def table(
    request: web.Request,
    body: Mapping[str, Json],
    rows: Sequence[Mapping[str, Json]],
    columns: Sequence[str],
) -> web.Response:
    """The whole report as JSON, or its rows as CSV where `format=csv` was asked for."""
    form = request.query.get("format", "json")
    if form == "csv":
        text = csv_of(rows, columns)
        return web.Response(text=text, content_type="text/csv", charset="utf-8")
    if form != "json":
        raise InvalidRequestError("format must be json or csv", param="format")
    return answer(body)


def verdict(good: bool, word: str) -> web.Response:
    """A probe's answer."""
    text = orjson.dumps({"status": word if good else f"not {word}"})
    return web.Response(status=200 if good else 503, body=text, content_type="application/json")
