"""Exams that an engine has scored, kept in files: what the aggregator learns from. A run that was cut off goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.core.evidence import scored_of
from appliance.core.headers import SliceGeometry
from appliance.core.ledger import SliceRow
from appliance.core.slices import BoxPlace, SliceScore
from appliance.reading.phantom_rows import phantom_row


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredExam:
    """One exam, scored slice by slice from the foot. `truth` int8 [n, 6]: 1, 0, or -1 where nobody knows.

    `kind`: what it is counted under ("real", "pasted", "synthetic"); `patient`: a number, the same for all exams that
    were made of one patient, or of one head.
    """

    kind: str
    patient: int
    rows: tuple[SliceRow, ...]
    truth: NDArray[np.int8]


def truth_of(truth: NDArray[np.int8]) -> NDArray[np.int8]:
    """Of an exam [6] what its slices [n, 6] say: 1 where one has it, 0 where all lack it, else -1."""
    found = np.where((truth == 1).any(axis=0), 1, np.where((truth == 0).all(axis=0), 0, -1))
    return np.asarray(found, dtype=np.int8)


def write_scored(path: Path, exam: ScoredExam) -> None:
    """Write a file, whole or not at all."""
    scores = [scored_of(row) for row in exam.rows]
    making = path.with_suffix(".part")
    with making.open("wb") as file:
        np.savez_compressed(
            file,
            kind=np.array(exam.kind),
            patient=np.int64(exam.patient),
            truth=exam.truth,
            places=np.array([_numbers(row.geometry) for row in exam.rows]),
            logits=np.stack([one.logits for one in scores]),
            embedding=np.stack([one.embedding for one in scores]),
            heat=np.stack([one.heat for one in scores]),
            box=np.array([(*one.box.centre_rc, one.box.side_mm) for one in scores]),
            has_brain=np.array([one.has_brain for one in scores]),
            skull_area_mm2=np.array([one.skull_area_mm2 for one in scores]),
        )
    making.replace(path)


def read_scored(path: Path) -> ScoredExam:
    """The exam of a file that `write_scored` wrote."""
    with np.load(path, allow_pickle=False) as held:
        values = {name: held[name] for name in held.files}
    rows = tuple(
        phantom_row(index, _geometry(place), _score(values, index)) for index, place in enumerate(values["places"])
    )
    return ScoredExam(
        kind=str(values["kind"]), patient=int(values["patient"]), rows=rows, truth=values["truth"].astype(np.int8)
    )


def _score(values: dict[str, NDArray[Any]], index: int) -> SliceScore:
    row, column, side_mm = (float(value) for value in values["box"][index])
    return SliceScore(
        logits=values["logits"][index],
        embedding=values["embedding"][index],
        heat=values["heat"][index],
        probabilities=(),  # of no calibration: none stands yet
        box=BoxPlace(centre_rc=(row, column), side_mm=side_mm),
        peak_rc=None,
        has_brain=bool(values["has_brain"][index]),
        brain_hu=None,
        skull_area_mm2=float(values["skull_area_mm2"][index]),
        ms={},
    )


def _numbers(place: SliceGeometry) -> Sequence[float]:
    return (
        place.rows,
        place.columns,
        *place.pixel_mm,
        *place.row_direction,
        *place.column_direction,
        *place.corner_mm,
        place.position_mm,
        place.tilt_deg,
        place.thickness_mm if place.thickness_mm is not None else np.nan,
    )


def _geometry(numbers: NDArray[np.float64]) -> SliceGeometry:
    n = [float(value) for value in numbers]
    return SliceGeometry(
        rows=int(n[0]),
        columns=int(n[1]),
        pixel_mm=(n[2], n[3]),
        row_direction=(n[4], n[5], n[6]),
        column_direction=(n[7], n[8], n[9]),
        corner_mm=(n[10], n[11], n[12]),
        position_mm=n[13],
        tilt_deg=n[14],
        thickness_mm=None if np.isnan(n[15]) else n[15],
    )
