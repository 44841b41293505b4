"""Every file and every head series of the real and crafted data, through the whole triage, comes to what is ruled."""

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from appliance.core.ledger import SeriesRow
from appliance.core.reasons import REASONS, Of
from appliance.core.words import FileVerdict, Level, SeriesState, SeriesVerdict, StudyState
from appliance.imaging.reading import read_bytes
from tests.conftest import MakeBox
from tests.real.appliance import Box
from tests.real.test_verdicts import DATA, Row, rows

pytestmark = pytest.mark.skipif(
    "BLEEDWATCH_TEST_DATA" not in os.environ, reason="BLEEDWATCH_TEST_DATA names no folder of real DICOM"
)

PAGES_CLOSE_AFTER_S = 700.0


def landed_box(make_box: MakeBox, paths: Iterable[Path], name: str = "box") -> Box:
    """A fresh appliance whose inbox holds these files, each in a folder of its own: they may have one name."""
    box = make_box(name, start=False)
    for number, path in enumerate(paths):
        (box.inbox / str(number)).mkdir()
        shutil.copyfile(path, box.inbox / str(number) / path.name)
    box.start()
    return box


def assert_series(series: SeriesRow, row: Row) -> None:
    """What a table rules for a series."""
    if not row.alternatives("series_verdict"):
        assert series.verdict is not SeriesVerdict.READ
        return
    assert series.verdict.value in row.alternatives("series_verdict")
    if series.verdict is SeriesVerdict.DECLINED:
        assert series.reasons[0][0] in row.alternatives("series_reason")
    else:
        assert not series.reasons
        assert row.corrections() <= set(series.corrections)


# -- each file alone ---------------------------------------------------------------------------------


@pytest.mark.parametrize("row", rows("verdicts.csv"), ids=lambda row: row.fields["path"])
def test_file_alone(make_box: MakeBox, row: Row) -> None:
    box = landed_box(make_box, [DATA / row.fields["path"]])
    box.pass_time_until(lambda: bool(box.sums()), at_most_s=70)
    (file,) = box.files()
    assert file.verdict.value in row.alternatives("file_verdict")
    if file.verdict is FileVerdict.TAKEN:
        assert file.reason == ""
    else:
        assert file.reason in row.alternatives("file_reason")
        assert REASONS[(Of.FILE, file.reason)].leads_to == file.verdict.value
    studies = box.studies()
    if studies and any(series.verdict is SeriesVerdict.READ for series in box.series()):
        box.pass_time_until(lambda: all(series.state is SeriesState.CLOSED for series in box.series()))
    for study in studies:
        for series in box.series(study):
            assert_series(series, row)
    box.assert_sound()


# -- each series whole -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Whole:
    """What a series, and the study that it stands in, came to."""

    study_uid: str
    outcome: str
    verdict: str


def files_of_series(row: Row) -> list[Path]:
    """The files of a folder that name this series."""
    found = []
    for path in sorted((DATA / "head-ct" / row.fields["folder"]).iterdir()):
        header = read_bytes(path.read_bytes(), path.name).header
        if header is not None and str(header.series.series_number) == row.fields["series"]:
            found.append(path)
    return found


def wholes(box: Box) -> set[Whole]:
    """Every series that the box has seen; its study must be closed."""
    found = set()
    for study in box.studies():
        assert study.state is StudyState.CLOSED and study.outcome is not None
        for series in box.series(study):
            found.add(Whole(study.facts.study_uid, study.outcome.value, series.verdict.value))
    return found


def assert_outcomes(box: Box, row: Row) -> None:
    for study in box.studies():
        assert study.outcome is not None and study.outcome.value in row.alternatives("study_outcome")
        assert study.reasons and all((Of.STUDY, code) in REASONS for code, _ in study.reasons)
        if study.reasons[0][0] in ("no-eligible-series", "no-head", "too-few-slices"):
            named = {code for code in ("no-eligible-series", "no-head", "too-few-slices") if code in row.fields["note"]}
            assert not named or study.reasons[0][0] in named


@pytest.mark.parametrize("row", rows("outcomes.csv"), ids=lambda row: f"{row.fields['folder']}-{row.fields['series']}")
def test_series_whole(make_box: MakeBox, row: Row) -> None:
    paths = files_of_series(row)
    assert paths
    box = landed_box(make_box, paths)
    box.rest(at_most_s=PAGES_CLOSE_AFTER_S)
    assert sum(box.sums().values()) == len(paths)
    for study in box.studies():
        for series in box.series(study):
            assert str(series.facts.series_number) == row.fields["series"]
            assert_series(series, row)
    assert_outcomes(box, row)
    if row.fields["folder"] == "ge-tilt":
        assert all(event.level is not Level.CRITICAL for event in box.events())
    box.assert_sound()


@pytest.mark.parametrize("folder", sorted({row.fields["folder"] for row in rows("outcomes.csv")}))
def test_folder_whole(make_box: MakeBox, folder: str) -> None:
    ruled = {row.fields["series"]: row for row in rows("outcomes.csv") if row.fields["folder"] == folder}
    paths = [path for path in sorted((DATA / "head-ct" / folder).iterdir()) if path.is_file()]
    box = landed_box(make_box, paths)
    box.rest(at_most_s=PAGES_CLOSE_AFTER_S)
    assert sum(box.sums().values()) == len(paths)
    for study in box.studies():
        for series in box.series(study):
            assert_series(series, ruled[str(series.facts.series_number)])
    assert_outcomes(box, next(iter(ruled.values())))
    box.assert_sound()


# -- everything at once ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def alone() -> dict[str, set[Whole]]:
    """What each folder of head series comes to by itself, filled by the first test that needs it."""
    return {}


@pytest.mark.parametrize("seed", [1, 2])
def test_everything_at_once(make_box: MakeBox, alone: dict[str, set[Whole]], seed: int) -> None:
    """Nothing stops, every file is accounted for, and what else landed changes nothing for a head series."""
    folders = sorted({row.fields["folder"] for row in rows("outcomes.csv")})
    for folder in folders:
        if folder not in alone:
            paths = [path for path in sorted((DATA / "head-ct" / folder).iterdir()) if path.is_file()]
            box = landed_box(make_box, paths, f"alone-{folder}")
            box.rest(at_most_s=PAGES_CLOSE_AFTER_S)
            alone[folder] = wholes(box)
            box.close()
    paths = [DATA / row.fields["path"] for row in rows("verdicts.csv")]
    order = np.random.default_rng(seed).permutation(len(paths))
    box = landed_box(make_box, [paths[index] for index in order])
    box.rest(at_most_s=PAGES_CLOSE_AFTER_S)
    assert sum(box.sums().values()) == len(paths)
    assert not box.sums().get("POISON")
    box.assert_sound()
    together = wholes(box)
    for folder in folders:
        assert alone[folder] <= together, folder
