"""Bleeds pasted into bleed-free slices: where they lie, what they leave alone, what is called seen."""

from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from appliance.phantoms.bleeds import KINDS
from appliance.phantoms.exam import HELD_OUT_SEED, Scanner, render
from appliance.phantoms.pasting.canvas import canvas_of
from appliance.phantoms.pasting.host import GUTTER, INSIDE, VENTRICLE, Host, look_at
from appliance.phantoms.pasting.mimics import MIMIC_NAMES, MIMICS, Mimic
from appliance.phantoms.pasting.paste import FULL_COVER, Pasted, paste
from appliance.phantoms.pasting.report import report
from appliance.phantoms.pasting.sight import LEAST_MM2, what_shows
from appliance.phantoms.pasting.site import Site, whole_box

SEED = HELD_OUT_SEED + 77
BONE_HU = 92


@cache
def host() -> Host:
    """A head without bleeding, 20 slices of 6 mm. One of the upper slices is not known to be free."""
    scanner = Scanner(
        pixel_mm=0.9, size=256, slices=20, thickness_mm=6.0, spacing_mm=6.0, lowest_mm=-52.0, tail_share=0.04
    )
    exam = render(SEED, scanner, paint_mm=1.3)
    free = np.ones(20, dtype=np.bool_)
    free[-8] = False
    return look_at(exam.clean_hu, exam.pixel_mm, exam.positions_mm, free)


@cache
def pasted_of(kind: str, count: int = 6, mimic_share: float = 0.0) -> tuple[Pasted, ...]:
    """Groups whose bleed is of one kind alone."""
    found: list[Pasted] = []
    for seed in range(10 * count):
        group = paste(np.random.default_rng([SEED, seed]), host(), mimic_share=mimic_share, kinds=[kind])
        if group is not None:
            found.append(group)
        if len(found) == count:
            break
    assert len(found) == count
    return tuple(found)


def blood(group: Pasted, kind: str) -> NDArray[np.bool_]:
    return np.asarray(group.covers[..., KINDS.index(kind)] > 0.3 * FULL_COVER)


def whole(part: NDArray[np.generic], group: Pasted) -> NDArray[np.generic]:
    """What lies in the host's box, as a picture of the group."""
    picture = np.zeros(group.hu.shape, dtype=part.dtype)
    picture[:, host().box[0], host().box[1]] = part[group.indices]
    return picture


def tissue(group: Pasted, bit: int) -> NDArray[np.bool_]:
    return np.asarray((whole(host().tissue, group) & bit) > 0)


def test_the_anatomy_is_found_in_the_picture() -> None:
    found = host()
    middle = int(np.argmax(found.brain_mm2))
    assert 14_000 < found.brain_mm2[middle] < 26_000
    assert 28 < found.brain_hu[middle] < 42
    assert found.depth_mm[middle].max() > 45
    assert ((found.tissue & VENTRICLE) > 0).sum(axis=(1, 2)).max() * found.pixel_mm**2 > 100
    assert abs(found.turn[1]) < 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_only_free_slices_and_soft_tissue_inside_the_skull_change(kind: str) -> None:
    for group in pasted_of(kind):
        assert host().free[group.indices].all()
        assert np.array_equal(group.clean, host().hu[group.indices])
        changed = group.hu != group.clean
        assert not (changed & (group.clean >= BONE_HU)).any()
        assert not (changed & ~tissue(group, INSIDE)).any()
        assert not blood(group, kind)[group.labels[:, 1 + KINDS.index(kind)] == 0].any()


@pytest.mark.parametrize("kind", ["edh", "sdh"])
def test_blood_outside_the_brain_lies_along_skull_or_falx(kind: str) -> None:
    along = 0
    for group in pasted_of(kind):
        depth = whole(host().depth_mm, group).astype(np.float32)
        mask = blood(group, kind)
        grown = ndimage.binary_dilation(mask, np.ones((1, 3, 3)), iterations=2)
        along += int((grown & (depth > 0) & (depth < 2.0)).any())
        assert not (mask & (depth <= 0)).any()
    assert along >= len(pasted_of(kind)) - 2  # sheets along falx and tentorium may end short of the skull
    assert kind == "sdh" or along == len(pasted_of(kind))


