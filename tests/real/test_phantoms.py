"""Synthetic heads, their DICOM files, and the scanner that sends them."""

import os
import time
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from scipy import ndimage

from appliance.exams.head_ct.anatomy import find_anatomy
from appliance.phantoms.bleeds import KINDS, Bleed, draw_bleed, draw_bleeds
from appliance.phantoms.demo import demo_exam
from appliance.phantoms.dicom import Study, exam_files, phantom_uid, unsuitable_files, write_files
from appliance.phantoms.exam import HELD_OUT_SEED, Scanner, draw_scanner, render
from appliance.phantoms.scanner import Landing, send, series_files

COARSE = Scanner(pixel_mm=1.6, size=150, slices=14, thickness_mm=10.0, spacing_mm=10.0, lowest_mm=-62.0)
SEED = HELD_OUT_SEED + 77


def small(*bleeds: Bleed, seed: int = SEED):
    return render(seed, COARSE, bleeds)


def test_the_same_seed_gives_the_same_exam_and_another_seed_another() -> None:
    assert small().hu.tobytes() == small().hu.tobytes()
    assert small().hu.tobytes() != small(seed=SEED + 1).hu.tobytes()


def test_an_exam_and_its_twin_differ_by_the_bleed_alone() -> None:
    bleeding = small(Bleed(kind="iph", volume_ml=20.0, core_hu=60.0))
    assert bleeding.clean_hu.tobytes() == small().hu.tobytes()
    changed = np.abs(bleeding.hu.astype(int) - bleeding.clean_hu) > 3
    near = ndimage.binary_dilation(bleeding.lesions > 0, iterations=8)
    assert changed.any()
    assert not (changed & ~near & (bleeding.labels[:, 0] == 1)[:, None, None]).any()


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_seen_labelled_and_of_the_wanted_size(kind: str) -> None:
    seen = []
    for seed in range(SEED, SEED + 2):
        exam = small(Bleed(kind=kind, volume_ml=12.0, core_hu=60.0), seed=seed)
        column = 1 + KINDS.index(kind)
        assert (exam.labels[:, 0] == exam.labels[:, 1:].max(axis=1)).all()
        assert exam.labels[:, 1:].sum() == exam.labels[:, column].sum()
        marked = (exam.lesions >> KINDS.index(kind)) & 1
        assert (marked.any(axis=(1, 2)) == (exam.labels[:, column] == 1)).all()
        seen.append(exam.volumes_ml[kind])
        if exam.labels[:, 0].any():
            blood = exam.hu[(marked == 1) & (exam.hu < 110)]  # without the voxels that bone shares
            # Real bleeds are dim: the masked median of published exams lies between 26 and 69 HU.
            assert 26 < np.median(blood) < 72
    assert np.median(seen) > 2.0


def test_most_drawn_bleeds_are_small_and_dim_as_published() -> None:
    rng = np.random.default_rng(5)
    drawn = [draw_bleed(rng, "iph") for _ in range(400)]
    volumes = np.array([bleed.volume_ml for bleed in drawn])
    assert 2.0 < np.median(volumes) < 9.3
    assert (volumes < 1.0).mean() > 0.08
    assert 52 < np.mean([bleed.core_hu for bleed in drawn]) < 64
    kinds = {bleed.kind for _ in range(60) for bleed in draw_bleeds(rng)}
    assert kinds == set(KINDS)


def test_a_head_has_the_grey_values_of_a_head() -> None:
    for seed in (SEED, SEED + 1, SEED + 2):
        exam = small(seed=seed)
        middle = [find_anatomy(hu, (1.6, 1.6)) for hu in exam.hu[6:10]]
        assert all(anatomy.has_brain_in_skull for anatomy in middle)
        assert all(22 < anatomy.brain_median_hu < 45 for anatomy in middle)
        assert all(130 < anatomy.skull_length_mm < 210 for anatomy in middle)
        assert exam.hu[6].max() > 700
        assert (exam.hu[:, :4, :4] < -850).all()


def test_bone_has_its_bright_rim_in_some_heads_and_none_in_others() -> None:
    rims = []
    for tail in (0.0, 0.1):
        scanner = Scanner(
            pixel_mm=1.0, size=240, slices=3, lowest_mm=25.0, tail_share=tail, noise_hu=0.0, cupping_hu=0, streak_hu=0
        )
        exam = render(SEED, scanner)
        hu = exam.hu[1].astype(float)
        bone = hu > 250
        inside = ndimage.binary_fill_holes(bone) & ~bone
        away = ndimage.distance_transform_edt(~bone)
        rims.append(hu[inside & (away >= 2) & (away < 3)].mean() - hu[inside & (away >= 10) & (away < 15)].mean())
    assert rims[0] < 12
    assert rims[1] > rims[0] + 8


def test_drawn_scanners_cover_thin_and_thick_slices() -> None:
    rng = np.random.default_rng(3)
    scanners = [draw_scanner(rng) for _ in range(200)]
    assert {2.5, 5.0, 7.0} <= {s.thickness_mm for s in scanners}
    assert 0.1 < np.mean([s.tail_share == 0.0 for s in scanners]) < 0.5
    assert all(2.0 <= s.noise_hu <= 5.0 for s in scanners)


@pytest.fixture(scope="module")
def demo():
    start = time.process_time()
    exam = demo_exam(0, bleeding=True, slices=30)
    return exam, time.process_time() - start


