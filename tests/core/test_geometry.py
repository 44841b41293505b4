"""Order, spacing and gaps of a series, from places alone."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.imaging.geometry import Placed, order, survey, two_thicknesses


def places(*positions: float, thickness: float | None = 5.0) -> list[Placed]:
    """Slices at these places."""
    return [Placed(position, thickness) for position in positions]


def test_a_whole_series() -> None:
    found = survey(places(*(5.0 * n for n in range(30))))
    assert (found.spacing_mm, found.gaps, found.repeats, found.coverage_mm) == (5.0, (), 0, 145.0)


def test_nothing_and_one() -> None:
    assert survey([]).spacing_mm is None and survey([]).coverage_mm == 0.0
    assert survey(places(3.0)).spacing_mm is None and survey(places(3.0)).gaps == ()


def test_missing_slices_are_numbered_from_the_foot() -> None:
    there = [n for n in range(30) if n not in (4, 10, 11)]
    found = survey(places(*(5.0 * n - 60.0 for n in there)))
    assert [(gap.missing, gap.first, gap.last) for gap in found.gaps] == [(1, 5, 5), (2, 11, 12)]
    assert found.missing == 3


def test_a_crooked_step_is_marked_and_misses_nothing() -> None:
    found = survey(places(0, 5, 10, 16, 21, 26))
    assert [gap.missing for gap in found.gaps] == [0] and found.missing == 0


def test_a_step_within_a_tenth_is_no_gap() -> None:
    assert survey(places(0, 5, 10, 15.5, 20.5)).gaps == ()
    assert survey(places(0.0, 0.5, 1.0, 1.59, 2.09)).gaps == ()


def test_two_thicknesses_have_two_spacings() -> None:
    thin = places(*(4.0 * n for n in range(14)), thickness=4.0)
    thick = places(*(53.08 + 7.0 * n for n in range(14)), thickness=7.0)
    found = survey(thin + thick)
    assert found.two_thicknesses and found.gaps == ()
    lost = survey(thin + thick[:5] + thick[6:])
    assert [gap.missing for gap in lost.gaps] == [1]
    lost = survey(thin[:5] + thin[6:] + thick)
    assert [gap.missing for gap in lost.gaps] == [1]


@pytest.mark.parametrize(
    ("thicknesses", "expected"), [([], False), ([None, 5.0], False), ([5.0, 5.05], False), ([4.0, 7.0, None], True)]
)
def test_thicknesses(thicknesses: list[float | None], expected: bool) -> None:
    assert two_thicknesses(thicknesses) is expected


@given(st.lists(st.floats(-500, 500), max_size=40), st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(positions: list[float], chance: random.Random) -> None:
    slices = places(*positions)
    shuffled = slices.copy()
    chance.shuffle(shuffled)
    assert survey(slices) == survey(shuffled)
    ordered = [positions[index] for index in order(positions)]
    assert ordered == sorted(positions)


@given(st.lists(st.integers(0, 60), min_size=2, max_size=60, unique=True))
def test_places_and_missing_ones_add_up(numbers: list[int]) -> None:
    found = survey(places(*(2.5 * n for n in numbers)))
    steps = [after - before for before, after in zip(sorted(numbers), sorted(numbers)[1:], strict=False)]
    if sorted(steps)[len(steps) // 2] == sorted(steps)[(len(steps) - 1) // 2] == 1:
        assert len(found.places) + found.missing == max(numbers) - min(numbers) + 1


def test_repeats() -> None:
    found = survey(places(0, 5, 5.01, 10, 10))
    assert (found.repeats, len(found.places), found.gaps) == (2, 3, ())
