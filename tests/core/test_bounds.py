"""How many clean exams prove how little, held against tables and against another library; and what a choice may claim."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from appliance.core.bounds import at_most, cases_needed, learn_then_test, proven_share, tail


@pytest.mark.parametrize(
    ("false", "share", "needed"),
    [
        (0, 0.02, 149), (1, 0.02, 236), (2, 0.02, 313), (3, 0.02, 386), (5, 0.02, 523),
        (0, 0.05, 59), (1, 0.05, 93), (2, 0.05, 124), (3, 0.05, 153), (5, 0.05, 208),
        (0, 0.01, 299), (0, 0.006, 498),
    ],
)  # fmt: skip
def test_so_many_clean_exams_are_needed(false: int, share: float, needed: int) -> None:
    """Published table; one exam fewer no longer proves it."""
    assert cases_needed(false, share) == needed
    bound, before = at_most(false, needed), at_most(false, needed - 1)
    assert bound is not None and before is not None
    assert bound <= share < before


def test_the_bound_at_the_ends() -> None:
    assert at_most(0, 0) is None
    assert at_most(7, 7) == 1.0
    assert at_most(0, 1) == pytest.approx(0.95)
    for false, n in ((3, 2), (-1, 4)):
        with pytest.raises(ValueError, match="no share"):
            at_most(false, n)


def test_the_smallest_share_that_is_proven_is_said() -> None:
    counts = ((0, 148), (0, 149), (1, 298), (0, 299), (0, 498), (0, 0))
    assert [proven_share(false, n) for false, n in counts] == [None, 0.02, 0.02, 0.01, 0.006, None]


@given(st.integers(1, 3000), st.data())
def test_tail_and_bound_are_those_of_another_library(n: int, data: st.DataObject) -> None:
    false = data.draw(st.integers(0, n))
    share = data.draw(st.floats(1e-4, 0.999))
    assert tail(false, n, share) == pytest.approx(stats.binom.cdf(false, n, share), abs=1e-9)
    wanted = 1.0 if false == n else stats.beta.ppf(0.95, false + 1, n - false)
    assert at_most(false, n) == pytest.approx(wanted, rel=1e-7)


def test_the_lowest_threshold_that_is_proven_is_chosen() -> None:
    maxima = [*([0.0] * 298), 2.0]
    falling = [3.0, 2.5, 2.0, 1.0, -1.0]
    found = learn_then_test(maxima, falling, 0.01)
    assert found is not None
    assert (found.threshold, found.n, found.false) == (2.5, 299, 0)
    assert found.at_most <= 0.01
    looser = learn_then_test(maxima, falling, 0.02)
    assert looser is not None and (looser.threshold, looser.false) == (1.0, 1)
    assert learn_then_test(maxima, falling, 0.005) is None
    assert learn_then_test([], falling, 0.5) is None
    with pytest.raises(ValueError, match="fall"):
        learn_then_test(maxima, [1.0, 2.0], 0.02)


def test_what_a_choice_claims_holds_as_often_as_it_says() -> None:
    """Over many sites the chosen threshold is reached by more than the share in no more than 5 % of them."""
    rng = np.random.default_rng(3)
    share, sites, falling = 0.05, 1000, np.arange(6.0, -2.0, -0.05)
    wrong = 0
    for _ in range(sites):
        found = learn_then_test(rng.normal(size=130).tolist(), falling.tolist(), share)
        assert found is not None
        wrong += stats.norm.sf(found.threshold) > share
    assert wrong / sites <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / sites)
    assert wrong > 0
