"""The parity gate of an engine with a learned aggregator: the same exams as the appliance makes, and held to them."""

from collections.abc import Sequence
from dataclasses import fields, replace

import numpy as np
import pytest

from appliance.building.gate_set import GateExam, places_of, rule_of
from appliance.building.learned_exam import Learned
from appliance.building.parity import EXAM_LOGIT_MOST, Answers, ExamPlaces, compare, exam_says
from appliance.core.evidence import near_brain, scored_of
from appliance.core.ledger import SliceRow
from appliance.reading.exam_reader import logits_of_exam
from tests.core.test_aggregator import CARD_LEARNED, EMBEDDING, with_embedding
from tests.scored import blob, scored

GATE_EXAM = GateExam(name="one", first=0, slices=())


def exam(seed: int, step_mm: float | None) -> list[SliceRow]:
    """Slices foot to head, of any chance, hot where they like, skulls beside each other; no step: at random places."""
    rng = np.random.default_rng(seed)
    steps_mm = rng.uniform(0.6, 16.0, 14) if step_mm is None else np.full(14, step_mm)
    rows = [
        scored(
            number,
            float(at_mm),
            float(rng.uniform(0.01, 0.99)),
            heat=blob(*rng.integers(24, 30, 2), half=4, value=int(rng.integers(100, 250))),
            kinds=tuple(rng.uniform(0.01, 0.9, 5)),
            has_brain=2 < number < 13,
            centre_rc=(255.5 + float(rng.integers(-30, 30)), 255.5 + float(rng.integers(-30, 30))),
        )
        for number, at_mm in enumerate(np.cumsum(steps_mm), start=1)
    ]
    return [with_embedding(row, rng.normal(0, 1, EMBEDDING)) for row in rows]


def answers_of(rows: Sequence[SliceRow]) -> Answers:
    """What an engine gave for these slices: maps as logits again."""
    scores = [scored_of(row) for row in rows]
    chance = np.clip(np.stack([one.heat for one in scores]) / 255.0, 1e-9, 1 - 1e-9)
    heat = np.repeat(np.log(chance / (1 - chance)).astype(np.float32)[:, None], 6, axis=1)
    return Answers(
        logits=np.stack([one.logits for one in scores]),
        embedding=np.stack([one.embedding for one in scores]),
        heat=heat,
    )


@pytest.mark.parametrize("step_mm", [5.0, 1.25, 2.5, 12.4, 20.0, None])
@pytest.mark.parametrize("seed", range(3))
def test_an_exam_is_what_the_appliance_makes_of_it(seed: int, step_mm: float | None) -> None:
    """By a calibration made after training too."""
    rows = exam(seed, step_mm)
    later = replace(CARD_LEARNED, calibration_scale=(1.5, 0.8, 1.0, 1.1, 0.9, 1.3), calibration_bias=(0.4,) * 6)
    for card in (CARD_LEARNED, later, replace(CARD_LEARNED, aggregator=None)):
        places = near_brain(rows, card.points.neighbour_mm)
        live = logits_of_exam(places, card.calibration_scale, card.calibration_bias, card.exam_rule, card.aggregator)
        said = exam_says(answers_of(rows), places_of(GATE_EXAM, tuple(rows), card), rule_of(card))
        assert said.logits == pytest.approx(live, abs=1e-9)
        assert said.probabilities == pytest.approx(1.0 / (1.0 + np.exp(-live)), abs=1e-9)


def test_one_slice_and_none() -> None:
    rows = exam(1, 5.0)
    lone = (replace(rows[4], id=1),)
    said = exam_says(answers_of(lone), places_of(GATE_EXAM, lone, CARD_LEARNED), rule_of(CARD_LEARNED))
    card = CARD_LEARNED
    live = logits_of_exam(lone, card.calibration_scale, card.calibration_bias, card.exam_rule, card.aggregator)
    assert said.logits == pytest.approx(live, abs=1e-9)
    face = tuple(rows[:1])
    nothing = exam_says(answers_of(face), places_of(GATE_EXAM, face, card), rule_of(card))
    assert (nothing.logits, nothing.probabilities) == ((), (0.0,) * 6)


@pytest.mark.parametrize("name", [one.name for one in fields(Learned)])
def test_every_weight_counts(name: str) -> None:
    """A weight that the gate passed over would let the two drift apart unseen."""
    rows, rule = exam(0, 2.5), rule_of(CARD_LEARNED)  # nearer than 5 mm: widths differ
    assert rule.learned is not None
    places = places_of(GATE_EXAM, tuple(rows), CARD_LEARNED)
    other = replace(rule, learned=replace(rule.learned, **{name: getattr(rule.learned, name) * 1.1 + 0.01}))
    assert exam_says(answers_of(rows), places, rule).logits != exam_says(answers_of(rows), places, other).logits


def test_embeddings_that_move_an_exam_fail_where_an_aggregator_reads_them() -> None:
    rows = exam(0, 5.0)
    one = answers_of(rows)
    moved = replace(one, embedding=one.embedding + np.float32(0.5))
    places, rule = places_of(GATE_EXAM, tuple(rows), CARD_LEARNED), rule_of(CARD_LEARNED)
    report = compare(one, moved, [places], rule)
    assert report["logit"] == 0.0 and report["exam_logit"] > EXAM_LOGIT_MOST
    assert any(why.startswith("an exam's logit is") for why in report["why"])
    assert compare(one, moved, [places], replace(rule, learned=None))["passed"]


def test_a_sure_exam_hides_nothing() -> None:
    """Of one far past every doubt the probability stands still, whatever the aggregator makes of it."""
    rows = exam(0, 5.0)
    one = answers_of(rows)
    rule = replace(rule_of(CARD_LEARNED), bias=(30.0,) * 6, overlap=2.0)
    places = places_of(GATE_EXAM, tuple(rows), CARD_LEARNED)
    report = compare(one, replace(one, embedding=one.embedding + np.float32(0.5)), [places], rule)
    assert report["exam_p"] < 1e-9
    assert [why.split(" is ")[0] for why in report["why"]] == ["an exam's logit"]


def test_places_out_of_json() -> None:
    places = places_of(GATE_EXAM, tuple(exam(2, None)), CARD_LEARNED)
    assert places.around is not None
    assert {index for index, *_ in (*places.around.below, *places.around.above)} > {-1, 0}
    assert ExamPlaces.from_dict(places.as_dict()) == places


def test_an_aggregator_that_is_told_nothing_of_the_surroundings_does_not_judge() -> None:
    rows = exam(0, 5.0)
    places = places_of(GATE_EXAM, tuple(rows), replace(CARD_LEARNED, aggregator=None))
    with pytest.raises(ValueError, match="what surrounds its slices"):
        exam_says(answers_of(rows), places, rule_of(CARD_LEARNED))
