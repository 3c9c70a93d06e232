"""The only door to FAISS: a shortlist of rows that may be near, out of very many.

An inverted file (Sivic & Zisserman, "Video Google", ICCV 2003; in FAISS: Johnson, Douze &
Jégou, arXiv:1702.08734) whose lists hold 4-bit product-quantised codes (Jégou, Douze &
Schmid, PAMI 2011), scanned with SIMD shuffles (André, Kermarrec & Le Scouarnec,
"Quicker ADC", PAMI 2019). A row costs an eighth of a byte a number and 8 bytes of label.

It owns no vectors and reports no similarities of record: it estimates them, and the
caller scores the shortlist again. What this rests on, over 98,000 real questions in 384
dimensions, one thread, AVX2, queries that have a neighbour at 0.75 or nearer:

    structure                       probes   recall   p50 µs   bytes a row
    IVF512, SQ8                         32    1.000      572           392
    IVF512, fp16                        32    1.000      521           776
    IVF1264, SQ8                        16    0.990      214           392
    IVF2048 under HNSW, SQ8             16    0.984      138           392
    IVF512, RaBitQ fast scan            32    1.000      203            64
    IVF512, PQ96×4 fast scan            16    0.996      105            56
    IVF512, PQ96×4 fast scan            32    1.000      139            56
    1M, IVF1024, PQ96×4 fast scan       32    0.999      294            56
    1M, IVF2048, PQ96×4 fast scan       32    0.994      287            56

An instance never changes. A change makes another one, which shares nothing with it that
changes, so whoever searches the old one is not disturbed.
"""

from __future__ import annotations

import math
from ctypes import c_uint8
from threading import local
from time import sleep
from typing import Any, NamedTuple

import faiss
import numpy as np
from numpy.typing import NDArray

from index.estimates import DEVIATIONS, Calibration, Shortlist
from index.protocol import Matrix, Rows, Scores, Vector

PROBES = 64  # lists looked at, at most
# A list is skipped where the query is nearer to the best centre than to the list's own by
# more than this share of the floor's distance, √(2 − 2 × floor). Times the distance between
# the two centres, 1 would be a proof: the plane between the lists is then farther away than
# the floor. A direction in many dimensions hardly ever points straight at that plane, so
# less is enough: of 3,700 neighbours among 90,000 it loses one in three hundred.
REACH = 0.35
SKIPS_FROM = 0.5  # a lower floor is within reach of nearly every list
ONE_BY_ONE = 11  # of the ways FAISS has to scan, the fastest by a fifth for a single query
BITS = 4
CODE_DIMENSIONS = 4  # numbers of a vector that share one code
LIST_SAMPLE = 32  # training rows for each list: more barely helps
CODE_SAMPLE = 256  # and for each of the 16 entries of a code book
ROUNDS = 5  # of k-means
# The centres nearest to a query are themselves found by codes, finer ones: among 1,024
# centres in a third of the time, and they lose no neighbour more.
GUIDE_DIMENSIONS = 2
SEED = 7
LISTS_A_BREATH, BREATH_S = 16, 5e-5


class Guide(NamedTuple):
    """Finds the centres nearest to a query, with inner products that may be off by `slack`."""

    index: Any
    slack: float

    @classmethod
    def to(cls, centres: Any) -> Guide:
        """To a flat index of 16 centres or more."""
        codes = centres.d // GUIDE_DIMENSIONS
        index: Any = faiss.IndexPQFastScan(centres.d, codes, BITS, faiss.METRIC_INNER_PRODUCT)
        _set_up(index.pq.cp, CODE_SAMPLE)
        rows = centres.reconstruct_n(0, centres.ntotal)
        index.train(rows)
        index.add(rows)
        lost = rows - index.pq.decode(index.pq.compute_codes(rows))
        return cls(index, DEVIATIONS * math.sqrt(float(np.square(lost).mean())))