@pytest.mark.parametrize(("kind", "bit"), [("ivh", VENTRICLE), ("sah", GUTTER)])
def test_blood_in_fluid_stays_in_it(kind: str, bit: int) -> None:
    for group in pasted_of(kind):
        room = ndimage.binary_dilation(tissue(group, bit), np.ones((1, 3, 3)), iterations=2)
        assert not (blood(group, kind) & ~room).any()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_called_seen_is_brighter_and_large_enough(kind: str) -> None:
    column = 1 + KINDS.index(kind)
    for group in pasted_of(kind):
        assert (group.labels[:, column] == 1).any()
        assert np.array_equal(group.labels[:, 0], group.labels[:, column])
        assert np.array_equal(group.faint, group.labels[:, 0] == -1)
        for k in np.flatnonzero(group.labels[:, column] == 1):
            mask = group.covers[k, ..., column - 1] > 0.25 * FULL_COVER
            change = group.hu[k][mask].astype(float) - group.clean[k][mask]
            assert mask.sum() * host().pixel_mm ** 2 >= LEAST_MM2
            assert change.mean() > 6.5
            assert change.mean() * (mask.sum() * host().pixel_mm ** 2) ** 0.5 >= 79


def test_a_trace_is_neither_seen_nor_absent() -> None:
    covers = np.zeros((3, len(KINDS), 20, 20), dtype=np.float32)
    covers[:2, KINDS.index("sdh"), :2, :2] = 0.5  # 4 mm2
    covers[:1, KINDS.index("edh"), 8:16, 8:16] = 1.0
    shown = what_shows(np.where(covers.max(axis=1) > 0, 30.0, 0.0).astype(np.float32), covers, 1.0)
    columns = [0, 1 + KINDS.index("edh"), 1 + KINDS.index("sdh"), 1 + KINDS.index("iph")]
    assert shown.labels[:, columns].tolist() == [[1, 1, -1, 0], [-1, 0, -1, 0], [0, 0, 0, 0]]
    assert shown.faint.tolist() == [False, True, False]


@cache
def of_sah_and_sdh() -> tuple[Pasted, ...]:
    """Groups of two kinds, which often go together."""
    found = [
        paste(np.random.default_rng([SEED, 8, seed]), host(), mimic_share=0.0, kinds=("sah", "sdh"))
        for seed in range(40)
    ]
    return tuple(group for group in found if group is not None)


def test_bleeds_that_go_together_share_no_pixel_twice() -> None:
    pairs = [group for group in of_sah_and_sdh() if len(group.volumes_ml) == 2]
    assert len(pairs) > 8
    met = 0
    for group in pairs:
        assert group.covers.sum(axis=-1, dtype=int).max() <= FULL_COVER + 2  # each is rounded
        met += int(((group.covers > 0).sum(axis=-1) > 1).any())
    assert met > 2


def test_only_the_kinds_that_may_be_drawn_are_drawn() -> None:
    drawn = [set(group.volumes_ml) for group in of_sah_and_sdh()]
    assert all(one in drawn for one in ({"sah"}, {"sdh"}, {"sah", "sdh"}))
    assert all(one <= {"sah", "sdh"} for one in drawn)


def test_now_and_then_two_bleeds_go_together() -> None:
    found = [paste(np.random.default_rng([SEED, 8, seed]), host(), mimic_share=0.0) for seed in range(24)]
    two = sum(len(group.volumes_ml) == 2 for group in found if group is not None)
    assert 2 <= two <= 16


@pytest.mark.parametrize("wrong", [{"without": {"fractur"}}, {"kinds": ["any"]}, {"kinds": []}])
def test_names_that_nothing_has_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"no mimics: fractur|kinds must be"):
        paste(np.random.default_rng(0), host(), **wrong)


