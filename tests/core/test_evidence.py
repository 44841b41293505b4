"""What scored slices prove: the early alert, the level, the finding that is said."""

import time
from dataclasses import replace

import numpy as np
import pytest

from appliance.core.evidence import (
    Evidence,
    early_evidence,
    finding_details,
    finding_of,
    heat_overlap,
    level_of,
    near_brain,
    one_per_place,
    scored_of,
    soft_dice,
)
from appliance.core.ledger import SliceRow
from appliance.core.reasons import Of, sentence
from appliance.core.words import Label, Level, Side
from tests.scored import POINTS, blob, geometry, scored

HOT = blob(28, 20)


@pytest.mark.parametrize(
    ("probability", "level"),
    [(1.0, Level.CRITICAL), (0.9, Level.CRITICAL), (0.8999, Level.REVIEW), (0.5, Level.REVIEW), (0.4999, None)],
)
def test_a_point_belongs_to_its_own_level(probability: float, level: Level | None) -> None:
    assert level_of(probability, POINTS) is level


def brains_from(last_without: int, count: int) -> list[SliceRow]:
    """Slices 0.3 mm apart; those above `last_without` show brain."""
    first = scored(0, 0.0)
    rows = [replace(first, id=n, geometry=geometry(0.3 * n)) for n in range(count)]
    return [replace(row, score=replace(scored_of(row), has_brain=row.id > last_without)) for row in rows]


def seconds(rows: list[SliceRow]) -> float:
    """Processor time of one look for the slices near a brain."""
    began_s = time.process_time()
    near_brain(rows, 10.0)
    return time.process_time() - began_s


class TestOverlap:
    def test_the_same_map_overlaps_wholly_and_cold_maps_not_at_all(self) -> None:
        assert soft_dice(HOT, HOT) == 1.0
        assert soft_dice(blob(1, 1, value=0), blob(1, 1, value=0)) == 0.0

    def test_half_of_a_square(self) -> None:
        one, other = np.zeros((56, 56), np.uint8), np.zeros((56, 56), np.uint8)
        one[10:14, 10:14] = 200
        other[10:14, 12:16] = 200
        assert soft_dice(one, other) == pytest.approx(0.5)

    def test_strong_values_do_not_overflow(self) -> None:
        assert soft_dice(np.full((56, 56), 255, np.uint8), np.full((56, 56), 255, np.uint8)) == 1.0

    @pytest.mark.parametrize("shift", [(3, 0), (0, -4), (-2, 5), (60, 0), (0, -60)])
    def test_a_shift_moves_the_second_map(self, shift: tuple[int, int]) -> None:
        rows, columns = 28 - shift[0], 28 - shift[1]
        other = blob(rows, columns) if 2 <= rows <= 53 and 2 <= columns <= 53 else blob(28, 28)
        expected = 1.0 if max(abs(shift[0]), abs(shift[1])) < 56 else 0.0
        assert soft_dice(blob(28, 28), other, shift) == expected

    def test_maps_meet_in_the_patient_and_not_in_their_boxes(self) -> None:
        # The second box lies 40 mm further to the patient's left: 10 cells of 4 mm, 80 pixels.
        lower = scored(1, 0.0, heat=blob(28, 30))
        same_place = scored(2, 5.0, heat=blob(28, 20), centre_rc=(255.5, 335.5))
        same_cell = scored(3, 5.0, heat=blob(28, 30), centre_rc=(255.5, 335.5))
        assert heat_overlap(lower, same_place) == 1.0
        assert heat_overlap(lower, same_cell) == 0.0

    def test_a_corner_that_moves_counts_as_well(self) -> None:
        moved = geometry(5.0)
        moved = replace(moved, corner_mm=(moved.corner_mm[0] - 40.0, moved.corner_mm[1], moved.corner_mm[2]))
        lower = scored(1, 0.0, heat=blob(28, 30))
        assert heat_overlap(lower, scored(2, 5.0, heat=blob(28, 40), where=moved)) == 1.0


