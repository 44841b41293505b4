"""Skull, brain and the head's box, on pictures drawn here and on real slices where the test data is given."""

import os
import time
from pathlib import Path

import numpy as np
import pydicom
import pytest

from appliance.core.engine import InputSpec, Window
from appliance.exams.head_ct.anatomy import find_anatomy
from appliance.phantoms.exam import HELD_OUT_SEED, Scanner, render
from appliance.phantoms.history import NOTHING, History
from appliance.reading.prepare import head_box, head_crop, heat_cell_to_pixel, prepare

SPEC = InputSpec(
    name="image",
    size=224,
    spacing_mm=1.0,
    windows=(Window(center=40, width=80), Window(center=80, width=200), Window(center=600, width=2800)),
)


def head(size: int, pixel_mm: float, radius_mm: float, centre_rc=None, brain_hu: float = 35.0, wall_mm: float = 6.0):
    middle = centre_rc or ((size - 1) / 2, (size - 1) / 2)
    rows, columns = np.mgrid[:size, :size]
    away = np.hypot(rows - middle[0], columns - middle[1]) * pixel_mm
    hu = np.full((size, size), -1000, dtype=np.int16)
    hu[away < radius_mm + 4] = 40
    hu[away < radius_mm] = 1200
    hu[away < radius_mm - wall_mm] = brain_hu
    return hu


def real(folder: str) -> list[Path]:
    root = os.environ.get("BLEEDWATCH_TEST_DATA")
    if not root:
        pytest.skip("BLEEDWATCH_TEST_DATA is not set: no real slices to look at")
    return sorted((Path(root) / folder).iterdir())


def opened(path: Path):
    ds = pydicom.dcmread(path, force=True)
    hu = ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept)
    return np.clip(hu, -1024, 3071).astype(np.int16), tuple(float(v) for v in ds.PixelSpacing)


@pytest.mark.parametrize(("size", "pixel_mm", "radius_mm"), [(512, 0.45, 75), (256, 1.0, 70), (64, 0.5, 13)])
def test_a_ring_with_brain_in_it_is_a_head_at_any_size(size, pixel_mm, radius_mm) -> None:
    hu = head(size, pixel_mm, radius_mm, wall_mm=max(2.0, radius_mm * 0.08))
    anatomy = find_anatomy(hu, (pixel_mm, pixel_mm))
    assert anatomy.has_brain_in_skull
    assert anatomy.brain_median_hu == pytest.approx(35.0, abs=1)
    assert anatomy.skull_length_mm == pytest.approx(2 * radius_mm, rel=0.08)
    assert anatomy.centre_rc == pytest.approx(((size - 1) / 2,) * 2, abs=3)


@pytest.mark.parametrize(
    ("name", "hu"),
    [
        ("hollow", head(512, 0.45, 75, brain_hu=-1000)),
        ("nothing but air", np.full((512, 512), -1000, dtype=np.int16)),
        ("solid bone", head(512, 0.45, 60, wall_mm=60)),
        ("soft tissue without bone", np.where(head(512, 0.45, 75) > 100, 40, head(512, 0.45, 75)).astype(np.int16)),
    ],
)
def test_what_holds_no_brain_is_no_head(name, hu) -> None:
    anatomy = find_anatomy(hu, (0.45, 0.45))
    assert not anatomy.has_brain_in_skull, name
    assert anatomy.brain_median_hu is None


def test_half_a_ring_is_no_skull() -> None:
    hu = head(512, 0.45, 75)
    hu[:256][hu[:256] > 300] = 40
    assert not find_anatomy(hu, (0.45, 0.45)).has_brain_in_skull


def test_a_gap_in_the_skull_is_bridged() -> None:
    hu = head(512, 0.45, 75)
    hu[:140, 240:272] = np.where(hu[:140, 240:272] > 300, 40, hu[:140, 240:272])  # 14 mm: a burr hole, a suture
    assert find_anatomy(hu, (0.45, 0.45)).has_brain_in_skull


@pytest.mark.parametrize("towards", np.linspace(0.0, 2 * np.pi, 9)[:-1])
@pytest.mark.parametrize("opened_mm", [30.0, 60.0, 110.0])
def test_a_piece_of_bone_that_was_taken_out_hides_no_brain(towards: float, opened_mm: float) -> None:
    closed = head(512, 0.45, 75)
    hu = without_bone(closed, towards, opened_mm)
    anatomy = find_anatomy(hu, (0.45, 0.45))
    assert anatomy.has_brain_in_skull
    # Only what bulges over the straight line between the edges is left out.
    assert anatomy.inside_area_mm2 > 0.75 * find_anatomy(closed, (0.45, 0.45)).inside_area_mm2


