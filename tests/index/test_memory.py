"""Freed memory goes back to the system."""

import ctypes
import subprocess
import sys
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


SPARE_AFTER_SEALING = """
import sys, time
from contextlib import nullcontext
import numpy as np
import psutil
import index.approximate  # what importing takes is no part of it
from index import VectorIndex
from index.memory import trim

random = np.random.default_rng(7)
vectors = VectorIndex(384, exact_below=1000)
alone = sys.argv[1] == "compact"
with vectors.filling() if alone else nullcontext():
    for start in range(0, 20_000, 1000):
        ids = [f"id-{row}" for row in range(start, start + 1000)]
        vectors.add_many(ids, random.standard_normal((1000, 384), dtype=np.float32))
    if alone:
        vectors.compact()
    while vectors.stats().compacting:
        time.sleep(0.01)
    before = psutil.Process().memory_info().rss
    trim()
    print(before - psutil.Process().memory_info().rss)
"""


@pytest.mark.skipif(
    not Path("/proc/self").exists() or not hasattr(ctypes.CDLL(None), "malloc_trim"),
    reason="only glibc keeps what was freed, and can be told not to",
)
@pytest.mark.parametrize("how", ["compact", "by itself"])
def test_little_stays_with_the_allocator_after_sealing(how):
    """Whoever calls for it and whoever waits: 24 MB of exact rows are not kept beside the codes."""
    command = [sys.executable, "-c", SPARE_AFTER_SEALING, how]
    told = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert int(told.stdout) < 22 * 2**20
