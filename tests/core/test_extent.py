"""How large a finding is said to be, and where: from drawn heat maps whose size is known."""

from dataclasses import replace

import numpy as np
import pytest

from appliance.core.extent import extent_of
from appliance.core.headers import SliceGeometry
from appliance.core.ledger import SliceRow
from appliance.core.slices import HEAT_SIZE, BoxPlace, SliceScore

CELL_MM = 4.0


def heat(rows: slice | None = None, columns: slice | None = None, value: int = 200) -> np.ndarray:
    drawn = np.full((HEAT_SIZE, HEAT_SIZE), 10, dtype=np.uint8)
    if rows is not None and columns is not None:
        drawn[rows, columns] = value
    return drawn


def slice_row(
    n: int, map_: np.ndarray, *, step_mm: float = 5.0, centre: tuple[float, float] = (255.5, 255.5)
) -> SliceRow:
    geometry = SliceGeometry(
        rows=512, columns=512, pixel_mm=(0.5, 0.5), row_direction=(1.0, 0.0, 0.0), column_direction=(0.0, 1.0, 0.0),
        corner_mm=(-128.0, -128.0, step_mm * n), position_mm=step_mm * n, tilt_deg=0.0, thickness_mm=step_mm,
    )  # fmt: skip
    score = SliceScore(
        logits=np.zeros(6, np.float32), embedding=np.zeros(4, np.float32), heat=map_, probabilities=(0.5,) * 6,
        box=BoxPlace(centre_rc=centre, side_mm=CELL_MM * HEAT_SIZE), peak_rc=None, has_brain=True, brain_hu=32.0,
        skull_area_mm2=9000.0, ms={},
    )  # fmt: skip
    return SliceRow(
        id=100 + n, series_id=1, sop_uid=f"2.25.{n}", pixel_sha256=f"{n}", file_sha256="", stored="", geometry=geometry,
        instance_number=n, acquisition_number=None, acquired="", corrections=(), landed_ns=n, score=score, ms={},
    )  # fmt: skip


# Rows 28 to 35 and columns 36 to 45 of 56: 32 by 40 mm, to the left of and behind the middle.
SPOT = (slice(28, 36), slice(36, 46))


def series(hot: range, slices: int = 12) -> list[SliceRow]:
    return [slice_row(n, heat(*SPOT) if n in hot else heat()) for n in range(slices)]


def test_a_spot_on_four_slices() -> None:
    found = extent_of(series(range(4, 8)), 105)
    assert found is not None
    assert (found.first_number, found.last_number, found.key_number) == (5, 8, 6)
    assert found.tall_mm == pytest.approx(20.0)
    assert found.warm_mm == (40.0, 32.0)
    assert found.left_mm == pytest.approx((41 / 56 - 0.5) * 224)
    assert found.back_mm == pytest.approx((32 / 56 - 0.5) * 224)


def test_another_spot_on_the_next_slice_is_not_followed() -> None:
    rows = series(range(4, 6))
    rows[6] = slice_row(6, heat(slice(5, 10), slice(5, 10)))
    found = extent_of(rows, 105)
    assert found is not None
    assert (found.first_number, found.last_number) == (5, 6)


def test_a_second_spot_on_the_key_slice_does_not_widen_the_first() -> None:
    rows = series(range(5, 6))
    both = heat(*SPOT)
    both[40, 44] = 255  # the hottest cell lies four cells below the spot
    rows[5] = slice_row(5, both)
    found = extent_of(rows, 105)
    assert found is not None
    assert found.warm_mm == (CELL_MM, CELL_MM)


def test_a_map_that_lies_on_a_moved_skull_is_put_where_it_is_in_the_patient() -> None:
    rows = series(range(5, 6))
    # The skull's middle jumps 24 mm to the left: the same spot stands six cells further right of it, or left.
    moved_rows, moved_columns = SPOT[0], slice(SPOT[1].start - 6, SPOT[1].stop - 6)
    rows[6] = slice_row(6, heat(moved_rows, moved_columns), centre=(255.5, 255.5 + 48))
    found = extent_of(rows, 105)
    assert found is not None and found.last_number == 7
    far = slice(SPOT[1].start - 20, SPOT[1].stop - 20)
    rows[6] = slice_row(6, heat(moved_rows, far), centre=(255.5, 255.5 + 48))
    found = extent_of(rows, 105)
    assert found is not None and found.last_number == 6


def test_nothing_is_known_across_a_missing_slice() -> None:
    rows = [row for row in series(range(4, 9)) if row.id != 106]
    found = extent_of(rows, 105)
    assert found is not None
    assert (found.first_number, found.last_number, found.tall_mm) == (5, 6, 10.0)


def test_numbers_count_repeats_but_heights_do_not() -> None:
    rows = series(range(4, 8))
    again = replace(slice_row(5, heat(*SPOT)), id=999, sop_uid="2.25.999", pixel_sha256="9")
    found = extent_of([*rows[:6], again, *rows[6:]], 105)
    assert found is not None
    assert (found.first_number, found.last_number, found.tall_mm) == (5, 9, 20.0)


def test_a_cold_map_a_missing_key_and_a_lone_slice() -> None:
    assert extent_of(series(range(0)), 105) is None
    assert extent_of(series(range(4, 8)), 1) is None
    assert extent_of([], 1) is None
    lone = extent_of([slice_row(5, heat(*SPOT))], 105)
    assert lone is not None and lone.tall_mm == 5.0
    bare = slice_row(5, heat(*SPOT))
    bare = replace(bare, geometry=replace(bare.geometry, thickness_mm=None))
    lone = extent_of([bare], 105)
    assert lone is not None and lone.tall_mm is None


def test_a_side_that_points_out_of_the_picture_is_not_told() -> None:
    sagittal = slice_row(5, heat(*SPOT))
    turned = replace(sagittal.geometry, row_direction=(0.0, 1.0, 0.0), column_direction=(0.0, 0.0, -1.0))
    found = extent_of([replace(sagittal, geometry=turned)], 105)
    assert found is not None and found.left_mm is None and found.back_mm is not None
