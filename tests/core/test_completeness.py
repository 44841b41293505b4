"""Completeness is a pure function of what has landed and of now."""

from hypothesis import given
from hypothesis import strategies as st

from appliance.core.completeness import (
    NEVER_LATER_S,
    QUIET_FEW_S,
    QUIET_LEAST_S,
    QUIET_MOST_S,
    Complete,
    Landed,
    completeness,
    is_proven,
    quiet_s,
    unique_positions,
)

HEAD_MM = tuple(5.0 * number for number in range(30))


def head(*, count: int | None = 30, positions_mm: tuple[float, ...] = HEAD_MM, gap_s: float = 0.1) -> Landed:
    return Landed(
        arrivals_s=tuple(gap_s * number for number in range(len(positions_mm))),
        positions_mm=positions_mm,
        header_count=count,
    )


def test_a_count_that_agrees_with_the_positions_is_proof_at_once() -> None:
    landed = head()
    assert completeness(landed, landed.arrivals_s[-1]) is Complete.PROVEN


def test_a_wrong_count_falls_back_to_quiet() -> None:
    landed = head(count=29)
    last_s = landed.arrivals_s[-1]
    assert completeness(landed, last_s) is None
    assert completeness(landed, last_s + QUIET_LEAST_S) is Complete.QUIET


def test_a_gap_is_no_proof_even_where_the_count_agrees() -> None:
    with_gap = tuple(at for at in HEAD_MM if at != 60.0)
    assert not is_proven(head(count=29, positions_mm=with_gap))


def test_repeats_do_not_count_twice() -> None:
    assert not is_proven(head(count=31, positions_mm=(*HEAD_MM, HEAD_MM[3])))
    assert is_proven(head(count=30, positions_mm=(*HEAD_MM, HEAD_MM[3])))


def test_a_short_stretch_proves_nothing() -> None:
    assert not is_proven(head(count=10, positions_mm=HEAD_MM[:10]))


def test_below_three_slices_ten_seconds_of_quiet_are_needed() -> None:
    landed = head(count=None, positions_mm=(0.0, 5.0))
    assert completeness(landed, landed.arrivals_s[-1] + QUIET_FEW_S - 0.01) is None
    assert completeness(landed, landed.arrivals_s[-1] + QUIET_FEW_S) is Complete.QUIET


def test_a_series_that_never_gets_quiet_is_ended_after_ten_minutes() -> None:
    arrivals_s = tuple(float(second) for second in range(0, int(NEVER_LATER_S) + 2, 2))
    landed = Landed(arrivals_s=arrivals_s, positions_mm=tuple(float(n) for n in range(len(arrivals_s))))
    assert completeness(landed, NEVER_LATER_S - 0.1) is None
    assert completeness(landed, NEVER_LATER_S) is Complete.TIMED_OUT


def test_nothing_landed_is_never_complete() -> None:
    assert completeness(Landed(arrivals_s=(), positions_mm=()), 1e9) is None


@given(st.lists(st.floats(0, 1e4), min_size=3, max_size=40))
def test_quiet_stays_between_its_bounds(arrivals_s: list[float]) -> None:
    assert QUIET_LEAST_S <= quiet_s(tuple(sorted(arrivals_s))) <= QUIET_MOST_S


@given(st.permutations(range(12)), st.lists(st.integers(0, 11), max_size=5))
def test_positions_are_the_same_in_any_order_and_with_repeats(order: list[int], repeats: list[int]) -> None:
    positions = tuple(4.0 * number for number in order) + tuple(4.0 * number for number in repeats)
    assert unique_positions(positions) == [4.0 * number for number in range(12)]
