"""The shipped engine on exams that trained nothing: clearly better than a threshold. Needs no torch."""

from pathlib import Path

import pytest

from appliance.inference.loading import load_engine
from appliance.training.selfcheck import check, figures

ENGINE = Path(__file__).parents[2] / "engines" / "head-ct"
HEADS_OF_ITS_OWN = 3_000_000  # neither trained, nor calibrated, nor those of the card


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_engine_tells_bleeding_heads_from_their_twins() -> None:
    answer = figures(check(ENGINE, 24, HEADS_OF_ITS_OWN), load_engine(ENGINE))
    assert answer["bleeding"] >= 9
    assert answer["exam_auc"] >= 0.95
    assert answer["exam_auc"] > answer["threshold_auc"] + 0.1
    assert answer["specificity_critical"] == 1.0
