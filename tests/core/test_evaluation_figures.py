"""The figures of an evaluation, held against values worked out by hand, by other formulae, and by what must always hold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from appliance.core.words import LABELS
from appliance.evaluation import figures
from appliance.evaluation.subgroups import part_of
from appliance.evaluation.whole_exam import best_right, common_groups, exam_truth

# A tenth apart at least, so that no map of a test makes two of them one.
SCORES = st.lists(
    st.tuples(st.integers(-40, 40).map(lambda tenths: tenths / 10), st.booleans()), min_size=2, max_size=60
)


def by_pairs(scores: list[float], truth: list[bool]) -> float | None:
    """Every pair, one by one."""
    pairs = [(p, n) for p, pos in zip(scores, truth, strict=True) if pos
             for n, neg in zip(scores, truth, strict=True) if not neg]  # fmt: skip
    return sum(1.0 if p > n else 0.5 if p == n else 0.0 for p, n in pairs) / len(pairs) if pairs else None


def test_auc_by_hand() -> None:
    # .8 beats both, .4 beats .2 and ties with .4: 3.5 of 4 pairs.
    assert figures.auc([0.8, 0.4, 0.4, 0.2], [True, True, False, False]) == 0.875
    assert figures.auc([0.1, 0.2], [True, True]) is None
    assert figures.auc([], []) is None


@given(SCORES)
def test_auc_is_the_share_of_pairs_and_that_of_mann_and_whitney(given_scores: list[tuple[float, bool]]) -> None:
    scores, truth = [one for one, _ in given_scores], [one for _, one in given_scores]
    found = figures.auc(scores, truth)
    expected = by_pairs(scores, truth)
    assert found == (None if expected is None else pytest.approx(expected))
    if expected is not None:
        true = np.array(truth)
        u = stats.mannwhitneyu(np.array(scores)[true], np.array(scores)[~true]).statistic
        assert found == pytest.approx(u / (true.sum() * (~true).sum()))


@given(SCORES, st.permutations(range(60)))
def test_auc_knows_order_alone(given_scores: list[tuple[float, bool]], mixed: list[int]) -> None:
    scores, truth = np.array([one for one, _ in given_scores]), np.array([one for _, one in given_scores])
    found = figures.auc(scores, truth)
    order = [index for index in mixed if index < scores.size]
    assert figures.auc(1 / (1 + np.exp(-scores)), truth) == found
    assert figures.auc(scores[order], truth[order]) == found
    turned = figures.auc(-scores, truth)
    assert turned == (None if found is None else pytest.approx(1 - found))


def test_an_interval_is_drawn_by_patient() -> None:
    random = np.random.default_rng(3)
    scores = np.concatenate([random.normal(1, 1, 40), random.normal(0, 1, 40)])
    truth = np.arange(80) < 40
    alone = figures.area(scores, truth, [str(n) for n in range(80)])
    # Each value ten times over, as ten slices of one patient: it is known no better.
    tenfold = figures.area(np.repeat(scores, 10), np.repeat(truth, 10), [str(n) for n in np.repeat(np.arange(80), 10)])
    careless = figures.area(np.repeat(scores, 10), np.repeat(truth, 10), [str(n) for n in range(800)])
    assert tenfold.auc == pytest.approx(alone.auc)
    assert (tenfold.low, tenfold.high) == pytest.approx((alone.low, alone.high))
    assert careless.high - careless.low < 0.5 * (alone.high - alone.low)  # type: ignore[operator]
    # Hanley and McNeil 1982, another way to the same width.
    area = alone.auc or 0.0
    q1, q2 = area / (2 - area), 2 * area * area / (1 + area)
    error = np.sqrt((area * (1 - area) + 39 * (q1 - area**2) + 39 * (q2 - area**2)) / 1600)
    assert (alone.high or 0) - (alone.low or 0) == pytest.approx(2 * 1.96 * error, rel=0.25)


def test_an_interval_is_the_same_each_time_and_in_any_order() -> None:
    scores, truth = [0.9, 0.3, 0.5, 0.1, 0.7, 0.2], [True, True, True, False, False, False]
    patients = ["a", "b", "c", "d", "e", "f"]
    found = figures.area(scores, truth, patients)
    assert found == figures.area(scores, truth, patients)
    assert found == figures.area(scores[::-1], truth[::-1], patients[::-1])
    assert found.low is not None and found.low <= (found.auc or 0) <= (found.high or 0)


def test_an_interval_needs_both_classes_in_most_draws() -> None:
    one_of_each = figures.area([0.9, 0.1], [True, False], ["a", "b"])
    assert one_of_each.auc == 1.0 and one_of_each.draws < 1100
    one_patient = figures.area([0.9, 0.1], [True, False], ["a", "a"])
    assert (one_patient.low, one_patient.high, one_patient.draws) == (1.0, 1.0, figures.DRAWS)
    none = figures.area([0.9, 0.1], [True, True], ["a", "b"])
    assert (none.auc, none.low, none.positive, none.negative) == (None, None, 2, 0)


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    # Tables of the Wilson interval: 98/100, 294/300, 980/1000 as in the literature on triage; 0 and all of 10.
    [(98, 100, 0.930, 0.994), (294, 300, 0.957, 0.991), (980, 1000, 0.969, 0.987), (0, 10, 0.0, 0.278), (10, 10, 0.722, 1.0)],
)  # fmt: skip
def test_wilson_by_table(hits: int, n: int, low: float, high: float) -> None:
    found = figures.wilson(hits, n)
    assert (found.low, found.high) == (pytest.approx(low, abs=6e-4), pytest.approx(high, abs=6e-4))


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_its_share_and_stays_a_share(counts: tuple[int, int]) -> None:
    hits, n = counts
    found = figures.wilson(hits, n)
    assert found.low is not None and found.share is not None and found.high is not None
    assert 0.0 <= found.low <= found.share <= found.high <= 1.0
    other = stats.binomtest(hits, n).proportion_ci(method="wilson")
    assert (found.low, found.high) == (pytest.approx(other.low, abs=1e-9), pytest.approx(other.high, abs=1e-9))
    turned = figures.wilson(n - hits, n)
    assert turned.low == pytest.approx(1 - found.high)


def test_a_share_of_nothing_and_one_that_cannot_be() -> None:
    assert figures.wilson(0, 0).share is None
    with pytest.raises(ValueError, match="no share"):
        figures.wilson(3, 2)


def test_calibration_by_hand() -> None:
    said = [0.1] * 10 + [0.8] * 10
    true = [True] * 2 + [False] * 8 + [True] * 7 + [False] * 3
    bins = figures.calibration(said, true)
    assert [(one.mean, one.true.hits, one.true.n) for one in bins] == [
        (pytest.approx(0.1), 2, 10),
        (pytest.approx(0.8), 7, 10),
    ]
    assert figures.calibration_error(bins) == pytest.approx((10 * 0.1 + 10 * 0.1) / 20)
    assert figures.brier([1.0, 0.0, 0.5], [True, True, False]) == pytest.approx((0 + 1 + 0.25) / 3)
    assert figures.calibration([], []) == [] and figures.calibration_error([]) is None and figures.brier([], []) is None


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0]), st.booleans()), min_size=1, max_size=300))
def test_calibration_counts_each_answer_once_and_parts_no_equal_ones(answers: list[tuple[float, bool]]) -> None:
    said, true = [one for one, _ in answers], [one for _, one in answers]
    bins = figures.calibration(said, true)
    assert sum(one.true.n for one in bins) == len(answers)
    assert sum(one.true.hits for one in bins) == sum(true)
    means = [one.mean for one in bins]
    assert means == sorted(means)
    error = figures.calibration_error(bins)
    assert error is not None and 0.0 <= error <= 1.0
    at = 0
    for one in bins[:-1]:
        at += one.true.n
        assert sorted(said)[at - 1] < sorted(said)[at]


@given(SCORES)
def test_the_curve_rises_and_encloses_the_area(given_scores: list[tuple[float, bool]]) -> None:
    scores, truth = [one for one, _ in given_scores], [one for _, one in given_scores]
    wrong, found = figures.curve(scores, truth)
    area = figures.auc(scores, truth)
    if area is None:
        assert (wrong, found) == ([], [])
        return
    assert (wrong[0], found[0]) == (0.0, 0.0)
    assert (wrong[-1], found[-1]) == (pytest.approx(1.0), pytest.approx(1.0))
    assert wrong == sorted(wrong) and found == sorted(found)
    assert np.trapezoid(found, wrong) == pytest.approx(area)


@pytest.mark.parametrize(
    ("specificity", "prevalence", "percent"),
    [(0.95, 0.01, 16), (0.98, 0.06, 75), (0.99, 0.10, 91), (0.98, 0.40, 97), (0.95, 0.15, 77)],
)
def test_predictive_values_by_table(specificity: float, prevalence: float, percent: int) -> None:
    ppv, npv = figures.predictive(0.95, specificity, prevalence)
    assert ppv is not None and round(100 * ppv) == percent
    assert npv is not None and npv > 0.9
    assert figures.predictive(0.0, 1.0, 0.1)[0] is None


def test_overlap() -> None:
    one, other = np.zeros((4, 4), dtype=bool), np.zeros((4, 4), dtype=bool)
    assert figures.overlap(one, other) is None
    one[:2], other[1:3] = True, True
    assert figures.overlap(one, other) == 0.5


def test_what_is_known_of_an_exam_follows_from_its_slices() -> None:
    def truth(any_value: bool | None, rest: bool | None = False) -> tuple[bool | None, ...]:
        return (any_value, *[rest] * (len(LABELS) - 1))

    assert exam_truth([truth(False), truth(True), truth(None)])[0] is True
    assert exam_truth([truth(False), truth(False)])[0] is False
    assert exam_truth([truth(False), truth(None)])[0] is None
    assert exam_truth([truth(True, None), truth(False, None)]) == truth(True, None)


def test_the_best_slice_is_sought_among_those_that_are_known() -> None:
    assert best_right([(0.9, None), (0.8, True), (0.1, False)]) is True
    assert best_right([(0.2, True), (0.8, False)]) is False
    assert best_right([(0.9, False), (0.8, None)]) is None


def test_groups_of_an_exam_and_parts_of_numbers() -> None:
    assert common_groups([{"vendor": "A", "kernel": "x"}, {"vendor": "B", "kernel": "x"}]) == {
        "vendor": "mixed",
        "kernel": "x",
    }
    assert [part_of("age", value) for value in ("17", "18", "65", "66", "unknown")] == [
        "below 18",
        "18 to 65",
        "18 to 65",
        "above 65",
        "unknown",
    ]
    assert part_of("thickness_mm", "4") == "4 mm and more"
    assert part_of("kernel", "4") == "4"