class InvertedFile:
    """Codes of vectors under labels (int ≥ 0). Searched from any thread; it never changes."""

    def __init__(self, index: Any, guide: Guide | None, calibration: Calibration) -> None:
        self._index = index
        self._guide = guide
        self._calibration = calibration
        self._desks = local()
        sizes = (index.invlists.list_size(number) for number in range(index.nlist))
        self.empty_lists = sum(size == 0 for size in sizes)

    @classmethod
    def trained(cls, sample: Matrix, lists: int) -> InvertedFile:
        """An empty one for vectors like those of `sample`, float32 (n, dimension), n ≥ `lists`.

        k-means over the sample: O(n × lists × dimension), 1.3 s for 24,576 rows and 512 lists.
        """
        rows = _padded(sample)
        width = rows.shape[1]
        centres = faiss.IndexFlatIP(width)
        codes = width // CODE_DIMENSIONS
        index = faiss.IndexIVFPQFastScan(
            centres, width, lists, codes, BITS, faiss.METRIC_INNER_PRODUCT
        )
        # Codes of the vectors themselves, not of what a centre leaves of them: one table of
        # products then serves every list, and rows need no new code when lists change.
        index.by_residual = False
        index.implem = ONE_BY_ONE
        _set_up(index.cp, LIST_SAMPLE)
        _set_up(index.pq.cp, CODE_SAMPLE)
        index.cp.spherical = True
        with one_thread():
            index.train(rows)
            guide = Guide.to(centres) if lists > PROBES else None
        return cls(index, guide, Calibration(np.empty(0, np.float32)))

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @property
    def lists(self) -> int:
        """How many lists there are."""
        return int(self._index.nlist)

    @property
    def bytes(self) -> int:
        """Memory of centres, codes and labels, about: lists round up to powers of two."""
        index = self._index
        return int(index.nlist) * 4 * int(index.d) + int(len(self) * (1.5 * index.code_size + 12))

    def copy(self) -> Draft:
        """A copy that may still be changed. O(n): 60 bytes a row at 384 dimensions."""
        return Draft(faiss.clone_index(self._index), self._guide, self._calibration)

    def shortlist(
        self, query: Vector, count: int, floor: float, *, wide: bool = False
    ) -> Shortlist:
        """Up to `count` labels that may have similarity ≥ `floor` to `query`, float32
        (dimension,). `wide` looks into every list.

        O(lists × dimension + n × probes / lists). The GIL is released.
        """
        guide = None if wide else self._guide
        probes = self.lists if guide is None else PROBES
        at = self._desk(probes, count)
        at.query[: len(query)] = query
        with one_thread():
            if guide is None:
                at.lists[:] = range(probes)
            else:
                guide.index.search_c(1, at.to_query, probes, at.to_nearness, at.to_lists)
                if floor >= SKIPS_FROM:
                    margin = REACH * math.sqrt(max(0.0, 2 - 2 * floor)) + guide.slack
                    np.putmask(at.lists, at.nearness < at.nearness[0] - margin, -1)
            self._index.search_preassigned_c(
                1, at.to_query, count, at.to_lists, at.to_nearness,
                at.to_estimates, at.to_labels, False, at.effort,
            )  # fmt: skip
        return self._calibration.likely(at.labels, at.estimates, floor)

    def _desk(self, probes: int, count: int) -> Desk:
        desk: Desk | None = getattr(self._desks, "desk", None)
        if desk is None or (len(desk.lists), len(desk.labels)) != (probes, count):
            desk = self._desks.desk = Desk(int(self._index.d), probes, count)
        return desk


class Desk:
    """Room for one search of one thread, and what FAISS is told of it: 20 µs to set up."""

    def __init__(self, width: int, probes: int, count: int) -> None:
        self.query = np.zeros(width, np.float32)
        self.nearness, self.lists = np.empty(probes, np.float32), np.empty(probes, np.int64)
        self.estimates, self.labels = np.empty(count, np.float32), np.empty(count, np.int64)
        self.to_query, self.to_nearness = faiss.swig_ptr(self.query), faiss.swig_ptr(self.nearness)
        self.to_lists, self.to_labels = faiss.swig_ptr(self.lists), faiss.swig_ptr(self.labels)
        self.to_estimates = faiss.swig_ptr(self.estimates)
        self.effort: Any = faiss.SearchParametersIVF()
        self.effort.nprobe = probes


