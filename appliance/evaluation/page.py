"""The summary as one page that needs nothing else: no script, no font and no picture from anywhere."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from appliance.core.words import KINDS, LABELS
from appliance.evaluation.drawings import calibration, forest, roc, steps
from appliance.evaluation.sheet import Tile
from appliance.evaluation.table import area_said, bound_said, false_early_said, place_lines, share_said

_HERE: Final = Path(__file__).parent


def pages_in(folder: Path) -> Environment:
    """The templates of a folder, in the frame that all reports share. A page needs nothing from anywhere."""
    loader = FileSystemLoader([folder, _HERE])
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)


_PAGES = pages_in(_HERE)


def page_of(summary: Mapping[str, Any], sheet: Mapping[str, Sequence[Tile]]) -> str:
    """The page of a summary; `sheet` holds the failures to be shown, by kind."""
    return _PAGES.get_template("report.html").render(
        summary=summary,
        sheet=sheet,
        labels=list(LABELS),
        kinds=list(KINDS),
        area_said=area_said,
        bound_said=bound_said,
        share_said=share_said,
        false_early_said=false_early_said,
        lines=[line for line in place_lines(summary) if not line.startswith("Expected")],
        drawings=[(said, Markup(one)) for said, one in _drawings(summary)],
        subgroup_drawing=Markup(_subgroups(summary)),
    )


def _drawings(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Each with what it shows."""
    found: list[tuple[str, str]] = []
    for name, said in (("images", "pictures"), ("exams", "exams")):
        part = summary[name]
        if part["roc"]["sensitivity"]:
            title = f"ROC of {said}. Red: CRITICAL, amber: REVIEW, violet: early"
            found.append((title, roc(part["roc"], _points(part), title)))
        if part["calibration"]["bins"]:
            title = f"Calibration of {said}"
            found.append((title, calibration(part["calibration"]["bins"], title)))
    if summary["exams"]["bleeding"]:
        title = "Bleeding exams alerted early, by the share of slices seen"
        found.append((title, steps(summary["early"]["shares_seen"], summary["exams"]["bleeding"], title)))
    rows = [
        (f"{label}, {said}", summary[name]["auc"][label])
        for name, said in (("images", "pictures"), ("exams", "exams"))
        for label in LABELS
        if summary[name]["auc"][label]["auc"] is not None
    ]
    if rows:
        title = "AUC of each label, 95 % intervals by patient"
        found.append((title, forest(rows, title)))
    return found


def _points(part: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """Where the operating points stand on the curve: only what can be read off both classes."""
    found: dict[str, tuple[float, float]] = {}
    for name, point in part["over_point"].items():
        if point["sensitivity"]["n"] and point["specificity"]["n"]:
            found[name] = (1 - point["specificity"]["share"], point["sensitivity"]["share"])
    return found


def _subgroups(summary: Mapping[str, Any]) -> str:
    rows = [
        (f"{one['column']} {one['value']}"[:26], one["auc"])
        for one in summary["subgroups"]
        if one["auc"]["auc"] is not None
    ]
    return forest(rows, "AUC of parts of the set with its 95 % interval") if rows else ""
