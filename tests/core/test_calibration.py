"""Scale and bias by logistic regression; points that move towards quiet alone; what an exam shows at the most."""

import tomllib
from dataclasses import replace
from datetime import date
from itertools import permutations

import numpy as np
import pytest

from appliance.core.errors import CannotStart
from appliance.core.evidence import suffices_early
from appliance.core.ledger import SliceRow
from appliance.evaluation.calibration import Calibration, calibration_of, chance_of, fit_scale_bias, logit
from appliance.evaluation.engine_copy import RECORD, edited
from appliance.evaluation.exam_marks import COLD, ExamMarks, any_logit, marks_of
from appliance.evaluation.label_fits import BOTH, KEPT, SHIFT, fit_labels
from appliance.evaluation.operating_points import points_found, quiet_point, review_point
from appliance.evaluation.read_exams import ReadSeries
from appliance.evaluation.recalibration import recalibrate
from appliance.reading.exam_reader import read_exam
from appliance.training.calibrate import NEUTRAL, fit_rule, points_of, set_points
from appliance.training.selfcheck import ExamScore, held_out_exam
from tests.real.appliance import ENGINE
from tests.scored import CARD, blob, scored

NOW = replace(NEUTRAL, critical=0.95, review=0.6, early_pair=0.9, early_single=0.99)
FREE, BLEEDS = (False,) * 6, (True,) * 6


def test_the_fit_finds_the_line_that_made_the_labels() -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 3, 20_000)
    truth = rng.random(logits.size) < 1 / (1 + np.exp(-(0.6 * logits - 1.2)))
    scale, bias = fit_scale_bias(logits, truth)
    assert scale == pytest.approx(0.6, abs=0.03)
    assert bias == pytest.approx(-1.2, abs=0.06)
    scale, bias = fit_scale_bias(logits, truth, (0.6, 3.0), shift_only=True)
    assert scale == 0.6
    assert bias == pytest.approx(-1.2, abs=0.06)


def test_labels_that_are_told_apart_without_fault_do_not_run_away() -> None:
    scale, bias = fit_scale_bias(np.array([-4.0, -3.0, 3.0, 4.0]), np.array([False, False, True, True]))
    assert 0.5 < scale < 5
    assert abs(bias) < 1


def test_a_seed_of_training_gives_no_held_out_exam() -> None:
    with pytest.raises(ValueError, match="held-out"):
        held_out_exam(12)


def test_the_exam_comes_out_as_it_is_read_live() -> None:
    rows = [scored(index, 5.0 * index, chance) for index, chance in enumerate((0.1, 0.7, 0.9, 0.2))]
    found = any_logit(rows, calibration_of(CARD))
    assert chance_of(found) == read_exam(rows, CARD).probabilities[0]
    assert any_logit([scored(1, 0.0, 0.9, has_brain=False)], calibration_of(CARD)) == COLD


@pytest.mark.parametrize("seed", range(12))
def test_no_order_of_arrival_shows_more_than_the_marks_say(seed: int) -> None:
    """Every prefix of every order, by the very rule that raises the alert: just above the marks none does, at them one does."""
    rng = np.random.default_rng(seed)
    places = rng.choice([0.0, 0.02, 3.0, 6.0, 9.0, 16.0, 40.0], size=5)
    rows = [
        scored(
            index,
            float(place),
            float(rng.uniform(0.05, 0.95)),
            heat=blob(int(rng.integers(20, 36)), 28, half=4),
            has_brain=bool(rng.random() < 0.8),
        )
        for index, place in enumerate(places)
    ]
    now = calibration_of(CARD)
    marks = marks_of([ReadSeries(rows=tuple(rows), truth=np.zeros((5, 6), dtype=np.int8))], FREE, "", now)
    rows = [_recalibrated(one) for one in rows]

    def fires(pair: float, single: float) -> bool:
        points = replace(CARD.points, early_pair=chance_of(pair), early_single=chance_of(single))
        prefixes = (order[:seen] for order in permutations(rows) for seen in range(1, 6))
        return any(suffices_early(prefix, points) for prefix in prefixes)

    off = 40.0
    assert not fires(marks.pair + 1e-6, off) and (marks.pair == COLD or fires(marks.pair - 1e-6, off))
    assert not fires(off, marks.single + 1e-6) and (marks.single == COLD or fires(off, marks.single - 1e-6))


