"""Unlike what the engine knows: the distance, and what a series comes to by it."""

from dataclasses import replace

import numpy as np
import pytest

from appliance.core.completeness import Complete
from appliance.core.familiar import Embeddings, Familiar, distances, of_length_one, strangeness
from appliance.core.words import Outcome
from appliance.reading.references import familiar_with
from appliance.reading.series_reader import read_whole
from tests.scored import CARD, scored


def near(direction: int, slices: int, seed: int) -> Embeddings:
    """Embeddings of one scan that point about one way, of any length."""
    rng = np.random.default_rng(seed)
    found = rng.normal(0, 0.05, (slices, 64)).astype(np.float32)
    found[:, direction] += 1.0
    return found * rng.uniform(0.5, 3.0, (slices, 1)).astype(np.float32)


def test_distances_are_those_of_every_pair() -> None:
    asked, known = near(0, 150, 1), of_length_one(np.concatenate([near(0, 40, 2), near(1, 40, 3)]))
    every = np.sqrt(((of_length_one(asked)[:, None, :].astype(np.float64) - known[None]) ** 2).sum(axis=2))
    for neighbours in (1, 5):
        expected = np.sort(every, axis=1)[:, neighbours - 1]
        assert distances(asked, known, neighbours) == pytest.approx(expected, abs=1e-3)
    assert strangeness([], known, 5) == 0.0


def test_a_scan_of_another_kind_is_far_and_one_of_the_same_is_not() -> None:
    familiar = familiar_with([near(0, 30, seed) for seed in range(12)])
    same, other = near(0, 30, 99), near(5, 30, 99)
    assert strangeness(same, familiar.reference, familiar.neighbours) <= familiar.most * 1.1
    assert strangeness(other, familiar.reference, familiar.neighbours) > 2 * familiar.most
    mixed = np.concatenate([same, other[:10]])  # a quarter of odd slices makes no scan strange
    assert strangeness(mixed, familiar.reference, familiar.neighbours) < 2 * familiar.most


def test_a_scan_is_not_held_against_itself() -> None:
    scans = [near(0, 30, seed) for seed in range(6)]
    alone = familiar_with([*scans, near(3, 30, 7)])
    assert alone.most > 1.0  # the odd one among the reference is as far as it is, though it stands in it
    with pytest.raises(ValueError, match="held against 0 slices"):
        familiar_with(scans[:1])


def test_many_slices_are_drawn_by_a_seed() -> None:
    scans = [near(0, 900, seed) for seed in range(10)]
    one, again = familiar_with(scans), familiar_with(scans)
    assert len(one.reference) == 8000
    assert np.array_equal(one.reference, again.reference) and one.most == again.most


@pytest.mark.parametrize(("direction", "outcome"), [(0, Outcome.NO_FINDING), (5, Outcome.INDETERMINATE)])
def test_what_a_series_comes_to(direction: int, outcome: Outcome) -> None:
    known = Familiar(reference=of_length_one(near(0, 300, 1)), neighbours=5, most=0.6)
    rows = [
        replace(row, score=replace(row.score, embedding=one))
        for row, one in zip([scored(n, 5.0 * n) for n in range(28)], near(direction, 28, 9), strict=True)
        if row.score
    ]
    read = read_whole(rows, replace(CARD, familiar=known), complete=Complete.PROVEN)
    assert read.outcome is outcome
    assert [code for code, _ in read.reasons] == (["unlike-training"] if direction else ["none-flagged"])
    assert read_whole(rows, CARD, complete=Complete.PROVEN).outcome is Outcome.NO_FINDING