class TestEarlyEvidence:
    def test_two_neighbours_that_agree(self) -> None:
        rows = [scored(1, 0.0), scored(2, 5.0, 0.96, heat=HOT), scored(3, 10.0, 0.97, heat=HOT)]
        assert early_evidence(rows, POINTS) == Evidence(slice_ids=(2, 3))

    def test_the_strongest_pair_is_named(self) -> None:
        chances = (0.96, 0.97, 0.98, 0.99, 0.96)
        rows = [scored(n, 5.0 * n, chance, heat=HOT) for n, chance in enumerate(chances)]
        assert early_evidence(rows, POINTS) == Evidence(slice_ids=(2, 3))

    def test_one_slice_far_past_every_doubt(self) -> None:
        assert early_evidence([scored(1, 0.0, 0.9989, heat=HOT)], POINTS) is None
        assert early_evidence([scored(1, 0.0, 0.9991, heat=HOT)], POINTS) == Evidence(slice_ids=(1,))

    @pytest.mark.parametrize(
        "second",
        [
            pytest.param(scored(2, 5.0, 0.949, heat=HOT), id="below the point"),
            pytest.param(scored(2, 10.2, 0.99, heat=HOT), id="too far"),
            pytest.param(scored(2, 5.0, 0.99, heat=blob(28, 40)), id="another place"),
            pytest.param(scored(2, 5.0, 0.99), id="cold"),
            pytest.param(scored(2, 5.0, 0.99, heat=HOT, has_brain=False), id="no brain"),
            pytest.param(scored(2, 0.02, 0.99, heat=HOT), id="the same place"),
            pytest.param(replace(scored(2, 5.0, 0.99, heat=HOT), score=None), id="not scored"),
        ],
    )
    def test_what_is_no_second_witness(self, second: object) -> None:
        first = scored(1, 0.0, 0.99, heat=HOT)
        assert early_evidence([first, second], POINTS) is None  # type: ignore[list-item]

    def test_a_slice_between_them_that_says_no(self) -> None:
        rows = [scored(1, 0.0, 0.99, heat=HOT), scored(2, 3.0), scored(3, 6.0, 0.99, heat=HOT)]
        assert early_evidence(rows, POINTS) is None
        assert early_evidence([rows[0], rows[2]], POINTS) == Evidence(slice_ids=(1, 3))

    def test_bone_alone_never_sounds(self) -> None:
        rows = [scored(n, 5.0 * n, 0.9999, heat=HOT, has_brain=False) for n in range(3)]
        assert early_evidence(rows, POINTS) is None

    def test_spacing_of_exactly_the_limit_is_near_in_spite_of_rounding(self) -> None:
        rows = [scored(1, -180.8, 0.99, heat=HOT), scored(2, -170.8 + 1e-9, 0.99, heat=HOT)]
        assert early_evidence(rows, POINTS) == Evidence(slice_ids=(1, 2))


class TestPlaces:
    def test_of_repeats_the_higher_counts(self) -> None:
        rows = [scored(1, 5.0, 0.2), scored(2, 5.0, 0.8), scored(3, 5.04, 0.5), scored(4, 0.0)]
        assert [row.id for row in one_per_place(rows)] == [4, 2]

    def test_repeats_that_drift_do_not_draw_a_place_along(self) -> None:
        rows = [scored(n, 0.03 * n, 0.1 + 0.1 * n) for n in range(4)]  # 0, 0.03 | 0.06, 0.09
        assert [row.id for row in one_per_place(rows)] == [1, 3]

    def test_what_counts_for_the_exam(self) -> None:
        rows = [scored(n, 5.0 * n, has_brain=n == 4) for n in range(9)]
        assert [row.id for row in near_brain(rows, 10.0)] == [2, 3, 4, 5, 6]

    def test_the_nearest_brain_on_either_side_counts_up_to_its_reach(self) -> None:
        rows = [scored(n, at_mm, has_brain=at_mm in (0.0, 40.0)) for n, at_mm in enumerate((-10.1, -10.0, 0.0, 10.0))]
        rows += [scored(n, at_mm, has_brain=at_mm == 40.0) for n, at_mm in enumerate((20.0, 30.0, 40.0, 50.0, 50.1), 4)]
        assert [row.geometry.position_mm for row in near_brain(rows, 10.0)] == [-10.0, 0.0, 10.0, 30.0, 40.0, 50.0]

    def test_many_thin_slices_do_not_make_it_slow(self) -> None:
        """By ratio in one run: ten times the slices, far from a hundred times the work."""
        few, many = brains_from(100, 1_200), brains_from(100, 12_000)
        assert len(near_brain(many, 10.0)) == 12_000 - 101 + 33
        assert min(seconds(many) for _ in range(3)) < 40 * min(seconds(few) for _ in range(3))

    def test_a_series_without_a_brain_has_nothing_that_counts(self) -> None:
        assert near_brain([scored(n, 5.0 * n, 0.99, has_brain=False) for n in range(5)], 10.0) == []


def _found(column: int, **more: object) -> Side:
    finding = finding_of([scored(1, 0.0, 0.99, heat=blob(28, column), **more)], POINTS, None)  # type: ignore[arg-type]
    assert finding is not None
    return finding.side