def _recalibrated(row: SliceRow) -> SliceRow:
    """With the probabilities that its logits come to, as the engine would say them."""
    assert row.score is not None
    raw = row.score.logits.astype(np.float64)
    said = 1 / (1 + np.exp(-(np.array(CARD.calibration_scale) * raw + np.array(CARD.calibration_bias))))
    return replace(row, score=replace(row.score, probabilities=tuple(float(one) for one in said)))


def marks(exam: float, *, bleeds: bool = False, early: float = COLD, placed: bool = True) -> ExamMarks:
    """An exam of four slices; in one that bleeds two do, and their logits stand out."""
    shown = np.zeros((4, 6), dtype=np.int8)
    logits = np.full((4, 6), exam - 4.0)
    if bleeds:
        shown[:2] = 1
        logits[:2] = exam
    if not placed:
        shown[:] = -1
    truth = BLEEDS if bleeds else FREE
    return ExamMarks(truth=truth, patient="", exam=exam, pair=early, single=early, logits=logits, slice_truth=shown)


def test_a_quiet_point_lets_through_no_more_than_can_be_proven() -> None:
    floor = logit(0.9)
    assert quiet_point([-3.0] * 20, floor) == floor
    assert quiet_point([], floor) == floor
    few = quiet_point([*([-3.0] * 30), 4.0], floor)
    assert 4.0 < few <= 4.0 + 0.051
    # 1 of 473 proves 99 %, 0 of 498 the 99.4 % that are aimed at, which one more false alarm would not.
    assert quiet_point([*([-3.0] * 472), 4.0], floor) == floor
    assert quiet_point([*([-3.0] * 497), 4.0], floor) > 4.0
    assert quiet_point([-3.0, 2.0], floor, 0.5) > 2.5


def test_review_rises_only_as_far_as_few_bleeds_are_proven_to_be_missed() -> None:
    floor, bleeding = 0.0, [2.0] * 59
    assert review_point(bleeding[:-1], floor, 5.0) == floor
    assert 1.9 < review_point(bleeding, floor, 5.0) <= 2.0
    assert review_point(bleeding, floor, 1.0) <= 1.0
    assert review_point([*bleeding, -1.0], floor, 5.0) == floor


def test_points_move_towards_quiet_alone_and_the_fit_tells_no_exam_that_was_not_told() -> None:
    rng = np.random.default_rng(4)
    exams = [marks(float(value), early=float(value) - 1) for value in rng.normal(-1, 1.5, 260)]
    exams += [marks(float(value), bleeds=True) for value in rng.normal(2, 2, 60)]
    made = recalibrate(exams, NOW)
    assert [one.fitted for one in made.fits] == [BOTH] * 6
    assert made.after.scale != NOW.scale
    stretch = made.after.scale[0] / NOW.scale[0]
    shift = made.after.bias[0] - stretch * NOW.bias[0]
    assert made.after.sharpness == pytest.approx(NOW.sharpness / stretch)
    for name in ("critical", "review", "early_pair", "early_single"):
        # Where the point lies in the logits of before.
        carried = (logit(getattr(made.after, name)) - shift) / stretch
        assert carried >= logit(getattr(NOW, name)) - 1e-9
    critical, review, early = made.points_after
    assert critical.negatives == 260 and critical.false == 0 and not critical.certified
    assert critical.more_needed == {0.02: 0, 0.01: 39, 0.006: 238}
    assert early.false == 0
    assert review.missed > 3 and not review.certified
    assert any("not lowered" in one for one in made.said)


