"""`bleedwatch score`: reads files here and now by the code of the appliance. Nothing is stored, nobody is told."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from appliance.core.errors import CannotStart, Fault
from appliance.core.evidence import foot_to_head
from appliance.core.ledger import SliceRow
from appliance.core.reasons import Of, sentence
from appliance.core.words import LABELS, FileVerdict, Outcome
from appliance.inference.loading import load_engine
from appliance.reading.dicom_files import Score, ScoredSeries, files_below, score_files

SCHEMA_VERSION = 1


def run_score(paths: Sequence[Path], engine_folder: Path, *, as_json: bool) -> int:
    """Prints what each path came to. Returns 0: every path has a verdict. CannotStart without an engine."""
    try:
        engine = load_engine(engine_folder)
    except Fault as fault:
        raise CannotStart(f"{fault.message}. Next step: bleedwatch doctor") from None
    files = list(files_below(paths))
    columns = (TextColumn("Reading"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=sys.stderr)) as progress:
        bar = progress.add_task("read", total=len(files))
        found = score_files(files, engine, lambda: progress.advance(bar))
    if as_json:
        sys.stdout.write(json.dumps(as_document(found), indent=2) + "\n")
    else:
        _print(found)
    return 0


# -- telling ------------------------------------------------------------------------------------------


def as_document(found: Score) -> dict[str, Any]:
    """The JSON document of `score --json`."""
    outcomes = found.studies()
    return {
        "schema_version": SCHEMA_VERSION,
        "studies": [
            {"study": uid, "outcome": outcome, "reasons": [code for code, _ in reasons]}
            for uid, (outcome, reasons) in outcomes.items()
        ],
        "series": [
            _series_document(uid, series, outcomes[series.study_uid][0]) for (_, uid), series in found.series.items()
        ],
        "files": found.files,
    }


def _series_document(series_uid: str, series: ScoredSeries, outcome: Outcome) -> dict[str, Any]:
    exam = series.reading.exam.probabilities if series.reading else (None,) * len(LABELS)
    return {
        "study": series.study_uid,
        "series": series_uid,
        "verdict": series.verdict,
        "reasons": [code for code, _ in series.reasons],
        "outcome": outcome,
        **dict(zip(LABELS, exam, strict=True)),
        "slices": [_slice_document(row) for row in foot_to_head(list(series.slices.values()))],
    }


def _slice_document(row: SliceRow) -> dict[str, Any]:
    assert row.score is not None
    peak = row.score.peak_rc
    return {
        "sop": row.sop_uid,
        "position_mm": row.geometry.position_mm,
        **dict(zip(LABELS, row.score.probabilities, strict=True)),
        "peak_x": None if peak is None else peak[1],
        "peak_y": None if peak is None else peak[0],
        "ms": row.ms,
    }


def _print(found: Score) -> None:
    """One line a study and one a file that was not taken. No name, no number of a patient."""
    table = Table("Outcome", "Slices", "Why")
    for uid, (outcome, reasons) in found.studies().items():
        slices = sum(len(series.slices) for series in found.series.values() if series.study_uid == uid)
        table.add_row(outcome, str(slices), " ".join(sentence(Of.STUDY, code, **details) for code, details in reasons))
    console = Console(highlight=False)
    console.print(table)
    for file in found.files:
        if file["verdict"] not in (FileVerdict.TAKEN, FileVerdict.DUPLICATE):
            console.print(f"{file['verdict']:<9} {file['reason']:<22} {file['path']}", markup=False)
    console.print("NO FINDING does not mean normal: every scan still needs its reader. Not a cleared medical device.")
