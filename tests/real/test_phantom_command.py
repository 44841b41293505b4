"""`bleedwatch phantom`: a sheet to look at, studies to send, and what it says where it cannot work."""

import csv
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import imagecodecs
import numpy as np
import pydicom
import pytest

from appliance.cli import evaluate as evaluate_command
from appliance.cli import phantom as phantom_command
from appliance.core.errors import CannotStart
from appliance.core.words import LABELS
from appliance.operations.phantom import run_phantom
from appliance.phantoms.exam import HELD_OUT_SEED
from appliance.phantoms.unseen import Unseen
from tests.phantom_maps import head_labels, write_nifti

HOUSE = Path(__file__).resolve().parents[2]
SEED = "1000003"
FAINT_SEED = HELD_OUT_SEED + 3  # some slices of it show traces alone


def phantom(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "appliance.cli", "phantom", *arguments],
        capture_output=True, text=True, timeout=120, cwd="/", check=False,
        env={**os.environ, "PYTHONPATH": str(HOUSE)},
    )  # fmt: skip


def draw(folder: Path, seed: int, *, hard: bool = False, unseen: str | None = None) -> None:
    run_phantom(sheet=None, dicom=folder, data=None, seed=seed, count=1, hard=hard, unseen=unseen, say=lambda _: None)


def test_the_sheet_shows_the_bleed_above_its_clean_twin(tmp_path: Path) -> None:
    map_path = write_nifti(tmp_path / "head.nii", head_labels())
    sheet = tmp_path / "sheet.png"
    done = phantom("--sheet", str(sheet), "--data", str(map_path), "--seed", SEED, "--count", "1", "--hard")
    assert done.returncode == 0, done.stderr
    assert f"seed {SEED}: " in done.stdout
    assert " mL, seen in " in done.stdout
    assert "after head.nii" in done.stdout
    assert "slices/s" in done.stdout
    picture = imagecodecs.png_decode(sheet.read_bytes())
    assert picture.shape == (2 * 216, 7 * 200)
    assert picture[:16].max() > 200  # the title
    bleeding, twin = picture[16:216].astype(int), picture[232:].astype(int)
    assert (bleeding != twin).any()
    assert 0.1 < (bleeding > 40).mean() < 0.7
    assert np.abs(bleeding - twin).mean() < 20


def test_studies_are_written_with_what_they_show(tmp_path: Path) -> None:
    folder = tmp_path / "studies"
    done = phantom("--dicom", str(folder), "--seed", SEED, "--count", "1")
    assert done.returncode == 0, done.stderr
    files = sorted(folder.rglob("*.dcm"))
    with (folder / "labels.csv").open(encoding="utf-8", newline="") as table:
        rows = {row["sop"]: row for row in csv.DictReader(table)}
    opened = [pydicom.dcmread(path) for path in files]
    assert {str(ds.SOPInstanceUID) for ds in opened} == set(rows)
    assert {str(ds.StudyInstanceUID) for ds in opened} == {row["study"] for row in rows.values()}
    assert any(row["any"] == "1" for row in rows.values())
    again = phantom("--dicom", str(folder), "--seed", SEED, "--count", "1")
    assert again.returncode == 2
    assert "holds phantoms already" in again.stderr


def test_what_cannot_be_done_is_said_in_words(tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    (tmp_path / "file").touch()
    faults: tuple[tuple[dict[str, Any], str], ...] = (
        ({}, "--sheet FILE.png"),
        ({"sheet": tmp_path / "no" / "sheet.png"}, "is no folder"),
        ({"sheet": sheet, "data": tmp_path}, "no label map"),
        ({"sheet": sheet, "count": 0}, "--count"),
        ({"sheet": sheet, "seed": -1}, "--seed"),
        ({"sheet": sheet, "count": 61}, "at most 60"),
        ({"sheet": tmp_path}, f"{tmp_path} cannot be written: Is a directory"),
        ({"dicom": tmp_path / "file" / "in it"}, "cannot be written: Not a directory"),
    )
    for wished, said in faults:
        with pytest.raises(CannotStart, match=re.escape(said)):
            run_phantom(
                **{
                    "sheet": None,
                    "dicom": None,
                    "data": None,
                    "seed": 0,
                    "count": 1,
                    "hard": False,
                    "unseen": None,
                    **wished,
                },
                say=print,
            )
    assert not sheet.exists()
    done = phantom()
    assert done.returncode == 2
    assert "--sheet FILE.png" in done.stderr


def test_pictures_that_differ_are_different_studies_and_say_how_thick_they_are(tmp_path: Path) -> None:
    seen = []
    for name, hard, unseen in (("plain", False, None), ("hard", True, None), ("unseen", False, "tissue")):
        draw(tmp_path / name, int(SEED), hard=hard, unseen=unseen)
        seen.append(pydicom.dcmread(next((tmp_path / name).rglob("*.dcm"))))
    assert len({one.PatientID for one in seen}) == 1
    for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        assert len({one[name].value for one in seen}) == len(seen), name
    for one in seen:
        assert one.SeriesDescription == f"HEAD {one.SliceThickness:.1f} SOFT"


def test_a_bleed_too_faint_for_an_eye_is_neither_there_nor_absent(tmp_path: Path) -> None:
    draw(tmp_path, FAINT_SEED)
    with (tmp_path / "labels.csv").open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table))
    open_ = [row for row in rows if row["any"] == ""]
    assert 0 < len(open_) < len(rows)
    assert all(row[label] == "" for row in open_ for label in LABELS)
    assert {row["any"] for row in rows if row not in open_} == {"0", "1"}


def test_every_way_of_being_unseen_can_be_asked_for() -> None:
    for command in (phantom_command, evaluate_command):
        (choice,) = (option.type for option in command.params if option.name == "unseen")
        assert isinstance(choice, click.Choice) and list(choice.choices) == list(Unseen)


def test_who_names_no_seed_gets_heads_that_no_engine_trained_on() -> None:
    (seed,) = (option.default for option in phantom_command.params if option.name == "seed")
    assert seed == HELD_OUT_SEED
    assert f"from {HELD_OUT_SEED} on" in phantom_command.get_help(click.Context(phantom_command))
