"""Freed memory goes back to the system."""

import ctypes
from pathlib import Path

import numpy as np
import psutil
import pytest

from index.memory import trim

PART = 64 * 1024  # bytes; larger ones would be mapped, and given back, one by one


def resident() -> int:
    """Bytes of this process that are in memory."""
    return psutil.Process().memory_info().rss


@pytest.mark.skipif(
    not Path("/proc/self").exists() or not hasattr(ctypes.CDLL(None), "malloc_trim"),
    reason="only glibc keeps what was freed, and can be told not to",
)
def test_what_lies_free_between_what_is_used_is_given_back():
    """Pages in the middle too, which the allocator would keep for later."""
    parts = [np.ones(PART, np.uint8) for _ in range(2000)]
    full = resident()
    del parts[1::2]
    trim()
    assert resident() < full - 500 * PART
    assert all(part.all() for part in parts)


def test_it_may_be_called_at_any_time():
    """Also when there is nothing to give."""
    trim()
    trim()