class Draft:
    """An inverted file in the making. One thread at a time."""

    def __init__(self, index: Any, guide: Guide | None, calibration: Calibration) -> None:
        self._index = index
        self._guide = guide
        self._calibration = calibration

    def add(self, labels: Rows, matrix: Matrix) -> None:
        """Put rows of `matrix`, float32 (n, dimension), under labels. O(n × lists × dimension)."""
        rows, coder = _padded(matrix), self._index.pq
        with one_thread():
            self._index.add_with_ids(rows, labels)
            kept = coder.decode(coder.compute_codes(rows))
        self._calibration = self._calibration.covering(labels, rows, kept)

    def remove(self, labels: Rows) -> None:
        """Take labels out, those that are there. O(rows)."""
        with one_thread():
            self._index.remove_ids(labels)
        self._clear_tails()

    def _clear_tails(self) -> None:
        """Zero the codes behind the last row of each list.

        FAISS adds a code to a block that is begun with OR, and after a removal leaves there
        what was: one row's code would be mixed with another's, and not be found.
        """
        lists: Any = faiss.downcast_InvertedLists(self._index.invlists)
        kept = _masks(lists, self._index.code_size)
        rows, size, block = lists.n_per_block, lists.block_size, c_uint8 * lists.block_size
        for number in range(lists.nlist):
            whole, begun = divmod(lists.list_size(number), rows)
            if begun:
                last = int(lists.get_codes(number)) + whole * size
                codes = np.frombuffer(block.from_address(last), np.uint8)
                np.bitwise_and(codes, kept[begun], codes)
            if number % LISTS_A_BREATH == 0:
                # None of this releases the interpreter, and a search would wait for its turn
                # 5 ms long.
                sleep(BREATH_S)

    def finished(self) -> InvertedFile:
        """The inverted file; the draft is not to be used any more."""
        return InvertedFile(self._index, self._guide, self._calibration)


def _set_up(kmeans: Any, sample: int) -> None:
    """A short k-means, the same every time, over up to `sample` rows for each centre."""
    kmeans.niter = ROUNDS
    kmeans.seed = SEED
    kmeans.min_points_per_centroid = 1  # fewer than it likes are no cause for a warning
    kmeans.max_points_per_centroid = sample


def _masks(lists: Any, code_size: int) -> NDArray[np.uint8]:
    """Which bits of a block belong to its first n rows, for each n."""
    every = np.full(code_size, 255, np.uint8)
    block = np.zeros(lists.block_size, np.uint8)
    masks = np.zeros((lists.n_per_block, lists.block_size), np.uint8)
    for row in range(lists.n_per_block):
        masks[row] = block
        lists.packer.pack_1_c(faiss.swig_ptr(every), row, faiss.swig_ptr(block))
    return masks


def best_rows(matrix: Matrix, queries: Matrix, count: int) -> tuple[Rows, Scores]:
    """For each query the `count` rows with the largest inner product by FAISS's sums, best first.

    `matrix` is float32 (n, dimension), `queries` float32 (m, dimension), both C-contiguous,
    n ≥ count. A blocked matrix product on one thread, the GIL released: for many queries
    far cheaper than one after the other. Results are (m, count).
    """
    with one_thread():
        scores, rows = faiss.knn(queries, matrix, count, faiss.METRIC_INNER_PRODUCT)
    return rows, scores


class one_thread:  # noqa: N801 - reads as what it does
    """Keep FAISS to the calling thread within a `with`."""

    __slots__ = ("_before",)

    # Without this, work spreads over all cores, whose threads then spin for a while on
    # the app's CPU. The setting holds for the calling thread only, and is put back
    # because that thread need not be ours. A class: a generator would cost 2 µs more.
    def __enter__(self) -> None:
        self._before = faiss.omp_get_max_threads()
        if self._before != 1:
            faiss.omp_set_num_threads(1)

    def __exit__(self, *_: object) -> None:
        if self._before != 1:
            faiss.omp_set_num_threads(self._before)


def _padded(matrix: Matrix) -> Matrix:
    """Zeros behind each row, up to a whole number of codes: they change no product."""
    missing = -matrix.shape[1] % (2 * CODE_DIMENSIONS)
    return np.pad(matrix, ((0, 0), (0, missing))) if missing else np.ascontiguousarray(matrix)