@pytest.mark.parametrize("kind", KINDS)
def test_the_volume_is_what_covers_the_pixels(kind: str) -> None:
    for group in pasted_of(kind):
        covered = group.covers[..., KINDS.index(kind)].sum() / FULL_COVER
        ml = covered * host().pixel_mm ** 2 * host().thickness_mm / 1000
        assert 0.5 * ml < group.volumes_ml[kind] < 2.0 * ml + 0.1


def test_next_to_bone_nothing_gets_darker() -> None:
    near = 0
    for group in pasted_of("sah", 12):  # nothing is pushed aside
        depth = whole(host().depth_mm, group).astype(np.float32)
        rim = (depth > 0) & (depth < 1.2) & (group.covers.max(axis=-1) > 0)
        near += int(rim.sum())
        assert (group.hu[rim] >= group.clean[rim]).all()
    assert near > 100


def test_blood_under_the_skull_pushes_brain_that_it_does_not_cover() -> None:
    pushed = [
        int(((group.hu != group.clean) & (group.covers.max(axis=-1) == 0)).sum(axis=(1, 2)).max())
        for group in pasted_of("sdh")
    ]
    assert max(pushed) > 500
    still = [(group.hu != group.clean) & (group.covers.max(axis=-1) == 0) for group in pasted_of("ivh")]
    assert not any(one.any() for one in still)


def test_blood_is_as_dim_as_real_blood() -> None:
    for kind, (low, high) in {
        "edh": (46, 72),
        "iph": (40, 64),
        "ivh": (28, 56),
        "sah": (32, 58),
        "sdh": (40, 70),
    }.items():
        means = [group.hu[blood(group, kind)].mean() for group in pasted_of(kind)]
        assert low < np.median(means) < high, kind


def test_the_grain_of_the_picture_stays() -> None:
    large = max(pasted_of("iph"), key=lambda group: int(blood(group, "iph").sum()))
    k = int(np.argmax(blood(large, "iph").sum(axis=(1, 2))))
    core = ndimage.binary_erosion(large.covers[k, ..., KINDS.index("iph")] > 0.95 * FULL_COVER, iterations=2)
    assert core.sum() > 60

    def grain(hu: NDArray[np.int16]) -> float:
        fine = hu.astype(np.float32)
        return float((fine - ndimage.gaussian_filter(fine, 1.0))[core].std())

    assert 0.75 < grain(large.hu[k]) / grain(large.clean[k]) < 1.3


def test_the_same_seed_gives_the_same_bleed() -> None:
    one, other = (paste(np.random.default_rng(5), host(), mimic_share=1.0) for _ in range(2))
    assert one is not None and other is not None
    assert np.array_equal(one.hu, other.hu) and np.array_equal(one.clean, other.clean)
    assert np.array_equal(one.covers, other.covers) and one.volumes_ml == other.volumes_ml


def test_mimics_are_alike_in_a_slice_and_its_twin() -> None:
    changed = 0
    for group in pasted_of("iph", mimic_share=1.0):
        touched = host().hu[group.indices] != group.clean
        changed += int(touched.any())
        # Outside the skull there is no blood and nothing is pushed: only mimics change what lies there.
        assert np.array_equal(group.hu[~tissue(group, INSIDE)], group.clean[~tissue(group, INSIDE)])
    assert changed == len(pasted_of("iph", mimic_share=1.0))


@pytest.mark.parametrize("mimic", [mimic for _, mimic in MIMICS], ids=MIMIC_NAMES)
def test_every_mimic_changes_the_picture_and_none_makes_it_absurd(mimic: Mimic) -> None:
    box = host().box
    middle = int(np.argmax(host().brain_mm2))
    indices = np.array([middle - 4, middle - 3, middle, middle + 2, middle + 3])
    before = host().hu[indices][:, box[0], box[1]].astype(np.float32)
    changed = 0
    for seed in range(4):
        picture = before.copy()
        mimic(
            np.random.default_rng(seed),
            canvas_of(picture, Site(host=host(), indices=indices, window=whole_box(host()))),
        )
        assert np.isfinite(picture).all()
        assert np.abs(picture - before)[before < BONE_HU].max() < 1100
        changed += int((np.abs(picture - before) > 2).sum() > 4)
    assert changed > 0


