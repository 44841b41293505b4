"""What is held against a mask: what is hot and as dense as blood."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from appliance.core.slices import HEAT_SIZE, BoxPlace, SliceScore
from appliance.evaluation.manifest import Row
from appliance.evaluation.marks import blood_pixels, hot_pixels
from appliance.evaluation.stacks import Picture, flat_geometry

SIDE = 224
BRAIN_HU, BLOOD_HU, CALCIUM_HU = 32, 60, 300
HOT = (slice(80, 120), slice(80, 120))
BLOOD = (slice(90, 110), slice(85, 100))
CALCIUM = (slice(90, 110), slice(104, 112))


def score(brain_hu: float | None = BRAIN_HU) -> SliceScore:
    heat = np.zeros((HEAT_SIZE, HEAT_SIZE), dtype=np.uint8)
    heat[20:30, 20:30] = 255
    return SliceScore(
        logits=np.zeros(6, dtype=np.float32),
        embedding=np.zeros(4, dtype=np.float32),
        heat=heat,
        probabilities=(0.5,) * 6,
        box=BoxPlace(centre_rc=((SIDE - 1) / 2, (SIDE - 1) / 2), side_mm=float(SIDE)),
        peak_rc=(100.0, 100.0),
        has_brain=True,
        brain_hu=brain_hu,
        skull_area_mm2=1000.0,
        ms={},
    )


def picture(*, bleeds: bool = True) -> Picture:
    hu = np.full((SIDE, SIDE), BRAIN_HU, dtype=np.int16)
    hu[CALCIUM] = CALCIUM_HU
    if bleeds:
        hu[BLOOD] = BLOOD_HU
        hu[150:170, 150:170] = BLOOD_HU  # as dense, and not hot
    return Picture(
        row=Row(number=0, path="a.png", file=Path("a.png")),
        hu=hu,
        geometry=flat_geometry(hu.shape, (1.0, 1.0), 0.0),
        stored=lambda at: (at[1], at[0]),
        header=None,
    )


def test_only_what_is_hot_and_as_dense_as_blood_is_marked() -> None:
    found = blood_pixels(picture(), score())
    truth = np.zeros((SIDE, SIDE), dtype=bool)
    truth[BLOOD] = True
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.9
    assert not found[150:170, 150:170].any() and not found[92:108, 106:110].any()
    assert hot_pixels(picture(), score()).sum() > 4 * truth.sum()


def test_where_nothing_is_as_dense_or_the_brain_is_not_known_all_that_is_hot_stays() -> None:
    hot = hot_pixels(picture(), score())
    flat = replace(picture(bleeds=False), hu=np.full((SIDE, SIDE), BRAIN_HU, dtype=np.int16))
    assert np.array_equal(blood_pixels(flat, score()), hot)
    assert np.array_equal(blood_pixels(picture(), score(brain_hu=None)), hot)
