"""Pictures and DICOM studies as sources of training: what is known of each slice, bad rows, what an engine owes."""

import re
import shutil
import tomllib
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from appliance.core.engine import TrainedOn
from appliance.core.errors import CannotStart
from appliance.core.words import LABELS
from appliance.evaluation.read_exams import UNKNOWN
from appliance.inference.manifest import EngineRefused, read_engine
from appliance.phantoms.dicom import localizer_file, write_files
from appliance.phantoms.pasting.mimics import MIMIC_NAMES
from appliance.training.plans import (
    PIXEL_KINDS,
    AggregatorPlan,
    BatchPlan,
    CalibrationPlan,
    NetworkPlan,
    Recipe,
    SchedulePlan,
    SourcePlan,
    StopPlan,
)
from appliance.training.recipe import read_recipe
from appliance.training.sources.exam import SourceExam
from appliance.training.sources.licences import IMAGENET, card_lines, manifest_tables, owed
from appliance.training.sources.table import SOURCES, open_source
from appliance.training.splits import pictures_of
from tests.phantom_exams import SLICES, series_files, small_exam, study_of
from tests.real.appliance import ENGINE
from tests.real.test_evaluate import PIXEL_MM, as_nifti, as_png, write_rows

SIDE = 24


def read(kind: str, place: Path) -> tuple[list[SourceExam], list[str]]:
    told: list[str] = []
    source = open_source(SourcePlan(name="ours", kind=kind, licence="own", attribution="us"), place)
    return list(source.exams(told.append)), told


def picture(value: int, side: int = SIDE) -> NDArray[np.int16]:
    hu = np.full((side, side), value, dtype=np.int16)
    hu[3, 5] = 60
    return hu


def row(folder: Path, name: str, value: int, **more: object) -> dict[str, object]:
    """A small picture of one value, and its row."""
    folder.mkdir(exist_ok=True)
    np.save(folder / name, picture(value))
    return {"path": name, "patient": "p", "stack": "s", "z_mm": value, "spacing_mm": 0.5, "any": 0, **more}


def test_each_kind_of_recipe_that_brings_pictures_is_a_source() -> None:
    assert set(SOURCES) == set(PIXEL_KINDS)


def test_a_stack_stands_from_foot_to_head_with_all_that_is_known(tmp_path: Path) -> None:
    rows = [row(tmp_path, f"{value}.npy", value) for value in (30, 10, 20)]
    rows[0] |= {"any": "", "sdh": 1, "boxes": "1 2 3 4;5 6 7 8", "mask": "mask.npy"}
    rows[1] |= {"any": "", "edh": 0}
    mask = np.zeros((SIDE, SIDE), dtype=np.uint8)
    mask[1:4, 2:6] = 1
    np.save(tmp_path / "mask.npy", mask)
    ((exam,), told) = read("pictures", write_rows(tmp_path, rows))
    assert (exam.source, exam.patient, exam.exam, exam.pixel_mm) == ("ours", "p", "30.npy", (0.5, 0.5))
    assert exam.positions_mm.tolist() == exam.hu[:, 0, 0].tolist() == [10, 20, 30]
    assert exam.labels.dtype == np.int8
    assert exam.labels.tolist() == [[-1, 0, -1, -1, -1, -1], [0, 0, 0, 0, 0, 0], [1, -1, -1, -1, -1, 1]]
    assert exam.boxes == ((), (), ((1.0, 2.0, 3.0, 4.0), (5.0, 6.0, 7.0, 8.0)))
    assert exam.masks is not None and not exam.masks[:2].any()
    assert np.array_equal(exam.masks[2], mask * 255) and told == []


def test_real_pictures_are_read_as_evaluate_reads_them(tmp_path: Path) -> None:
    rows = as_png(tmp_path / "png") + [
        {**one, "stack": ""} for one in as_png(tmp_path / "png", bleeding=False)[:2]
    ]  # an exam, and two lone pictures
    found, _ = read("pictures", write_rows(tmp_path / "png", rows).parent)
    assert [len(one.hu) for one in found] == [SLICES, 1, 1]
    assert np.array_equal(found[0].hu, small_exam().hu)
    assert np.array_equal(found[0].labels, small_exam().labels)
    assert found[0].pixel_mm == (pytest.approx(PIXEL_MM),) * 2
    assert {one.patient for one in found[1:]} == {"p-c"} and [one.exam for one in found[1:]] == ["c00.png", "c01.png"]


@pytest.mark.parametrize("turned", [False, True])
def test_a_box_follows_its_picture_when_that_is_turned(tmp_path: Path, turned: bool) -> None:
    rows = as_nifti(tmp_path, turned=turned)
    index = int(np.argmax((small_exam().lesions > 0).sum(axis=(1, 2))))
    lesion = small_exam().lesions[index] > 0
    (r0, r1), (c0, c1) = ((at.min(), at.max()) for at in np.nonzero(lesion))
    last = small_exam().hu.shape[1] - 1
    stored = (c0, r0, c1, r1) if not turned else (last - c1, last - r1, last - c0, last - r0)
    rows[index]["boxes"] = " ".join(str(one) for one in stored)
    ((exam,), _) = read("pictures", write_rows(tmp_path, rows))
    assert exam.boxes[index] == ((pytest.approx((c0, r0, c1, r1))),)
    assert exam.masks is not None and np.array_equal(exam.masks[index] > 0, lesion)


