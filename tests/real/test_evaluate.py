"""`bleedwatch evaluate`: every kind of picture by one road, labels of every kind, bad rows, what is printed and written."""

import csv
import gzip
import json
import os
import re
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray

from appliance.core.errors import CannotStart
from appliance.core.words import LABELS
from appliance.evaluation.command import Wish, line_of, run_evaluate
from appliance.evaluation.document import Run, summary_of
from appliance.evaluation.sources import Manifest
from appliance.evaluation.stacks import by_skull
from appliance.inference.loading import LoadedEngine
from appliance.phantoms.dicom import exam_files, write_files
from appliance.reading.dicom_files import files_below, score_files
from tests.phantom_exams import SLICES, series_files, small_exam, study_of
from tests.real.appliance import ENGINE

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "docs" / "schemas" / "evaluate.md"
COLUMNS = (
    "path",
    "patient",
    "stack",
    "z_mm",
    "window",
    "spacing_mm",
    *LABELS,
    "mask",
    "boxes",
    "slice",
    "vendor",
    "note",
)
PIXEL_MM = small_exam().pixel_mm
Row = dict[str, object]


def write_rows(folder: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "rows.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def labels_of(index: int, *, bleeding: bool = True) -> Row:
    seen = small_exam().labels[index] if bleeding else np.zeros(len(LABELS), dtype=int)
    return {str(label): int(value) for label, value in zip(LABELS, seen, strict=True)}


def slice_row(index: int, path: str, *, bleeding: bool = True, **more: object) -> Row:
    who = "b" if bleeding else "c"
    place = {"patient": f"p-{who}", "stack": f"s-{who}", "z_mm": f"{small_exam().positions_mm[index]:.3f}"}
    return {"path": path, **place, **labels_of(index, bleeding=bleeding), **more}


def slices(*, bleeding: bool = True) -> NDArray[np.int16]:
    return small_exam().hu if bleeding else small_exam().clean_hu


def as_png(folder: Path, *, bleeding: bool = True) -> list[Row]:
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for index, hu in enumerate(slices(bleeding=bleeding)):
        name = f"{'b' if bleeding else 'c'}{index:02d}.png"
        (folder / name).write_bytes(imagecodecs.png_encode((hu.astype(np.int32) + 1024).astype(np.uint16)))
        rows.append(slice_row(index, name, bleeding=bleeding, window="hu", spacing_mm=PIXEL_MM))
    return rows


def as_npy(folder: Path) -> list[Row]:
    for index, hu in enumerate(slices()):
        np.save(folder / f"{index:02d}.npy", hu.astype(np.float32))
    return [slice_row(index, f"{index:02d}.npy", spacing_mm=PIXEL_MM) for index in range(SLICES)]


def as_npy_volume(folder: Path) -> list[Row]:
    np.save(folder / "volume.npy", (np.moveaxis(slices(), 0, 2).astype(np.int32) + 1024).astype(np.uint16))
    return [slice_row(index, "volume.npy", spacing_mm=PIXEL_MM, slice=index, window="hu") for index in range(SLICES)]


def as_dicom(folder: Path) -> list[Row]:
    write_files(series_files("evaluated"), folder / "dicom")
    return [slice_row(index, f"dicom/IM-{index + 1:04d}.dcm", z_mm="") for index in range(SLICES)]


def nifti_bytes(values: NDArray[Any], affine: NDArray[np.float64], *, order: str = "<", slope: float = 1.0) -> bytes:
    """A NIfTI-1 file of one part with an sform, [i, j, k] as given."""
    head = bytearray(352)
    struct.pack_into(f"{order}i", head, 0, 348)
    struct.pack_into(f"{order}8h", head, 40, 3, *values.shape, 1, 1, 1, 1)
    struct.pack_into(f"{order}2h", head, 70, 4, 16)
    struct.pack_into(f"{order}3f", head, 108, 352.0, slope, 0.0)
    struct.pack_into(f"{order}2h", head, 252, 0, 1)
    struct.pack_into(f"{order}12f", head, 280, *affine.ravel())
    head[344:348] = b"n+1\0"
    return bytes(head) + values.astype(f"{order}i2").tobytes(order="F")


def as_nifti(folder: Path, *, turned: bool = False) -> list[Row]:
    """Stored as most tools do, first axis to the patient's right (or left), second to the front."""
    exam = small_exam()
    half_mm = 0.5 * (exam.hu.shape[1] - 1) * PIXEL_MM
    volume = np.transpose(exam.hu, (2, 1, 0))  # columns (to the left), rows (to the back), slices
    step_mm = float(exam.positions_mm[1] - exam.positions_mm[0])
    if turned:  # to the right, to the front, big-endian
        affine = np.array(
            [[PIXEL_MM, 0, 0, -half_mm], [0, PIXEL_MM, 0, -half_mm], [0, 0, step_mm, exam.positions_mm[0]]]
        )
        data = nifti_bytes(volume[::-1, ::-1], affine, order=">")
    else:
        affine = np.array(
            [[-PIXEL_MM, 0, 0, half_mm], [0, -PIXEL_MM, 0, half_mm], [0, 0, step_mm, exam.positions_mm[0]]]
        )
        data = nifti_bytes(volume, affine)
    (folder / "head.nii.gz").write_bytes(gzip.compress(data))
    mask = np.transpose(exam.lesions, (2, 1, 0)) > 0
    (folder / "mask.nii").write_bytes(nifti_bytes(mask[::-1, ::-1] if turned else mask, affine))
    return [
        slice_row(index, "head.nii.gz", z_mm="", slice=index, mask="mask.nii" if exam.lesions[index].any() else "")
        for index in range(SLICES)
    ]


def evaluated(path: Path, engine: LoadedEngine) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    lines = [line_of(one) for one in Manifest(path).answers(engine, lambda _: None)]
    return [one for one in lines if one["kind"] == "image"], [one for one in lines if one["kind"] == "exam"]


def six(lines: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
    return np.array([[line[label] for label in LABELS] for line in lines], dtype=np.float64)


@pytest.fixture(scope="module")
def by_dicom(
    tmp_path_factory: pytest.TempPathFactory, head_engine: LoadedEngine
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("by-dicom")
    return evaluated(write_rows(folder, as_dicom(folder)), head_engine)


def test_a_manifest_of_dicom_files_gives_what_score_gives(
    tmp_path: Path, head_engine: LoadedEngine, by_dicom: tuple[list[dict[str, Any]], list[dict[str, Any]]]
) -> None:
    images, (exam,) = by_dicom
    paths = write_files(series_files("evaluated"), tmp_path)
    (series,) = score_files(paths, head_engine).series.values()
    assert series.reading is not None
    assert [one["error"] for one in images] == [None] * SLICES
    for line, number in zip(images, sorted(series.slices), strict=True):
        score = series.slices[number].score
        assert score is not None and tuple(line[label] for label in LABELS) == score.probabilities
    assert tuple(exam[label] for label in LABELS) == series.reading.exam.probabilities
    assert exam["outcome"] == series.reading.outcome and exam["level"] == series.reading.level
    assert exam["slices"] == SLICES and exam["any"] > 0.5


def test_a_series_that_the_box_declines_by_its_header_is_not_read_but_each_picture_has_its_row(
    tmp_path: Path, head_engine: LoadedEngine
) -> None:
    write_files(exam_files(small_exam(), study_of("sharp"), kernel="H70h"), tmp_path)
    rows = [slice_row(index, f"IM-{index + 1:04d}.dcm", z_mm="") for index in range(SLICES)]
    images, (exam,) = evaluated(write_rows(tmp_path, rows), head_engine)
    assert all(one["any"] is not None for one in images)
    assert (exam["outcome"], exam["reasons"]) == ("NOT ANALYSED", ["no-eligible-series"])
    assert (exam["level"], exam["early_after"]) == (None, None)


@pytest.mark.parametrize("kind", [as_png, as_npy, as_npy_volume, as_nifti])
def test_every_format_gives_what_dicom_gives(
    kind: Any,
    tmp_path: Path,
    head_engine: LoadedEngine,
    by_dicom: tuple[list[dict[str, Any]], list[dict[str, Any]]],
) -> None:
    images, exams = evaluated(write_rows(tmp_path, kind(tmp_path)), head_engine)
    assert [one["error"] for one in images] == [None] * SLICES
    assert six(images) == pytest.approx(
        six(by_dicom[0]), abs=2e-4
    )  # a header's pixel size is decimal text, or a float32
    assert six(exams) == pytest.approx(six(by_dicom[1]), abs=2e-4)
    assert exams[0]["outcome"] == by_dicom[1][0]["outcome"]
    for mine, theirs in zip(images, by_dicom[0], strict=True):
        assert mine["peak_x"] == pytest.approx(theirs["peak_x"], abs=0.05)
        assert mine["peak_y"] == pytest.approx(theirs["peak_y"], abs=0.05)


def test_a_volume_stored_the_other_way_round_says_where_it_is_hot_in_its_own_indices(
    tmp_path: Path, head_engine: LoadedEngine, by_dicom: tuple[list[dict[str, Any]], list[dict[str, Any]]]
) -> None:
    images, _ = evaluated(write_rows(tmp_path, as_nifti(tmp_path, turned=True)), head_engine)
    assert six(images) == pytest.approx(six(by_dicom[0]), abs=2e-4)
    side = small_exam().hu.shape[1]
    for mine, theirs in zip(images, by_dicom[0], strict=True):
        if theirs["peak_x"] is not None:
            assert (mine["peak_x"], mine["peak_y"]) == (
                pytest.approx(side - 1 - theirs["peak_x"], abs=0.05),
                pytest.approx(side - 1 - theirs["peak_y"], abs=0.05),
            )
    marked = [one for one in images if one["dice"] is not None]
    assert len(marked) == np.count_nonzero(small_exam().lesions.any(axis=(1, 2)))
    assert max(one["dice"] for one in marked) > 0.4 and any(one["inside"] for one in marked)


def test_a_row_that_names_a_whole_volume_is_an_exam(
    tmp_path: Path, head_engine: LoadedEngine, by_dicom: tuple[list[dict[str, Any]], list[dict[str, Any]]]
) -> None:
    as_nifti(tmp_path)
    as_npy_volume(tmp_path)
    truth = {"any": 1, "iph": 1, "patient": "p"}
    rows: list[Row] = [
        {"path": "head.nii.gz", "mask": "mask.nii", **truth},
        {"path": "volume.npy", "spacing_mm": PIXEL_MM, "window": "hu", **truth},
    ]
    images, exams = evaluated(write_rows(tmp_path, rows), head_engine)
    strongest = max(by_dicom[0], key=lambda one: one["any"])
    for image, exam in zip(images, exams, strict=True):
        assert image["slice"] == strongest["row"]
        assert six([image]) == pytest.approx(six([strongest]), abs=2e-4)
        assert six([exam]) == pytest.approx(six(by_dicom[1]), abs=2e-4)
        assert (exam["stack"], exam["slices"]) == (image["path"], SLICES)
        assert image["peak_x"] == pytest.approx(strongest["peak_x"], abs=0.05)
    assert images[0]["dice"] > 0.3 and images[1]["dice"] is None
    summary = _summary(tmp_path / "rows.csv", head_engine)
    assert (summary["images"]["bleeding"], summary["exams"]["bleeding"], summary["exams"]["best_slice_right"]["n"]) == (
        2,
        2,
        0,
    )


def test_eight_bits_in_a_window_tell_the_same_bleed(
    tmp_path: Path, head_engine: LoadedEngine, by_dicom: tuple[list[dict[str, Any]], list[dict[str, Any]]]
) -> None:
    """What the window cut off is gone, so the answer is near, not equal."""
    rows = []
    for index, hu in enumerate(slices()):
        grey = np.clip(np.rint((hu.astype(np.float64) + 20) * 255 / 120), 0, 255).astype(np.uint8)
        name = f"{index:02d}.{'jpg' if index % 2 else 'png'}"
        coded = imagecodecs.jpeg8_encode(grey, level=92) if index % 2 else imagecodecs.png_encode(grey)
        (tmp_path / name).write_bytes(coded)
        rows.append(slice_row(index, name, window="120/40.0", spacing_mm=PIXEL_MM))
    images, (exam,) = evaluated(write_rows(tmp_path, rows), head_engine)
    assert exam["outcome"] == by_dicom[1][0]["outcome"]
    there, here = six(by_dicom[0])[:, 0], six(images)[:, 0]
    assert np.corrcoef(there, here)[0, 1] > 0.9
    assert np.median(np.abs(there - here)) < 0.1


def test_the_skull_says_how_large_a_pixel_is(tmp_path: Path, head_engine: LoadedEngine) -> None:
    exam = small_exam()
    size = by_skull(list(exam.clean_hu))
    assert size == pytest.approx(PIXEL_MM, rel=0.15)
    twice = np.repeat(np.repeat(exam.clean_hu, 2, axis=1), 2, axis=2)
    assert by_skull(list(twice)) == pytest.approx(size / 2, rel=0.03)
    assert by_skull([np.full((64, 64), -1000, dtype=np.int16)]) > 0
    rows = [row | {"spacing_mm": ""} for row in as_png(tmp_path)]
    _, (exam_line,) = evaluated(write_rows(tmp_path, rows), head_engine)
    assert exam_line["any"] > 0.5
    # One row that says it is enough for the stack.
    one_says = [row | {"spacing_mm": PIXEL_MM if number == 3 else ""} for number, row in enumerate(rows)]
    all_say = as_png(tmp_path)
    assert (
        evaluated(write_rows(tmp_path, one_says), head_engine)[1]
        == evaluated(write_rows(tmp_path, all_say), head_engine)[1]
    )


def test_the_order_of_rows_changes_no_bit(tmp_path: Path, head_engine: LoadedEngine) -> None:
    rows = [*as_png(tmp_path), *as_png(tmp_path, bleeding=False)]
    images, exams = evaluated(write_rows(tmp_path, rows), head_engine)
    order = np.random.default_rng(5).permutation(len(rows))
    mixed, mixed_exams = evaluated(write_rows(tmp_path, [rows[index] for index in order]), head_engine)
    assert [one["row"] for one in mixed] == list(range(len(rows)))
    assert [one["path"] for one in mixed] == [rows[index]["path"] for index in order]
    by_path = {one["path"]: one | {"row": 0} for one in images}
    assert {one["path"]: one | {"row": 0} for one in mixed} == by_path
    assert {one["stack"]: one for one in mixed_exams} == {one["stack"]: one for one in exams}
    assert [one["level"] for one in exams][1] is None and exams[0]["any"] > exams[1]["any"]


def test_labels_that_are_not_known_count_in_no_figure(tmp_path: Path, head_engine: LoadedEngine) -> None:
    rows = [*as_png(tmp_path), *as_png(tmp_path, bleeding=False)]
    unknown = rows + [row | dict.fromkeys(LABELS, "") | {"patient": "u", "stack": "u"} for row in rows[:SLICES]]
    summaries = [_summary(write_rows(tmp_path, each), head_engine) for each in (rows, unknown)]
    assert summaries[1]["images"]["unknown"] == SLICES and summaries[1]["exams"]["unknown"] == 1
    for part in ("images", "exams"):
        for figure in ("auc", "over_point", "calibration", "roc"):
            assert summaries[0][part][figure] == summaries[1][part][figure]
    assert summaries[0]["images"]["auc"]["any"]["positive"] == int(small_exam().labels[:, 0].sum())


def _summary(path: Path, engine: LoadedEngine) -> dict[str, Any]:
    from appliance.evaluation.answers import ImageAnswer

    found = list(Manifest(path).answers(engine, lambda _: None))
    images = [one for one in found if isinstance(one, ImageAnswer)]
    exams = [one for one in found if not isinstance(one, ImageAnswer)]
    return summary_of(images, exams, Run(card=engine.card, backend="test", source="manifest", took_s=1.0))


def bad_rows(folder: Path) -> dict[str, Row]:
    """Rows that cannot be read, by the word that their error begins with and a number."""
    png = (folder / "b00.png").read_bytes()
    (folder / "cut.png").write_bytes(png[: len(png) // 2])
    (folder / "bomb.png").write_bytes(png[:16] + struct.pack(">II", 65535, 65535) + png[24:])
    (folder / "words.png").write_text("this is no picture")
    (folder / "empty.png").write_bytes(b"")
    (folder / "eight.png").write_bytes(imagecodecs.png_encode(np.zeros((64, 64), dtype=np.uint8)))
    np.save(folder / "object.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    np.save(folder / "volume.npy", np.zeros((64, 64, 3), dtype=np.int16))
    np.save(folder / "tiny.npy", np.zeros((4, 4), dtype=np.int16))
    (folder / "cut.nii.gz").write_bytes(gzip.compress(nifti_bytes(np.zeros((32, 32, 3)), np.eye(3, 4)))[:-40])
    (folder / "short.nii").write_bytes(nifti_bytes(np.zeros((32, 32, 3)), np.eye(3, 4))[:-10])
    (folder / "nowhere.nii").write_bytes(nifti_bytes(np.zeros((32, 32, 1)), np.zeros((3, 4))))
    sagittal = np.array([[0, 0, 1.0, 0], [1.0, 0, 0, 0], [0, 1.0, 0, 0]])
    (folder / "sagittal.nii").write_bytes(nifti_bytes(np.zeros((32, 32, 1)), sagittal))
    return {
        "not-found 1": {"path": "nothing-there.png"},
        "not-found 2": {"path": "."},
        "not-a-picture 1": {"path": "cut.png", "window": "hu"},
        "wrong-size 1": {"path": "bomb.png", "window": "hu"},
        "not-a-picture 2": {"path": "words.png"},
        "not-a-picture 3": {"path": "empty.png"},
        "wrong-window 1": {"path": "eight.png", "window": "hu"},
        "wrong-window 2": {"path": "b00.png", "window": "80/40"},
        "not-a-picture 4": {"path": "object.npy"},
        "no-such-slice 1": {"path": "volume.npy", "slice": 3},
        "wrong-size 2": {"path": "tiny.npy"},
        "not-a-picture 5": {"path": "cut.nii.gz"},
        "not-a-picture 6": {"path": "short.nii"},
        "bad-geometry 1": {"path": "nowhere.nii"},
        "not-axial 1": {"path": "sagittal.nii"},
        "bad-row 1": {"path": "b00.png", "any": "yes"},
        "bad-row 2": {"path": "b00.png", "z_mm": "high"},
        "bad-row 3": {"path": "b00.png", "spacing_mm": "nan"},
        "bad-row 4": {"path": "b00.png", "window": "40"},
        "bad-row 5": {"path": "b00.png", "boxes": "1 2 3"},
        "bad-row 6": {"path": ""},
    }


def test_bad_rows_say_why_and_cost_nobody_else(tmp_path: Path, head_engine: LoadedEngine) -> None:
    good = as_png(tmp_path)
    bad = bad_rows(tmp_path)
    path = write_rows(tmp_path, [*good[:10], *bad.values(), *good[10:]])
    images, (exam,) = evaluated(path, head_engine)
    assert [one["row"] for one in images] == list(range(SLICES + len(bad)))
    found = images[10 : 10 + len(bad)]
    assert [(one["error"] or "").partition(":")[0] for one in found] == [name.split()[0] for name in bad]
    assert all(one["any"] is None and one["peak_x"] is None for one in found)
    rest = [one for one in images if one["error"] is None]
    alone, (exam_alone,) = evaluated(write_rows(tmp_path, good), head_engine)
    assert six(rest) == pytest.approx(six(alone), abs=0)
    assert exam == exam_alone


def test_an_exam_with_a_slice_that_cannot_be_read_is_not_called_whole(
    tmp_path: Path, head_engine: LoadedEngine
) -> None:
    rows = as_png(tmp_path, bleeding=False)
    (tmp_path / "c12.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    images, (exam,) = evaluated(write_rows(tmp_path, rows), head_engine)
    assert images[12]["error"].startswith("not-a-picture")
    assert (exam["outcome"], exam["slices"]) == ("INCOMPLETE", SLICES - 1)
    nothing = [row | {"path": "gone.png"} for row in rows]
    images, (exam,) = evaluated(write_rows(tmp_path, nothing), head_engine)
    assert (exam["outcome"], exam["any"], exam["slices"]) == ("NOT ANALYSED", None, 0)


def test_masks_and_boxes_are_held_against_the_hottest_cell(tmp_path: Path, head_engine: LoadedEngine) -> None:
    images, _ = evaluated(write_rows(tmp_path, as_png(tmp_path)), head_engine)
    best = max(images, key=lambda one: one["any"])
    row = as_png(tmp_path)[best["row"]]
    side = small_exam().hu.shape[1]
    x, y = best["peak_x"], best["peak_y"]
    near = f"{x - 3:.1f} {y - 3:.1f} {x + 3:.1f} {y + 3:.1f}"
    far = "0 0 5 5"
    mask = np.zeros((side, side), dtype=np.uint8)
    mask[round(y) - 2 : round(y) + 3, round(x) - 2 : round(x) + 3] = 1
    (tmp_path / "here.png").write_bytes(imagecodecs.png_encode(mask))
    (tmp_path / "there.png").write_bytes(imagecodecs.png_encode(mask[::-1, ::-1].copy()))
    (tmp_path / "small.png").write_bytes(imagecodecs.png_encode(mask[:64, :64].copy()))
    marks: list[Row] = [
        {"boxes": near}, {"boxes": far}, {"boxes": f"{far};{near}"}, {"mask": "here.png"}, {"mask": "there.png"},
        {"mask": "small.png"}, {"mask": "gone.png"},
    ]  # fmt: skip
    path = write_rows(tmp_path, [row | {"stack": "", "patient": n} | mark for n, mark in enumerate(marks)])
    found, exams = evaluated(path, head_engine)
    assert exams == []
    assert [one["inside"] for one in found] == [True, False, True, True, False, None, None]
    assert [one["mask_error"] is not None for one in found] == [False] * 5 + [True] * 2
    assert found[3]["dice"] > 0 and found[4]["dice"] == 0 and found[0]["dice"] is None
    summary = _summary(path, head_engine)
    assert (summary["place"]["boxes"]["inside"]["hits"], summary["place"]["boxes"]["inside"]["n"]) == (2, 3)
    assert (summary["place"]["mask"]["inside"]["hits"], summary["place"]["mask"]["inside"]["n"]) == (1, 2)
    assert summary["masks_not_read"] == 2


def test_a_folder_of_studies_with_labels(tmp_path: Path, head_engine: LoadedEngine) -> None:
    write_files(series_files("bleeds"), tmp_path / "one")
    write_files(series_files("calm", bleeding=False), tmp_path / "two")
    write_files(exam_files(small_exam(), study_of("sharp"), kernel="H70h"), tmp_path / "three")
    (tmp_path / "two" / "cut.dcm").write_bytes((tmp_path / "two" / "IM-0001.dcm").read_bytes()[:900])
    (tmp_path / "labels.csv").write_text(
        "study,series,sop,any,iph,protocol\n"
        f"{study_of('bleeds').uid},,,1,1,stroke\n{study_of('calm').uid},,,0,0,stroke\n{study_of('sharp').uid},,,1,1,trauma\n"
    )
    lines, errors, code = run_json(data=tmp_path)
    assert code == 0 and "Reading" in errors
    exams = {one["stack"]: one for one in lines if one["kind"] == "exam"}
    scored = score_files([path for path in files_below([tmp_path]) if path.suffix == ".dcm"], head_engine)
    for uid, (outcome, _) in scored.studies().items():
        assert exams[uid]["outcome"] == outcome
    assert exams[study_of("bleeds").uid]["any"] > 0.5
    assert exams[study_of("sharp").uid]["outcome"] == "NOT ANALYSED"
    images = [one for one in lines if one["kind"] == "image"]
    assert sum(one["any"] is not None for one in images) == 2 * SLICES
    assert {one["error"].partition(":")[0] for one in images if one["any"] is None} >= {"bone-kernel"}
    summary = lines[-1]
    assert (summary["exams"]["bleeding"], summary["exams"]["bleed_free"]) == (2, 1)
    # A bleeding study says of no slice that it bleeds, a calm one says of all that they do not.
    assert (summary["images"]["bleeding"], summary["images"]["bleed_free"]) == (0, SLICES)
    assert {(one["column"], one["value"]) for one in summary["subgroups"]} >= {
        ("protocol", "trauma"), ("thickness_mm", "4 mm and more"), ("sex", "F"), ("age", "18 to 65"), ("kernel", "H70h"),
    }  # fmt: skip


def run_json(
    *, manifest: Path | None = None, data: Path | None = None, html: Path | None = None
) -> tuple[list[dict[str, Any]], str, int]:
    """The command as a process."""
    words = ["--manifest", str(manifest)] if manifest else ["--data", str(data)]
    done = subprocess.run(
        [sys.executable, "-m", "appliance.cli", "evaluate", str(ENGINE), *words, "--json", *(["--html", str(html)] if html else [])],
        capture_output=True, text=True, timeout=240, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr, done.returncode


HOSTILE = '<img src=x onerror="alert(1)">{{7*7}}'


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, Any]], str, Path]:
    folder = tmp_path_factory.mktemp("told")
    rows = [
        *(row | {"vendor": HOSTILE} for row in as_png(folder)),
        *(row | {"patient": HOSTILE, "vendor": "B", "note": "not read"} for row in as_png(folder, bleeding=False)),
        {"path": f"{HOSTILE}.png", "patient": "x", "any": 0},
    ]
    lines, errors, code = run_json(manifest=write_rows(folder, rows), html=folder / "report.html")
    assert code == 0, errors
    return lines, errors, folder / "report.html"


def test_the_lines_come_in_order_and_the_rest_goes_to_stderr(told: tuple[list[dict[str, Any]], str, Path]) -> None:
    lines, errors, _ = told
    kinds = [one["kind"] for one in lines]
    assert kinds == ["image"] * (2 * SLICES + 1) + ["exam"] * 2 + ["summary"]
    assert [one["row"] for one in lines if one["kind"] == "image"] == list(range(2 * SLICES + 1))
    assert "pictures/s" in errors and "The report is in" in errors
    summary = lines[-1]
    assert summary["not_answered"] == {"not-found": 1}
    assert (summary["exams"]["bleeding"], summary["exams"]["bleed_free"]) == (1, 1)
    assert summary["exams"]["auc"]["any"]["auc"] == 1.0
    assert summary["images"]["auc"]["any"]["auc"] > 0.8
    assert {one["value"] for one in summary["subgroups"]} == {HOSTILE, "B"}
    assert all("note" not in str(one["column"]) for one in summary["subgroups"])
    assert [one["asked"] for one in summary["claim"] if one["open"]]


def test_the_schema_names_every_field(told: tuple[list[dict[str, Any]], str, Path]) -> None:
    named = set(re.findall(r"`([\w.]+)`", SCHEMA.read_text()))
    used = {name for line in told[0] for name in _fields(line)}
    assert sorted(used - named) == []


def _fields(value: object, *, free: bool = False) -> Iterator[str]:
    """Names of all fields; below some, names are no fields but labels, outcomes, points or words."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if not free:
                yield name
            named = name in (
                "not_answered",
                "auc",
                "bleeding",
                "bleed_free",
                "unknown",
                "over_point",
                "sensitivity_by_kind",
            )
            yield from _fields(inner, free=named and isinstance(inner, dict) and "n" not in inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _fields(inner)


def test_the_report_needs_nothing_else_and_runs_nothing(
    told: tuple[list[dict[str, Any]], str, Path], browser: Any
) -> None:
    said = told[2].read_text()
    assert "<script" not in said and "<img src=x" not in said and "{{7*7}}" in said and "49.png" not in said
    assert "0 of 1, at most 95.0 %: not certified" in said
    assert not re.findall(r'(?:src|href)="(?!data:image/png;base64,)', said)
    asked: list[str] = []
    complaints: list[str] = []
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.on("request", lambda request: asked.append(request.url) if not request.url.startswith("data:") else None)
    page.on("console", lambda line: complaints.append(line.text))
    page.goto(told[2].as_uri())
    assert asked == [told[2].as_uri()] and complaints == []
    shown = page.evaluate("[...document.images].map(one => one.naturalWidth)")
    assert len(shown) == 2 * sum(map(len, told[0][-1]["worst"].values())) > 20 and min(shown) > 100
    assert page.evaluate("document.querySelectorAll('svg.square').length") >= 4
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.close()


def test_what_cannot_start_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("name,any\na.png,1\n")
    (tmp_path / "twice.csv").write_text("path,any,any\na.png,1,0\n")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "labels.csv").write_text("study,any\n,1\n")
    for wish, said in (
        (Wish(engine=ENGINE), "Name one of --manifest"),
        (Wish(engine=ENGINE, manifest=tmp_path / "none.csv"), "cannot be read"),
        (Wish(engine=ENGINE, manifest=tmp_path / "rows.csv"), "lacks the column 'path'"),
        (Wish(engine=ENGINE, manifest=tmp_path / "twice.csv"), "names a column twice"),
        (Wish(engine=ENGINE, manifest=tmp_path / "binary.csv"), "no CSV"),
        (Wish(engine=ENGINE, data=tmp_path), "line 2: none of study, series, sop"),
        (Wish(engine=ENGINE, data=tmp_path.parent), "Write one"),
    ):
        with pytest.raises(CannotStart, match=re.escape(said)):
            run_evaluate(wish)
    good = write_rows(tmp_path, [])
    with pytest.raises(CannotStart, match="is a folder"):
        run_evaluate(Wish(engine=ENGINE, manifest=good, html=tmp_path))
    with pytest.raises(CannotStart, match="doctor"):
        run_evaluate(Wish(engine=tmp_path, manifest=good))


def test_a_table_without_rows_is_no_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_evaluate(Wish(engine=ENGINE, manifest=write_rows(tmp_path, []), html=tmp_path / "report.html")) == 0
    assert "0 rows" in capsys.readouterr().out
    assert (tmp_path / "report.html").stat().st_size > 1000


LABELLED = os.environ.get("BLEEDWATCH_TEST_LABELLED", "")


@pytest.mark.skipif(not LABELLED, reason="BLEEDWATCH_TEST_LABELLED names no folder with rows.csv")
def test_real_labelled_heads_are_read_whole_and_rank_above_chance(head_engine: LoadedEngine) -> None:
    """Pixels, windows and sizes of real pictures go the right way: with any of them wrong, bleeds no longer stand out."""
    summary = _summary(Path(LABELLED) / "rows.csv", head_engine)
    assert summary["not_answered"] == {} and summary["rows"] == summary["images"]["answered"] > 50
    assert summary["images"]["with_brain"] > 0.4 * summary["rows"]
    found = summary["images"]["auc"]["any"]
    assert min(found["positive"], found["negative"]) >= 10
    assert found["auc"] > 0.75 and found["low"] > 0.5
