"""The same figures for parts of the answers: by what stands in further columns. Each with its n: a small part shows little."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final, TypeVar

from appliance.core.words import LABELS, Label
from appliance.evaluation.answers import ExamAnswer, ImageAnswer, owner
from appliance.evaluation.early import early_figures
from appliance.evaluation.figures import Share, area, wilson

MOST_VALUES: Final = 12
"""Of one column; the rest is counted together."""

OTHER: Final = "(others)"
_Answer = TypeVar("_Answer", ImageAnswer, ExamAnswer)
_ANY: Final = LABELS.index(Label.ANY)
_DRAWS: Final = 500

CUTS: Final = {
    "age": ((18.0, "below 18"), (66.0, "18 to 65"), (float("inf"), "above 65")),
    "thickness": ((2.0, "below 2 mm"), (4.0, "2 to below 4 mm"), (float("inf"), "4 mm and more")),
    "thickness_mm": ((2.0, "below 2 mm"), (4.0, "2 to below 4 mm"), (float("inf"), "4 mm and more")),
    "volume_ml": ((5.0, "below 5 mL"), (15.0, "5 to below 15 mL"), (float("inf"), "15 mL and more")),
}
"""Columns of numbers that have parts of their own: up to, and what the part is called."""


def subgroups(images: Sequence[ImageAnswer], exams: Sequence[ExamAnswer]) -> list[dict[str, Any]]:
    """A row for each value of each further column: of exams, or of pictures where there are no exams."""
    if exams:
        return [_exam_row(*part) for part in _parts(exams)]
    return [_image_row(*part) for part in _parts([one for one in images if one.probabilities is not None])]


def part_of(column: str, value: str) -> str:
    """The part that a value falls into."""
    cuts = CUTS.get(column.lower())
    if cuts is None:
        return value
    try:
        number = float(value)
    except ValueError:
        return value
    return next((name for below, name in cuts if number < below), value)


def _parts(answers: Sequence[_Answer]) -> list[tuple[str, str, list[_Answer]]]:
    found: list[tuple[str, str, list[_Answer]]] = []
    for column in dict.fromkeys(name for one in answers for name in one.groups):
        having = [(part_of(column, one.groups[column]), one) for one in answers if column in one.groups]
        counted = Counter(value for value, _ in having)
        kept = {value for value, _ in sorted(counted.items(), key=lambda one: (-one[1], one[0]))[:MOST_VALUES]}
        by_value: dict[str, list[_Answer]] = {}
        for value, one in having:
            by_value.setdefault(value if value in kept else OTHER, []).append(one)
        found += [(column, value, by_value[value]) for value in sorted(by_value)]
    return found


def _exam_row(column: str, value: str, exams: Sequence[ExamAnswer]) -> dict[str, Any]:
    known = [one for one in exams if one.truth[_ANY] is not None]
    return _row(column, value, "exams", known) | {
        "sensitivity_review": asdict(_flagged(known, bleeding=True)),
        "specificity_review": asdict(_passed(known)),
        "early": early_figures(known),
    }


def _image_row(column: str, value: str, images: Sequence[ImageAnswer]) -> dict[str, Any]:
    return _row(column, value, "images", [one for one in images if one.truth[_ANY] is not None])


def _row(column: str, value: str, of: str, known: Sequence[ImageAnswer] | Sequence[ExamAnswer]) -> dict[str, Any]:
    answered = [one for one in known if one.probabilities is not None]
    scores = [one.probabilities[_ANY] for one in answered if one.probabilities is not None]
    found = area(scores, [bool(one.truth[_ANY]) for one in answered], [owner(one) for one in answered], _DRAWS)
    return {
        "column": column,
        "value": value,
        "of": of,
        "bleeding": sum(bool(one.truth[_ANY]) for one in known),
        "bleed_free": sum(one.truth[_ANY] is False for one in known),
        "auc": asdict(found),
    }


def _flagged(known: Sequence[ExamAnswer], *, bleeding: bool) -> Share:
    flags = [one.level is not None for one in known if one.truth[_ANY] is bleeding]
    return wilson(sum(flags), len(flags))


def _passed(known: Sequence[ExamAnswer]) -> Share:
    flagged = _flagged(known, bleeding=False)
    return wilson(flagged.n - flagged.hits, flagged.n)