def without_bone(hu, towards: float, opened_mm: float):
    """The skull of `head`, 512 pixels of .45 mm, open in the direction of an angle; its scalp stays."""
    down_mm, along_mm = ((np.mgrid[:512, :512] - 255.5) * 0.45).astype(float)
    ahead_mm = down_mm * np.sin(towards) + along_mm * np.cos(towards)
    aside_mm = np.abs(down_mm * np.cos(towards) - along_mm * np.sin(towards))
    return np.where((ahead_mm > 0) & (aside_mm < opened_mm / 2) & (hu > 300), 40, hu).astype(np.int16)


def test_a_head_that_was_opened_shows_its_brain_where_the_closed_one_does() -> None:
    scanner = Scanner(pixel_mm=1.0, size=240, slices=24, thickness_mm=5.0, spacing_mm=5.0, lowest_mm=-55.0)
    shown = []
    for history in (NOTHING, History(gap=True)):
        exam = render(HELD_OUT_SEED + 4, scanner, history=history)
        shown.append(np.array([find_anatomy(one, (1.0, 1.0)).has_brain_in_skull for one in exam.hu]))
    closed, opened = shown
    assert np.count_nonzero(closed) >= 15
    assert np.count_nonzero(closed & ~opened) <= 1


def test_two_wide_gaps_are_no_skull() -> None:
    hu = without_bone(without_bone(head(512, 0.45, 75), 0.0, 60.0), 2.0, 60.0)
    assert not find_anatomy(hu, (0.45, 0.45)).has_brain_in_skull


def test_a_piece_of_an_oval_skull_hides_no_brain_either() -> None:
    down_mm, along_mm = MM
    for ahead_mm, aside_mm in ((down_mm, along_mm), (-down_mm, along_mm), (along_mm, down_mm), (-along_mm, down_mm)):
        hu = oval(80.0, 62.0)
        hu[(ahead_mm > 0) & (np.abs(aside_mm) < 55.0) & (hu > 300)] = 40
        assert find_anatomy(hu, (0.45, 0.45)).has_brain_in_skull


MM = (np.mgrid[:512, :512] - 255.5) * 0.45
"""How far each pixel lies below and to the right of the middle."""


def oval(half_length_mm: float, half_width_mm: float):
    """A skull of 6 mm with brain in it, 512 pixels of .45 mm."""
    outer = np.hypot(MM[0] / half_length_mm, MM[1] / half_width_mm)
    inner = np.hypot(MM[0] / (half_length_mm - 6), MM[1] / (half_width_mm - 6))
    return np.where(inner < 1, 35, np.where(outer < 1, 1200, -1000)).astype(np.int16)


@pytest.mark.parametrize("thick_mm", [5.0, 8.0, 12.0])
@pytest.mark.parametrize("width_mm", [80.0, 90.0, 100.0])
def test_a_jaw_with_the_spine_behind_it_is_no_skull(width_mm: float, thick_mm: float) -> None:
    down_mm, along_mm = MM

    def arch(half_width_mm: float, deep_mm: float):
        return (along_mm / half_width_mm) ** 2 + (np.minimum(down_mm - 20, 0) / deep_mm) ** 2 < 1

    hu = np.where(np.hypot(down_mm * 0.9, along_mm) < 85, 50, -1000).astype(np.int16)  # tongue and muscle
    jaw = arch(width_mm / 2, 75.0) & ~arch(width_mm / 2 - thick_mm, 75.0 - thick_mm)
    hu[jaw & (down_mm < 20)] = 1000
    hu[np.hypot(down_mm - 50, along_mm) < 15] = 600
    assert not find_anatomy(hu, (0.45, 0.45)).has_brain_in_skull


def test_a_closed_fossa_behind_an_open_front_shows_its_brain() -> None:
    down_mm, along_mm = MM
    hu = oval(90.0, 70.0)
    hu[(hu == 35) & (np.abs(down_mm - 45) < 3)] = 900  # the petrous bones, from wall to wall
    hu[(hu == 35) & (down_mm < 45)] = 120
    hu[(down_mm < 0) & (np.abs(along_mm) < 30) & (hu > 300)] = 120
    anatomy = find_anatomy(hu, (0.45, 0.45))
    assert anatomy.has_brain_in_skull and anatomy.brain_median_hu == pytest.approx(35.0, abs=1)


def test_the_table_under_the_head_moves_nothing() -> None:
    hu = head(512, 0.45, 70, centre_rc=(230.0, 260.0))
    alone = find_anatomy(hu, (0.45, 0.45))
    hu[470:476, 20:490] = 700
    assert find_anatomy(hu, (0.45, 0.45)).centre_rc == alone.centre_rc
    assert alone.centre_rc == pytest.approx((230, 260), abs=3)


