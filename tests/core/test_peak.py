"""Where a slice is hottest: in the middle of what is warm, not in a cell that is hot alone."""

import numpy as np
import pytest
from numpy.typing import NDArray

from appliance.core.slices import HEAT_SIZE
from appliance.core.words import LABELS
from appliance.evaluation.stacks import flat_geometry
from appliance.inference.backend import Answer
from appliance.reading.slice_reader import prepare_slice, score_slices
from tests.scored import CARD

SIDE = 240
COLD = -6.0
Cells = tuple[slice, slice]


class Says:
    """A backend that says the same heat of every picture."""

    name, max_batch = "says", 1

    def __init__(self, any_logits: NDArray[np.float32]) -> None:
        self._heat = np.broadcast_to(any_logits, (len(LABELS), HEAT_SIZE, HEAT_SIZE)).copy()

    def run(self, image: NDArray[np.float32]) -> Answer:
        return Answer(logits=np.zeros(6, np.float32), embedding=np.zeros(4, np.float32), heat=self._heat)

    def run_many(self, images: NDArray[np.float32]) -> list[Answer]:
        return [self.run(one[None]) for one in images]

    def close(self) -> None:
        pass


def peak_cell(*hot: tuple[Cells, float | NDArray[np.float64]], cold: float = COLD) -> tuple[float, float] | None:
    """Row and column of the cell in which the peak of such a heat lies."""
    heat = np.full((HEAT_SIZE, HEAT_SIZE), cold, dtype=np.float32)
    for cells, logit in hot:
        heat[cells] = logit
    away_mm = np.hypot(*(np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2))
    hu = np.where(away_mm < 80, np.where(away_mm < 74, 34, 1000), -1000).astype(np.int16)
    prepared = prepare_slice(hu, flat_geometry(hu.shape, (1.0, 1.0), 0.0), CARD)
    (score,) = score_slices([prepared], Says(heat), CARD)
    if score.peak_rc is None:
        return None
    cell_mm = score.box.side_mm / HEAT_SIZE
    row, column = (
        (at - middle + score.box.side_mm / 2) / cell_mm - 0.5
        for at, middle in zip(score.peak_rc, score.box.centre_rc, strict=True)
    )
    return row, column


PATCH: Cells = (slice(30, 33), slice(20, 23))


@pytest.mark.parametrize("at", [(10, 40), (0, 30), (0, 0), (55, 55)])
def test_a_warm_patch_is_more_of_a_place_than_a_lone_hot_cell(at: tuple[int, int]) -> None:
    lone: Cells = (slice(at[0], at[0] + 1), slice(at[1], at[1] + 1))
    found = peak_cell((lone, 3.0), (PATCH, -0.2))
    assert found is not None and np.allclose(found, (31, 21), atol=0.2)
    assert found != peak_cell((lone, 3.0))


def test_a_small_hot_bleed_is_more_of_a_place_than_a_wide_haze() -> None:
    found = peak_cell(((slice(8, 10), slice(40, 42)), 3.0), ((slice(25, 45), slice(10, 30)), -0.5))
    assert found is not None and np.allclose(found, (8.5, 40.5), atol=0.7)


def test_a_large_bleed_is_placed_where_it_is_surest() -> None:
    away = np.hypot(*(np.mgrid[:HEAT_SIZE, :HEAT_SIZE] - np.array([24, 33])[:, None, None]))
    found = peak_cell(((slice(None), slice(None)), 8.0 - away))
    assert found is not None and np.allclose(found, (24, 33), atol=0.2)


def test_where_all_is_cold_there_is_no_place() -> None:
    assert peak_cell(cold=-20.0) is None
