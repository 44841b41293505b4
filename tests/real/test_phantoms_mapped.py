"""Heads from label maps: one head a seed, with the grey values and the shape of a head."""

import warnings
from pathlib import Path
from struct import pack_into

import numpy as np
import pytest
from scipy import ndimage

from appliance.core.errors import CannotStart
from appliance.exams.head_ct.anatomy import find_anatomy
from appliance.phantoms.acquisition import scan_grid
from appliance.phantoms.bleeds import KINDS, Bleed
from appliance.phantoms.exam import HELD_OUT_SEED, PhantomExam, Scanner, render
from appliance.phantoms.head import Head
from appliance.phantoms.label_map import find_label_maps, load_label_map, map_of
from appliance.phantoms.label_numbers import Tissue, read_table, tissues_of
from appliance.phantoms.mapped_head import build_mapped_head, mapped
from appliance.phantoms.wall import wall_point
from tests.phantom_maps import STEP_MM, head_labels, write_nifti

COARSE = Scanner(pixel_mm=1.6, size=150, slices=14, thickness_mm=10.0, spacing_mm=10.0, lowest_mm=-62.0)
SEED = HELD_OUT_SEED + 31


@pytest.fixture(scope="module")
def map_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_nifti(tmp_path_factory.mktemp("maps") / "head.nii", head_labels())


@pytest.fixture(scope="module")
def heads(map_path: Path) -> list[Head]:
    scan, _ = scan_grid(COARSE, 1.6, 4)
    return [build_mapped_head((SEED + k, 1), scan, load_label_map(map_path)) for k in range(3)]


@pytest.fixture(scope="module")
def clean(map_path: Path) -> PhantomExam:
    return render(SEED, COARSE, head_of=mapped(map_path))


def test_the_same_seed_gives_the_same_bits_and_another_seed_another_head(map_path: Path, heads: list[Head]) -> None:
    again = build_mapped_head((SEED, 1), heads[0].scan, load_label_map(map_path))
    for field in ("hu", "inside_mm", "vault_mm", "fluid", "ventricle", "tent_mm", "rough"):
        assert getattr(again, field).tobytes() == getattr(heads[0], field).tobytes(), field
    sizes = [(head.inside_mm > 0).sum() * 1.6**2 * head.scan.slab_mm / 1000 for head in heads]
    assert len({round(float(size)) for size in sizes}) == 3
    assert all(700 < size < 2200 for size in sizes)


def test_an_exam_and_its_twin_differ_by_the_bleed_alone(map_path: Path, clean: PhantomExam) -> None:
    bleed = Bleed(kind="iph", volume_ml=20.0, core_hu=60.0)
    bleeding = render(SEED, COARSE, (bleed,), head_of=mapped(map_path))
    assert bleeding.clean_hu.tobytes() == clean.hu.tobytes()
    assert bleeding.labels[:, 1 + KINDS.index("iph")].any()
    assert 12 < bleeding.volumes_ml["iph"] < 30
    changed = np.abs(bleeding.hu.astype(int) - bleeding.clean_hu) > 3
    near = ndimage.binary_dilation(bleeding.lesions > 0, iterations=8)
    assert changed.any()
    assert not (changed & ~near & (bleeding.labels[:, 0] == 1)[:, None, None]).any()


def test_the_product_finds_skull_and_brain_in_it(clean: PhantomExam) -> None:
    for hu in clean.hu[6:10]:
        anatomy = find_anatomy(hu, (1.6, 1.6))
        assert anatomy.has_brain_in_skull
        assert 22 < anatomy.brain_median_hu < 45
    assert clean.hu[6].max() > 700
    assert (clean.hu[:, :4, :4] < -850).all()


@pytest.mark.parametrize("kinds", [("edh", "sah"), ("ivh", "sdh")])
def test_every_kind_of_bleed_finds_its_place(map_path: Path, kinds: tuple[str, str]) -> None:
    bleeds = tuple(Bleed(kind=kind, volume_ml=14.0, core_hu=62.0) for kind in kinds)
    exam = render(SEED + 1, COARSE, bleeds, head_of=mapped(map_path))
    for kind in kinds:
        assert exam.volumes_ml[kind] > 2.0, kind
        assert exam.labels[:, 1 + KINDS.index(kind)].any(), kind


