"""From the scored slices of a series to the exam's six probabilities. The same code live, offline and in tests."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.core.aggregator import Aggregator, aggregate
from appliance.core.engine import EngineCard, ExamRule
from appliance.core.evidence import near_brain, scored_of
from appliance.core.exam_rule import exam_logits
from appliance.core.ledger import SliceRow
from appliance.core.surroundings import surroundings
from appliance.core.words import LABELS
from appliance.reading.slice_reader import probabilities


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
    logits = logits_of_exam(places, card.calibration_scale, card.calibration_bias, card.exam_rule, card.aggregator)
    return ExamReading(probabilities=probabilities(logits), slices=scored)


def logits_of_exam(
    places: Sequence[SliceRow],
    scale: Sequence[float],
    bias: Sequence[float],
    rule: ExamRule,
    aggregator: Aggregator | None,
) -> NDArray[np.float64]:
    """The exam's calibrated logits float64 [6] of slices that `core.evidence.near_brain` gave, at least one.

    An aggregator reads slices as they were calibrated when it was trained. A calibration made since then (`scale`, `bias`)
    moves its answer as it moves a slice: along one line, so that the order of exams stays.
    """
    raw = np.stack([scored_of(row).logits for row in places]).astype(np.float64)
    to_scale, to_bias = np.array(scale, dtype=np.float64), np.array(bias, dtype=np.float64)
    if aggregator is None:
        at_mm = [row.geometry.position_mm for row in places]
        keys = [row.sop_uid for row in places]
        return exam_logits(to_scale * raw + to_bias, at_mm, rule.smoothing_mm, rule.sharpness, keys)
    own = aggregate(aggregator, aggregator.scale * raw + aggregator.bias, surroundings(places))
    stretch = to_scale / aggregator.scale
    return np.asarray(stretch * own + (to_bias - stretch * aggregator.bias))
