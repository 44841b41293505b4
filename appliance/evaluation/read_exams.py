"""An exam with the slices that it was read from: what a calibration takes, where an evaluation takes the answer alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from appliance.core.ledger import SliceRow
from appliance.evaluation.answers import ExamAnswer, Truth

UNKNOWN: Final = -1
"""The label of a slice of which nobody has said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSeries:
    """One series that header rules let the box read: its scored slices, in any order.

    `truth` int8 [n, 6] in the order of LABELS: 1, 0, UNKNOWN. `declined`: its pixels decline it when it is whole, so
    that it has no outcome; while it landed it could have raised an early alert.
    """

    rows: tuple[SliceRow, ...]
    truth: NDArray[np.int8]
    declined: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadExam:
    """An exam's answer and its series. None where nothing of it was read."""

    answer: ExamAnswer
    series: tuple[ReadSeries, ...] = ()


def read_series(slices: Sequence[tuple[SliceRow, Truth]], *, declined: bool) -> tuple[ReadSeries, ...]:
    """The series of these slices as far as they are scored; none where none is."""
    scored = [(row, truth) for row, truth in slices if row.score is not None]
    if not scored:
        return ()
    known = np.array([[UNKNOWN if one is None else int(one) for one in truth] for _, truth in scored], dtype=np.int8)
    return (ReadSeries(rows=tuple(row for row, _ in scored), truth=known, declined=declined),)
