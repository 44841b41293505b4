"""How early the early alert comes, and how often it is wrong: of any exams. Slices are taken in the order of `early_after`."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from appliance.core.bounds import at_most
from appliance.core.words import LABELS, Label
from appliance.evaluation.answers import ExamAnswer
from appliance.evaluation.figures import wilson

_ANY: Final = LABELS.index(Label.ANY)


def early_figures(exams: Sequence[ExamAnswer]) -> dict[str, Any]:
    """Bleeding exams alerted before their last slice, and false alarms with the most that there can be (95 % sure)."""
    bleeding = [one for one in exams if one.truth[_ANY]]
    free = [one for one in exams if one.truth[_ANY] is False]
    seen = shares_seen(exams)
    before_last = sum(one.early_after is not None and one.early_after < one.early_of for one in bleeding)
    false = sum(one.early_after is not None for one in free)
    bound = at_most(false, len(free))
    return {
        "fired_before_last": asdict(wilson(before_last, len(bleeding))),
        "share_seen_median": seen[len(seen) // 2] if seen else None,
        "false": asdict(wilson(false, len(free))),
        "false_per_1000": 1000 * false / len(free) if free else None,
        "false_per_1000_at_most": None if bound is None else 1000 * bound,
    }


def shares_seen(exams: Sequence[ExamAnswer]) -> list[float]:
    """The share of the slices of each bleeding exam that had been seen when it was alerted, from the lowest."""
    bleeding = [one for one in exams if one.truth[_ANY]]
    return sorted(one.early_after / one.early_of for one in bleeding if one.early_after is not None)
