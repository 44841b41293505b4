"""The shipped engine on exams that trained nothing: clearly better than a threshold. Needs no torch."""

from pathlib import Path

import pytest

from appliance.core.completeness import Complete
from appliance.core.words import Level, Outcome
from appliance.inference.loading import load_engine
from appliance.phantoms.demo import demo_exam
from appliance.phantoms.exam import HELD_OUT_SEED
from appliance.reading.series_reader import early_level, read_whole
from appliance.training.recipe import read_recipe
from appliance.training.selfcheck import check, figures, score_exam

ENGINE = Path(__file__).parents[2] / "engines" / "head-ct"
HEADS_OF_ITS_OWN = 5_000_000  # neither trained, nor calibrated, nor those of the card or of aggregators


@pytest.mark.parametrize("folder", sorted(ENGINE.parent.iterdir()), ids=lambda folder: folder.name)
def test_every_engine_that_is_here_answers_its_golden_pictures_and_has_a_recipe(folder: Path) -> None:
    assert load_engine(folder).card.name == "head-ct"
    assert read_recipe(folder / "recipe.toml").schedule.steps > 0


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_engine_tells_bleeding_heads_from_their_twins() -> None:
    answer = figures(check(ENGINE, 24, HEADS_OF_ITS_OWN), load_engine(ENGINE))
    assert answer["bleeding"] >= 9
    assert answer["exam_auc"] >= 0.95
    assert answer["exam_auc"] > answer["threshold_auc"] + 0.1
    assert answer["specificity_critical"] == 1.0


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
