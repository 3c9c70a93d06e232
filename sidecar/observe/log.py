"""Log lines: one a request, readable on a terminal and JSON elsewhere.

Prompt text, answers and keys are never in them: a line is made from the request row,
which holds none.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

import orjson

from sidecar.events import Event, RequestRow

_REQUESTS = logging.getLogger("sidecar.requests")


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Time, level, logger and message, with the fields that the caller attached."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        try:
            return orjson.dumps(line, default=str).decode()
        except TypeError:  # half a character, or an integer of more than 64 bits
            text = json.dumps(line, default=str, ensure_ascii=False)
            return text.encode(errors="replace").decode()


def set_up(log_format: str, level: str, stream: TextIO = sys.stderr) -> None:
    """Send this process's log to `stream`: `json`, `text`, or by what the stream is (`auto`)."""
    readable = log_format == "text" or (log_format == "auto" and stream.isatty())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")
        if readable
        else JsonFormatter()
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("aiohttp.server").addFilter(without_client_bytes)


def without_client_bytes(record: logging.LogRecord) -> bool:
    """Keep the line and drop the quote: aiohttp shows what it can't parse, maybe a prompt."""
    kind = record.exc_info[0] if record.exc_info else None
    if kind is not None and kind.__module__ == "aiohttp.http_exceptions":
        record.exc_info = record.exc_text = None
        record.msg, record.args = f"a request that is no HTTP was refused ({kind.__name__})", ()
    return True


def log_request(event: Event) -> None:
    """One line for each request."""
    if not isinstance(event, RequestRow) or not _REQUESTS.isEnabledFor(logging.INFO):
        return
    _REQUESTS.info(
        "%s %d %s %s%s %.1f ms",
        event.id, event.status, event.outcome, event.model,
        f" ({event.reason})" if event.reason else "", event.total_ms,
        extra={"fields": _fields(event)},
    )  # fmt: skip


def _fields(row: RequestRow) -> dict[str, object]:
    return {
        "request_id": row.id,
        "endpoint": row.endpoint,
        "model": row.model,
        "status": row.status,
        "cache": row.outcome,
        "reason": row.reason,
        "error": row.error,
        "ms": round(row.total_ms, 2),
        "provider_ms": round(row.provider_ms, 2),
    }
