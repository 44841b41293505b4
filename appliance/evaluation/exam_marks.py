"""What calibration needs of an exam: its logit of "any", and the most that it ever shows to the rule of early alerts.

Early alerts are asked for after each slice, so an exam raises a false one where any prefix of any order of arrival
does. Two slices that agree can always be the first two to arrive; so the most that is ever shown is the strongest of
all pairs of slices, not of neighbours alone. One number an exam: what a bound of false alarms holds for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from appliance.core.completeness import SAME_PLACE_MM
from appliance.core.evidence import foot_to_head, heat_overlap, near_brain, scored_of
from appliance.core.ledger import SliceRow
from appliance.core.words import LABELS, Label
from appliance.evaluation.answers import Truth
from appliance.evaluation.calibration import Calibration
from appliance.evaluation.read_exams import ReadSeries
from appliance.reading.exam_reader import logits_of_exam

COLD: Final = -60.0
"""The logit of what is not there."""

_ANY: Final = LABELS.index(Label.ANY)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamMarks:
    """One exam. `truth` of the exam; `exam`, `pair`, `single` are calibrated logits of "any".

    `exam`: what the outcome is made of, the strongest series; None where pixels declined them all. `pair`: two slices
    that lie near and agree on the place both reach it; `single`: a slice that shows brain does. `logits` float64 [n, 6]
    of its slices, not calibrated; `slice_truth` int8 [n, 6]: 1, 0, or -1 where nobody has said.
    """

    truth: Truth
    patient: str
    exam: float | None
    pair: float
    single: float
    logits: NDArray[np.float64]
    slice_truth: NDArray[np.int8]

    @property
    def bleeds(self) -> bool | None:
        """Whether the exam bleeds."""
        return self.truth[_ANY]

    def early(self, gap: float) -> float:
        """The highest threshold of pairs at which there is an early alert, that of single slices `gap` above it."""
        return max(self.pair, self.single - gap)


def marks_of(series: Sequence[ReadSeries], truth: Truth, patient: str, calibration: Calibration) -> ExamMarks:
    """The marks of an exam of at least one series."""
    whole = [any_logit(one.rows, calibration) for one in series if not one.declined]
    return ExamMarks(
        truth=truth,
        patient=patient,
        exam=max(whole, default=None),
        pair=max(strongest_pair(one.rows, calibration) for one in series),
        single=max(strongest_single(one.rows, calibration) for one in series),
        logits=np.concatenate([raw_logits(one.rows) for one in series]),
        slice_truth=np.concatenate([one.truth for one in series]),
    )


def raw_logits(rows: Sequence[SliceRow]) -> NDArray[np.float64]:
    """The logits float64 [n, 6] of scored slices as the network gave them."""
    return np.stack([scored_of(row).logits for row in rows]).astype(np.float64)


def any_logit(rows: Sequence[SliceRow], calibration: Calibration) -> float:
    """The exam's logit of "any", as `reading.exam_reader` makes it; COLD where no slice counts."""
    places = near_brain(rows, calibration.neighbour_mm)
    if not places:
        return COLD
    found = logits_of_exam(places, calibration.scale, calibration.bias, calibration.rule, calibration.aggregator)
    return float(found[_ANY])


def strongest_pair(rows: Sequence[SliceRow], calibration: Calibration) -> float:
    """The highest logit that both of two slices reach which suffice for an early alert in some order of arrival."""
    brains = [row for row in foot_to_head(rows) if scored_of(row).has_brain]
    pairs: list[tuple[float, SliceRow, SliceRow]] = []
    for index, lower in enumerate(brains):
        for upper in brains[index + 1 :]:
            gap_mm = upper.geometry.position_mm - lower.geometry.position_mm
            if gap_mm > calibration.neighbour_mm + SAME_PLACE_MM:
                break
            if gap_mm >= SAME_PLACE_MM:
                pairs.append((min(_any(lower, calibration), _any(upper, calibration)), lower, upper))
    pairs.sort(key=lambda pair: -pair[0])
    agreeing = (both for both, lower, upper in pairs if heat_overlap(lower, upper) >= calibration.overlap)
    return next(agreeing, COLD)


def strongest_single(rows: Sequence[SliceRow], calibration: Calibration) -> float:
    """The highest logit of a slice that shows brain."""
    return max((_any(row, calibration) for row in rows if scored_of(row).has_brain), default=COLD)


def _any(row: SliceRow, calibration: Calibration) -> float:
    return calibration.scale[_ANY] * float(scored_of(row).logits[_ANY]) + calibration.bias[_ANY]
