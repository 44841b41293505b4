"""What is asked after each slice is the level of the early reading, at a part of its work."""

import time

from hypothesis import given
from hypothesis import strategies as st

from appliance.core.ledger import SliceRow
from appliance.core.words import Level
from appliance.reading.series_reader import early_level, read_early
from tests.scored import CARD, blob, scored

SLICES = st.lists(
    st.tuples(
        st.integers(0, 12),
        st.sampled_from([0.02, 0.94, 0.95, 0.98, 0.999, 0.9995]),
        st.sampled_from([(28, 20), (28, 40)]),
        st.booleans(),
    ),
    max_size=12,
)


@given(SLICES)
def test_the_early_level_is_that_of_the_early_reading(drawn: list[tuple[int, float, tuple[int, int], bool]]) -> None:
    rows = [
        scored(n, 4.0 * place, any_, heat=blob(*at), has_brain=brain)
        for n, (place, any_, at, brain) in enumerate(drawn)
    ]
    assert early_level(rows, CARD) is read_early(rows, CARD).level


def seconds(rows: list[SliceRow]) -> float:
    began_s = time.process_time()
    for _ in range(3):
        early_level(rows, CARD)
    return (time.process_time() - began_s) / 3


def test_ten_times_the_slices_cost_about_ten_times_the_work() -> None:
    """By ratio in one run: a square would be a hundred times."""
    few = [scored(n, 0.3 * n) for n in range(100)]
    many = [scored(n, 0.3 * n) for n in range(1000)]
    assert early_level(many, CARD) is None
    assert min(seconds(many) for _ in range(3)) < 40 * min(seconds(few) for _ in range(3))


def test_a_long_bleed_is_told_by_its_first_pair() -> None:
    bleeding = [scored(n, 0.3 * n, 0.99, heat=blob(28, 20)) for n in range(600)]
    assert early_level(bleeding, CARD) is Level.CRITICAL