class TestFinding:
    def test_side_is_the_patients(self) -> None:
        # Row runs to the patient's left, as every axial picture is turned: hot on the picture's right is the left side.
        assert _found(45) is Side.LEFT
        assert _found(10) is Side.RIGHT
        assert _found(28) is Side.MIDDLE

    def test_side_follows_the_header_and_not_the_picture(self) -> None:
        mirrored = geometry(0.0, row_direction=(-1.0, 0.0, 0.0))
        assert _found(45, where=mirrored) is Side.RIGHT

    def test_side_in_a_coronal_picture_and_none_in_a_sagittal_one(self) -> None:
        coronal = geometry(0.0, row_direction=(1.0, 0.0, 0.0), column_direction=(0.0, 0.0, -1.0))
        sagittal = geometry(0.0, row_direction=(0.0, 1.0, 0.0), column_direction=(0.0, 0.0, -1.0))
        assert _found(45, where=coronal) is Side.LEFT
        assert _found(45, where=sagittal) is Side.UNKNOWN

    def test_side_is_against_the_skull_and_not_the_picture(self) -> None:
        assert _found(28, centre_rc=(255.5, 400.0)) is Side.MIDDLE

    def test_no_side_without_a_hot_place(self) -> None:
        finding = finding_of([scored(1, 0.0, 0.99)], POINTS, None)
        assert finding is not None
        assert finding.side is Side.UNKNOWN

    def test_both_sides_from_another_strong_slice(self) -> None:
        left, right = blob(28, 45), blob(28, 10)
        rows = [scored(1, 0.0, 0.99, heat=left), scored(2, 5.0, 0.96, heat=right)]
        weak = [rows[0], scored(2, 5.0, 0.5, heat=right)]
        for given, side in ((rows, Side.BOTH), (weak, Side.LEFT)):
            finding = finding_of(given, POINTS, None)
            assert finding is not None
            assert finding.side is side

    def test_both_sides_in_one_slice(self) -> None:
        two = np.maximum(blob(28, 45), blob(28, 10, value=150))
        faint = np.maximum(blob(28, 45), blob(28, 10, value=100))
        speck = blob(28, 45)
        speck[28, 10] = 200
        peak = (255.5, 391.5)
        for heat, side in ((two, Side.BOTH), (faint, Side.LEFT), (speck, Side.LEFT)):
            row = scored(1, 0.0, 0.99, heat=heat)
            assert row.score is not None
            row = replace(row, score=replace(row.score, peak_rc=peak))
            finding = finding_of([row], POINTS, None)
            assert finding is not None
            assert finding.side is side

    def test_kind_is_the_highest_where_one_stands_out(self) -> None:
        clear = scored(1, 0.0, 0.99, heat=HOT, kinds=(0.1, 0.7, 0.4, 0.2, 0.1))
        dim = scored(1, 0.0, 0.99, heat=HOT, kinds=(0.1, 0.29, 0.1, 0.2, 0.1))
        assert finding_of([clear], POINTS, None).label == Label.IPH  # type: ignore[union-attr]
        assert finding_of([dim], POINTS, None).label == Label.ANY  # type: ignore[union-attr]

    def test_key_slice_and_its_number_from_the_foot(self) -> None:
        rows = [scored(7, 10.0, 0.97), scored(8, 0.0, 0.1), scored(9, 5.0, 0.99), scored(6, 5.0, 0.2)]
        finding = finding_of(rows, POINTS, Evidence(slice_ids=(9, 7)))
        assert finding is not None
        assert (finding.key_slice_id, finding.key_number, finding.evidence) == (9, 2, (9, 7))

    def test_the_key_slice_counts_for_the_exam(self) -> None:
        rows = [scored(1, 0.0, 0.999, has_brain=False), scored(2, 50.0, 0.6)]
        assert finding_of(rows, POINTS, None).key_slice_id == 2  # type: ignore[union-attr]

    def test_nothing_to_point_at(self) -> None:
        assert finding_of([], POINTS, None) is None
        assert finding_of([scored(1, 0.0, 0.99, has_brain=False)], POINTS, None) is None

    def test_the_sentence(self) -> None:
        row = scored(1, 0.0, 0.99, heat=blob(28, 45), kinds=(0.1, 0.8, 0.1, 0.1, 0.1))
        finding = finding_of([row], POINTS, None)
        assert finding is not None
        said = sentence(Of.STUDY, "suspected-bleed", **finding_details(finding))
        assert said == "Suspected bleed inside the brain (IPH), patient’s left."

    def test_the_sentence_without_a_kind_and_a_side(self) -> None:
        finding = finding_of([scored(1, 0.0, 0.99)], POINTS, None)
        assert finding is not None
        said = sentence(Of.STUDY, "possible-bleed", **finding_details(finding))
        assert said == "Possible bleed inside the skull, kind not clear, side not known."
