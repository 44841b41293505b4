"""The parity gate as arrays: every bound fails by itself, and says which it is."""

from dataclasses import replace

import numpy as np
import pytest

from appliance.building.parity import Answers, ExamPlaces, Rule, compare, exam_says
from appliance.core.evidence import soft_dice
from appliance.core.exam_rule import exam_logits

SLICES = 6
RULE = Rule(
    scale=(1.0,) * 6,
    bias=(0.0,) * 6,
    smoothing_mm=3.0,
    sharpness=2.0,
    critical=0.9,
    review=0.7,
    early_pair=0.9,
    early_single=0.99,
    overlap=0.15,
)
EXAM = ExamPlaces(
    name="one",
    counting=tuple(range(SLICES)),
    positions_mm=tuple(5.0 * n for n in range(SLICES)),
    brains=(1, 2, 3, 4),
    pairs=((1, 2, 0, 0), (2, 3, 0, 0), (3, 4, 1, -2)),
)


@pytest.fixture
def answers() -> Answers:
    random = np.random.default_rng(3)
    heat = np.full((SLICES, 6, 14, 14), -4.0, dtype=np.float32)
    heat[:, :, 4:10, 3:9] = 3.0
    return Answers(
        logits=random.normal(0.0, 0.5, (SLICES, 6)).astype(np.float32),
        embedding=random.normal(0.0, 1.0, (SLICES, 8)).astype(np.float32),
        heat=heat,
    )


def with_logit(answers: Answers, by: float, index: tuple[int, int] = (2, 0)) -> Answers:
    logits = answers.logits.copy()
    logits[index] += np.float32(by)
    return replace(answers, logits=logits)


def test_an_engine_agrees_with_itself(answers: Answers) -> None:
    report = compare(answers, answers, [EXAM], RULE)
    assert report["passed"]
    assert report["why"] == []
    assert (report["logit"], report["slice_p"], report["exam_p"], report["flips"]) == (0.0, 0.0, 0.0, [])
    assert report["heat_dice"] == pytest.approx(1.0)
    assert report["hot_dice"] == 1.0
    assert (report["slices"], report["exams"]) == (SLICES, 1)


def test_each_bound_is_named_when_it_breaks(answers: Answers) -> None:
    report = compare(answers, with_logit(answers, 0.06, (0, 5)), [EXAM], RULE)
    assert not report["passed"]
    assert "a logit is 0.06 off, 0.05 allowed" in report["why"]
    steep = replace(RULE, scale=(4.0,) * 6)
    near = with_logit(answers, 0.04)
    assert any(why.startswith("a slice's probability is") for why in compare(answers, near, [], steep)["why"])
    lone = replace(EXAM, counting=(2,), positions_mm=(0.0,))
    report = compare(answers, with_logit(answers, 0.049, (2, 3)), [lone], RULE)
    assert report["logit"] < 0.05
    assert any(why.startswith("an exam's probability is") for why in report["why"])
    moved = replace(answers, heat=np.roll(answers.heat, 1, axis=2))
    why = compare(answers, moved, [EXAM], RULE)["why"]
    assert any(said.startswith("a heat map agrees by") for said in why)
    assert any(said.startswith("what is hot in the heat maps agrees by") for said in why)


@pytest.mark.parametrize("index", [(n, label) for n in range(SLICES) for label in range(6)])
def test_every_label_of_every_slice_is_held(answers: Answers, index: tuple[int, int]) -> None:
    even = replace(answers, logits=np.zeros((SLICES, 6), np.float32))
    lone = replace(EXAM, counting=(index[0],), positions_mm=(0.0,))
    why = compare(even, with_logit(even, 0.06, index), [lone], RULE)["why"]
    moved = ["a logit", "a slice's probability", "an exam's probability", "an exam's logit"]
    assert [said.split(" is ")[0] for said in why] == moved


@pytest.mark.parametrize("label", range(6))
def test_the_map_of_every_label_is_held(answers: Answers, label: int) -> None:
    heat = answers.heat.copy()
    heat[4, label] = np.roll(heat[4, label], 1, axis=0)
    report = compare(answers, replace(answers, heat=heat), [], RULE)
    assert report["heat_dice"] < 0.99
    assert any(said.startswith("a heat map agrees by") for said in report["why"])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("part", ["logits", "embedding", "heat"])
