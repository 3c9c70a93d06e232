"""Dollars as whole nano-dollars, and back into text. Pure.

A limit is read downwards, so that no fraction of a nano-dollar is ever granted on top.
Nothing here is a float: a sum of floats drifts, and a budget must not.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from math import floor
from typing import Final

from sidecar.dollars import dollars as told

NANO: Final = 10**9
"""Nano-dollars of a dollar."""

__all__ = ["NANO", "nano_of", "told"]


def nano_of(dollars: Decimal) -> int:
    """Whole nano-dollars, rounded down. `ValueError` or `OverflowError` for what is no amount."""
    # By fraction: decimal arithmetic would round to its context's 28 digits on the way.
    return floor(Fraction(dollars) * NANO)