def test_without_a_skull_the_box_lies_on_the_picture() -> None:
    anatomy = find_anatomy(np.full((400, 512), -1000, dtype=np.int16), (0.5, 0.5))
    assert head_box(anatomy, SPEC).centre_rc == (199.5, 255.5)


@pytest.mark.parametrize("pixel_mm", [0.43, 0.5, 0.977, 1.0, 1.3])
def test_the_box_is_in_millimetres(pixel_mm) -> None:
    size = round(260 / pixel_mm)
    hu = head(size, pixel_mm, 75)
    crop = head_crop(hu, (pixel_mm, pixel_mm), find_anatomy(hu, (pixel_mm, pixel_mm)), SPEC)
    assert crop.shape == (224, 224)
    wide = np.count_nonzero(crop[112] > 300) + np.count_nonzero((crop[112] > 0) & (crop[112] < 60))
    assert wide == pytest.approx(158, abs=6)
    assert crop[112, 112] == pytest.approx(35, abs=0.01)


def test_fine_pixels_become_means_over_a_millimetre() -> None:
    rng = np.random.default_rng(2)
    hu = np.rint(35 + 10 * rng.standard_normal((512, 512))).astype(np.int16)
    crop = head_crop(hu, (0.5, 0.5), find_anatomy(hu, (0.5, 0.5)), SPEC)
    inside = crop[40:184, 40:184]
    # About four pixels of white noise make one cell: half the deviation, the same mean.
    assert inside.std() == pytest.approx(4.4, abs=0.7)
    assert inside.mean() == pytest.approx(hu.mean(), abs=0.2)


def test_windows_are_those_of_the_manifest() -> None:
    hu = head(512, 0.45, 75)
    image = prepare(hu, (0.45, 0.45), find_anatomy(hu, (0.45, 0.45)), SPEC)
    assert image.shape == (1, 3, 224, 224)
    assert image.dtype == np.float32
    assert image[0, :, 112, 112] == pytest.approx([35 / 80, (35 + 20) / 200, (35 + 800) / 2800], abs=1e-4)
    assert image.min() == 0.0
    assert image.max() == 1.0


def test_a_cell_of_the_heat_map_finds_its_way_back() -> None:
    pixel_mm = (0.45, 0.6)
    rows, columns = np.mgrid[:512, :400]
    hu = np.full((512, 400), -1000, dtype=np.int16)
    away = np.hypot((rows - 250) * 0.45, (columns - 190) * 0.6)
    hu[away < 75], hu[away < 69] = 1200, 30
    spot = (310, 160)
    hu[spot[0] - 4 : spot[0] + 5, spot[1] - 4 : spot[1] + 5] = 75
    anatomy = find_anatomy(hu, pixel_mm)
    crop = head_crop(hu, pixel_mm, anatomy, SPEC)
    brain = np.where(crop < 100, crop, 0).reshape(56, 4, 56, 4).mean(axis=(1, 3))
    cell = np.unravel_index(int(brain.argmax()), brain.shape)
    found = heat_cell_to_pixel((float(cell[0]), float(cell[1])), 56, head_box(anatomy, SPEC), pixel_mm)
    assert np.hypot((found[0] - spot[0]) * 0.45, (found[1] - spot[1]) * 0.6) < 3.0


def test_same_slice_same_answer_in_a_few_milliseconds() -> None:
    hu = head(512, 0.45, 75)
    first = prepare(hu, (0.45, 0.45), find_anatomy(hu, (0.45, 0.45)), SPEC)
    times = []
    for _ in range(15):
        start = time.perf_counter()
        image = prepare(hu, (0.45, 0.45), find_anatomy(hu, (0.45, 0.45)), SPEC)
        times.append(time.perf_counter() - start)
        assert image.tobytes() == first.tobytes()
    # The fastest of many: what the work costs, not what else the machine does.
    assert min(times) < 0.012


def test_real_heads_have_brain() -> None:
    brains = [find_anatomy(*opened(path)).has_brain_in_skull for path in real("head-ct/ge-tilt")]
    assert len(brains) == 28
    assert all(brains[9:26])  # from the frontal lobes to below the vertex
    assert not brains[27]
    assert all(find_anatomy(*opened(path)).has_brain_in_skull for path in real("head-ct/picker"))


def test_a_real_plastic_head_has_none() -> None:
    paths = [p for p in real("head-ct/philips") if p.name.startswith(("S2010", "S2020"))]
    paths += [p for p in real("head-ct/philips-tilt") if p.name.startswith("S")]
    assert len(paths) >= 20
    for path in paths:
        assert not find_anatomy(*opened(path)).has_brain_in_skull, path.name


def test_a_tiny_picture_with_a_skull_has_brain() -> None:
    paths = [p for p in real("malformed/crafted") if p.name == "control-good.dcm"]
    assert find_anatomy(*opened(paths[0])).has_brain_in_skull