def test_what_is_no_number_fails_and_says_whose(answers: Answers, part: str, value: float) -> None:
    odd = getattr(answers, part).copy()
    odd.reshape(SLICES, -1)[3, 0] = value
    report = compare(answers, replace(answers, **{part: odd}), [EXAM], RULE)
    assert not report["passed"]
    assert report["why"] == ["the engine under test answers 1 slices with what is no number"]
    assert "the FP32 engine" in compare(replace(answers, **{part: odd}), answers, [EXAM], RULE)["why"][0]


def test_an_exam_on_the_other_side_of_any_point_is_named(answers: Answers) -> None:
    """A point that the reference just reaches, and the candidate, a thousandth lower, does not."""
    hot = with_logit(with_logit(answers, 3.0, (1, 0)), 3.0, (2, 0))
    lower = with_logit(with_logit(hot, -0.001, (1, 0)), -0.001, (2, 0))
    says = exam_says(hot, EXAM, RULE)
    chance = 1.0 / (1.0 + np.exp(-hot.logits[:, 0].astype(np.float64)))
    for name, point in {
        "critical": {"critical": says.probabilities[0]},
        "review": {"review": says.probabilities[0]},
        "early pair": {"early_pair": float(min(chance[1], chance[2]))},
        "early single": {"early_single": float(max(chance[list(EXAM.brains)]))},
    }.items():
        rule = replace(
            RULE, **{"critical": 0.9999, "review": 0.9999, "early_pair": 0.9999, "early_single": 0.9999, **point}
        )
        report = compare(hot, lower, [EXAM], rule)
        assert report["flips"] == [f"one: {name}"]
        assert not report["passed"]
        assert any("other side of an operating point (one: " + name in why for why in report["why"])


def test_answers_to_other_slices_are_no_comparison(answers: Answers) -> None:
    fewer = Answers(logits=answers.logits[1:], embedding=answers.embedding[1:], heat=answers.heat[1:])
    with pytest.raises(ValueError, match="one shape"):
        compare(answers, fewer, [EXAM], RULE)


def test_the_exam_rule_is_the_one_of_the_appliance(answers: Answers) -> None:
    logits = exam_logits(answers.logits.astype(np.float64), EXAM.positions_mm, RULE.smoothing_mm, RULE.sharpness)
    said = exam_says(answers, EXAM, RULE).probabilities
    assert said == pytest.approx(1.0 / (1.0 + np.exp(-logits)), abs=1e-12)


@pytest.mark.parametrize("shift", [(0, 0), (1, -2), (-3, 4), (13, 0), (-20, 1)])
def test_the_overlap_of_two_maps_is_the_one_of_the_appliance(shift: tuple[int, int]) -> None:
    """By the point: the overlap at which a pair is just reached is what the appliance works out."""
    random = np.random.default_rng(7)
    heat = random.normal(0.0, 2.0, (2, 6, 14, 14)).astype(np.float32)
    maps = np.rint(255 / (1 + np.exp(-heat[:, 0].astype(np.float64)))).astype(np.uint8)
    overlap = soft_dice(maps[0], maps[1], shift)
    pair = Answers(logits=np.full((2, 6), 5.0, np.float32), embedding=np.zeros((2, 1), np.float32), heat=heat)
    exam = ExamPlaces(name="two", counting=(), positions_mm=(), brains=(), pairs=((0, 1, *shift),))
    assert exam_says(pair, exam, replace(RULE, overlap=overlap)).reached == ("early pair",)
    assert exam_says(pair, exam, replace(RULE, overlap=np.nextafter(overlap, 2.0))).reached == ()


def test_an_exam_without_a_brain_is_nothing(answers: Answers) -> None:
    empty = ExamPlaces(name="none", counting=(), positions_mm=(), brains=(), pairs=())
    says = exam_says(answers, empty, RULE)
    assert says.probabilities == (0.0,) * 6
    assert says.reached == ()
    assert ExamPlaces.from_dict(EXAM.as_dict()) == EXAM
