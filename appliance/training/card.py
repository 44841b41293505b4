"""The model card of a new engine, begun: what it was trained on, what its calibration exams say of the points."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from appliance.core.engine import TrainedOn
from appliance.evaluation.operating_points import PointFound
from appliance.training.sources.licences import card_lines


def write_card(path: Path, trained_on: Sequence[TrainedOn], points: Sequence[PointFound]) -> bool:
    """Begin a card where there is none, and say whether it was: one that somebody has written is left alone."""
    if path.exists():
        return False
    parts = [
        "# Model card\n\nMade by `bleedwatch train` from `recipe.toml`; `curves.csv` shows how it learned.\n",
        card_lines(trained_on) if trained_on else "Trained on synthetic heads alone.\n",
        "The points were set on these exams, so what they say of them is too good. **Not certified.** A bound is exact,"
        " one-sided, of 95 % certainty.\n",
        _points(points),
        "Not evaluated yet: `bleedwatch evaluate`; certify on your own exams: `bleedwatch calibrate`.\n",
    ]
    path.write_text("\n".join(parts), encoding="utf-8")
    return True


def _points(points: Sequence[PointFound]) -> str:
    lines = ["| exams at | false alarms | missed bleeds |", "|---|---|---|"]
    for one in points:
        false = _share(one.false, one.negatives, one.false_at_most)
        lines.append(f"| {one.said} | {false} | {_share(one.missed, one.bleeding, one.missed_at_most)} |")
    return "\n".join(lines) + "\n"


def _share(hits: int, n: int, bound: float | None) -> str:
    return "-" if bound is None else f"{hits} of {n}, at most {100 * bound:.1f} %"
