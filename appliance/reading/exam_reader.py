"""From the scored slices of a series to the exam's six probabilities. The same code live, offline and in tests."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from appliance.core.engine import EngineCard
from appliance.core.evidence import near_brain, scored_of
from appliance.core.exam_rule import exam_logits
from appliance.core.ledger import SliceRow
from appliance.core.words import LABELS
from appliance.reading.slice_reader import calibrated, probabilities


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamReading:
    """The exam's six probabilities in the order of LABELS, over how many scored slices."""

    probabilities: tuple[float, ...]
    slices: int


def read_exam(rows: Sequence[SliceRow], card: EngineCard) -> ExamReading:
    """Reads the set of slices, whatever order they are given in; those without a score are passed over.

    Slices that show brain inside a skull count, and their neighbours (`core.evidence.near_brain`). Where none does
    there is no head to speak of, and the answer is 0 for each label.
    """
    scored = sum(row.score is not None for row in rows)
    places = near_brain(rows, card.points.neighbour_mm)
    if not places:
        return ExamReading(probabilities=(0.0,) * len(LABELS), slices=scored)
    logits = exam_logits(
        calibrated(np.stack([scored_of(row).logits for row in places]), card),
        [row.geometry.position_mm for row in places],
        card.exam_rule.smoothing_mm,
        card.exam_rule.sharpness,
        [row.sop_uid for row in places],
    )
    return ExamReading(probabilities=probabilities(logits), slices=scored)
