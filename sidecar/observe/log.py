"""The process's log: readable on a terminal, one JSON object a line elsewhere.

Nothing of what clients sent is in it. Requests have lines of their own (`request_log`).
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

import orjson


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


def is_readable(log_format: str, stream: TextIO) -> bool:
    """Whether lines are for people: `text`, `json`, or by what the stream is (`auto`)."""
    return log_format == "text" or (log_format == "auto" and stream.isatty())


def set_up(log_format: str, level: str, stream: TextIO = sys.stderr) -> None:
    """Send this process's log to `stream`."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")
        if is_readable(log_format, stream)
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
