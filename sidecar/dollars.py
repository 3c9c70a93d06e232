"""Nano-dollars as people write dollars. Pure."""

from __future__ import annotations


def dollars(nano: int) -> str:
    """Plain decimal dollars, without needless zeros: `0.0001275`, `12.5`, `0`, `-0.01`."""
    sign, nano = ("-", -nano) if nano < 0 else ("", nano)
    whole, rest = divmod(nano, 10**9)
    return f"{sign}{whole}.{rest:09d}".rstrip("0").rstrip(".")
