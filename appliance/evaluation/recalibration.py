"""An engine's calibration made anew on a site's exams. Its points move towards quiet, never back.

Points are chosen under the calibration that stands, then carried over: a fitted label any moves all logits of an exam
along one line, the sharpness of the exam rule follows, and so do the points. So the fit changes what is said of an exam
(its probability), and the points alone change whether it is told; no exam is told that was not told before.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from appliance.core.errors import CannotStart
from appliance.core.words import LABELS, Label
from appliance.evaluation.calibration import MOST_LOGIT, Calibration, logit, point_of
from appliance.evaluation.exam_marks import ExamMarks
from appliance.evaluation.label_fits import LabelFit, fit_labels
from appliance.evaluation.operating_points import MISSED, PointFound, points_found, quiet_point, review_point

LEAST_NEGATIVES: Final = 10
"""Below this nothing is calibrated: not even the loudest of the false alarms is among so few."""

_ANY: Final = LABELS.index(Label.ANY)
_NOTHING: Final = 1e-9  # a logit that was made of a probability and back


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalibration:
    """The calibration that stood and the one that comes, and what these exams say of both. `said`: in words."""

    before: Calibration
    after: Calibration
    fits: tuple[LabelFit, ...]
    points_before: tuple[PointFound, ...]
    points_after: tuple[PointFound, ...]
    said: tuple[str, ...]


def recalibrate(marks: Sequence[ExamMarks], now: Calibration) -> Recalibration:
    """A calibration from `marks` under the one that stands. CannotStart where the exams are too few to say anything."""
    free = [one for one in marks if one.bleeds is False]
    whole = [one.exam for one in free if one.exam is not None]
    if len(whole) < LEAST_NEGATIVES:
        raise CannotStart(
            f"Of {len(marks)} exams that were read {len(whole)} are labelled as free of blood; it takes at least "
            f"{LEAST_NEGATIVES} to calibrate anything, and 149 to prove 98 % specificity. Add more such exams."
        )
    bleeding = [one.exam for one in marks if one.bleeds and one.exam is not None]
    gap = logit(now.early_single) - logit(now.early_pair)
    critical = quiet_point(whole, logit(now.critical))
    early = quiet_point([one.early(gap) for one in free], logit(now.early_pair))
    chosen = replace(
        now,
        critical=_quieter(now.critical, critical),
        review=_quieter(now.review, review_point(bleeding, logit(now.review), critical)),
        early_pair=_quieter(now.early_pair, early),
        early_single=_quieter(now.early_single, early + gap),
    )
    stood, found = points_found(marks, now), points_found(marks, chosen)
    fits = fit_labels(marks, now)
    return Recalibration(
        before=now,
        after=_carried(chosen, fits),
        fits=fits,
        points_before=stood,
        points_after=found,
        said=tuple(_said(now, chosen, stood, found)),
    )


def _carried(chosen: Calibration, fits: Sequence[LabelFit]) -> Calibration:
    """The same rule in the fitted logits: what an exam is told as does not change by it."""
    scale, bias = chosen.scale[_ANY], chosen.bias[_ANY]
    stretch = fits[_ANY].scale / scale
    shift = fits[_ANY].bias - stretch * bias
    after = replace(chosen, scale=tuple(one.scale for one in fits), bias=tuple(one.bias for one in fits))
    if (stretch, shift) == (1.0, 0.0):
        return after
    critical, review, pair, single = (
        _chance(stretch * logit(point) + shift)
        for point in (chosen.critical, chosen.review, chosen.early_pair, chosen.early_single)
    )
    return replace(
        after,
        sharpness=chosen.sharpness / stretch,
        critical=critical,
        review=review,
        early_pair=pair,
        early_single=single,
    )


def _quieter(now: float, value: float) -> float:
    """What stands, to the last bit, unless the point has moved up."""
    return _chance(value) if value > logit(now) + _NOTHING else now


def _chance(value: float) -> float:
    """The point of a logit, if there is one."""
    if value > MOST_LOGIT:
        raise CannotStart(
            "The engine is as sure of a bleed in exams that are labelled as free of blood as it can be: no point lies "
            "above them. Look at them with: bleedwatch evaluate --html FILE"
        )
    return point_of(value)


def _said(now: Calibration, chosen: Calibration, stood: Sequence[PointFound], found: Sequence[PointFound]) -> list[str]:
    """What quiet costs; and what a person should know who expects points to be moved the other way."""
    said = ["Points move towards quiet alone. This engine says no more than it said before."]
    said += [
        f"{after.said} now misses {after.missed} of {after.bleeding} bleeding exams, before {before.missed}. Look at the "
        "false alarms that moved it, and at their labels: bleedwatch evaluate --html FILE"
        for before, after in zip(stood, found, strict=True)
        if after.missed > before.missed
    ]
    review = next(one for one in found if one.name == "review")
    if review.missed > MISSED * review.bleeding and chosen.review == now.review:
        said.append(
            f"{review.missed} of {review.bleeding} bleeding exams lie below REVIEW. It is not lowered: that would "
            "loosen the engine. Fine-tune it on your exams with `bleedwatch train --from`."
        )
    if not review.bleeding:
        said.append("No bleeding exam was read, so nothing is known of missed bleeds, and REVIEW stays where it was.")
    return said
