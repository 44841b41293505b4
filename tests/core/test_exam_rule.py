"""The exam's answer: order must not matter, bit for bit, and millimetres count, not indices."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core.exam_rule import exam_logits

LOGITS = st.lists(
    st.tuples(st.floats(-300, 300), st.lists(st.floats(-15, 15), min_size=6, max_size=6)), min_size=1, max_size=40
)


@given(LOGITS, st.randoms(use_true_random=False))
def test_any_order_gives_the_same_bits(slices: list[tuple[float, list[float]]], random) -> None:
    keys = [f"1.2.{k}" for k in range(len(slices))]
    shuffled = list(range(len(slices)))
    random.shuffle(shuffled)

    def answer(order: list[int]) -> bytes:
        return exam_logits(
            [slices[k][1] for k in order], [slices[k][0] for k in order], 3.0, 1.0, [keys[k] for k in order]
        ).tobytes()

    assert answer(list(range(len(slices)))) == answer(shuffled)


def test_one_slice_keeps_its_own_logit() -> None:
    row = [1.5, -2.0, 0.25, 3.0, -4.0, 0.0]
    assert exam_logits([row], [12.0], 3.0, 1.0) == pytest.approx(row)


def test_the_same_slice_sent_twice_counts_once() -> None:
    rng = np.random.default_rng(1)
    rows, places = rng.normal(0, 3, (9, 6)), np.arange(9) * 5.0
    twice = exam_logits(np.concatenate([rows, rows]), np.concatenate([places, places]), 3.0, 1.0)
    assert twice.tobytes() == exam_logits(rows, places, 3.0, 1.0).tobytes()


def test_a_higher_repeat_raises_the_exam_and_a_lower_one_does_not_lower_it() -> None:
    rows, places = np.zeros((5, 6)), np.arange(5) * 5.0
    base = exam_logits(rows, places, 3.0, 1.0)
    higher = exam_logits(np.vstack([rows, np.full(6, 4.0)]), [*places, 10.0], 3.0, 1.0)
    lower = exam_logits(np.vstack([rows, np.full(6, -4.0)]), [*places, 10.0], 3.0, 1.0)
    assert (higher > base + 1).all()
    assert lower.tobytes() == base.tobytes()


def test_two_neighbouring_slices_weigh_more_than_two_far_apart() -> None:
    places = np.arange(20) * 5.0
    near, far = np.full((20, 6), -6.0), np.full((20, 6), -6.0)
    near[[9, 10]] = 2.0
    far[[3, 16]] = 2.0
    assert (exam_logits(near, places, 3.0, 1.0) > exam_logits(far, places, 3.0, 1.0)).all()


def test_smoothing_takes_millimetres() -> None:
    # The same two slices 5 mm apart smooth each other; 50 mm apart they do not.
    rows = np.array([[4.0] * 6, [-4.0] * 6])
    close = exam_logits(rows, [0.0, 5.0], 3.0, 1.0)
    apart = exam_logits(rows, [0.0, 50.0], 3.0, 1.0)
    assert (close < apart).all()


@pytest.mark.parametrize(
    ("rows", "places"),
    [([], []), ([[0.0] * 6], [0.0, 1.0]), ([[float("nan")] * 6], [0.0]), ([[0.0] * 6], [float("inf")])],
)
def test_what_cannot_be_judged_is_refused(rows, places) -> None:
    with pytest.raises(ValueError, match="exam_logits needs"):
        exam_logits(rows, places, 3.0, 1.0)
