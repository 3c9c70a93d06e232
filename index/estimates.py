"""What estimates of similarities are worth, and which rows they leave in question.

An estimate from product codes is the inner product of the query with what the code keeps
of a row. Of a unit row `x` codes keep `a × x + e`, where `e` stands at right angles to it:
so the estimate is `a` times the similarity, plus what the query has in common with `e`,
which is as good as chance. `a` is known for each row, and so is how long `e` is.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from index.protocol import Matrix, Rows, Scores

# An estimate is the similarity times how well codes keep a vector, give or take a normal
# error: four deviations. Of 4,212 real pairs at 0.75 or nearer none was lost.
DEVIATIONS = 4.0
FEW = 8  # so many are scored again as soon as looked through


class Shortlist(NamedTuple):
    """Labels, likeliest first, and whether there may be more."""

    labels: Rows
    is_cut: bool


class Calibration(NamedTuple):
    """How far estimates stay behind similarities, and how far they scatter at right angles.

    Of each row by its own code, not of a sample: rows of a subject that came after the
    training are kept much worse, and none would be found.
    """

    shrinkage: Scores  # float32 by label
    least: float = 1.0  # of all of them
    scatter: float = 0.0

    def likely(self, labels: Rows, estimates: Scores, floor: float) -> Shortlist:
        """The labels whose estimates, best first, allow for a similarity ≥ `floor`."""
        margin = DEVIATIONS * self.scatter * math.sqrt(1 - floor * floor)
        # Those that any row's shrinkage would let pass stand in front.
        some = int(np.count_nonzero(estimates >= np.float32(self.least * floor - margin)))
        listed = labels[:some].copy()
        if some > FEW:
            listed = listed[estimates[:some] >= self.shrinkage[listed] * floor - margin]
        return Shortlist(listed, some == len(labels))

    def covering(self, labels: Rows, rows: Matrix, kept: Matrix) -> Calibration:
        """This one with unit `rows`, of which codes keep `kept`. O(labels there are)."""
        if not len(rows):
            return self
        along = np.vecdot(rows, kept)
        across = kept - along[:, None] * rows
        scatter = math.sqrt(float(np.vecdot(across, across).mean()) / rows.shape[1])
        shrinkage = np.ones(max(len(self.shrinkage), int(labels.max()) + 1), np.float32)
        shrinkage[: len(self.shrinkage)] = self.shrinkage
        shrinkage[labels] = along
        return Calibration(
            shrinkage, min(self.least, float(along.min())), max(self.scatter, scatter)
        )