def test_the_same_slices_come_to_the_same_level_before_and_after_a_fit() -> None:
    rng = np.random.default_rng(9)
    exams = [marks(-2.0) for _ in range(200)] + [marks(3.0, bleeds=True) for _ in range(40)]
    now = replace(NOW, scale=(1.6,) * 6, bias=(0.7,) * 6)
    made = recalibrate(exams, now)
    assert made.after.scale[0] != 1.6 and made.after.bias[0] != 0.7
    assert made.points_after[0].false == 0  # so that CRITICAL stays, but for the logits that it is told in
    for _ in range(200):
        rows = [scored(k, 4.0 * k, float(chance)) for k, chance in enumerate(rng.beta(0.6, 0.9, 8))]
        for name in ("critical", "review"):
            before = any_logit(rows, now) >= logit(getattr(made.before, name))
            after = any_logit(rows, made.after) >= logit(getattr(made.after, name))
            assert after == before if name == "critical" else after <= before


def test_one_slice_alone_raises_an_early_alert_too_and_its_point_keeps_its_distance() -> None:
    alone = replace(marks(-3.0), single=logit(0.999))
    assert points_found([alone, marks(-3.0)], NOW)[2].false == 1
    made = recalibrate([*[marks(-3.0)] * 20, alone], NOW)
    assert made.points_after[2].false == 0
    single, gap = logit(made.after.early_single), logit(NOW.early_single) - logit(NOW.early_pair)
    assert logit(0.999) < single <= logit(0.999) + 0.051
    assert logit(made.after.early_pair) == pytest.approx(single - gap)


def test_review_is_held_to_what_it_misses_and_the_others_to_what_they_raise() -> None:
    loud = [marks(5.0, early=5.0) for _ in range(299)]
    found = points_found([*loud, *[marks(4.0, bleeds=True)] * 59], NOW)
    assert [one.certified for one in found] == [False, True, False]
    quiet = points_found([*[marks(-3.0)] * 299, *[marks(-4.0, bleeds=True)] * 59], NOW)
    assert [one.certified for one in quiet] == [True, False, True]


def test_a_series_that_its_pixels_decline_has_no_outcome_but_could_have_raised_an_early_alert() -> None:
    def series(any_: float, *, declined: bool = False) -> ReadSeries:
        rows = tuple(scored(index, 5.0 * index, any_, heat=blob(28, 28)) for index in range(3))
        return ReadSeries(rows=rows, truth=np.zeros((3, 6), dtype=np.int8), declined=declined)

    now = calibration_of(CARD)
    loud = marks_of([series(0.99, declined=True)], FREE, "", now)
    assert loud.exam is None and loud.pair == loud.single > 0
    quiet, both = (marks_of(of, FREE, "", now) for of in ([series(0.1)], [series(0.99, declined=True), series(0.1)]))
    assert both.exam == quiet.exam and both.pair == loud.pair


def test_enough_quiet_exams_certify_what_stands() -> None:
    exams = [marks(-3.0) for _ in range(299)] + [marks(4.0, bleeds=True, early=4.0) for _ in range(59)]
    made = recalibrate(exams, NOW)
    assert [one.certified for one in made.points_after] == [True] * 3
    assert made.after.critical >= NOW.critical and made.points_after[0].false_at_most == pytest.approx(
        0.00997, abs=1e-4
    )


def test_too_few_exams_are_refused_in_words() -> None:
    with pytest.raises(CannotStart, match=r"Of 12 exams .* 9 are labelled as free of blood.*149"):
        recalibrate([*[marks(-3.0)] * 9, *[marks(3.0, bleeds=True)] * 3], NOW)


def test_an_exam_without_a_bleed_that_is_as_sure_as_can_be_is_refused_in_words() -> None:
    with pytest.raises(CannotStart, match="as sure of a bleed"):
        recalibrate([*[marks(-3.0)] * 20, marks(40.0)], NOW)


