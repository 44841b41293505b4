"""Where the operating points are set, and what clean exams prove of them. Logits of "any" throughout.

A point is looked for from the quiet end down, and never below a floor: what the recipe of a training run asks for, or
what the engine's manifest says already.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from appliance.core.bounds import SHARES, at_most, cases_needed, learn_then_test
from appliance.evaluation.calibration import Calibration, logit
from appliance.evaluation.exam_marks import ExamMarks

STEP: Final = 0.05
STEPS: Final = 600
"""Points are looked for in steps of STEP up to STEPS of them above the floor: fixed before any exam is looked at."""

AIM: Final = 0.006
LEAST: Final = 0.01
"""Shares of false alarms of the points that sound: the one aimed at as soon as so few can be proven, and the largest."""

_A_HAIR: Final = 1.0 + 1e-9  # the bound of no false alarm is met, not only come near to

MISSED: Final = 0.05
"""The largest share of bleeding exams below REVIEW."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PointFound:
    """What exams say of one operating point. `false` of `negatives` reach it, `missed` of `bleeding` do not.

    The bounds are exact, one-sided, of 95 % certainty; None where there is no such exam. `certified`: the one that the
    point is held to holds.
    """

    name: str
    said: str
    negatives: int
    false: int
    false_at_most: float | None
    bleeding: int
    missed: int
    missed_at_most: float | None
    certified: bool

    @property
    def more_needed(self) -> dict[float, int]:
        """How many more exams without a bleed prove each of SHARES, if there is no further false alarm."""
        return {share: max(0, cases_needed(self.false, share) - self.negatives) for share in SHARES}


def quiet_point(maxima: Sequence[float], floor: float, margin: float = 0.0) -> float:
    """The lowest point from the floor up that no more clean exams reach than can be proven to be few.

    `maxima`: of each clean exam its highest value. Where so many exams are there, no more than AIM of all reach it, or
    else LEAST; below that, none of these does. `margin`: no exam that counts comes nearer.
    """
    if not maxima:
        return floor
    steps = [floor + STEP * index for index in range(STEPS, -1, -1)]
    found = learn_then_test([one + margin for one in maxima], steps, _share_to_prove(len(maxima)))
    return found.threshold if found else steps[0]


def review_point(bleeding: Sequence[float], floor: float, ceiling: float) -> float:
    """The highest point from the floor up to the ceiling of which it is proven that MISSED of the bleeds, or fewer, lie
    below it; the floor where it cannot be proven of any.

    `bleeding`: of each bleeding exam its logit.
    """
    steps = [-(floor + STEP * index) for index in range(STEPS) if floor + STEP * index <= ceiling]
    found = learn_then_test([-one for one in bleeding], steps, MISSED)
    return -found.threshold if found else floor


def _share_to_prove(n: int) -> float:
    """Chosen by how many exams there are, never by what they show."""
    none_false = at_most(0, n)
    assert none_false is not None
    return next((share for share in (AIM, LEAST) if none_false <= share), none_false * _A_HAIR)


def points_found(marks: Sequence[ExamMarks], points: Calibration) -> tuple[PointFound, ...]:
    """What these exams, `marks` calibrated as `points`, say of CRITICAL, REVIEW and the early alert."""
    whole = [(one.bleeds, one.exam) for one in marks if one.exam is not None]
    pair, single = logit(points.early_pair), logit(points.early_single)
    critical = [(bleeds, value >= logit(points.critical)) for bleeds, value in whole]
    review = [(bleeds, value >= logit(points.review)) for bleeds, value in whole]
    early = [(one.bleeds, one.pair >= pair or one.single >= single) for one in marks]
    return (
        _found("critical", "CRITICAL", critical),
        _found("review", "REVIEW or CRITICAL", review),
        _found("early", "early alert", early),
    )


def _found(name: str, said: str, exams: Sequence[tuple[bool | None, bool]]) -> PointFound:
    free = [reached for bleeds, reached in exams if bleeds is False]
    bleeding = [reached for bleeds, reached in exams if bleeds]
    missed = len(bleeding) - sum(bleeding)
    false_at_most, missed_at_most = at_most(sum(free), len(free)), at_most(missed, len(bleeding))
    bound, largest = (missed_at_most, MISSED) if name == "review" else (false_at_most, LEAST)
    return PointFound(
        name=name,
        said=said,
        negatives=len(free),
        false=sum(free),
        false_at_most=false_at_most,
        bleeding=len(bleeding),
        missed=missed,
        missed_at_most=missed_at_most,
        certified=bound is not None and bound <= largest,
    )
