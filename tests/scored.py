"""Scored slices for tests: invented answers at invented places, no picture."""

import numpy as np

from appliance.core.engine import EngineCard, ExamRule, InputSpec, Points, Window
from appliance.core.headers import SliceGeometry, Vector
from appliance.core.ledger import SliceRow
from appliance.core.slices import HEAT_SIZE, BoxPlace, SliceScore

POINTS = Points(critical=0.9, review=0.5, early_pair=0.95, early_single=0.999, overlap=0.2, neighbour_mm=10.0)
CARD = EngineCard(
    name="invented",
    version="1",
    sha256="0" * 64,
    ages_years=(18.0, 120.0),
    input=InputSpec(name="image", size=224, spacing_mm=1.0, windows=(Window(center=40, width=80),)),
    exam_rule=ExamRule(smoothing_mm=3.0, sharpness=1.0),
    points=POINTS,
    calibration_scale=(0.9, 1.1, 1.2, 0.8, 1.0, 1.3),
    calibration_bias=(-0.5, 0.1, 0.0, 0.2, -0.1, 0.3),
)


def geometry(
    position_mm: float,
    *,
    row_direction: Vector = (1.0, 0.0, 0.0),
    column_direction: Vector = (0.0, 1.0, 0.0),
) -> SliceGeometry:
    """512 x 512 pixels of half a millimetre; the picture's middle lies on the axis of the scanner."""
    middle = 255.5 * 0.5
    corner = -middle * np.asarray(row_direction) - middle * np.asarray(column_direction)
    return SliceGeometry(
        rows=512,
        columns=512,
        pixel_mm=(0.5, 0.5),
        row_direction=row_direction,
        column_direction=column_direction,
        corner_mm=(float(corner[0]), float(corner[1]), float(corner[2]) + position_mm),
        position_mm=position_mm,
        tilt_deg=0.0,
        thickness_mm=5.0,
    )


def blob(row: int, column: int, *, half: int = 2, value: int = 220) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    """A heat map that is hot in one square of cells."""
    heat = np.zeros((HEAT_SIZE, HEAT_SIZE), dtype=np.uint8)
    heat[max(0, row - half) : row + half + 1, max(0, column - half) : column + half + 1] = value
    return heat


def peak_of(
    heat: np.ndarray[tuple[int, int], np.dtype[np.uint8]], centre_rc: tuple[float, float]
) -> tuple[float, float] | None:
    """The middle of the hottest cell in pixels, for a box of 224 mm."""
    if not heat.any():
        return None
    hot = np.argwhere(heat == heat.max()).mean(axis=0)
    row, column = ((hot + 0.5) / HEAT_SIZE - 0.5) * 224.0 / 0.5
    return float(centre_rc[0] + row), float(centre_rc[1] + column)


def scored(
    slice_id: int,
    position_mm: float,
    any_: float = 0.02,
    *,
    heat: np.ndarray[tuple[int, int], np.dtype[np.uint8]] | None = None,
    kinds: tuple[float, ...] = (0.01, 0.01, 0.01, 0.01, 0.01),
    has_brain: bool = True,
    centre_rc: tuple[float, float] = (255.5, 255.5),
    where: SliceGeometry | None = None,
    sop_uid: str | None = None,
) -> SliceRow:
    """A slice with these probabilities; its logits are theirs, uncalibrated."""
    chances = np.clip(np.array((any_, *kinds)), 1e-9, 1 - 1e-9)
    heat = blob(28, 28, value=0) if heat is None else heat
    score = SliceScore(
        logits=np.log(chances / (1 - chances)).astype(np.float32),
        embedding=np.zeros(64, dtype=np.float32),
        heat=heat,
        probabilities=(any_, *kinds),
        box=BoxPlace(centre_rc=centre_rc, side_mm=224.0),
        peak_rc=peak_of(heat, centre_rc),
        has_brain=has_brain,
        brain_hu=33.0 if has_brain else None,
        skull_area_mm2=8000.0,
        ms={},
    )
    return SliceRow(
        id=slice_id,
        series_id=1,
        sop_uid=sop_uid or f"2.25.{slice_id}",
        pixel_sha256=f"{slice_id:064x}",
        file_sha256=f"{slice_id:064x}",
        stored="",
        geometry=where or geometry(position_mm),
        instance_number=None,
        acquisition_number=None,
        acquired="",
        corrections=(),
        landed_ns=0,
        score=score,
        ms={},
    )
