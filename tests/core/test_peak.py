"""Where a slice is hottest: in the middle of what is warm, not in a cell that is hot alone."""

import numpy as np
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


def peak_cell(*hot: tuple[Cells, float], cold: float = COLD) -> tuple[float, float] | None:
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


LONE: Cells = (slice(10, 11), slice(40, 41))
PATCH: Cells = (slice(30, 33), slice(20, 23))


def test_a_warm_patch_is_more_of_a_place_than_a_lone_hot_cell() -> None:
    found = peak_cell((LONE, 3.0), (PATCH, 1.5))
    assert found is not None and np.allclose(found, (31, 21), atol=0.2)
    assert found != peak_cell((LONE, 3.0))


def test_the_place_of_a_sure_bleed_is_its_middle() -> None:
    found = peak_cell(((slice(20, 27), slice(30, 37)), 12.0))
    assert found is not None and np.allclose(found, (23, 33), atol=0.2)


def test_where_all_is_cold_there_is_no_place() -> None:
    assert peak_cell(cold=-20.0) is None
