"""Calibration and operating points from held-out synthetic exams. No torch."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from appliance.core.exam_rule import exam_logits
from appliance.training.selfcheck import ExamScore, auc

OVERLAP = 0.15
NEIGHBOUR_MM = 10.0
MARGIN = 0.5
"""Points lie this far (in logits) above the highest negative: a few dozen exams do not show the worst one."""

SINGLE_MARGIN = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What is chosen after training, on exams that trained nothing."""

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


def soft_dice(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Return 2 sum(a b) / (sum(a a) + sum(b b)) of two heat maps of probabilities; 0 where both are cold."""
    below = float((one * one).sum() + (other * other).sum())
    return 2.0 * float((one * other).sum()) / below if below > 0.0 else 0.0


def fit_scale_bias(logits: NDArray[np.float64], truth: NDArray[np.bool_]) -> tuple[float, float]:
    """Return (scale, bias) of logistic regression of truth on logit, by Newton's method with a weak prior at (1, 0)."""
    weights = np.array([1.0, 0.0])
    design = np.stack([logits, np.ones_like(logits)], axis=1)
    prior = np.array([1.0, 0.0])
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
    """Choose scale and bias per label, the exam rule and the points from scores of raw logits (scale 1, bias 0).

    `least_critical` and `least_review` are exam probabilities below which the points never fall: a choice of the
    recipe, for what synthetic heads cannot show.
    """
    slices = np.concatenate([s.slices for s in scores])
    truth = np.concatenate([s.truth for s in scores]) == 1
    pairs = [fit_scale_bias(slices[:, k], truth[:, k]) for k in range(6)]
    scale, bias = np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs])
    fitted = [replace(s, slices=s.slices * scale + bias) for s in scores]
    smoothing_mm, sharpness = _exam_rule(fitted)
    exam_any = np.array([_exam(s, smoothing_mm, sharpness) for s in fitted])
    bleeding = np.array([bool(s.truth[:, 0].any()) for s in fitted])
    clean = np.array([s.volume_ml == 0.0 for s in fitted])
    negative = exam_any[clean]
    pair = max((_best_pair(s) for s, c in zip(fitted, clean, strict=True) if c), default=0.0)
    single = max((float(s.slices[:, 0].max()) for s, c in zip(fitted, clean, strict=True) if c), default=0.0)
    critical = max(float(negative.max()) + MARGIN, _logit(least_critical))
    review = max(float(np.quantile(negative, 0.95)), _logit(least_review))
    # Review never asks for more than the dimmest tenth of the bleeding exams has, and stays below critical.
    review = min(max(review, float(np.quantile(exam_any[bleeding], 0.05))), critical - 0.5)
    return Calibration(
        scale=tuple(float(v) for v in scale),
        bias=tuple(float(v) for v in bias),
        smoothing_mm=smoothing_mm,
        sharpness=sharpness,
        critical=_chance(critical),
        review=_chance(review),
        early_pair=_chance(max(pair + MARGIN, critical)),
        early_single=_chance(max(single + SINGLE_MARGIN, critical + SINGLE_MARGIN)),
        overlap=OVERLAP,
        neighbour_mm=NEIGHBOUR_MM,
    )


def _exam(score: ExamScore, smoothing_mm: float, sharpness: float) -> float:
    return float(exam_logits(score.slices, score.positions_mm, smoothing_mm, sharpness)[0])


def _exam_rule(scores: list[ExamScore]) -> tuple[float, float]:
    truth = np.array([bool(s.truth[:, 0].any()) for s in scores])
    best = (-1.0, 3.0, 1.0)
    for smoothing_mm in (3.0, 2.0, 4.0, 5.0):
        for sharpness in (1.0, 0.5, 2.0):
            area = auc(np.array([_exam(s, smoothing_mm, sharpness) for s in scores]), truth)
            if area > best[0] + 0.002:  # a smaller gain is chance; the first in the list stands
                best = (area, smoothing_mm, sharpness)
    return best[1], best[2]


def _best_pair(score: ExamScore) -> float:
    """Return the highest logit that two overlapping neighbours both reach."""
    best = -20.0
    for k in range(score.slices.shape[0] - 1):
        near = score.positions_mm[k + 1] - score.positions_mm[k] <= NEIGHBOUR_MM
        if near and soft_dice(score.heat[k], score.heat[k + 1]) >= OVERLAP:
            best = max(best, float(min(score.slices[k, 0], score.slices[k + 1, 0])))
    return best


def _logit(chance: float) -> float:
    return float(np.log(chance / (1.0 - chance)))


def _chance(logit: float) -> float:
    return float(1.0 / (1.0 + np.exp(-logit)))
