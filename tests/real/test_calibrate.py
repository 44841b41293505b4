"""`bleedwatch calibrate`: a site's studies in, a new engine folder out that serves and is never louder; or words."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.core.completeness import Complete
from appliance.core.errors import CannotStart
from appliance.core.words import LABELS, Level
from appliance.evaluation.calibrate_command import Wish, run_calibrate
from appliance.evaluation.engine_copy import RECORD
from appliance.evaluation.read_exams import UNKNOWN
from appliance.evaluation.sources import Manifest
from appliance.inference.loading import LoadedEngine, load_engine
from appliance.phantoms.dicom import write_files
from appliance.reading.exam_reader import read_exam
from appliance.reading.series_reader import read_whole
from appliance.training.selfcheck import score_exam, score_source_exam
from appliance.training.sources.exam import SourceExam
from tests.phantom_exams import series_files, small_exam, study_of
from tests.real.appliance import ENGINE

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "docs" / "schemas" / "calibrate.md"
DAY = date(2031, 5, 14)
SHOWN = range(6, 20)  # slices with brain, the bleed among them
COLUMNS = ("path", "patient", "stack", "z_mm", "window", "spacing_mm", *LABELS)


def write_site(folder: Path, *, free: int, bleeding: int, loud: int) -> Path:
    """Exams of noise of their own; a `loud` one bleeds and is labelled as free of blood."""
    folder.mkdir(parents=True, exist_ok=True)
    exam = small_exam()
    with (folder / "rows.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        for number in range(free + bleeding + loud):
            painted, labelled = number >= free, free <= number < free + bleeding
            noise = np.random.default_rng(number)
            for index in SHOWN:
                hu = (exam.hu if painted else exam.clean_hu)[index] + noise.normal(0, 1.5, exam.hu.shape[1:])
                name = f"{number:02d}-{index:02d}.npy"
                np.save(folder / name, np.rint(hu).astype(np.int16))
                truth = exam.labels[index] if labelled else np.zeros(len(LABELS), dtype=int)
                writer.writerow(
                    {"path": name, "patient": f"patient-{number}", "stack": "s", "spacing_mm": exam.pixel_mm}
                    | {"z_mm": f"{exam.positions_mm[index]:.3f}"}
                    | {str(label): int(one) for label, one in zip(LABELS, truth, strict=True)}
                )
    return folder / "rows.csv"


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_site(tmp_path_factory.mktemp("site-a"), free=10, bleeding=2, loud=1)


Made = tuple[dict[str, Any], str, Path]


@pytest.fixture(scope="module")
def made(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """What the command said as a process, and the folder it wrote."""
    folder = tmp_path_factory.mktemp("engines")
    old = folder / "old"
    shutil.copytree(ENGINE, old)
    stem = sha256((old / "manifest.toml").read_bytes()).hexdigest()[:16]
    (old / f"{stem}-fp16.json").write_text("{}")
    (old / f"{stem}-fp16-0123456789abcdef.plan").write_bytes(b"a plan of the old manifest")
    for path in (*old.iterdir(), old):
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = hashes(old)
    done = subprocess.run(
        [sys.executable, "-m", "appliance.cli", "calibrate", str(old), "--manifest", str(site), "--out", str(folder / "new"), "--json"],
        capture_output=True, text=True, timeout=240, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert hashes(old) == before
    assert sorted(path.name for path in folder.iterdir()) == ["new", "old"]
    yield json.loads(done.stdout), done.stderr, folder / "new"
    old.chmod(0o755)


def test_a_new_folder_serves_with_the_same_network_and_quieter_points(made: Made) -> None:
    told, errors, folder = made
    assert "pictures/s" in errors
    new, old = load_engine(folder), load_engine(ENGINE)
    assert hashes(folder).keys() == hashes(ENGINE).keys()
    changed = {name for name, said in hashes(folder).items() if hashes(ENGINE)[name] != said}
    assert changed == {"manifest.toml"}
    assert new.card.sha256 == told["new_engine"] != old.card.sha256 == told["engine"]
    assert new.card.version == f"{old.card.version}+calibrated.{tomllib.loads(_manifest(folder))[RECORD][0]['date']}"
    assert new.card.points.critical > old.card.points.critical  # the loud exam lies above the old one
    assert new.card.points.early_pair > old.card.points.early_pair
    assert new.card.points.review == old.card.points.review
    assert new.card.calibration_scale == old.card.calibration_scale
    new.backend.close()
    old.backend.close()


def _manifest(folder: Path) -> str:
    return (folder / "manifest.toml").read_text()


def test_it_says_what_is_proven_and_what_more_it_takes(made: Made) -> None:
    told, _, folder = made
    critical, review, early = (told["points"][name] for name in ("critical", "review", "early"))
    assert (told["exams"], told["bleeding"], told["bleed_free"], told["patients"]) == (13, 2, 11, 13)
    for point in (critical, early):
        assert (point["negatives"], point["false_positives_before"], point["false_positives"]) == (11, 1, 0)
        assert point["false_at_most"] == pytest.approx(1 - 0.05 ** (1 / 11))
        assert point["more_needed"] == {"0.02": 138, "0.01": 288, "0.006": 487}
    assert not any(point["certified"] for point in told["points"].values())
    assert review["before"] == review["after"] and review["missed"] == 0
    assert all(one["fitted"] == "kept" and "30 exams" in one["why"] for one in told["labels"].values())
    assert "towards quiet alone" in told["said"][0]
    assert critical["missed"] >= 1, "the loud exam without a bleed is to silence one that bleeds"
    assert f"CRITICAL now misses {critical['missed']} of 2 bleeding exams, before 0." in " ".join(told["said"])
    (record,) = tomllib.loads(_manifest(folder))[RECORD]
    assert record["engine"] == told["engine"] and record["source"].endswith("/rows.csv")
    assert {name: record[name] for name in ("exams", "bleeding", "fitted")} == {
        "exams": 13, "bleeding": 2, "fitted": ["kept"] * 6,
    }  # fmt: skip
    assert record["critical"].items() <= critical.items()
    assert "patient-" not in _manifest(folder)


def test_the_schema_names_every_field(made: Made) -> None:
    named = set(re.findall(r"`([\w.]+)`", SCHEMA.read_text()))

    def fields(value: object) -> Iterator[str]:
        if isinstance(value, dict):
            for name, inner in value.items():
                yield name
                yield from fields(inner if name != "more_needed" else None)

    assert sorted(set(fields(made[0])) - named - set(LABELS)) == []
    assert sorted(set(fields(tomllib.loads(_manifest(made[2]))[RECORD][0])) - named) == []


def test_no_exam_is_told_by_the_new_engine_that_the_old_one_did_not_tell(
    made: Made, site: Path, head_engine: LoadedEngine
) -> None:
    new = load_engine(made[2])
    order = {Level.CRITICAL: 2, Level.REVIEW: 1, None: 0}
    levels = []
    for exam in Manifest(site).exams(head_engine, lambda _: None):
        (series,) = exam.series
        before, after = (
            read_whole(series.rows, card, complete=Complete.QUIET).level for card in (head_engine.card, new.card)
        )
        assert order[after] <= order[before]
        levels.append((before, after))
    assert levels[0] == (None, None) and levels[-1] == (Level.CRITICAL, Level.REVIEW)
    new.backend.close()


def test_studies_of_a_folder_calibrate_too_and_records_are_a_chain(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = ["study,series,sop,any"]
    for number in range(11):
        files = series_files(f"site-{number}", bleeding=number == 10)[SHOWN.start : SHOWN.stop]
        write_files(files, tmp_path / "site" / str(number))
        rows.append(f"{study_of(f'site-{number}').uid},,,{int(number == 10)}")
    (tmp_path / "site" / "labels.csv").write_text("\n".join(rows))
    wish = Wish(engine=made[2], out=tmp_path / "again", day=DAY, data=tmp_path / "site")
    assert run_calibrate(wish) == 0
    said = capsys.readouterr().out
    assert all(one in said for one in ("certified", "139", "289", "nobody"))
    text = tomllib.loads(_manifest(tmp_path / "again"))
    assert [one["engine"] for one in text[RECORD]][1] == made[0]["new_engine"]
    assert (text[RECORD][1]["source"], text[RECORD][1]["date"]) == ("site", "2031-05-14")
    assert text["version"].endswith("+calibrated.2031-05-14") and text["version"].count("calibrated") == 1
    assert text["points"] == tomllib.loads(_manifest(made[2]))["points"]


def test_an_exam_of_a_source_of_training_is_scored_as_it_would_be_read_live(head_engine: LoadedEngine) -> None:
    exam = small_exam()
    source = SourceExam(
        source="site",
        patient="",
        exam="",
        hu=exam.hu,
        pixel_mm=(exam.pixel_mm, exam.pixel_mm),
        positions_mm=exam.positions_mm,
        labels=np.where(np.arange(len(LABELS)) == 0, exam.labels, UNKNOWN).astype(np.int8),
        boxes=((),) * len(exam.hu),
        masks=None,
    )
    found, phantom = score_source_exam(head_engine, source), score_exam(head_engine, exam)
    assert (found.bleeding, found.clean) == (phantom.bleeding, phantom.clean) == (True, False)
    assert read_exam(found.rows, head_engine.card) == read_exam(phantom.rows, head_engine.card)
    unknown = replace(source, labels=np.full_like(source.labels, UNKNOWN))
    free = replace(source, labels=np.zeros_like(source.labels))
    few = replace(free, hu=exam.hu[:5], positions_mm=exam.positions_mm[:5], labels=free.labels[:5])
    marked = [
        (one.bleeding, one.clean) for one in (score_source_exam(head_engine, each) for each in (unknown, free, few))
    ]
    assert marked == [(False, False), (False, True), (False, False)]


def test_what_cannot_be_done_is_said_in_words_and_writes_nothing(tmp_path: Path, site: Path) -> None:
    few = write_site(tmp_path / "few", free=2, bleeding=1, loud=0)
    engine, out = tmp_path / "engine", tmp_path / "new"
    shutil.copytree(ENGINE, engine)
    (tmp_path / "file").write_text("")
    before = sorted(tmp_path.rglob("*"))

    def wish(**more: Any) -> Wish:
        return Wish(**{"engine": engine, "out": out, "day": DAY, "manifest": few} | more)

    for one, said in (
        (wish(), "Of 3 exams that were read 2 are labelled as free of blood; it takes at least 10"),
        (wish(manifest=None), "either --manifest"),
        (wish(data=tmp_path), "either --manifest"),
        (wish(out=engine), "is there already"),
        (wish(out=tmp_path / "file"), "is there already"),
        (wish(out=engine / "new"), "inside the engine folder"),
        (wish(out=tmp_path / "no" / "new"), "is no folder"),
        (wish(engine=tmp_path / "few"), "doctor"),
    ):
        with pytest.raises(CannotStart, match=re.escape(said)):
            run_calibrate(one)
    assert sorted(tmp_path.rglob("*")) == before
