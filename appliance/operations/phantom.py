"""`bleedwatch phantom`: invented patients as a picture to look at, or as DICOM studies to send and to evaluate on."""

import csv
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from appliance.core.errors import CannotStart
from appliance.core.words import LABELS
from appliance.phantoms.dicom import Study, exam_files, write_files
from appliance.phantoms.exam import PhantomExam
from appliance.phantoms.label_map import find_label_maps, load_label_map, map_of
from appliance.phantoms.patients import render_patient
from appliance.phantoms.sheet import said_of, strip_of
from appliance.phantoms.unseen import Unseen

PIXEL_MM: Final = 0.9
SIZE: Final = 272
FIELD_MM: Final = PIXEL_MM * SIZE
DICOM_SIZE: Final = 512
MOST_ON_SHEET: Final = 60
"""More make a picture of 26,000 rows and up, which few programs open."""

TABLE: Final = "labels.csv"


def run_phantom(
    *, sheet: Path | None, dicom: Path | None, data: Path | None, seed: int, count: int, hard: bool,
    unseen: str | None, say: Callable[[str], None],
) -> int:  # fmt: skip
    """Draws `count` patients from `seed` on; returns 0. CannotStart: no label maps, or a place that cannot be written."""
    _refuse(sheet, dicom, seed, count)
    maps = find_label_maps(data) if data is not None else ()
    _make_places(sheet, dicom)
    strips: list[NDArray[np.uint8]] = []
    slices, seconds = 0, 0.0
    columns = (TextColumn("Drawing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=sys.stderr)) as progress:
        bar = progress.add_task("draw", total=count)
        for one in range(seed, seed + count):
            label_map = map_of(maps, one) if maps else None
            if label_map is not None:
                load_label_map(label_map)  # kept: what is timed is the drawing
            started = time.perf_counter()
            size, pixel_mm = (SIZE, PIXEL_MM) if dicom is None else (DICOM_SIZE, FIELD_MM / DICOM_SIZE)
            exam = render_patient(
                one, pixel_mm=pixel_mm, size=size, label_map=label_map, hard=hard,
                unseen=Unseen(unseen) if unseen else None, paint_mm=PIXEL_MM,
            )  # fmt: skip
            seconds += time.perf_counter() - started
            slices += len(exam.hu)
            if sheet is not None:
                strips.append(strip_of(f"seed {one}", exam))
            if dicom is not None:
                _write_study(
                    exam, one, dicom, drawn_as=f"phantom/{hard}/{label_map.name if label_map else ''}/{unseen}"
                )
            progress.advance(bar)
            say(f"seed {one}: {said_of(exam)}{'' if label_map is None else f', after {label_map.name}'}")
    if sheet is not None:
        _write(sheet, bytes(imagecodecs.png_encode(np.concatenate(strips))))
        say(f"{sheet}: each patient, and beneath it the same head without its bleed")
    if dicom is not None:
        say(f"{dicom}: the studies, and what they show in {TABLE}")
    say(f"{slices / seconds:.1f} slices/s")
    return 0


def _refuse(sheet: Path | None, dicom: Path | None, seed: int, count: int) -> None:
    """Before anything is drawn: many patients take minutes."""
    if sheet is None and dicom is None:
        raise CannotStart("Name what to write: --sheet FILE.png, --dicom FOLDER, or both.")
    if sheet is not None and not sheet.absolute().parent.is_dir():
        raise CannotStart(f"{sheet.absolute().parent} is no folder. Name a place that is there.")
    if count < 1 or seed < 0:
        raise CannotStart("--count must be above 0, and --seed not below it.")
    if sheet is not None and count > MOST_ON_SHEET:
        raise CannotStart(f"A sheet holds at most {MOST_ON_SHEET} patients. Draw several, by --seed.")
    if dicom is not None and (dicom / TABLE).exists():
        raise CannotStart(f"{dicom} holds phantoms already. Name another folder.")


def _make_places(sheet: Path | None, dicom: Path | None) -> None:
    try:
        if sheet is not None:
            sheet.touch()
        if dicom is not None:
            dicom.mkdir(parents=True, exist_ok=True)
            _add_rows(dicom / TABLE, [["study", "series", "sop", *LABELS]])
    except OSError as error:
        raise _cannot_write(error, sheet or dicom) from None


def _write_study(exam: PhantomExam, seed: int, folder: Path, *, drawn_as: str) -> None:
    """Writes the exam and what is known of every slice; a bleed too faint for an eye is left open.

    `drawn_as` keeps pictures apart that one seed gives: no two of them may carry the same UIDs.
    """
    study = Study(
        seed=seed, token=drawn_as, patient_id=f"FAKE-{seed:07d}", accession=f"FAKE-A{seed}", date="20260101",
        time="120000",
    )  # fmt: skip
    files = exam_files(exam, study, description=f"HEAD {exam.scanner.thickness_mm:.1f} SOFT")
    rows = []
    for one, labels, faint in zip(files, exam.labels, exam.faint, strict=True):
        known = [""] * len(LABELS) if faint else np.asarray(labels).tolist()
        rows.append([study.uid, "", one.sop_uid, *known])
    try:
        write_files(files, folder / f"seed-{seed:07d}")
        _add_rows(folder / TABLE, rows)
    except OSError as error:
        raise _cannot_write(error, folder) from None


def _add_rows(table: Path, rows: list[list[object]]) -> None:
    with table.open("a", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)


def _write(place: Path, data: bytes) -> None:
    try:
        place.write_bytes(data)
    except OSError as error:
        raise _cannot_write(error, place) from None


def _cannot_write(error: OSError, place: Path | None) -> CannotStart:
    return CannotStart(f"{error.filename or place} cannot be written: {error.strerror}. Name another place.")
