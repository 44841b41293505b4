"""The shipped engine on exams that trained nothing: clearly better than a threshold. Needs no torch."""

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from appliance.core.completeness import Complete
from appliance.core.words import Level, Outcome
from appliance.evaluation.figures import auc
from appliance.exams.head_ct.anatomy import find_anatomy
from appliance.inference.loading import LoadedEngine, load_engine
from appliance.phantoms.demo import demo_exam
from appliance.phantoms.exam import HELD_OUT_SEED, PhantomExam
from appliance.reading.exam_reader import read_exam
from appliance.reading.prepare import head_crop
from appliance.reading.series_reader import early_level, read_whole
from appliance.training.recipe import read_recipe
from appliance.training.selfcheck import clean_twin, held_out_exam, score_exam

ENGINE = Path(__file__).parents[2] / "engines" / "head-ct"
HEADS_OF_ITS_OWN = 5_000_000  # neither trained, nor calibrated, nor those of the card or of aggregators


@pytest.mark.parametrize("folder", sorted(ENGINE.parent.iterdir()), ids=lambda folder: folder.name)
def test_every_engine_that_is_here_answers_its_golden_pictures_and_has_a_recipe(folder: Path) -> None:
    assert load_engine(folder).card.name == folder.name
    assert read_recipe(folder / "recipe.toml").schedule.steps > 0


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_engine_tells_bleeding_heads_from_their_twins() -> None:
    engine = load_engine(ENGINE)
    heads = [held_out_exam(seed) for seed in range(HEADS_OF_ITS_OWN, HEADS_OF_ITS_OWN + 12)]
    exams = [exam for head in heads for exam in (head, clean_twin(head))]
    scored = [(score_exam(engine, exam), threshold_says(exam, engine)) for exam in exams]
    # Exams whose only bleed is too faint to be seen count as neither.
    kept = [(one, says) for one, says in scored if one.bleeding or one.clean]
    truth = [one.bleeding for one, _ in kept]
    engine_says = [read_exam(one.rows, engine.card).probabilities[0] for one, _ in kept]
    assert sum(truth) >= 9
    engine_auc, threshold_auc = auc(engine_says, truth), auc([says for _, says in kept], truth)
    assert engine_auc is not None and threshold_auc is not None
    assert engine_auc >= 0.95
    assert engine_auc > threshold_auc + 0.1
    assert all(
        says < engine.card.points.critical for says, bleeds in zip(engine_says, truth, strict=True) if not bleeds
    )


def threshold_says(exam: PhantomExam, engine: LoadedEngine) -> float:
    """The largest patch (mm2) of 50 to 90 HU, smoothed, away from bone, in any slice."""
    largest = 0.0
    pixel = (exam.pixel_mm, exam.pixel_mm)
    for hu in exam.hu:
        anatomy = find_anatomy(hu, pixel)
        if not anatomy.has_brain_in_skull:
            continue
        crop = head_crop(hu, pixel, anatomy, engine.card.input)
        smooth = ndimage.gaussian_filter(crop, 1.0)
        bone = crop > 250.0
        skull = ndimage.binary_fill_holes(ndimage.binary_closing(bone, iterations=3))
        inside = ndimage.binary_erosion(skull, iterations=6) & ~ndimage.binary_dilation(bone, iterations=4)
        patches, count = ndimage.label((smooth > 50.0) & (smooth < 90.0) & inside)
        if count:
            largest = max(largest, float(np.bincount(patches.ravel())[1:].max()))
    return largest


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(HELD_OUT_SEED, HELD_OUT_SEED + 5))
def test_the_heads_of_the_demo_come_out_as_they_must(seed: int) -> None:
    """For each seed the bleeding head is told early and ends CRITICAL, the other comes to nothing at any time."""
    engine = load_engine(ENGINE)
    bleeding = score_exam(engine, demo_exam(seed, bleeding=True)).rows
    normal = score_exam(engine, demo_exam(seed + 1, bleeding=False)).rows
    assert early_level(bleeding, engine.card) is Level.CRITICAL
    assert read_whole(bleeding, engine.card, complete=Complete.PROVEN).outcome is Outcome.CRITICAL
    assert read_whole(normal, engine.card, complete=Complete.PROVEN).outcome is Outcome.NO_FINDING
    assert [early_level(normal[:count], engine.card) for count in range(len(normal) + 1)] == [None] * (len(normal) + 1)
