"""The shortlist that FAISS makes of a large partition."""

import os
import subprocess
import sys
from pathlib import Path

import faiss
import numpy as np
import pytest

from index.approximate import best_rows
from index.vectors import unit_matrix

ROWS, DIMENSION = 9000, 16


@pytest.fixture(scope="module")
def matrix():
    """Random directions, enough of them that FAISS would use several threads."""
    return unit_matrix(np.random.default_rng(1).standard_normal((ROWS, DIMENSION)), DIMENSION)


def test_the_best_rows_come_best_first(matrix):
    """The shortlist is what a full sort in float64 puts at the front."""
    truth = matrix.astype(np.float64) @ matrix[5].astype(np.float64)
    rows, scores = best_rows(matrix, matrix[5], 20)
    assert rows.tolist() == np.argsort(-truth)[:20].tolist()
    assert scores == pytest.approx(truth[rows], abs=1e-6)


SCAN_AND_COUNT_THREADS = """
import os
import numpy as np
from index.approximate import best_rows
matrix = np.full((20000, 64), 0.125, np.float32)
before = len(os.listdir("/proc/self/task"))
best_rows(matrix, matrix[0], 8)
print(len(os.listdir("/proc/self/task")) - before)
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted in /proc")
def test_a_search_starts_no_threads():
    """FAISS stays on the calling thread, even where it was told that it may use four."""
    done = subprocess.run(
        [sys.executable, "-c", SCAN_AND_COUNT_THREADS],
        env=os.environ | {"OMP_NUM_THREADS": "4", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "0"


def test_the_callers_thread_setting_is_put_back(matrix):
    """An application that uses FAISS itself keeps its number of threads."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(3)
    try:
        best_rows(matrix, matrix[0], 4)
        assert faiss.omp_get_max_threads() == 3
    finally:
        faiss.omp_set_num_threads(before)