def test_the_demo_bleeds_at_full_size(demo) -> None:
    exam, seconds = demo
    assert exam.hu.shape == (30, 512, 512)
    assert exam.hu.dtype == np.int16
    assert exam.seed >= HELD_OUT_SEED
    assert sum(exam.volumes_ml.values()) >= 15.0
    assert exam.labels[:, 0].sum() >= 3
    assert seconds < 15  # processor time; about 4 s on an idle core


def test_the_files_are_a_plausible_head_ct(demo) -> None:
    exam, _ = demo
    study = Study(seed=1, date="20260203", time="101500")
    files = exam_files(exam, study)
    opened = [pydicom.dcmread(BytesIO(file.data)) for file in files]
    assert len({ds.SOPInstanceUID for ds in opened}) == 30
    assert len({ds.SeriesInstanceUID for ds in opened}) == 1
    places = [float(ds.ImagePositionPatient[2]) for ds in opened]
    assert np.allclose(np.diff(places), 5.0)
    for ds, hu in zip(opened, exam.hu, strict=True):
        assert ds.Modality == "CT"
        assert list(ds.ImageType) == ["ORIGINAL", "PRIMARY", "AXIAL"]
        assert ds.PatientName.family_name == "PHANTOM"
        assert str(ds.PatientID).startswith("FAKE")
        back = ds.pixel_array.astype(int) * int(ds.RescaleSlope) + int(ds.RescaleIntercept)
        assert np.array_equal(back, np.clip(hu, -1024, 3071))
        assert len(str(ds.SOPInstanceUID)) <= 64


def test_equal_words_give_equal_studies_and_other_words_others(demo) -> None:
    exam, _ = demo
    one = exam_files(exam, Study(seed=1))
    assert [f.data for f in one] == [f.data for f in exam_files(exam, Study(seed=1))]
    other = pydicom.dcmread(BytesIO(exam_files(exam, Study(seed=1, token="again"))[0].data))
    first = pydicom.dcmread(BytesIO(one[0].data))
    assert first.StudyInstanceUID != other.StudyInstanceUID
    assert first.SOPInstanceUID != other.SOPInstanceUID
    assert phantom_uid(3, "a") == phantom_uid(3, "a") != phantom_uid(3, "b")


def test_the_study_that_must_not_be_analysed_says_so_in_its_headers(demo) -> None:
    exam, _ = demo
    opened = [pydicom.dcmread(BytesIO(f.data)) for f in unsuitable_files(exam, Study(seed=2))]
    assert len({ds.StudyInstanceUID for ds in opened}) == 1
    assert "LOCALIZER" in opened[0].ImageType
    assert {ds.ConvolutionKernel for ds in opened[1:-1]} == {"H70h"}
    assert opened[-1].SOPClassUID == pydicom.uid.SecondaryCaptureImageStorage


@pytest.mark.parametrize("landing", list(Landing))
def test_every_way_of_landing_leaves_the_whole_file(tmp_path: Path, landing: Landing) -> None:
    files = [os.urandom(200_000 + k) for k in range(3)]
    sent = list(send(files, tmp_path, rate_hz=0, landing=landing, clock_ns=time.time_ns, sleep=lambda seconds: None))
    assert [s.sop_index for s in sent] == [0, 1, 2]
    assert [s.path.read_bytes() for s in sent] == files
    assert sorted(tmp_path.iterdir()) == sorted(s.path for s in sent)  # no temporary name is left
    assert all(s.path.stat().st_nlink == 1 for s in sent)


def test_a_shuffled_order_is_another_order_of_the_same_files(tmp_path: Path) -> None:
    files = [bytes([k]) * 10 for k in range(20)]
    sent = list(
        send(
            files,
            tmp_path,
            rate_hz=0,
            landing=Landing.TEMP_RENAME,
            clock_ns=time.time_ns,
            sleep=time.sleep,
            shuffle=np.random.default_rng(4),
        )
    )
    order = [s.sop_index for s in sent]
    assert sorted(order) == list(range(20))
    assert order != list(range(20))
    assert all(s.path.read_bytes() == files[s.sop_index] for s in sent)


def test_the_pace_is_kept_against_the_clock(tmp_path: Path) -> None:
    now_ns, waits = [0], []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        now_ns[0] += int(seconds * 1e9)

    def clock() -> int:
        now_ns[0] += 10_000_000  # each look at the clock finds 10 ms gone: a slow disk
        return now_ns[0]

    sent = list(send([b"x"] * 11, tmp_path, rate_hz=10, landing=Landing.IN_PLACE, clock_ns=clock, sleep=sleep))
    assert (sent[-1].closed_ns - sent[0].closed_ns) / 1e9 == pytest.approx(1.0, abs=0.03)
    assert all(wait < 0.1 for wait in waits)


@pytest.mark.parametrize("landing", list(Landing))
def test_a_name_that_is_taken_is_never_overwritten(tmp_path: Path, landing: Landing) -> None:
    (tmp_path / "IM-0001.dcm").write_bytes(b"mine")
    with pytest.raises(FileExistsError) as refused:
        list(send([b"x"], tmp_path, rate_hz=0, landing=landing, clock_ns=time.time_ns, sleep=time.sleep))
    assert refused.value.filename == str(tmp_path / "IM-0001.dcm")
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("IM-0001.dcm", b"mine")]


def test_a_folder_is_sent_without_following_links(tmp_path: Path, demo) -> None:
    exam, _ = demo
    written = write_files(exam_files(exam, Study(seed=5))[:3], tmp_path / "series")
    (tmp_path / "series" / "link.dcm").symlink_to(written[0])
    assert series_files(tmp_path / "series") == written
