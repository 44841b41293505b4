"""Calibration and operating points from held-out synthetic exams. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from appliance.core.evidence import heat_overlap, near_brain, one_per_place, scored_of
from appliance.core.exam_rule import exam_logits
from appliance.core.ledger import SliceRow
from appliance.training.selfcheck import ExamScore, auc, slice_logits

OVERLAP = 0.15
NEIGHBOUR_MM = 10.0
MARGIN = 0.5
"""Points lie this far (in logits) above the highest negative: a few dozen exams do not show the worst one."""

SINGLE_MARGIN = 1.5
COLD = -20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What is chosen after training, on exams that trained nothing. Fields as in the manifest."""

    scale: tuple[float, ...]
    bias: tuple[float, ...]
    smoothing_mm: float
    sharpness: float
    critical: float
    review: float
    early_pair: float
    early_single: float
    overlap: float
    neighbour_mm: float


NEUTRAL = Calibration(
    scale=(1.0,) * 6,
    bias=(0.0,) * 6,
    smoothing_mm=3.0,
    sharpness=1.0,
    critical=0.9,
    review=0.5,
    early_pair=0.95,
    early_single=0.99,
    overlap=OVERLAP,
    neighbour_mm=NEIGHBOUR_MM,
)
"""What stands in a manifest until its engine is calibrated."""


def fit_scale_bias(logits: NDArray[np.float64], truth: NDArray[np.bool_]) -> tuple[float, float]:
    """Return (scale, bias) of logistic regression of truth on logit, by Newton's method with a weak prior at (1, 0)."""
    prior = np.array([1.0, 0.0])
    weights = prior
    design = np.stack([logits, np.ones_like(logits)], axis=1)
    for _ in range(50):
        chance = 1.0 / (1.0 + np.exp(-np.clip(design @ weights, -30, 30)))
        slope = design.T @ (chance - truth) + (weights - prior)
        curve = design.T @ (design * (chance * (1 - chance))[:, None]) + np.eye(2)
        step = np.linalg.solve(curve, slope)
        weights = weights - step
        if np.abs(step).max() < 1e-8:
            break
    return float(max(weights[0], 0.05)), float(weights[1])


def calibrate(scores: list[ExamScore], least_critical: float, least_review: float) -> Calibration:
    """Choose scale and bias per label, the exam rule and the points.

    `least_critical` and `least_review` are exam probabilities below which the points never fall: a choice of the
    recipe, for what synthetic heads cannot show.
    """
    logits = np.concatenate([slice_logits(s) for s in scores])
    truth = np.concatenate([s.truth for s in scores]) == 1
    fitted = [fit_scale_bias(logits[:, k], truth[:, k]) for k in range(6)]
    line = fitted[0]
    seen = [s for s in scores if s.bleeding or s.clean]
    bleeding = np.array([s.bleeding for s in seen])
    smoothing_mm, sharpness = _exam_rule(seen, bleeding, line)
    exams = np.array([_exam(s, line, smoothing_mm, sharpness) for s in seen])
    clean = [s for s in seen if s.clean]
    negative = exams[~bleeding] if clean else np.array([COLD])
    pair = max((_best_pair(s.rows, line) for s in clean), default=COLD)
    single = max((_best_single(s.rows, line) for s in clean), default=COLD)
    critical = max(float(negative.max()) + MARGIN, _logit(least_critical))
    # Review takes in all but the dimmest twentieth of the bleeding exams, if that costs few false alarms.
    wanted = max(
        float(np.quantile(negative, 0.9)), float(np.quantile(exams[bleeding], 0.05)) if bleeding.any() else 0.0
    )
    review = min(max(wanted, _logit(least_review)), critical - 0.5)
    return Calibration(
        scale=tuple(pair_[0] for pair_ in fitted),
        bias=tuple(pair_[1] for pair_ in fitted),
        smoothing_mm=smoothing_mm,
        sharpness=sharpness,
        critical=_chance(critical),
        review=_chance(review),
        early_pair=_chance(max(pair + MARGIN, _logit(least_critical))),
        early_single=_chance(max(single + SINGLE_MARGIN, critical + SINGLE_MARGIN)),
        overlap=OVERLAP,
        neighbour_mm=NEIGHBOUR_MM,
    )


def _exam(score: ExamScore, line: tuple[float, float], smoothing_mm: float, sharpness: float) -> float:
    rows = near_brain(score.rows, NEIGHBOUR_MM)
    if not rows:
        return COLD
    logits = np.array([[_any(row, line)] for row in rows])
    return float(exam_logits(logits, [row.geometry.position_mm for row in rows], smoothing_mm, sharpness)[0])


def _exam_rule(scores: list[ExamScore], truth: NDArray[np.bool_], line: tuple[float, float]) -> tuple[float, float]:
    best = (-1.0, NEUTRAL.smoothing_mm, NEUTRAL.sharpness)
    for smoothing_mm in (3.0, 2.0, 4.0, 5.0):
        for sharpness in (1.0, 0.5, 2.0):
            area = auc(np.array([_exam(s, line, smoothing_mm, sharpness) for s in scores]), truth)
            if area > best[0] + 0.002:  # a smaller gain is chance; the first in the list stands
                best = (area, smoothing_mm, sharpness)
    return best[1], best[2]


def _best_pair(rows: tuple[SliceRow, ...], line: tuple[float, float]) -> float:
    """Return the highest logit that two overlapping neighbours both reach."""
    best = COLD
    for lower, upper in pairwise(one_per_place(rows)):
        near = upper.geometry.position_mm - lower.geometry.position_mm <= NEIGHBOUR_MM
        brain = scored_of(lower).has_brain and scored_of(upper).has_brain
        if near and brain and heat_overlap(lower, upper) >= OVERLAP:
            best = max(best, min(_any(lower, line), _any(upper, line)))
    return best


def _best_single(rows: tuple[SliceRow, ...], line: tuple[float, float]) -> float:
    return max((_any(row, line) for row in rows if scored_of(row).has_brain), default=COLD)


def _any(row: SliceRow, line: tuple[float, float]) -> float:
    return line[0] * float(scored_of(row).logits[0]) + line[1]


def _logit(chance: float) -> float:
    return float(np.log(chance / (1.0 - chance)))


def _chance(logit: float) -> float:
    return float(1.0 / (1.0 + np.exp(-logit)))