def test_with_few_labels_the_scale_stays_and_with_fewer_the_bias() -> None:
    some = [marks(-3.0) for _ in range(20)] + [marks(3.0, bleeds=True) for _ in range(10)]
    assert [one.fitted for one in fit_labels(some, NOW)] == [SHIFT] * 6
    assert all(one.scale == 1.0 and one.bias != 0.0 for one in fit_labels(some, NOW))
    few = fit_labels(some[:-1], NOW)
    assert [(one.fitted, one.scale, one.bias) for one in few] == [(KEPT, 1.0, 0.0)] * 6


def test_slices_of_which_nobody_has_said_and_a_label_that_few_have_fit_nothing() -> None:
    def exams(unknown: float) -> list[ExamMarks]:
        one = marks(3.0, bleeds=True)
        truth, logits = one.slice_truth.copy(), one.logits.copy()
        truth[3], logits[3] = -1, unknown
        return [*[marks(-3.0)] * 20, *[replace(one, slice_truth=truth, logits=logits)] * 10]

    assert fit_labels(exams(9.0), NOW) == fit_labels(exams(-9.0), NOW)
    rare = fit_labels([*[marks(-3.0)] * 300, *[marks(3.0, bleeds=True)] * 9], NOW)
    assert [one.fitted for one in rare] == [KEPT] * 6


def test_bleeding_exams_without_labelled_slices_fit_nothing() -> None:
    exams = [marks(-3.0) for _ in range(300)] + [marks(3.0, bleeds=True) for _ in range(40)]
    fits = fit_labels([*exams, marks(3.0, bleeds=True, placed=False)], NOW)
    assert [one.fitted for one in fits] == [KEPT] * 6
    assert "of 1 exams that have it" in fits[0].why


def test_the_manifest_is_edited_where_it_must_be_and_nowhere_else() -> None:
    text = (ENGINE / "manifest.toml").read_text()
    text += '\n[[trained_on]]\nname = "heads"\ncritical = 3\n'
    after = replace(NOW, scale=(1.0, 2.0, 3.0, 4.0, 5.0, 6.0), critical=0.999999999999)
    once = edited(
        text, after, {"date": "2031-05-14", "review": {"negatives": 3, "certified": False}}, date(2031, 5, 14)
    )
    old, new = tomllib.loads(text), tomllib.loads(once)
    assert new["calibration"]["scale"] == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    assert new["points"]["critical"] == 0.999999999999
    assert new["points"]["overlap"] == old["points"]["overlap"]
    assert new["version"] == old["version"] + "+calibrated.2031-05-14"
    assert new[RECORD] == [{"date": "2031-05-14", "review": {"negatives": 3, "certified": False}}]
    assert new["trained_on"] == old["trained_on"] and new["files"] == old["files"]
    assert "# The exam's logit" in once
    twice = tomllib.loads(edited(once, after, {"date": "2032-01-01"}, date(2032, 1, 1)))
    assert [one["date"] for one in twice[RECORD]] == ["2031-05-14", "2032-01-01"]
    assert twice["version"] == old["version"] + "+calibrated.2032-01-01"


def test_a_manifest_in_another_hand_is_not_edited() -> None:
    text = (ENGINE / "manifest.toml").read_text()
    cut = text.index("[exam_rule]"), text.index("# Calibrated probabilities")
    inline = "exam_rule = { smoothing_mm = 3, sharpness = 2 }\n" + text[: cut[0]] + text[cut[1] :]
    with pytest.raises(CannotStart, match="one value a line"):
        edited(inline, replace(NOW, sharpness=1.5), {"date": "2031-05-14"}, date(2031, 5, 14))


def even(any_: float, *, bleeding: bool | None) -> ExamScore:
    """An exam whose slices all say the same; None: nobody has said whether it bleeds."""
    rows = tuple(scored(index, 5.0 * index, any_, heat=blob(28, 28)) for index in range(12))
    truth = np.full((12, 6), -1 if bleeding is None else int(bleeding), dtype=np.int8)
    return ExamScore(rows=rows, truth=truth, bleeding=bleeding is True, clean=bleeding is False)


