"""What makes phantoms hard: mass effect, old and mixed blood, operated heads, and the scanner's faults."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from appliance.phantoms.acquisition import scan_grid
from appliance.phantoms.bleed import Bleed
from appliance.phantoms.bleeds import add_bleeds
from appliance.phantoms.blood_age import aged, drawn_age
from appliance.phantoms.exam import HELD_OUT_SEED, Scanner, render
from appliance.phantoms.faults import moved, overshoot, stars, windmill
from appliance.phantoms.head import Head, build_head
from appliance.phantoms.history import NOTHING, History, draw_history, live_through
from appliance.phantoms.mass_effect import pressed
from appliance.phantoms.patients import draw_hard_scanner, render_patient
from appliance.phantoms.plan import draw_child_plan, draw_plan

COARSE = Scanner(
    pixel_mm=1.6, size=150, slices=12, thickness_mm=10.0, spacing_mm=10.0, lowest_mm=-42.0, noise_hu=0.0, streak_hu=0.0
)
SEED = HELD_OUT_SEED + 77


@pytest.fixture
def head() -> Head:
    scan, _ = scan_grid(COARSE, 1.6, 3)
    return build_head((SEED, 1), scan)


def _ball(head: Head, centre: tuple[float, float, float], radius: float) -> np.ndarray:
    x, y, z = head.scan.points()
    far = np.sqrt((x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2)
    return np.clip(radius - far + 0.5, 0.0, 1.0).astype(np.float32)


@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_a_large_clot_moves_the_midline_away_and_leaves_bone_alone(head: Head, side: float) -> None:
    x, y, z = head.scan.points()
    clot = _ball(head, (side * 45.0, 0.0, 15.0), 20.0) * (head.inside_mm > 0)
    after = pressed(head, head.hu, clot, 0.4, 33.0)
    middle = (np.abs(x) < 24) & (np.abs(y) < 45) & (z > 0) & (z < 24) & (head.inside_mm > 12) & (clot == 0)
    before_x = np.average(x[middle], weights=np.clip(25 - head.hu[middle], 0, None))
    after_x = np.average(x[middle], weights=np.clip(25 - after[middle], 0, None))
    assert (after_x - before_x) * side < -1.0
    outside = head.inside_mm < -1
    assert np.array_equal(after[outside], head.hu[outside])
    assert np.array_equal(after[clot >= 1], head.hu[clot >= 1])


def test_a_small_clot_moves_nothing(head: Head) -> None:
    clot = _ball(head, (40.0, 0.0, 15.0), 8.0)
    assert pressed(head, head.hu, clot, 0.4, 2.1) is head.hu


def test_the_twin_of_a_pressing_bleed_is_the_head_before_it(head: Head) -> None:
    bleed = Bleed(kind="iph", volume_ml=45.0, core_hu=60.0, press=0.4)
    before = head.hu.copy()
    bled, shares = add_bleeds(np.random.default_rng(3), head, (bleed,))
    still, _ = add_bleeds(np.random.default_rng(3), head, (replace(bleed, press=0.0),))
    assert np.array_equal(head.hu, before)
    far = (shares[1] == 0) & (head.inside_mm > 5)
    assert np.abs(bled - still)[far].max() > 10
    assert np.array_equal(bled[head.inside_mm < -1], still[head.inside_mm < -1])


def test_settled_blood_is_dense_towards_the_table_and_plasma_above(head: Head) -> None:
    clot = _ball(head, (25.0, 0.0, 20.0), 18.0)
    bleed = Bleed(kind="iph", volume_ml=24.0, core_hu=58.0, level_share=0.5)
    blood = np.broadcast_to(aged(np.random.default_rng(1), head, bleed, clot, np.full_like(clot, 58.0)), clot.shape)
    _, y, _ = head.scan.points()
    inside = clot > 0.9
    assert blood[inside & (y > 6)].min() > 55
    assert blood[inside & (y < -6)].max() < 35


def test_drawn_ages_are_mostly_fresh_and_some_dim_mixed_or_settled() -> None:
    rng = np.random.default_rng(2)
    fresh = Bleed(kind="sdh", volume_ml=30.0, core_hu=62.0)
    drawn = [drawn_age(rng, fresh) for _ in range(300)]
    assert 0.5 < np.mean([bleed == fresh for bleed in drawn]) < 0.75
    assert any(bleed.mixed for bleed in drawn)
    assert any(bleed.level_share for bleed in drawn)
    assert any(bleed.core_hu < 50 for bleed in drawn)
    assert aged(rng, None, fresh, None, 62.0) == 62.0  # type: ignore[arg-type]


def _lost_bone(head: Head, history: History) -> np.ndarray:
    before = head.hu.copy()
    live_through(np.random.default_rng(6), head, history)
    return (before > 400) & (head.hu < 150)


def test_an_opened_head_lacks_bone_where_it_was_opened(head: Head) -> None:
    lost = _lost_bone(head, History(gap=True))
    assert lost.sum() * 1.6**2 * head.scan.slab_mm / 1000 > 3.0
    assert (head.inside_mm[lost] < 1.0).all()


def test_a_burr_hole_is_small_and_a_sawn_flap_has_its_ring_and_plates(head: Head) -> None:
    whole = head.hu.copy()
    hole = _lost_bone(head, History(burr_hole=True)).sum()
    assert 0 < hole * 1.6**2 * head.scan.slab_mm < 3000
    head.hu[...] = whole
    ring = _lost_bone(head, History(flap=True))
    assert ring.sum() > 5
    assert head.hu.max() > 2600
    assert ndimage.label(ring)[1] >= 1


def test_a_fracture_leaves_a_line_in_bone_swelling_outside_and_nothing_within(head: Head) -> None:
    before = head.hu.copy()
    live_through(np.random.default_rng(6), head, History(fracture=True))
    changed = head.hu != before
    assert (changed & (before > 400)).any()
    assert (changed & (before < 20) & (head.hu > 30)).any()
    assert not changed[head.inside_mm > 1.0].any()


def test_a_clip_is_metal_with_a_star_and_a_drain_reaches_the_ventricle(head: Head) -> None:
    live_through(np.random.default_rng(6), head, History(clip=True, drain=True))
    assert head.hu.max() > 3000
    x, y, z = head.scan.points()
    tip = (np.abs(np.abs(x) - 5) < 3) & (np.abs(y + 6) < 3) & (np.abs(z - 6) < 4)
    assert head.hu[tip].max() > 80
    exam = render(SEED, replace(COARSE, star_hu=60.0), history=History(clip=True))
    plain = render(SEED, COARSE, history=History(clip=True))
    with_metal = exam.hu.max(axis=(1, 2)) > 2600
    change = np.abs(exam.hu.astype(int) - plain.hu).max(axis=(1, 2))
    assert with_metal.any()
    assert (change[with_metal] > 20).all()
    assert (change[~with_metal] == 0).all()


def test_most_heads_have_no_history_and_all_of_it_occurs() -> None:
    rng = np.random.default_rng(4)
    drawn = [draw_history(rng) for _ in range(400)]
    assert 0.55 < np.mean([history == NOTHING for history in drawn]) < 0.85
    for name in ("flap", "gap", "burr_hole", "fracture", "clip", "drain"):
        assert any(getattr(history, name) for history in drawn), name


def _edge() -> np.ndarray:
    slabs = np.full((3, 80, 80), 30.0, dtype=np.float32)
    slabs[:, :, 40:50] = 1000.0
    slabs[2, 50:, 40:50] = 30.0
    return slabs


def test_a_sharp_kernel_overshoots_at_an_edge_and_not_elsewhere() -> None:
    soft = ndimage.gaussian_filter(_edge(), (0, 1, 1))
    sharp = overshoot(soft, 0.3, 1.5, 1.0)
    assert sharp.max() > soft.max() + 30
    assert sharp[0, 20].min() < 20
    assert np.allclose(sharp[0, :, :20], 30.0, atol=0.5)


def test_motion_doubles_edges_in_the_part_that_moved() -> None:
    slabs = _edge()
    out = moved(slabs, 0.4, 5.0, 0.0, (0.5, 1.0), 1.0)
    assert np.array_equal(out[0], slabs[0])
    assert 300 < out[2, 20, 37] < 700 or 300 < out[2, 20, 52] < 700


def test_windmills_stand_where_bone_comes_or_goes_along_z() -> None:
    slabs = _edge()
    vanes = windmill(slabs, 8.0, 1.0)
    assert np.abs(vanes[0]).max() < 0.1
    assert 1.0 < np.abs(vanes[2, 50:]).max() <= 8.0
    assert np.abs(vanes[2, :20]).max() < 1.0
    assert not windmill(slabs[:1], 8.0, 1.0).any()
    assert not stars(slabs, 50.0, 1.0).any()


def test_a_round_field_and_a_head_pushed_out_of_it_are_cut() -> None:
    whole = render(SEED, COARSE)
    cut = render(SEED, replace(COARSE, round_field=True, shift_mm=(0.0, 30.0)))
    rows = np.arange(150) - 74.5
    outside = np.hypot(rows[:, None], rows[None, :]) > 75
    assert (cut.hu[:, outside] == -1024).all()
    middles = [np.average(np.arange(150), weights=(exam.hu[6] > -200).sum(axis=0)) for exam in (whole, cut)]
    assert 15 < (middles[1] - middles[0]) * 1.6 < 45


def test_hard_scanners_have_thin_and_thick_slices_and_each_fault_now_and_then() -> None:
    rng = np.random.default_rng(3)
    drawn = [draw_hard_scanner(rng, pixel_mm=0.9, size=272) for _ in range(300)]
    assert {0.6, 1.0, 5.0, 8.0} <= {scanner.thickness_mm for scanner in drawn}
    assert max(scanner.slices for scanner in drawn) < 64
    neutral = Scanner()
    for fault in ("overshoot_share", "motion_share", "windmill_hu", "round_field"):
        share = np.mean([getattr(scanner, fault) != getattr(neutral, fault) for scanner in drawn])
        assert 0.05 < share < 0.45, fault


def test_a_child_is_smaller_in_a_thinner_skull_without_calcium() -> None:
    for seed in range(5):
        child, adult = (plan(np.random.default_rng(seed)) for plan in (draw_child_plan, draw_plan))
        assert child.size[0] < adult.size[0]
        assert child.skull_mm < 4.3
        assert child.pineal_hu < 60
        assert child.falx_plaque_hu == 0.0


def test_a_patient_and_its_twin_share_head_history_scanner_and_noise() -> None:
    small = {"pixel_mm": 2.4, "size": 100, "paint_mm": 2.4}
    bleeding = render_patient(SEED + 5, **small)
    twin = render_patient(SEED + 5, **small, bleeding=False)
    assert bleeding.scanner == twin.scanner
    assert bleeding.clean_hu.tobytes() == twin.hu.tobytes()
    assert bleeding.volumes_ml
    assert not twin.volumes_ml
    silent = render_patient(SEED + 5, **small, bleeding=False, noise=False)
    assert 1.0 < (silent.hu.astype(int) - twin.hu)[:, 40:60, 40:60].std() < 12.0
