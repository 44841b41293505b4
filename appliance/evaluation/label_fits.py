"""Scale and bias of each label, fitted anew as far as the labelled slices of a site carry it.

By how many exams there are: the bias alone from LEAST_TO_SHIFT, the scale too from LEAST_TO_SCALE; below that both stay.
A site that says of an exam that it bleeds, and of none of its slices, has not said how often a slice does: what would be
fitted then makes every probability too low, so the label stays.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from appliance.core.words import LABELS
from appliance.evaluation.calibration import Calibration, fit_scale_bias
from appliance.evaluation.exam_marks import ExamMarks

KEPT: Final = "kept"
SHIFT: Final = "bias"
BOTH: Final = "scale and bias"

LEAST_TO_SHIFT: Final = (30, 10)
LEAST_TO_SCALE: Final = (200, 30)
"""So many exams, and so many of each kind: that have the label, and that have not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelFit:
    """What came of one label. `fitted`: KEPT, SHIFT or BOTH; `why` it was not more. `having`, `free`: exams."""

    label: str
    fitted: str
    why: str
    having: int
    free: int
    scale: float
    bias: float


def fit_labels(marks: Sequence[ExamMarks], now: Calibration) -> tuple[LabelFit, ...]:
    """Each label in the order of LABELS."""
    return tuple(_fit(index, marks, (now.scale[index], now.bias[index])) for index in range(len(LABELS)))


def _fit(label: int, marks: Sequence[ExamMarks], now: tuple[float, float]) -> LabelFit:
    having = sum(bool((one.slice_truth[:, label] == 1).any()) for one in marks)
    free = sum(bool((one.slice_truth[:, label] == 0).all()) for one in marks)
    unplaced = sum(bool(one.truth[label]) and not (one.slice_truth[:, label] == 1).any() for one in marks)
    fitted, why = _how_much(having, free, unplaced)
    scale, bias = now
    if fitted != KEPT:
        truth = np.concatenate([one.slice_truth[:, label] for one in marks])
        logits = np.concatenate([one.logits[:, label] for one in marks])
        known = truth >= 0
        scale, bias = fit_scale_bias(logits[known], truth[known] == 1, now, shift_only=fitted == SHIFT)
    return LabelFit(label=LABELS[label], fitted=fitted, why=why, having=having, free=free, scale=scale, bias=bias)


def _how_much(having: int, free: int, unplaced: int) -> tuple[str, str]:
    if unplaced:
        return KEPT, f"of {unplaced} exams that have it nobody has said in which slices"
    for fitted, (exams, each) in ((BOTH, LEAST_TO_SCALE), (SHIFT, LEAST_TO_SHIFT)):
        if having + free >= exams and min(having, free) >= each:
            why = "" if fitted == BOTH else f"the scale takes {LEAST_TO_SCALE[0]} exams, {LEAST_TO_SCALE[1]} of each"
            return fitted, why
    return KEPT, f"the bias takes {LEAST_TO_SHIFT[0]} exams, {LEAST_TO_SHIFT[1]} of each"