def test_a_bleeding_volume_says_of_no_slice_that_it_bleeds(tmp_path: Path) -> None:
    rows = [row(tmp_path, f"{name}.npy", 9, stack="", z_mm="") for name in "ab"]
    for name in "ab":
        np.save(tmp_path / f"{name}.npy", np.stack([picture(value) for value in (1, 2, 3)], axis=2))
    rows[0] |= {"any": 1, "iph": 1, "edh": 0}
    bleeding, clean = read("pictures", write_rows(tmp_path, rows))[0]
    assert bleeding.labels.tolist() == [[-1, 0, -1, -1, -1, -1]] * 3
    assert not clean.labels.any() and np.diff(clean.positions_mm).tolist() == [5, 5]


def test_two_sizes_and_one_place_twice_are_exams_of_their_own(tmp_path: Path) -> None:
    rows = [row(tmp_path, f"{value}.npy", value) for value in (10, 20, 30)]
    rows.append(row(tmp_path, "again.npy", 11, z_mm=10))
    rows.append(row(tmp_path, "large.npy", 40))
    np.save(tmp_path / "large.npy", picture(40, SIDE * 2))
    found, _ = read("pictures", write_rows(tmp_path, rows))
    assert sorted(one.hu[:, 0, 0].tolist() for one in found) == [[10, 20, 30], [11], [40]]
    assert all(one.patient == "p" for one in found)


def test_bad_rows_are_left_out_and_told(tmp_path: Path) -> None:
    rows = [row(tmp_path, f"{value}.npy", value) for value in range(30)]
    rows[3]["path"] = "gone.npy"
    rows[4] |= {"any": 0, "sah": 1}
    rows[5] |= {"mask": "gone.png"}
    ((exam,), told) = read("pictures", write_rows(tmp_path, rows))
    assert exam.hu[:, 0, 0].tolist() == [value for value in range(30) if value not in (3, 4)]
    assert told == [
        "Source ours: left out row 3 (gone.npy): not-found: there is no such file",
        "Source ours: left out row 4 (4.npy): any is 0, but a kind of bleed is 1",
        "Source ours: row 5 (5.npy): its mask is left out, not-found: there is no such file",
        "Source ours: 2 of 30 pictures were left out.",
    ]


def test_a_table_whose_pictures_are_elsewhere_is_refused(tmp_path: Path) -> None:
    rows = [row(tmp_path, f"{value}.npy", value) for value in range(8)]
    for one in rows[:2]:
        one["path"] = f"elsewhere/{one['path']}"
    with pytest.raises(CannotStart, match=r"more than 10% of its 8 pictures cannot be read.*Mend the table"):
        read("pictures", write_rows(tmp_path, rows))


def test_without_a_label_there_is_nothing_to_learn(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="of none of its slices it is known whether it bleeds"):
        read("pictures", write_rows(tmp_path, [row(tmp_path, "1.npy", 1, any="")]))


def test_a_place_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="--data ours=FOLDER"):
        read("pictures", tmp_path / "gone")


# -- DICOM ----------------------------------------------------------------------------------------------------


def studies(folder: Path) -> None:
    """A bleeding study with a localizer and a copy, and one without bleed."""
    bleeding = series_files("bleeds")
    write_files([*bleeding, localizer_file(small_exam(), study_of("bleeds")), bleeding[4]], folder / "a")
    write_files(series_files("clean", bleeding=False), folder / "b")


def table(folder: Path, *lines: str) -> None:
    (folder / "labels.csv").write_text("\n".join(["study,series,sop,any,iph", *lines]) + "\n")


def slice_lines(labels: Sequence[Sequence[int]]) -> list[str]:
    files = series_files("bleeds")
    return [f",,{file.sop_uid},{one[0]},{one[2]}" for file, one in zip(files, labels, strict=True)]


def test_dicom_studies_give_the_series_that_the_box_would_read(tmp_path: Path) -> None:
    studies(tmp_path)
    table(tmp_path, f"{study_of('clean').uid},,,0,", *slice_lines(small_exam().labels.tolist()))
    (bleeding, clean), told = read("dicom", tmp_path)
    assert told == []
    assert np.array_equal(bleeding.hu, small_exam().hu) and np.array_equal(clean.hu, small_exam().clean_hu)
    assert np.array_equal(bleeding.labels[:, [0, 2]], small_exam().labels[:, [0, 2]])
    assert (bleeding.labels[small_exam().labels[:, 0] == 1][:, 1] == UNKNOWN).all()
    assert not clean.labels.any() and clean.labels.shape == (SLICES, len(LABELS))
    assert (np.diff(bleeding.positions_mm) > 0).all() and bleeding.pixel_mm == (pytest.approx(PIXEL_MM, abs=1e-5),) * 2
    assert (bleeding.exam, clean.exam) == ("a/IM-0001.dcm", "b/IM-0001.dcm")
    assert bleeding.patient == clean.patient == "FAKE-0001"


