"""The learned aggregator: no order of arrival in its answer, no evidence against a bleed, and nothing where nothing was learned."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.core.aggregator import CONTEXT, EVIDENCE, Aggregator, aggregate, corrections, widths
from appliance.core.evidence import near_brain
from appliance.core.exam_rule import exam_logits
from appliance.core.ledger import SliceRow
from appliance.core.surroundings import surroundings
from appliance.evaluation.calibration import calibration_of, chance_of
from appliance.evaluation.exam_marks import any_logit
from appliance.reading.exam_reader import logits_of_exam, read_exam
from tests.scored import CARD, blob, geometry, scored

HIDDEN, PARTS, LABELS_N, EMBEDDING = 12, 4, 6, 64
SCALE, BIAS = np.array(CARD.calibration_scale), np.array(CARD.calibration_bias)


def invented(seed: int = 0, *, learned: bool = True) -> Aggregator:
    """Weights of a size that bends every answer; without them, none."""
    rng = np.random.default_rng(seed)
    return Aggregator(
        scale=SCALE,
        bias=BIAS,
        smoothing_mm=CARD.exam_rule.smoothing_mm,
        sharpness=CARD.exam_rule.sharpness,
        correction_most=3.0,
        from_evidence=rng.uniform(0, 0.2, (EVIDENCE, HIDDEN)),
        from_context=rng.normal(0, 0.5, (CONTEXT, HIDDEN)),
        from_embedding=rng.normal(0, 0.5, (PARTS, HIDDEN)),
        hidden_bias=np.linspace(-3.0, 2.0, HIDDEN),
        mean=rng.normal(0, 1, EMBEDDING),
        project=rng.normal(0, 0.3, (EMBEDDING, PARTS)),
        correct=rng.uniform(0, 0.3, (HIDDEN, LABELS_N)) if learned else np.zeros((HIDDEN, LABELS_N)),
        sharpen=rng.uniform(-0.5, 0.5, LABELS_N) if learned else np.zeros(LABELS_N),
        width_power=0.4 if learned else 0.0,
        offset=rng.normal(0, 1, LABELS_N) if learned else np.zeros(LABELS_N),
    )


LEARNED = invented()
CARD_LEARNED = replace(CARD, aggregator=LEARNED)


def said(rows: Sequence[SliceRow], aggregator: Aggregator = LEARNED) -> np.ndarray:
    """The exam's logits as the appliance makes them."""
    places = near_brain(rows, CARD.points.neighbour_mm)
    return logits_of_exam(places, CARD.calibration_scale, CARD.calibration_bias, CARD.exam_rule, aggregator)


def exam(chances: Sequence[float], step_mm: float = 5.0) -> list[SliceRow]:
    """Slices from the foot with these chances of "any", all hot at one place."""
    rng = np.random.default_rng(3)
    rows = [scored(k + 1, k * step_mm, chance, heat=blob(28, 20)) for k, chance in enumerate(chances)]
    return [with_embedding(row, rng.normal(0, 1, EMBEDDING)) for row in rows]


def with_embedding(row: SliceRow, embedding: np.ndarray) -> SliceRow:
    """The slice with another embedding."""
    assert row.score is not None
    return replace(row, score=replace(row.score, embedding=embedding.astype(np.float32)))


def shifted(rows: Sequence[SliceRow], by: np.ndarray) -> list[SliceRow]:
    """The slices with their logits [n, 6] moved."""
    return [
        replace(row, score=replace(row.score, logits=(row.score.logits + move).astype(np.float32)))
        for row, move in zip(rows, by, strict=True)
        if row.score is not None
    ]


_PLACES_MM = st.one_of(st.sampled_from([0.0, 0.03, 2.5, 5.0, 5.049, 7.5, 10.0]), st.floats(-80, 80, allow_nan=False))


@st.composite
def _slices(draw: st.DrawFn) -> list[SliceRow]:
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    rows = [
        scored(
            number,
            draw(_PLACES_MM),
            draw(st.sampled_from([0.02, 0.6, 0.95, 0.999])),
            heat=blob(draw(st.sampled_from([28, 30])), draw(st.sampled_from([10, 12, 45])), value=200),
            kinds=tuple(rng.uniform(0, 1, 5)),
            has_brain=draw(st.sampled_from([True, True, True, False])),
        )
        for number in range(1, draw(st.integers(1, 12)) + 1)
    ]
    return [with_embedding(row, rng.normal(0, 1, EMBEDDING)) for row in rows]


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_any_order_gives_the_same_bits(data: st.DataObject) -> None:
    rows = data.draw(_slices())
    other = data.draw(st.permutations(rows))
    one, two = (read_exam(each, CARD_LEARNED).probabilities for each in (rows, other))
    assert np.array(one).tobytes() == np.array(two).tobytes()


@settings(deadline=None, max_examples=50)
@given(_slices())
def test_slices_sent_twice_change_nothing(rows: list[SliceRow]) -> None:
    again = [replace(row, sop_uid=f"{row.sop_uid}.9", pixel_sha256="f" * 64) for row in rows]
    assert read_exam([*rows, *again], CARD_LEARNED).probabilities == read_exam(rows, CARD_LEARNED).probabilities


@settings(deadline=None, max_examples=50)
@given(_slices())
def test_without_anything_learned_it_is_the_plain_rule_to_the_bit(rows: list[SliceRow]) -> None:
    nothing = replace(CARD, aggregator=invented(learned=False))
    assert read_exam(rows, nothing).probabilities == read_exam(rows, CARD).probabilities


