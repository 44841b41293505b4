"""Patients unlike those of training: no scanner of training comes near, and everything else stays as it was."""

import numpy as np
import pytest

from appliance.phantoms.exam import HELD_OUT_SEED, draw_scanner
from appliance.phantoms.patients import draw_hard_scanner, render_patient
from appliance.phantoms.unseen import FADE_HU, SOFT_HU, Unseen, unseen_scanner

SEED = HELD_OUT_SEED + 4
FURTHER = ("grain_mm", "blur_mm", "tail_share", "streak_hu", "wide_cupping_hu")


def test_no_scanner_of_training_reaches_one_that_training_never_draws() -> None:
    rng = np.random.default_rng(3)
    plain = [draw_scanner(rng) for _ in range(1000)]
    hard = [draw_hard_scanner(rng, pixel_mm=0.9, size=272) for _ in range(1000)]
    unseen = [unseen_scanner(rng, one) for one in plain]
    for field in FURTHER:
        most = max(getattr(one, field) for one in plain + hard)
        assert most < min(getattr(one, field) for one in unseen), field
    assert max(abs(one.tilt_deg) for one in plain + hard) < min(abs(one.tilt_deg) for one in unseen)
    assert max(one.noise_hu for one in plain) < min(
        one.noise_hu for one in unseen
    )  # a hard one's is loud in thin slices
    assert {one.tilt_deg > 0 for one in unseen} == {True, False}
    for before, after in zip(plain, unseen, strict=True):
        assert (after.thickness_mm, after.slices, after.lowest_mm) == (
            before.thickness_mm,
            before.slices,
            before.lowest_mm,
        )


@pytest.mark.parametrize("unseen", Unseen)
def test_a_patient_like_none_of_training_has_the_same_twin_without_the_bleed(unseen: Unseen) -> None:
    plain = render_patient(SEED, pixel_mm=2.0, size=120, hard=False)
    strange, twin = (
        render_patient(SEED, pixel_mm=2.0, size=120, hard=False, unseen=unseen, bleeding=bleeding)
        for bleeding in (True, False)
    )
    assert np.array_equal(strange.clean_hu, twin.hu) and not twin.labels.any()
    assert set(strange.volumes_ml) == set(plain.volumes_ml)
    assert strange.labels[:, 0].any()
    if unseen is Unseen.BLOOD:
        assert np.array_equal(strange.clean_hu, plain.clean_hu)
        assert not np.array_equal(strange.hu, plain.hu)
    else:
        assert not np.array_equal(strange.clean_hu, plain.clean_hu)


def test_unseen_brain_is_flat_and_of_another_grey_and_the_skull_stays() -> None:
    plain, strange = (
        render_patient(SEED, pixel_mm=2.0, size=120, hard=False, noise=False, unseen=unseen).clean_hu.astype(float)
        for unseen in (None, Unseen.TISSUE)
    )
    skull = (plain > 600).any(axis=(1, 2))
    brain = (plain > SOFT_HU[0] + FADE_HU) & (plain < SOFT_HU[1] - FADE_HU) & (strange != plain)
    assert brain[skull].mean() > 0.05
    assert strange[brain].std() < 0.8 * plain[brain].std()
    assert 3 < abs(np.median(strange[brain]) - np.median(plain[brain])) < 10
    bone_or_air = (plain > 600) | (plain < -300)
    assert np.abs(strange[bone_or_air] - plain[bone_or_air]).mean() < 3
    # No edge appears where there was none: what were neighbours in grey stay neighbours.
    apart_before, apart_now = (np.abs(np.diff(one, axis=2)) for one in (plain, strange))
    assert not ((apart_before < 4) & (apart_now > 14)).any()