def test_labels_that_nobody_knows_fit_no_engine_and_set_no_point() -> None:
    known = [even(0.1, bleeding=False), even(0.3, bleeding=False), *[even(0.97, bleeding=True)] * 20]

    def calibrate(scores: list[ExamScore]) -> Calibration:
        return set_points(scores, fit_rule(scores), 0.9, 0.5)

    alone = calibrate(known)
    assert calibrate([*known, even(0.999, bleeding=None)]) == alone
    assert alone.critical >= 0.9 and 0 < alone.review < alone.critical and alone.early_single > alone.early_pair
    critical, _, early = points_of([*known, even(0.999, bleeding=None)], alone)
    assert (critical.negatives, critical.false, critical.bleeding) == (2, 0, 20)
    assert (early.negatives, early.false) == (2, 0)
    loud = calibrate([*known, even(0.97, bleeding=False)])
    assert loud.critical > alone.critical and loud.early_pair > alone.early_pair


def test_points_keep_to_the_recipe_and_below_one_however_loud_a_clean_exam_is() -> None:
    exams = [even(0.05, bleeding=False)] * 9 + [even(0.7, bleeding=True)] * 9
    close = set_points(exams, NEUTRAL, 0.9, 0.89)
    assert 0.89 <= close.review < close.critical  # though it is no half logit away
    assert set_points(exams, NEUTRAL, 0.9, 0.5).review < 0.86
    loud = replace(NEUTRAL, scale=(2.0, *[1.0] * 5))
    found = set_points([*exams, even(1.0, bleeding=False)], loud, 0.9, 0.5)
    assert 0.999 < found.critical <= found.early_single < 1.0
    assert points_of([*exams, even(1.0, bleeding=False)], found)[0].false == 1


def test_one_clean_exam_in_twenty_comes_to_review_and_more_only_where_that_finds_bleeds() -> None:
    clean = [even(float(any_), bleeding=False) for any_ in np.linspace(0.45, 0.75, 40)]
    bright = [even(0.97, bleeding=True)] * 36

    def found(*dim: float) -> tuple[int, int]:
        """False alarms and misses at REVIEW where four of forty bleeds are so dim."""
        exams = [*clean, *[even(one, bleeding=True) for one in dim], *bright]
        review = points_of(exams, set_points(exams, NEUTRAL, 0.9, 0.5))[1]
        return review.false, review.missed

    assert found(0.8, 0.8, 0.8, 0.8) == (2, 0)
    assert found(0.5, 0.5, 0.74, 0.74) == (2, 2)  # one bleed in twenty may be missed
    assert found(0.722, 0.724, 0.728, 0.73) == (3, 2)  # no further down than that
    assert found(0.5, 0.5, 0.5, 0.724) == (4, 3)
    assert found(0.6, 0.6, 0.6, 0.6) == (2, 4)  # out of reach: nobody is alarmed for nothing
    assert points_of(clean, set_points(clean, NEUTRAL, 0.9, 0.5))[1].false == 2
    assert set_points(bright, NEUTRAL, 0.9, 0.5).review == pytest.approx(0.5)


def test_one_slice_alone_has_to_be_surer_than_any_of_a_clean_exam() -> None:
    chances = [0.02] * 5 + [0.999] + [0.02] * 6
    rows = tuple(scored(index, 5.0 * index, chance, heat=blob(28, 28)) for index, chance in enumerate(chances))
    clean = ExamScore(rows=rows, truth=np.zeros((12, 6), dtype=np.int8), bleeding=False, clean=True)
    found = set_points([clean], NEUTRAL, 0.9, 0.5)
    assert logit(found.early_single) >= logit(0.999) + 1.49
    assert logit(found.critical) < logit(0.999)
