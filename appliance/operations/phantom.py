"""`bleedwatch phantom`: invented patients as a picture to look at, or as DICOM studies to send and to evaluate on."""

import csv
import sys
import time
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from appliance.core.errors import CannotStart
from appliance.core.words import LABELS
from appliance.phantoms.dicom import Study, exam_files, write_files
from appliance.phantoms.exam import PhantomExam
from appliance.phantoms.label_map import find_label_maps, load_label_map, map_of
from appliance.phantoms.patients import render_patient
from appliance.phantoms.sheet import contact_sheet, said_of

PIXEL_MM = 0.9
SIZE = 272
FIELD_MM = PIXEL_MM * SIZE
DICOM_SIZE = 512


def run_phantom(
    *, sheet: Path | None, dicom: Path | None, data: Path | None, seed: int, count: int, hard: bool,
    say: Callable[[str], None],
) -> int:  # fmt: skip
    """Draws `count` patients from `seed` on; returns 0. CannotStart: no label maps, or no place to write."""
    if sheet is None and dicom is None:
        raise CannotStart("Name what to write: --sheet FILE.png, --dicom FOLDER, or both.")
    if sheet is not None and not sheet.absolute().parent.is_dir():
        raise CannotStart(f"{sheet.absolute().parent} is no folder. Name a place that is there.")
    if count < 1 or seed < 0:
        raise CannotStart("--count must be above 0, and --seed not below it.")
    if dicom is not None and (dicom / "labels.csv").exists():
        raise CannotStart(f"{dicom} holds phantoms already. Name another folder.")
    maps = find_label_maps(data) if data is not None else ()
    shown: list[tuple[str, PhantomExam]] = []
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
                one, pixel_mm=pixel_mm, size=size, label_map=label_map, hard=hard, paint_mm=PIXEL_MM
            )  # fmt: skip
            seconds += time.perf_counter() - started
            slices += len(exam.hu)
            if sheet is not None:
                shown.append((f"seed {one}", exam))
            if dicom is not None:
                _write_study(exam, one, dicom)
            progress.advance(bar)
            say(f"seed {one}: {said_of(exam)}{'' if label_map is None else f', after {label_map.name}'}")
    if sheet is not None:
        sheet.write_bytes(bytes(imagecodecs.png_encode(contact_sheet(shown))))
        say(f"{sheet}: {count} patients, each with the same head without its bleed beneath")
    if dicom is not None:
        say(f"{dicom}: {count} studies, and what they show in labels.csv")
    say(f"{slices / seconds:.1f} slices/s")
    return 0


def _write_study(exam: PhantomExam, seed: int, folder: Path) -> None:
    """Writes the exam and what is known of every slice; a bleed too faint for an eye is left open."""
    study = Study(seed=seed, patient_id=f"FAKE-{seed:07d}", accession=f"FAKE-A{seed}", date="20260101", time="120000")
    files = exam_files(exam, study)
    write_files(files, folder / f"seed-{seed:07d}")
    table = folder / "labels.csv"
    fresh = not table.exists()
    with table.open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        if fresh:
            writer.writerow(["study", "series", "sop", *LABELS])
        for one, labels, faint in zip(files, exam.labels, exam.faint, strict=True):
            known = [""] * len(LABELS) if faint else np.asarray(labels).tolist()
            writer.writerow([study.uid, "", one.sop_uid, *known])
