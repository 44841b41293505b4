"""The summary of an evaluation: every figure of docs/schemas/evaluate.md, from the answers alone."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

from appliance.core.bounds import at_most, proven_share
from appliance.core.engine import EngineCard
from appliance.core.words import KINDS, LABELS, Label, Level, Outcome
from appliance.evaluation.answers import ExamAnswer, ImageAnswer, Truth, owner
from appliance.evaluation.claim import claim
from appliance.evaluation.early import early_figures, shares_seen
from appliance.evaluation.figures import (
    area,
    brier,
    calibration,
    calibration_error,
    curve,
    predictive,
    wilson,
)
from appliance.evaluation.subgroups import subgroups

SCHEMA_VERSION: Final = 1
PREVALENCES: Final = (0.01, 0.027, 0.06, 0.10, 0.15, 0.40)
EXAMS_A_DAY: Final = 60
WORST: Final = 12
_ANY: Final = LABELS.index(Label.ANY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What an evaluation was made with."""

    card: EngineCard
    backend: str
    source: str  # "manifest", "data" or "phantoms"
    drawn: str = ""  # who was read, of phantoms
    took_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One operating point of exams: whether an exam reaches it."""

    name: str
    said: str
    reaches: Callable[[ExamAnswer], bool]


POINTS: Final = (
    Point(name="critical", said="CRITICAL", reaches=lambda exam: exam.level is Level.CRITICAL),
    Point(name="review", said="REVIEW or CRITICAL", reaches=lambda exam: exam.level is not None),
    Point(name="early", said="early alert", reaches=lambda exam: exam.early_after is not None),
)


def summary_of(images: Sequence[ImageAnswer], exams: Sequence[ExamAnswer], run: Run) -> dict[str, Any]:
    """The whole summary."""
    answered = [one for one in images if one.probabilities is not None]
    points = run.card.points
    document: dict[str, Any] = {
        "kind": "summary",
        "schema_version": SCHEMA_VERSION,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "engine": {"name": run.card.name, "version": run.card.version, "sha256": run.card.sha256},
        "backend": run.backend,
        "source": run.source,
        "drawn": run.drawn or None,
        "took_s": round(run.took_s, 1),
        "images_a_second": round(len(answered) / run.took_s, 1) if run.took_s > 0 else None,
        "rows": len(images),
        "patients": len({one.patient for one in images if one.patient}),
        "not_answered": dict(Counter(_word(one.error) for one in images if one.probabilities is None)),
        "masks_not_read": sum(bool(one.mask_error) for one in images),
        "points": {name: getattr(points, name) for name in ("critical", "review", "early_pair", "early_single")},
        "images": _images(answered, points.review, points.early_single),
        "exams": _exams(exams),
        "place": _place(answered),
        "early": early_figures(exams) | {"shares_seen": shares_seen(exams)},
        "predictive": _predictive(exams),
        "subgroups": subgroups(images, exams),
        "worst": worst(images),
    }
    return document | {"claim": claim(document)}


def worst(images: Sequence[ImageAnswer]) -> dict[str, list[int]]:
    """The rows that went worst, by number: bleed-free slices that look most like one, bleeding ones that look least."""
    known = [one for one in images if one.probabilities is not None and one.truth[_ANY] is not None]
    by_any = sorted(known, key=lambda one: (_probability(one), one.number))
    return {
        "false_alarms": [one.number for one in by_any[::-1] if not one.truth[_ANY]][:WORST],
        "misses": [one.number for one in by_any if one.truth[_ANY]][:WORST],
    }


def _word(error: str) -> str:
    return error.partition(":")[0]


def _probability(one: ImageAnswer | ExamAnswer) -> float:
    return one.probabilities[_ANY] if one.probabilities else 0.0


def areas(answers: Sequence[ImageAnswer] | Sequence[ExamAnswer]) -> dict[str, dict[str, Any]]:
    """The area of each label over the answers of which it is known."""
    return {label: asdict(_area(answers, index)) for index, label in enumerate(LABELS)}


def _area(answers: Sequence[ImageAnswer] | Sequence[ExamAnswer], label: int) -> Any:
    known = [one for one in answers if one.probabilities is not None and one.truth[label] is not None]
    scores = [one.probabilities[label] for one in known if one.probabilities is not None]
    return area(scores, [bool(one.truth[label]) for one in known], [owner(one) for one in known])


def _images(answered: Sequence[ImageAnswer], review: float, early_single: float) -> dict[str, Any]:
    known = [one for one in answered if one.truth[_ANY] is not None]
    bleeding = [one for one in known if one.truth[_ANY]]
    kinds = [one for one in bleeding if any(one.truth[LABELS.index(kind)] for kind in KINDS)]
    scores, truth = [_probability(one) for one in known], [bool(one.truth[_ANY]) for one in known]
    return {
        "answered": len(answered),
        "bleeding": len(bleeding),
        "bleed_free": len(known) - len(bleeding),
        "unknown": len(answered) - len(known),
        "with_brain": sum(one.has_brain for one in answered),
        "auc": areas(answered),
        "over_point": {
            name: _over(known, point) for name, point in (("review", review), ("early_single", early_single))
        },
        "kind_right": asdict(wilson(sum(_kind_right(one) for one in kinds), len(kinds))),
        "calibration": _calibration(scores, truth),
        "roc": _curve(scores, truth),
    }


def _over(known: Sequence[ImageAnswer], point: float) -> dict[str, Any]:
    return _rates([(one.truth, _probability(one) >= point) for one in known])


def _kind_right(one: ImageAnswer) -> bool:
    """Whether the highest of the five is one that the slice has."""
    assert one.probabilities is not None
    best = max(range(1, len(LABELS)), key=one.probabilities.__getitem__)
    return bool(one.truth[best])


def _exams(exams: Sequence[ExamAnswer]) -> dict[str, Any]:
    known = [one for one in exams if one.truth[_ANY] is not None]
    answered = [one for one in known if one.probabilities is not None]
    scores, truth = [_probability(one) for one in answered], [bool(one.truth[_ANY]) for one in answered]
    bleeding = sum(bool(one.truth[_ANY]) for one in known)
    best = [one.best_right for one in exams if one.best_right is not None]
    return {
        "n": len(exams),
        "bleeding": bleeding,
        "bleed_free": len(known) - bleeding,
        "unknown": len(exams) - len(known),
        "auc": areas(exams),
        "outcomes": {
            name: {
                outcome: sum(one.outcome is outcome for one in exams if one.truth[_ANY] is truth) for outcome in Outcome
            }
            for name, truth in (("bleeding", True), ("bleed_free", False), ("unknown", None))
        },
        "over_point": {
            point.name: {"said": point.said, **_bounded(_rates([(one.truth, point.reaches(one)) for one in known]))}
            for point in POINTS
        },
        "best_slice_right": asdict(wilson(sum(best), len(best))),
        "calibration": _calibration(scores, truth),
        "roc": _curve(scores, truth),
    }


def _rates(answers: Sequence[tuple[Truth, bool]]) -> dict[str, Any]:
    """Sensitivity, of each kind too, and specificity; how many false alarms there can be at most, with 95 % certainty."""
    bleeding = [flagged for truth, flagged in answers if truth[_ANY]]
    free = [flagged for truth, flagged in answers if truth[_ANY] is False]
    by_kind = {kind: [flagged for truth, flagged in answers if truth[LABELS.index(kind)]] for kind in KINDS}
    return {
        "sensitivity": asdict(wilson(sum(bleeding), len(bleeding))),
        "specificity": asdict(wilson(len(free) - sum(free), len(free))),
        "false_share_at_most": at_most(sum(free), len(free)),
        "sensitivity_by_kind": {kind: asdict(wilson(sum(flags), len(flags))) for kind, flags in by_kind.items()},
    }


def _bounded(rates: dict[str, Any]) -> dict[str, Any]:
    """The same with what is proven of false alarms. Of exams alone: slices of one exam are no cases of their own."""
    specificity = rates["specificity"]
    negatives, false = specificity["n"], specificity["n"] - specificity["hits"]
    return rates | {
        "negatives": negatives,
        "false_positives": false,
        "proven_at_most": proven_share(false, negatives),
    }


def _calibration(scores: Sequence[float], truth: Sequence[bool]) -> dict[str, Any]:
    bins = calibration(scores, truth)
    return {"error": calibration_error(bins), "brier": brier(scores, truth), "bins": [asdict(one) for one in bins]}


def _curve(scores: Sequence[float], truth: Sequence[bool]) -> dict[str, list[float]]:
    wrong, found = curve(scores, truth)
    return {"false_share": wrong, "sensitivity": found}


def _place(answered: Sequence[ImageAnswer]) -> dict[str, Any]:
    """Of pictures that are marked: is the hottest cell inside? And how the heat overlaps the masks."""
    found: dict[str, Any] = {}
    for by in ("mask", "boxes"):
        marked = [one.place for one in answered if one.place is not None and one.place.by == by]
        found[by] = {
            "inside": asdict(wilson(sum(one.inside for one in marked), len(marked))),
            "near": asdict(wilson(sum(one.near for one in marked), len(marked))),
        }
    dice = sorted(one.dice for one in answered if one.dice is not None)
    return found | {"dice": {"n": len(dice), "median": dice[len(dice) // 2] if dice else None}}


def _predictive(exams: Sequence[ExamAnswer]) -> list[dict[str, Any]]:
    """What an alert is worth where bleeds are as rare as named, and how many come a day."""
    rows: list[dict[str, Any]] = []
    for point in POINTS:
        rates = _rates([(one.truth, point.reaches(one)) for one in exams if one.truth[_ANY] is not None])
        sensitivity, specificity = rates["sensitivity"]["share"], rates["specificity"]["share"]
        if sensitivity is None or specificity is None:
            continue
        for prevalence in PREVALENCES:
            ppv, npv = predictive(sensitivity, specificity, prevalence)
            true = EXAMS_A_DAY * prevalence * sensitivity
            false = EXAMS_A_DAY * (1 - prevalence) * (1 - specificity)
            rows.append(
                {
                    "point": point.name,
                    "prevalence": prevalence,
                    "ppv": ppv,
                    "npv": npv,
                    "exams_a_day": EXAMS_A_DAY,
                    "true_alerts_a_day": true,
                    "false_alerts_a_day": false,
                    "false_alerts_a_day_at_most": EXAMS_A_DAY
                    * (1 - prevalence)
                    * (rates["false_share_at_most"] or 0.0),
                }
            )
    return rows