def test_every_tissue_has_its_grey_value(heads: list[Head]) -> None:
    for head in heads:
        deep = head.inside_mm > 8
        assert 2 < np.median(head.hu[head.ventricle > 0.98]) < 14
        brain = head.hu[deep & (head.fluid < 0.02) & (head.ventricle < 0.02)]
        assert 24 < np.percentile(brain, 25) < 34
        assert 26 < np.percentile(brain, 80) < 42
        assert np.percentile(brain, 80) > np.percentile(brain, 25) + 1
        assert np.median(head.hu[(head.inside_mm < -2) & (head.inside_mm > -4) & (head.vault_mm > -20)]) > 250
        # The sagittal sinus: behind and above, at the midline, just under the bone.
        x, y, z = head.scan.points()
        sinus = (np.abs(x) < 2) & (y > 20) & (z > 15) & (head.inside_mm > 1.6) & (head.inside_mm < 2.6)
        assert 40 < np.median(head.hu[sinus]) < 62


def test_no_leaf_of_the_tentorium_stands_at_the_fourth_ventricle(map_path: Path) -> None:
    head = load_label_map(map_path)
    fourth = ndimage.binary_dilation(head.tissue[head.box] == Tissue.FOURTH, iterations=2)
    assert fourth.sum() > 400
    assert (np.abs(head.leaf_mm[fourth]) > 2.0).all()


def test_a_bleed_under_the_vault_touches_the_bone_of_a_bent_head(heads: list[Head]) -> None:
    for head in heads:
        x, y, z = wall_point(head, (60.0, 20.0, 20.0))
        gap = np.hypot(np.hypot(head.scan.points()[0] - x, head.scan.points()[1] - y), head.scan.points()[2] - z)
        assert abs(float(head.inside_mm.ravel()[np.argmin(gap)])) < 3.0


def test_a_table_beside_the_maps_says_what_their_indices_mean(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("index,source_label,name\n0,0,air\n1,2,white\n2,515,bone\n3,42,cortex\n")
    numbers = read_table(tmp_path)
    tissue, side = tissues_of(np.array([0, 1, 2, 3, 77]), numbers)
    assert [Tissue(t) for t in tissue] == [Tissue.AIR, Tissue.WHITE, Tissue.BONE, Tissue.CORTEX, Tissue.AIR]
    assert side.tolist() == [0, 1, 0, -1, 0]
    (tmp_path / "labels.csv").write_text("index,name\n0,air\n")
    with pytest.raises(CannotStart, match="source_label"):
        read_table(tmp_path)


def test_what_is_no_map_of_a_head_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="no label map"):
        find_label_maps(tmp_path)
    (tmp_path / "a.nii").write_bytes(b"nothing")
    with pytest.raises(CannotStart, match="NIfTI"):
        load_label_map(tmp_path / "a.nii")
    plain = write_nifti(tmp_path / "b.nii", np.where(head_labels() > 0, 2, 0))
    with pytest.raises(CannotStart, match="thalamus"):
        load_label_map(plain)


def test_a_map_stored_another_way_round_is_the_same_head(tmp_path: Path, map_path: Path) -> None:
    turned = bytearray(map_path.read_bytes())
    stored = head_labels().transpose(2, 0, 1)[::-1, :, ::-1]  # up, right, front; from the top, from the front
    pack_into("<8h", turned, 40, 3, *stored.shape, 1, 1, 1, 1)
    pack_into("<2h", turned, 70, 16, 32)
    affine = np.zeros((3, 4), dtype="<f4")
    affine[2, 0], affine[0, 1], affine[1, 2] = -STEP_MM, STEP_MM, -STEP_MM
    turned[280:328] = affine.tobytes()
    values = stored.astype("<f4")
    values[0, 0, 0] = np.nan  # of air: filling of some programmes
    (tmp_path / "turned.nii").write_bytes(bytes(turned[:352]) + values.tobytes(order="F"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one, other = load_label_map(map_path), load_label_map(tmp_path / "turned.nii")
    assert one.origin == other.origin
    assert np.array_equal(one.tissue, other.tissue)
    assert np.array_equal(one.inside_mm, other.inside_mm)


@pytest.mark.parametrize("share", [1000.0, 0.001, 0.0])
def test_a_map_in_other_units_than_millimetres_is_refused_in_words(
    tmp_path: Path, map_path: Path, share: float
) -> None:
    data = bytearray(map_path.read_bytes())
    data[280:328] = (np.frombuffer(bytes(data[280:328]), "<f4") * np.float32(share)).tobytes()
    (tmp_path / "far.nii").write_bytes(bytes(data))
    with pytest.raises(CannotStart, match="millimetres"):
        load_label_map(tmp_path / "far.nii")


def test_seeds_in_a_row_may_share_a_map() -> None:
    maps = (Path("a.nii"), Path("b.nii"))
    assert [map_of(maps, seed).stem for seed in range(4)] == ["a", "b", "a", "b"]
    assert [map_of(maps, seed, run=2).stem for seed in range(6)] == ["a", "a", "b", "b", "a", "a"]
