"""The document as one page that needs nothing else: no script, no font and no picture from anywhere."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from appliance.bench.document import conditions_said
from appliance.bench.drawings import histogram, waterfall
from appliance.bench.table import COUNTED_FROM, cells, floor_words, machine_line, number
from appliance.evaluation.page import pages_in

_PAGES = pages_in(Path(__file__).parent)


def page_of(document: Mapping[str, Any]) -> str:
    """The page of a document."""
    fall = document["waterfall"]
    return _PAGES.get_template("report.html").render(
        document={"against": None, **document},
        machine=machine_line(document),
        waterfall=Markup(waterfall(fall)) if fall else "",
        counted_from=COUNTED_FROM,
        sections=_sections(document),
    )


def _sections(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    engine: list[Mapping[str, Any]] = document["engine_alone"]
    found = [
        _section(f"The engine alone: {backend}", [one for one in engine if one["backend"] == backend], floor=True)
        for backend in dict.fromkeys(one["backend"] for one in engine)
    ]
    if document["work"] and found:
        found[-1]["words"] = floor_words(document)
    found.append(_section("Stages of a slice, each by itself", document["stages"]))
    for condition in conditions_said(dict(document)):
        rows = [one for one in document["whole"] if one["condition"] == condition]
        found.append(_section(f"The whole appliance: {condition}", rows))
        inside = [one for one in document["in_service"] if one["condition"] == condition]
        if inside:
            found.append(_section(f"Stages as the appliance timed them: {condition}", inside))
    found.append(_section("Start of the programs", document["cold_start"]))
    return [one for one in found if one["rows"]]


def _section(title: str, rows: Sequence[Mapping[str, Any]], *, floor: bool = False) -> dict[str, Any]:
    return {"title": title, "rows": [_row(one) for one in rows], "floor": floor, "words": ""}


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "said": row["said"],
        "note": row.get("note", ""),
        "missing": row.get("missing", 0),
        "cells": cells(row),
        "a_slice": number(row["p50_ms_a_slice"]) if "p50_ms_a_slice" in row else "",
        "floor": f"{row['times_floor']:.1f}" if "times_floor" in row else "",
        "drawing": Markup(histogram(row)),
    }