@settings(deadline=None, max_examples=100)
@given(_slices(), st.integers(0, 1000))
def test_no_slice_that_is_more_like_a_bleed_makes_the_exam_less_like_one(rows: list[SliceRow], seed: int) -> None:
    places = near_brain(rows, 10.0)
    if not places:
        return
    rng = np.random.default_rng(seed)
    by = rng.exponential(2.0, (len(places), LABELS_N)) * rng.integers(0, 2, (len(places), LABELS_N))
    logits = rng.normal(-2, 3, (len(places), LABELS_N))
    around = surroundings(places)
    aggregator = invented(seed)
    before, after = aggregate(aggregator, logits, around), aggregate(aggregator, logits + by, around)
    assert (after >= before - 1e-9).all()


@settings(deadline=None, max_examples=50)
@given(_slices(), st.floats(-50, 50))
def test_no_correction_passes_its_bound(rows: list[SliceRow], level: float) -> None:
    places = near_brain(rows, 10.0)
    if places:
        found = corrections(LEARNED, np.full((len(places), LABELS_N), level), surroundings(places))
        assert (np.abs(found) <= 3.0).all()


def test_a_lone_slice_has_an_answer() -> None:
    (row,) = exam([0.9])
    assert row.score is not None
    around = surroundings([row])
    assert around.seen[0, :2].tolist() == [0.0, 0.0] and around.context[0, :3].tolist() == [0.0, 0.0, 0.5]
    logits = (SCALE * row.score.logits + BIAS)[None]
    own = logits[0] + corrections(LEARNED, logits, around)[0] + LEARNED.offset
    assert said([row]) == pytest.approx(own)


def test_below_and_above_are_told_apart() -> None:
    hot_below, hot_above = exam([0.9, 0.3, 0.01]), exam([0.01, 0.3, 0.9])
    same = [with_embedding(row, np.zeros(EMBEDDING)) for row in (*hot_below, *hot_above)]
    one = said(same[:3])
    assert np.abs(one - said(same[3:])).max() > 1e-3


def test_neighbours_are_taken_by_millimetres() -> None:
    """Slices of 1 mm: the map to agree with is that of 5 mm away, not that of the next."""
    rows = [scored(k + 1, float(k), 0.5, heat=blob(28, 10 if k < 5 else 40)) for k in range(10)]
    seen = surroundings(rows).seen
    assert seen[4, 1] == 0.0 and seen[9, 0] == 0.0  # slice 4 agrees with 3; 9, 5 mm above it, is hot elsewhere
    assert surroundings([scored(1, 0.0), scored(2, 20.0)]).context[:, :2].tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_maps_are_laid_where_they_lie_in_the_patient() -> None:
    here = scored(1, 0.0, 0.9, heat=blob(28, 20))
    moved = scored(2, 5.0, 0.9, heat=blob(28, 15), centre_rc=(255.5, 295.5))  # box 20 mm (5 cells) along, same place
    assert surroundings([here, moved]).seen[0, 1] == pytest.approx(1.0)


def test_places_count_by_the_millimetres_that_they_stand_for() -> None:
    assert widths(np.array([0.0])) == pytest.approx([1.0])
    assert widths(np.arange(5) * 5.0) == pytest.approx(np.ones(5))
    assert widths(np.arange(4) * 1.0) == pytest.approx([0.6, 0.2, 0.2, 0.6])
    assert widths(np.array([0.0, 30.0])) == pytest.approx([1.0, 1.0])


def test_a_later_calibration_moves_the_answer_along_one_line() -> None:
    rows = near_brain(exam([0.2, 0.8, 0.4]), 10.0)
    base = logits_of_exam(rows, SCALE.tolist(), BIAS.tolist(), CARD.exam_rule, LEARNED)
    later = logits_of_exam(rows, (2 * SCALE).tolist(), (BIAS + 1).tolist(), CARD.exam_rule, LEARNED)
    assert later == pytest.approx(2 * (base - BIAS) + BIAS + 1)


def test_calibration_takes_exams_as_they_are_read_live() -> None:
    rows = exam([0.1, 0.9, 0.7, 0.2])
    found = any_logit(rows, calibration_of(CARD_LEARNED))
    assert chance_of(found) == read_exam(rows, CARD_LEARNED).probabilities[0]
    assert found != any_logit(rows, calibration_of(CARD))


def test_many_thin_slices_stay_near_the_same_exam_in_thick_ones() -> None:
    """A cold head in 1 mm is not more like a bleed by its number of slices alone."""
    wide = replace(LEARNED, width_power=1.0, correct=np.zeros((HIDDEN, LABELS_N)))
    thick, thin = exam([0.05] * 28), exam([0.05] * 140, step_mm=1.0)
    assert said(thin, wide) == pytest.approx(said(thick, wide), abs=0.1)


def test_an_oblique_slice_is_read_as_any_other() -> None:
    turned = [
        scored(k, 5.0 * k, 0.7, heat=blob(28, 20), where=geometry(5.0 * k, column_direction=(0.0, 0.8, 0.6)))
        for k in range(3)
    ]
    assert np.isfinite(said(turned)).all()


def test_the_plain_rule_reads_as_it_did() -> None:
    rows = exam([0.1, 0.9, 0.7, 0.2])
    logits = np.stack([SCALE * row.score.logits.astype(np.float64) + BIAS for row in rows if row.score is not None])
    plain = logits_of_exam(rows, CARD.calibration_scale, CARD.calibration_bias, CARD.exam_rule, None)
    assert plain.tobytes() == exam_logits(logits, [0.0, 5.0, 10.0, 15.0], 3.0, 1.0).tobytes()
