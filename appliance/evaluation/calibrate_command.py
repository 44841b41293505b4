"""`bleedwatch calibrate`: an engine's points and probabilities on a site's own labelled studies, into a new folder."""

import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from rich.console import Console

from appliance.core.errors import CannotStart, Fault
from appliance.evaluation.calibration import Calibration, calibration_of
from appliance.evaluation.calibration_table import show
from appliance.evaluation.command import reading_bar
from appliance.evaluation.engine_copy import manifest_sha256, refuse_bad_place, write_engine
from appliance.evaluation.exam_marks import ExamMarks, marks_of
from appliance.evaluation.operating_points import PointFound
from appliance.evaluation.recalibration import Recalibration, recalibrate
from appliance.evaluation.sources import Source, source_of
from appliance.inference.loading import LoadedEngine, load_engine

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a person has asked for: one of `manifest` and `data`. `day` goes into the record of the new engine."""

    engine: Path
    out: Path
    day: date
    manifest: Path | None = None
    data: Path | None = None
    as_json: bool = False


def run_calibrate(wish: Wish) -> int:
    """Reads, calibrates, writes a new engine, tells. CannotStart in words; then nothing has been written."""
    if (wish.manifest is None) == (wish.data is None):
        raise CannotStart("Name either --manifest rows.csv or --data FOLDER. See: bleedwatch calibrate --help")
    source = source_of(wish.manifest, wish.data)
    refuse_bad_place(wish.engine, wish.out)
    try:
        engine = load_engine(wish.engine)
    except Fault as fault:
        raise CannotStart(f"{fault.message}. Next step: bleedwatch doctor") from None
    with closing(engine.backend):
        marks = read_marks(source, engine)
    made = recalibrate(marks, calibration_of(engine.card))
    record = record_of(made, marks, source_name(wish), wish)
    write_engine(wish.engine, wish.out, made, record, wish.day)
    if wish.as_json:
        sys.stdout.write(json.dumps(document_of(made, marks, record, wish)) + "\n")
    else:
        show(made, len(marks), wish.out, Console(highlight=False))
    return 0


def read_marks(source: Source, engine: LoadedEngine) -> list[ExamMarks]:
    """The marks of every exam of which something was read. Its slices are let go one exam at a time."""
    now = calibration_of(engine.card)
    with reading_bar(source.size) as tell:
        return [
            marks_of(one.series, one.answer.truth, one.answer.patient, now)
            for one in source.exams(engine, tell)
            if one.series
        ]


def source_name(wish: Wish) -> str:
    """The last two parts of a manifest's path, the last of a folder's: enough to find it again, and no more."""
    path = (wish.manifest or wish.data or Path()).absolute()
    parts = path.parts[-2:] if wish.manifest else path.parts[-1:]
    return "".join(letter if letter.isprintable() else "?" for letter in "/".join(parts))


def record_of(made: Recalibration, marks: Sequence[ExamMarks], source: str, wish: Wish) -> dict[str, Any]:
    """What the new manifest says of this calibration. No patient is named."""
    return {
        "date": wish.day.isoformat(),
        "source": source,
        "engine": manifest_sha256(wish.engine),
        **_counts(marks),
        "fitted": [one.fitted for one in made.fits],
        **{point.name: _said_of(point) for point in made.points_after},
    }


def _counts(marks: Sequence[ExamMarks]) -> dict[str, int]:
    return {
        "exams": len(marks),
        "patients": len({one.patient for one in marks if one.patient}),
        "bleeding": sum(bool(one.bleeds) for one in marks),
        "bleed_free": sum(one.bleeds is False for one in marks),
    }


def _said_of(point: PointFound) -> dict[str, Any]:
    """TOML knows no null: a bound that is not defined is left out."""
    said = {
        "negatives": point.negatives,
        "false_positives": point.false,
        "false_at_most": point.false_at_most,
        "bleeding": point.bleeding,
        "missed": point.missed,
        "missed_at_most": point.missed_at_most,
        "certified": point.certified,
    }
    return {name: value for name, value in said.items() if value is not None}


def document_of(
    made: Recalibration, marks: Sequence[ExamMarks], record: Mapping[str, Any], wish: Wish
) -> dict[str, Any]:
    """What `--json` prints."""
    return {
        "kind": "calibration",
        "schema_version": SCHEMA_VERSION,
        "engine": record["engine"],
        "new_engine": manifest_sha256(wish.out),
        "folder": str(wish.out),
        "source": record["source"],
        **_counts(marks),
        "points": {
            after.name: {
                "before": _values(made.before, after.name),
                "after": _values(made.after, after.name),
                **_said_of(after),
                "false_positives_before": before.false,
                "missed_before": before.missed,
                "more_needed": {f"{share:g}": count for share, count in after.more_needed.items()},
            }
            for before, after in zip(made.points_before, made.points_after, strict=True)
        },
        "labels": {
            one.label: {
                "fitted": one.fitted,
                "why": one.why,
                "exams_with": one.having,
                "exams_without": one.free,
                "scale": one.scale,
                "bias": one.bias,
            }
            for one in made.fits
        },
        "said": list(made.said),
    }


def _values(calibration: Calibration, point: str) -> list[float]:
    """The probabilities of a point: of the early alert that of pairs, then that of single slices."""
    if point == "early":
        return [calibration.early_pair, calibration.early_single]
    return [calibration.critical if point == "critical" else calibration.review]
