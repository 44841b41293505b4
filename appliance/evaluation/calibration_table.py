"""A calibration for a terminal. No patient is named."""

from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from appliance.core.bounds import SHARES
from appliance.evaluation.operating_points import PointFound
from appliance.evaluation.recalibration import Recalibration
from appliance.evaluation.table import DISCLAIMER

NOT_CERTIFIED: Final = "not certified"
_REVIEW: Final = "review"


def show(made: Recalibration, exams: int, out: Path, console: Console) -> None:
    """The points with what is proven of them, what more it takes, what was fitted, where the new engine lies."""
    console.print(f"{exams} exams were read.", markup=False)
    console.print(_points(made))
    console.print(_needed(made))
    console.print(_labels(made))
    for line in made.said:
        console.print(line, markup=False)
    console.print(
        "At most: with 95 % certainty, exact, if exams are independent and these were not chosen by hand. "
        "Certify again after a change of scanner, kernel or protocol.",
        markup=False,
    )
    console.print(f"The new engine is in {out}. {DISCLAIMER}", markup=False)


def _points(made: Recalibration) -> Table:
    table = Table("Exams at", "false alarms before", "false alarms now", "missed bleeds now", "proven")
    for before, after in zip(made.points_before, made.points_after, strict=True):
        table.add_row(
            after.said,
            _share(before.false, before.negatives, before.false_at_most),
            _share(after.false, after.negatives, after.false_at_most),
            _share(after.missed, after.bleeding, after.missed_at_most),
            _proven(after),
        )
    return table


def _proven(point: PointFound) -> str:
    if not point.certified:
        return NOT_CERTIFIED
    if point.name == _REVIEW:
        return f"missed: {_percent(point.missed_at_most)} or fewer"
    return f"false: {_percent(point.false_at_most)} or fewer"


def _needed(made: Recalibration) -> Table:
    table = Table("More exams without a bleed for", *(f"false <= {100 * share:g} %" for share in SHARES))
    for point in made.points_after:
        table.add_row(point.said, *(str(point.more_needed[share] or "proven") for share in SHARES))
    return table


def _labels(made: Recalibration) -> Table:
    table = Table("Probabilities", "exams +/-", "fitted", "why not more")
    for one in made.fits:
        table.add_row(one.label, f"{one.having}/{one.free}", one.fitted, one.why)
    return table


def _share(hits: int, n: int, bound: float | None) -> str:
    return "-" if bound is None else f"{hits} of {n}, at most {_percent(bound)}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f} %"
