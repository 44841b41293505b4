"""Calibration and operating points of a new engine, from held-out exams that trained nothing. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from appliance.core.words import LABELS
from appliance.evaluation.calibration import MOST_LOGIT, Calibration, fit_scale_bias, logit, point_of
from appliance.evaluation.exam_marks import COLD, ExamMarks, any_logit, marks_of, raw_logits
from appliance.evaluation.figures import auc
from appliance.evaluation.operating_points import MISSED, PointFound, points_found, quiet_point
from appliance.evaluation.read_exams import ReadSeries
from appliance.training.selfcheck import ExamScore

OVERLAP = 0.15
NEIGHBOUR_MM = 10.0
MARGIN = 0.5
"""Points lie this far (in logits) above the highest negative: a few dozen exams do not show the worst one."""

SINGLE_MARGIN = 1.5
BELOW_CRITICAL = 0.5  # in logits: so far at least REVIEW lies below CRITICAL, if the recipe leaves the room
REVIEWED = 0.05  # of the clean exams come to REVIEW; twice as many where that finds bleeds
A_HAIR = 1e-6  # in logits: so far below the exam that a point is set by, which then reaches it
SMOOTHINGS_MM = (3.0, 2.0, 4.0, 5.0)
SHARPNESSES = (2.0, 1.0, 0.5)
"""Where ranking says nothing: 2. With less, many slices of nothing add up, and a head without a bleed reads .6 of an exam."""
GAIN = 0.002
"""A smaller gain in AUC is chance: the first rule in the list stands."""

NEUTRAL = Calibration(
    scale=(1.0,) * 6,
    bias=(0.0,) * 6,
    smoothing_mm=SMOOTHINGS_MM[0],
    sharpness=SHARPNESSES[0],
    critical=0.9,
    review=0.5,
    early_pair=0.95,
    early_single=0.99,
    overlap=OVERLAP,
    neighbour_mm=NEIGHBOUR_MM,
)
"""What stands in a manifest until its engine is calibrated."""


def fit_rule(scores: Sequence[ExamScore]) -> Calibration:
    """Choose scale and bias per label, and the exam rule; points are not set yet.

    Exams of any source, synthetic or real; slices of which nobody has said what they show fit nothing.
    """
    lines = _lines(scores)
    seen = [one for one in scores if one.bleeding or one.clean]
    return _exam_rule(seen, replace(NEUTRAL, scale=tuple(a for a, _ in lines), bias=tuple(b for _, b in lines)))


def set_points(
    scores: Sequence[ExamScore], ruled: Calibration, least_critical: float, least_review: float
) -> Calibration:
    """Choose the points under a rule, or under the aggregator that `ruled` brings.

    Exams that are neither bleeding nor clean set no point. `least_critical` and `least_review` are exam probabilities
    below which the points never fall: a choice of the recipe, for what held-out exams cannot show.
    """
    marks = [_marks(one, ruled) for one in scores if one.bleeding or one.clean]
    clean = [one for one in marks if one.bleeds is False]
    negative = np.array([_whole(one) for one in clean] or [COLD])
    bleeding = np.array([_whole(one) for one in marks if one.bleeds])
    critical = quiet_point([_whole(one) for one in clean], logit(least_critical), MARGIN)
    review = max(min(_review_logit(negative, bleeding), critical - BELOW_CRITICAL), logit(least_review))
    pair = quiet_point([one.pair for one in clean], logit(least_critical), MARGIN)
    # One slice alone has to be past every doubt: no clean exam may come near, so that pairs alone take up what may be false.
    single = max([critical, pair, *(one.single for one in clean)]) + SINGLE_MARGIN
    return replace(
        ruled,
        critical=_point(critical),
        review=_point(review),
        early_pair=_point(pair),
        early_single=_point(single),
    )


def _review_logit(clean: NDArray[np.float64], bleeding: NDArray[np.float64]) -> float:
    """The logit from which exams come to REVIEW: one clean exam in twenty does, since it makes no sound.

    Where more than one bleeding exam in twenty would lie below that, it goes down for those that it reaches, up to one
    clean exam in ten. (`bleedwatch calibrate` proves its own: evaluation/operating_points.)
    """
    costs_most, costs_little = np.quantile(clean, (1 - 2 * REVIEWED, 1 - REVIEWED))
    reached = bleeding[(bleeding >= costs_most) & (bleeding < costs_little)]
    if not reached.size or (bleeding < costs_little).mean() <= MISSED:
        return float(costs_little)
    return float(max(reached.min(), np.quantile(bleeding, MISSED))) - A_HAIR


def _point(value: float) -> float:
    """The point of a logit. Exams that none lies above are false alarms: the card counts them, and training is not lost."""
    return point_of(min(value, MOST_LOGIT))


def points_of(scores: Sequence[ExamScore], calibration: Calibration) -> tuple[PointFound, ...]:
    """What these exams say of the points: n, false alarms, missed bleeds and the exact bounds of both, for the card.

    Where the same exams have set the points, the bounds are theirs alone; none is certified by them.
    """
    return points_found([_marks(one, calibration) for one in scores if one.bleeding or one.clean], calibration)


def _lines(scores: Sequence[ExamScore]) -> list[tuple[float, float]]:
    """Scale and bias of each label, of the slices of which it is known; as they come where not both are there."""
    logits = np.concatenate([raw_logits(one.rows) for one in scores])
    truth = np.concatenate([one.truth for one in scores])
    return [_line(logits[:, label], truth[:, label]) for label in range(len(LABELS))]


def _line(logits: NDArray[np.float64], truth: NDArray[np.int8]) -> tuple[float, float]:
    known = truth >= 0
    both = (truth == 1).any() and (truth == 0).any()
    return fit_scale_bias(logits[known], truth[known] == 1) if both else (1.0, 0.0)


def _marks(score: ExamScore, calibration: Calibration) -> ExamMarks:
    series = ReadSeries(rows=score.rows, truth=score.truth)
    return marks_of([series], (score.bleeding, *[None] * (len(LABELS) - 1)), "", calibration)


def _whole(marks: ExamMarks) -> float:
    return COLD if marks.exam is None else marks.exam


def _exam_rule(scores: Sequence[ExamScore], lines: Calibration) -> Calibration:
    """The exam rule under which bleeding exams rank best."""
    truth = [one.bleeding for one in scores]
    best, best_area = lines, -1.0
    for smoothing_mm in SMOOTHINGS_MM:
        for sharpness in SHARPNESSES:
            rule = replace(lines, smoothing_mm=smoothing_mm, sharpness=sharpness)
            area = auc([any_logit(one.rows, rule) for one in scores], truth)
            if area is not None and area > best_area + GAIN:
                best, best_area = rule, area
    return best
