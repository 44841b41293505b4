"""Scale and bias by logistic regression, and the area under the curve that engines are judged by."""

import numpy as np
import pytest

from appliance.training.calibrate import fit_scale_bias
from appliance.training.selfcheck import auc, held_out_exam


def test_the_fit_finds_the_line_that_made_the_labels() -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 3, 20_000)
    chance = 1 / (1 + np.exp(-(0.6 * logits - 1.2)))
    scale, bias = fit_scale_bias(logits, rng.random(logits.size) < chance)
    assert scale == pytest.approx(0.6, abs=0.03)
    assert bias == pytest.approx(-1.2, abs=0.06)


def test_labels_that_are_told_apart_without_fault_do_not_run_away() -> None:
    scale, bias = fit_scale_bias(np.array([-4.0, -3.0, 3.0, 4.0]), np.array([False, False, True, True]))
    assert 0.5 < scale < 5
    assert abs(bias) < 1


def test_the_area_counts_ties_half() -> None:
    assert auc(np.array([1.0, 2.0, 3.0, 4.0]), np.array([False, False, True, True])) == 1.0
    assert auc(np.array([1.0, 1.0]), np.array([False, True])) == 0.5
    assert auc(np.array([4.0, 1.0, 2.0]), np.array([False, True, False])) == 0.0
    assert np.isnan(auc(np.array([1.0]), np.array([True])))


def test_a_seed_of_training_gives_no_held_out_exam() -> None:
    with pytest.raises(ValueError, match="held-out"):
        held_out_exam(12)
