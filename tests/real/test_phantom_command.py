"""`bleedwatch phantom`: a sheet to look at, studies to send, and what it says where it cannot work."""

import csv
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest

from appliance.core.errors import CannotStart
from appliance.operations.phantom import run_phantom
from tests.phantom_maps import head_labels, write_nifti

HOUSE = Path(__file__).resolve().parents[2]
SEED = "1000003"


def phantom(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "appliance.cli", "phantom", *arguments],
        capture_output=True, text=True, timeout=120, cwd="/", check=False,
        env={**os.environ, "PYTHONPATH": str(HOUSE)},
    )  # fmt: skip


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
    faults: tuple[tuple[dict[str, Any], str], ...] = (
        ({}, "--sheet FILE.png"),
        ({"sheet": tmp_path / "no" / "sheet.png"}, "is no folder"),
        ({"sheet": sheet, "data": tmp_path}, "no label map"),
        ({"sheet": sheet, "count": 0}, "--count"),
    )
    for wished, said in faults:
        with pytest.raises(CannotStart, match=re.escape(said)):
            run_phantom(
                **{"sheet": None, "dicom": None, "data": None, "seed": 0, "count": 1, "hard": False, **wished},
                say=print,
            )
    assert not sheet.exists()
    done = phantom()
    assert done.returncode == 2
    assert "--sheet FILE.png" in done.stderr
