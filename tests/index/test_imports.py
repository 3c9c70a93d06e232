"""What an index loads, and what it does to the threads of the process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


def printed_by(script: str, **environment: str) -> str:
    """What a new process prints that runs `script`."""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert not done.stderr
    return done.stdout.strip()


SMALL_PARTITIONS = """
import sys
import numpy as np
from index import VectorIndex

vectors = VectorIndex(32, exact_below=500, max_entries=600)
matrix = np.random.default_rng(0).standard_normal((500, 32))
vectors.add_many(range(500), matrix)
for name in "ab":
    vectors.add_many(range(100), matrix[:100], name)
    vectors.search(matrix[0], partition=name)
vectors.search_many(matrix, 3)
vectors.remove(3)
vectors.drop("a")
vectors.compact()
vectors.stats()
print(sorted({"faiss", "sidecar", "asyncio", "aiohttp", "redis", "sqlite3"} & set(sys.modules)))
"""


def test_small_partitions_load_neither_faiss_nor_the_sidecar():
    """A small cache does not pay for what only a large one needs, whatever is called."""
    assert printed_by(SMALL_PARTITIONS) == "[]"


SEARCH_AND_COUNT_THREADS = """
import os
import numpy as np
from index import VectorIndex

matrix = np.random.default_rng(0).standard_normal((20000, 64))
vectors = VectorIndex(64, exact_below=64)
before = len(os.listdir("/proc/self/task"))
vectors.add_many(range(20000), matrix)
vectors.compact()
vectors.search(matrix[0])
vectors.search_many(matrix[:500], 5)
while vectors.stats().compacting:
    vectors.search(matrix[0])
print(vectors.is_exact(), len(os.listdir("/proc/self/task")) - before)
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted in /proc")
def test_faiss_stays_on_the_thread_that_calls_it():
    """Training, adding and searching start no threads, even where four are allowed."""
    assert printed_by(SEARCH_AND_COUNT_THREADS, OMP_NUM_THREADS="4") == "False 0"


END_WHILE_COMPACTING = """
import numpy as np
from index import VectorIndex

vectors = VectorIndex(64, exact_below=64)
vectors.add_many(range(20000), np.random.default_rng(0).standard_normal((20000, 64)))
print(vectors.stats().compacting)
"""


def test_a_process_may_end_while_its_index_compacts():
    """Nothing waits for the thread, and it takes nothing down with it."""
    assert printed_by(END_WHILE_COMPACTING) == "True"