def test_a_study_that_bleeds_somewhere_teaches_nothing_and_it_is_told(tmp_path: Path) -> None:
    studies(tmp_path)
    (tmp_path / "a" / "torn.dcm").write_bytes((tmp_path / "a" / "IM-0001.dcm").read_bytes()[:9000])
    table(tmp_path, f"{study_of('clean').uid},,,0,", f"{study_of('bleeds').uid},,,1,1", "2.25.404,,,0,")
    (bleeding, _), told = read("dicom", tmp_path)
    assert (bleeding.labels == UNKNOWN).all()
    assert told[0].startswith("Source ours: left out a/torn.dcm: ")
    assert told[1:] == [
        "Source ours: UIDs of labels.csv that no series which is read has: 1 under study.",
        "Source ours: 1 of 63 pictures were left out.",
        "Source ours: 1 bleeding exams teach nothing: it is not said which of their slices bleed.",
    ]


def test_the_same_picture_is_known_in_dicom_and_as_png(tmp_path: Path) -> None:
    studies(tmp_path / "dicom")
    table(tmp_path / "dicom", f"{study_of('clean').uid},,,0,")
    as_dicom = read("dicom", tmp_path / "dicom")[0]
    rows = as_png(tmp_path / "png")
    (as_pictures,) = read("pictures", write_rows(tmp_path / "png", rows))[0]
    assert pictures_of(as_dicom[0].hu) == pictures_of(as_pictures.hu)


# -- what an engine owes --------------------------------------------------------------------------------------

OURS = TrainedOn(
    name="our heads", licence='CC BY 4.0 "as is"', attribution="A. Author,\nThe | Set \\ 1", patients=56, slices=1700
)


def engine_with(folder: Path, text: str) -> Path:
    shutil.copytree(ENGINE, folder)
    with (folder / "manifest.toml").open("a") as manifest:
        manifest.write(text)
    return folder


def test_what_an_engine_owes_stands_in_its_manifest_and_is_carried_on(tmp_path: Path) -> None:
    before = read_engine(ENGINE).trained_on
    folder = engine_with(tmp_path / "engine", manifest_tables((OURS, IMAGENET)))
    held = read_engine(folder).trained_on[len(before) :]
    assert held == (replace(OURS, attribution="A. Author, The | Set \\ 1"), IMAGENET)
    more = replace(OURS, name="more", licence="own")
    assert owed(held, [replace(held[0], slices=1800), more]) == (replace(held[0], slices=1800), IMAGENET, more)
    card = card_lines(held).splitlines()
    assert card[2] == '| our heads | 56 | 1700 | CC BY 4.0 "as is" | A. Author, The \\| Set \\ 1 |'
    assert manifest_tables(()) == "" and tomllib.loads(manifest_tables(held))["trained_on"][0]["patients"] == 56


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('name = "x"\nattribution = "y"\npatients = 1\nslices = 1', "licence is missing"),
        ('name = "x"\nlicence = "y"\nattribution = " "\npatients = 1\nslices = 1', "attribution must be a text"),
        ('name = "x"\nlicence = "y"\nattribution = "z"\npatients = -1\nslices = 1', "patients must be a whole number"),
    ],
)
def test_a_debt_that_is_half_told_is_refused(tmp_path: Path, table: str, said: str) -> None:
    place = len(read_engine(ENGINE).trained_on)
    with pytest.raises(EngineRefused, match=rf"trained_on\[{place}\]\.{said}"):
        read_engine(engine_with(tmp_path / "engine", f"\n[[trained_on]]\n{table}\n"))


# -- the page ---------------------------------------------------------------------------------------------------

PAGE = Path(__file__).parents[2] / "docs" / "schemas" / "recipe.md"


def test_the_example_of_the_page_is_a_recipe(tmp_path: Path) -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.S)
    (tmp_path / "site.toml").write_text(text)
    recipe = read_recipe(tmp_path / "site.toml")
    assert [one.kind for one in recipe.sources] == ["dicom", "ledger", "pasted", "synthetic"]


def test_the_page_knows_every_entry_of_a_recipe_and_no_other() -> None:
    plans = (Recipe, NetworkPlan, SourcePlan, BatchPlan, SchedulePlan, StopPlan, CalibrationPlan, AggregatorPlan)
    known = {one.name for plan in plans for one in fields(plan)}
    page = re.sub(r"```.*?```", "", PAGE.read_text(), flags=re.S)
    said = set(re.findall(r"`([a-z_]+)`", page))
    tables = {"sources", "network", "batch", "schedule", "stop", "calibration", "aggregator"}  # named in brackets
    values = {
        *SOURCES,
        "synthetic",
        "mapped",
        "lite0",
        "plain",
        "imagenet",
        "random",
        "stack",
        "patient",
        "sop",
        "state",
        "store",
    }
    mimics = set(MIMIC_NAMES)
    assert (known - tables) | mimics <= said | {"seed"}
    assert said <= known | values | mimics, said - known - values - mimics