def test_mimics_come_within_the_skull_and_outside_it_and_in_the_bone() -> None:
    changed = np.zeros(3, dtype=int)
    for kind in ("iph", "edh"):
        for group in pasted_of(kind, mimic_share=1.0):
            touched = host().hu[group.indices] != group.clean
            inside, bone = tissue(group, INSIDE), host().hu[group.indices] >= BONE_HU
            changed += [(touched & where).any() for where in (inside & ~bone, ~inside & ~bone, bone)]
    assert (changed >= 2).all()


def broken(without: set[str], tries: int) -> list[float]:
    """How far from blood, in mm, the nearest new break in the bone of each group lies that has one; edh alone."""
    far = []
    for seed in range(tries):
        rng = np.random.default_rng([SEED, 7, seed])
        group = paste(rng, host(), mimic_share=1.0, without=without, kinds=["edh"])
        if group is not None:
            before = host().hu[group.indices]
            line = group.clean.astype(int) - before < -200
            assert not (line & (before < BONE_HU)).any()
            away = [ndimage.distance_transform_edt(~one)[k] for one, k in zip(blood(group, "edh"), line, strict=True)]
            if line.any():
                far.append(float(np.concatenate(away).min()) * host().pixel_mm)
    return far


def test_a_fracture_comes_beside_blood_under_the_skull_and_in_its_twin() -> None:
    beside = broken(set(MIMIC_NAMES) - {"fracture"}, 24)
    assert 4 <= sum(mm < 20 for mm in beside) <= 20
    assert not broken(set(MIMIC_NAMES), 8)


def test_a_mimic_that_is_switched_off_is_never_drawn_and_the_others_are() -> None:
    def air_filled(without: set[str]) -> int:
        found = [
            paste(np.random.default_rng([SEED, 5, seed]), host(), mimic_share=1.0, without=without, kinds=["edh"])
            for seed in range(12)
        ]
        groups = [group for group in found if group is not None]
        assert all((group.clean != host().hu[group.indices]).any() for group in groups)
        return sum(
            int(((host().hu[group.indices] < -100) & (group.clean > 30) & (group.clean < 75)).sum() > 200)
            for group in groups
        )

    assert air_filled(set()) > 0
    assert air_filled({"scalp_swelling"}) == 0


def test_a_scalp_swelling_comes_with_and_without_blood_under_it() -> None:
    swollen = 0
    for group in pasted_of("edh", 6, 1.0):
        before = host().hu[group.indices]
        air = before < -100
        swollen += int(((group.clean > 30) & (group.clean < 75) & air).sum() > 200)
    assert swollen > 0


def test_a_lone_slice_is_a_host_too() -> None:
    one = int(np.argmax(host().brain_mm2))
    alone = look_at(host().hu[one : one + 1], host().pixel_mm, np.zeros(1), np.ones(1, dtype=np.bool_))
    found = [paste(np.random.default_rng(seed), alone) for seed in range(6)]
    assert any(group is not None and group.labels[0, 0] == 1 for group in found)


def test_a_host_without_brain_or_without_a_free_slice_gives_nothing() -> None:
    empty = np.full((3, 96, 96), -1000, dtype=np.int16)
    nothing = look_at(empty, 2.0, np.arange(3.0) * 5.0, np.ones(3, dtype=np.bool_))
    assert paste(np.random.default_rng(0), nothing) is None
    held = look_at(host().hu[6:9], host().pixel_mm, host().positions_mm[6:9], np.zeros(3, dtype=np.bool_))
    assert paste(np.random.default_rng(0), held) is None


def test_a_pool_can_be_reported() -> None:
    made = report(pasted_of("sah"))
    assert [kind.kind for kind in made.kinds] == ["sah"]
    assert made.kinds[0].lesions == len(pasted_of("sah"))
    assert made.slices == sum(group.indices.size for group in pasted_of("sah"))
    assert "sah" in "\n".join(made.lines())
