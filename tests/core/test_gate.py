"""The gate on pixels: what is measured of a slice, and what it makes of a whole series. Heads are drawn here.

Every rule has a head that trips it and the same head, a little less so, that does not.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from appliance.core.completeness import Complete
from appliance.core.ledger import Reasons, SliceRow
from appliance.core.outcome import study_outcome
from appliance.core.reasons import REASONS, Of, sentence
from appliance.core.slices import BoxPlace
from appliance.core.words import Outcome
from appliance.exams.head_ct.anatomy import find_anatomy
from appliance.exams.head_ct.facts import slice_facts
from appliance.exams.head_ct.gate import doubts
from appliance.reading.series_reader import read_whole
from tests.scored import CARD, blob, geometry, scored

SIZE, PIXEL_MM, STEP_MM, SLICES = 256, 0.9, 5.0, 30
WALL_MM = 6.0
ROWS, COLUMNS = np.mgrid[:SIZE, :SIZE]
MIDDLE = (SIZE - 1) / 2
Volume = NDArray[np.int16]


def from_middle_mm(down_mm: float = 0.0, along_mm: float = 0.0) -> NDArray[np.float64]:
    """How far each pixel lies from a place of the picture, given from its middle."""
    return np.hypot((ROWS - MIDDLE) * PIXEL_MM - down_mm, (COLUMNS - MIDDLE) * PIXEL_MM - along_mm)


@cache
def head() -> Volume:
    """A ball of brain in a skull, int16 [30, 256, 256]: air below it and above it. Noise, so that no value stands alone."""
    rng = np.random.default_rng(7)
    hu = np.full((SLICES, SIZE, SIZE), -1000, dtype=np.int16)
    for n in range(SLICES):
        for outer_mm, value in ((78.0, 40), (74.0, 1000), (74.0 - WALL_MM, 34)):
            inside = outer_mm**2 - ((n - (SLICES - 1) / 2) * STEP_MM) ** 2
            if inside > 0:
                hu[n][from_middle_mm() < np.sqrt(inside)] = value
    return (hu + np.rint(rng.normal(0, 4, hu.shape))).astype(np.int16)


def rows_of(hu: Volume, first: int = 0) -> list[SliceRow]:
    """The slices as the ledger would hold them, the lowest at the place of slice `first`. Their answers are calm."""
    rows = []
    for n, one in enumerate(hu):
        anatomy = find_anatomy(one, (PIXEL_MM, PIXEL_MM))
        place = replace(geometry((first + n) * STEP_MM), rows=SIZE, columns=SIZE, pixel_mm=(PIXEL_MM, PIXEL_MM))
        row = scored(n + 1, 0.0, where=place, has_brain=anatomy.has_brain_in_skull)
        assert row.score is not None
        score = replace(
            row.score,
            brain_hu=anatomy.brain_median_hu,
            box=BoxPlace(centre_rc=anatomy.centre_rc, side_mm=224.0),
            facts=slice_facts(one, (PIXEL_MM, PIXEL_MM), anatomy),
        )
        rows.append(replace(row, score=score))
    return rows


def changed(change: Callable[[Volume], None]) -> Reasons:
    """What is said of the head after something was drawn into it."""
    hu = head().copy()
    change(hu)
    return doubts(rows_of(hu))


def codes(said: Reasons) -> list[str]:
    """Their codes; every sentence can be said."""
    for code, details in said:
        assert "…" not in sentence(Of.STUDY, code, **details)
        assert REASONS[(Of.STUDY, code)].leads_to in ("INDETERMINATE", "INCOMPLETE")
    return [code for code, _ in said]


def test_a_plain_head_gives_no_doubt() -> None:
    rows = rows_of(head())
    assert sum(bool(row.score and row.score.has_brain) for row in rows) > 20
    assert doubts(rows) == ()


def test_the_order_of_the_slices_means_nothing() -> None:
    hu = head().copy()
    metal(17, 5.0)(hu)
    rows = rows_of(hu)
    said = doubts(rows)
    assert codes(said) == ["metal"]
    for seed in range(3):
        assert doubts([rows[n] for n in np.random.default_rng(seed).permutation(len(rows))]) == said


def test_slices_without_facts_are_asked_nothing() -> None:
    rows = rows_of(head()[10:])
    old = [replace(row, score=replace(row.score, facts=None)) for row in rows if row.score]
    assert codes(doubts(rows)) == ["part-of-brain"]
    assert doubts(old) == ()
    assert doubts([]) == ()


# -- how much of the brain ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kept", "ends"),
    [
        (slice(0, 30), []),
        (slice(5, 25), []),
        (slice(0, 18), ["top"]),
        (slice(12, 30), ["base"]),
        (slice(9, 21), ["base", "top"]),
    ],
)
def test_a_scan_that_ends_inside_the_brain(kept: slice, ends: list[str]) -> None:
    said = doubts(rows_of(head()[kept]))
    assert [details["end"] for code, details in said if code == "part-of-brain"] == ends


def neck_and(slices: int) -> Volume:
    """A scan of the neck, 16 slices of flesh round some bone, that goes on for so many slices of the head."""
    neck = np.full((16, SIZE, SIZE), -1000, dtype=np.int16)
    neck[:, from_middle_mm() < 60.0] = 50
    neck[:, from_middle_mm(25.0) < 9.0] = 900
    return np.concatenate([neck, head()[6 : 6 + slices]])


@pytest.mark.parametrize("slices", [1, 2, 3])
def test_a_scan_of_the_neck_that_meets_the_brain_is_no_head_without_a_finding(slices: int) -> None:
    rows = rows_of(neck_and(slices))
    assert sum(bool(row.score and row.score.has_brain) for row in rows) == slices
    read = read_whole(rows, CARD, complete=Complete.PROVEN)
    assert read.outcome is Outcome.INCOMPLETE
    assert ("part-of-brain", {"end": "top"}) in read.reasons


def test_two_slices_of_brain_show_no_end_that_another_series_misses() -> None:
    low = read_whole(rows_of(head()[0:18]), CARD, complete=Complete.PROVEN)
    hu = neck_and(2)
    little = read_whole(rows_of(np.concatenate([hu, hu[:3]])), CARD, complete=Complete.PROVEN)
    assert study_outcome([low.standing, little.standing])[0] is Outcome.INCOMPLETE


def test_base_and_vault_in_two_series_are_a_whole_head() -> None:
    base, vault = (
        read_whole(rows_of(head()[kept], first), CARD, complete=Complete.PROVEN)
        for kept, first in ((slice(0, 18), 0), (slice(14, 30), 14))
    )
    assert (base.outcome, vault.outcome) == (Outcome.INCOMPLETE, Outcome.INCOMPLETE)
    assert study_outcome([base.standing, vault.standing])[0] is Outcome.NO_FINDING


def test_a_series_too_short_for_a_head_is_blamed_for_that_alone() -> None:
    few = read_whole(rows_of(head()[10:18]), CARD, complete=Complete.PROVEN)
    assert codes(few.reasons) == ["too-few-slices"]
    whole = read_whole(rows_of(head()), CARD, complete=Complete.PROVEN)
    assert codes(study_outcome([whole.standing, few.standing])[1]) == ["too-few-slices"]


# -- what lies in it ----------------------------------------------------------------------------------


def metal(first: int, diameter_mm: float, slices: int = 2, hu_of_it: int = 3071) -> Callable[[Volume], None]:
    """A clip beside the middle."""

    def draw(hu: Volume) -> None:
        hu[first : first + slices, from_middle_mm(20.0, 15.0) < diameter_mm / 2] = hu_of_it

    return draw


def test_metal() -> None:
    assert changed(metal(14, 6.0)) == (("metal", {"first": "15", "last": "16"}),)
    assert changed(metal(14, 3.0)) == ()  # a speck
    assert changed(metal(14, 6.0, slices=1)) == ()  # one slice proves nothing
    assert changed(metal(14, 6.0, hu_of_it=2600)) == ()  # as dense as bone may be


def test_metal_below_the_brain_is_dental() -> None:
    hu = head().copy()
    hu[1:4, from_middle_mm() < 4.0] = 3071
    assert doubts(rows_of(hu)) == ()


def vessels(value: int, spots: int, slices: range) -> Callable[[Volume], None]:
    """Upright tubes of 4 mm, the first ones near the middle."""

    def draw(hu: Volume) -> None:
        for along_mm, down_mm in ((0.0, 10.0), (0.0, -14.0), (12.0, 3.0), (-12.0, 3.0))[:spots]:
            for n in slices:
                hu[n, from_middle_mm(down_mm, along_mm) < 2.0] = value

    return draw


def test_contrast_by_its_vessels() -> None:
    said = changed(vessels(220, 4, range(6, 26)))
    assert codes(said) == ["contrast-seen"]
    assert said[0][1]["all"] == str(SLICES)
    assert changed(vessels(220, 2, range(6, 26))) == ()  # plexus, pineal: two spots, or a few slices
    assert changed(vessels(220, 4, range(14, 18))) == ()
    assert changed(vessels(72, 4, range(6, 26))) == ()  # blood is no contrast


def test_large_bright_lumps_are_bone_and_no_vessels() -> None:
    def lumps(hu: Volume) -> None:
        for down_mm, along_mm in ((22.0, 0.0), (-22.0, 0.0), (0.0, 22.0), (0.0, -22.0)):
            hu[8:24, from_middle_mm(down_mm, along_mm) < 10.0] = 220

    assert changed(lumps) == ()


def test_a_large_clot_is_no_contrast_and_no_other_doubt() -> None:
    def clot(hu: Volume) -> None:
        hu[10:20, from_middle_mm(15.0, 20.0) < 22.0] = 72

    assert changed(clot) == ()


def open_skull(width_mm: float, slices: range) -> Callable[[Volume], None]:
    def draw(hu: Volume) -> None:
        gap = (np.abs(ROWS - MIDDLE) * PIXEL_MM < width_mm / 2) & (COLUMNS > MIDDLE)
        for n in slices:
            hu[n][gap & (hu[n] > 300)] = 40

    return draw


def test_a_skull_that_is_open() -> None:
    assert changed(open_skull(14.0, range(18, 23))) == (("skull-open", {"first": "19", "last": "23"}),)
    assert changed(open_skull(14.0, range(18, 20))) == ()  # a burr hole of two slices
    assert changed(open_skull(1.8, range(18, 23))) == ()  # a suture


def ring(radius_mm: float, wall_mm: float, opened_mm: float = 0.0, towards: float = 0.0) -> float:
    """The gap that is found in one slice of a skull: opened by so much in the direction of an angle."""
    far_mm = from_middle_mm()
    hu = np.where(far_mm < radius_mm, 34, -1000)
    hu[(far_mm < radius_mm) & (far_mm > radius_mm - wall_mm)] = 900
    down_mm, along_mm = (ROWS - MIDDLE) * PIXEL_MM, (COLUMNS - MIDDLE) * PIXEL_MM
    ahead_mm = down_mm * np.sin(towards) + along_mm * np.cos(towards)
    aside_mm = np.abs(down_mm * np.cos(towards) - along_mm * np.sin(towards))
    hu[(ahead_mm > 0) & (aside_mm < opened_mm / 2) & (hu > 300)] = 34
    gap_mm = slice_facts(
        hu.astype(np.int16), (PIXEL_MM, PIXEL_MM), find_anatomy(hu.astype(np.int16), (PIXEL_MM, PIXEL_MM))
    ).gap_mm
    assert gap_mm is not None
    return gap_mm


@pytest.mark.parametrize("radius_mm", [55.0, 65.0, 75.0, 85.0, 95.0])
def test_a_thin_skull_that_is_closed_has_no_gap_however_large(radius_mm: float) -> None:
    down_mm, along_mm = np.mgrid[:240, :240] - 119.5
    for aside_mm in np.linspace(0.0, 2.0, 9):
        away_mm = np.hypot(down_mm, along_mm - aside_mm)
        hu = np.where(away_mm < radius_mm, np.where(away_mm > radius_mm - 2.0, 900, 34), -1000).astype(np.int16)
        gap_mm = slice_facts(hu, (1.0, 1.0), find_anatomy(hu, (1.0, 1.0))).gap_mm
        assert gap_mm is not None and gap_mm < 1.0


@pytest.mark.parametrize("towards", np.linspace(0.0, 2 * np.pi, 13)[:-1])
def test_a_gap_is_as_wide_as_the_skull_is_open_wherever_it_lies(towards: float) -> None:
    two_cells_mm = 2 * 2 * PIXEL_MM  # at either end one may be bone in part
    for opened_mm in (8.0, 15.0, 60.0):
        assert ring(75.0, 5.0, opened_mm, towards) == pytest.approx(opened_mm, abs=two_cells_mm)


def test_where_the_vertex_is_missing_nobody_knows_which_slices_are_the_vault() -> None:
    hu = head()[:18].copy()
    open_skull(14.0, range(8, 15))(hu)
    assert doubts(rows_of(hu)) == (("part-of-brain", {"end": "top"}),)


# -- how it was scanned -------------------------------------------------------------------------------


def moved(by_mm: float, slices: range) -> Callable[[Volume], None]:
    def draw(hu: Volume) -> None:
        for n in slices:
            hu[n] = np.roll(hu[n], round(by_mm / PIXEL_MM), axis=1)

    return draw


def test_a_head_that_moved_between_slices() -> None:
    assert codes(changed(moved(12.0, range(18, 30)))) == ["motion"]
    assert codes(changed(moved(5.0, range(18, 19)))) == []  # one slice a little aside: how thick blocks alternate
    assert codes(changed(moved(4.0, range(18, 30)))) == []


def test_slices_far_apart_say_nothing_of_motion() -> None:
    hu = head().copy()
    moved(12.0, range(21, 30))(hu)
    rows = rows_of(hu)
    assert codes(doubts(rows)) == ["motion"]
    far = rows[::3]
    assert sum(12.0 <= 25 * STEP_MM - row.geometry.position_mm <= 65.0 for row in far) >= 4
    assert codes(doubts(far)) == []


def test_something_that_touches_the_skull_is_no_motion() -> None:
    def held(hu: Volume) -> None:
        hu[17:19, 110:140, 200:] = 900

    assert codes(changed(held)) == []


# -- what its grey values are -------------------------------------------------------------------------


def test_grey_values_in_steps() -> None:
    rows = {step: rows_of(((head().astype(np.int32) // step) * step).astype(np.int16)) for step in (2, 8, 16)}
    assert doubts(rows[2]) == ()
    assert doubts(rows[8]) == (("grey-values", {"what": "they come in steps of 8 HU"}),)
    assert codes(doubts(rows[16])) == ["grey-values"]


def test_air_that_is_none() -> None:
    said = doubts(rows_of((head() // 2).astype(np.int16)))  # a slope that was halved
    assert said == (("grey-values", {"what": "air reads -500 HU"}),)


@pytest.mark.parametrize(("reads", "is_air"), [(-900, True), (-800, False)])
def test_air_may_be_a_little_off(reads: int, is_air: bool) -> None:
    hu = np.where(head() < -300, np.int16(reads), head())
    assert [code for code, _ in doubts(rows_of(hu))] == ([] if is_air else ["grey-values"])


def test_a_pocket_of_foam_is_not_taken_for_air() -> None:
    hu = np.where(head() < -300, np.int16(-200), head())
    hu[:, 2:30, 2:30] = -600
    assert doubts(rows_of(hu)) == ()


def test_a_picture_cut_at_its_window_says_nothing_of_air_or_metal() -> None:
    hu = head().copy()
    metal(14, 6.0)(hu)
    assert doubts(rows_of(np.clip(hu, -160, 500).astype(np.int16))) == ()


# -- what it means ------------------------------------------------------------------------------------


def test_a_doubt_takes_no_finding_away_and_never_hides_a_bleed() -> None:
    hu = head().copy()
    metal(14, 6.0)(hu)
    calm = rows_of(hu)
    assert read_whole(calm, CARD, complete=Complete.PROVEN).outcome is Outcome.INDETERMINATE
    hot = scored(0, 0.0, 0.999, heat=blob(28, 20)).score
    assert hot is not None
    bleeding = [
        replace(row, score=replace(hot, has_brain=True, facts=row.score.facts, box=row.score.box))
        if n in (14, 15)
        else row
        for n, row in enumerate(calm)
        if row.score
    ]
    read = read_whole(bleeding, CARD, complete=Complete.PROVEN)
    assert read.level is not None and read.outcome.value == read.level.value
    assert [code for code, _ in read.reasons][1:] == ["metal"]


def test_facts_cost_less_than_a_millisecond() -> None:
    hu = np.ascontiguousarray(head()[15].repeat(2, axis=0).repeat(2, axis=1))
    anatomy = find_anatomy(hu, (0.45, 0.45))
    slice_facts(hu, (0.45, 0.45), anatomy)
    times = []
    for _ in range(30):
        began_s = time.perf_counter()
        slice_facts(hu, (0.45, 0.45), anatomy)
        times.append(time.perf_counter() - began_s)
    assert min(times) < 0.001  # the fastest of many: what the work costs, not what else the machine does
