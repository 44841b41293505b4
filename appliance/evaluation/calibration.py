"""The numbers of a manifest that are chosen after training, and scale and bias by logistic regression."""

from dataclasses import dataclass, field
from math import inf, nextafter

import numpy as np
from numpy.typing import NDArray

from appliance.core.aggregator import Aggregator
from appliance.core.engine import EngineCard, ExamRule

MOST_LOGIT = 30.0
"""A point above this no probability can tell from 1."""

_LEAST_SCALE = 0.05  # a stronger logit stays a higher probability
_NEWTON_STEPS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What is chosen after training, on exams that trained nothing. Fields as in the manifest.

    `aggregator`: what makes the exam out of its slices instead of the rule, if the engine brings one; it is not chosen here.
    """

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
    aggregator: Aggregator | None = field(default=None, compare=False)

    @property
    def rule(self) -> ExamRule:
        """The exam rule."""
        return ExamRule(smoothing_mm=self.smoothing_mm, sharpness=self.sharpness)


def calibration_of(card: EngineCard) -> Calibration:
    """What an engine's manifest says now."""
    points, rule = card.points, card.exam_rule
    return Calibration(
        scale=card.calibration_scale,
        bias=card.calibration_bias,
        smoothing_mm=rule.smoothing_mm,
        sharpness=rule.sharpness,
        critical=points.critical,
        review=points.review,
        early_pair=points.early_pair,
        early_single=points.early_single,
        overlap=points.overlap,
        neighbour_mm=points.neighbour_mm,
        aggregator=card.aggregator,
    )


def fit_scale_bias(
    logits: NDArray[np.float64],
    truth: NDArray[np.bool_],
    start: tuple[float, float] = (1.0, 0.0),
    *,
    shift_only: bool = False,
) -> tuple[float, float]:
    """Scale and bias of logistic regression of truth on logit, by Newton's method with a weak prior at `start`.

    With `shift_only` the scale stays as it starts, and the bias alone is fitted.
    """
    prior = np.array(start)
    weights = prior
    design = np.stack([logits, np.ones_like(logits)], axis=1)
    free = np.array([0.0 if shift_only else 1.0, 1.0])

    def loss(at: NDArray[np.float64]) -> float:
        said = design @ at
        return float(np.logaddexp(0.0, said).sum() - said[truth].sum() + 0.5 * ((at - prior) ** 2).sum())

    for _ in range(_NEWTON_STEPS):
        chance = 1.0 / (1.0 + np.exp(-np.clip(design @ weights, -30, 30)))
        slope = design.T @ (chance - truth) + (weights - prior)
        curve = design.T @ (design * (chance * (1 - chance))[:, None]) + np.eye(2)
        # What is not free has no slope, and a curve of its own.
        step = np.linalg.solve(np.where(np.outer(free, free) > 0, curve, np.eye(2)), slope * free)
        while loss(weights - step) > loss(weights) and np.abs(step).max() >= 1e-8:
            step = step / 2  # far from where it leads, a whole step may land further away
        weights = weights - step
        if np.abs(step).max() < 1e-8:
            break
    return float(max(weights[0], _LEAST_SCALE)), float(weights[1])


def logit(chance: float) -> float:
    """The logit of a probability between 0 and 1."""
    return float(np.log(chance) - np.log1p(-chance))


def chance_of(value: float) -> float:
    """The probability of a logit."""
    return float(1.0 / (1.0 + np.exp(-value)))


def point_of(value: float) -> float:
    """The probability of a logit, rounded towards quiet: no exam below the logit reaches it."""
    return nextafter(nextafter(chance_of(value), inf), inf)
