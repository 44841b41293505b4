"""What one slice's own pixels show beside brain and skull, measured once and kept with its score; `gate` judges it.

Half a millisecond, on the coarse copy that `anatomy` has made already; metal alone is counted in full pixels, because
a clip is small. Thresholds of single pixels stand here, what makes a series doubtful stands in `gate`.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from appliance.core.slices import SliceFacts
from appliance.exams.head_ct.anatomy import Anatomy

METAL_ABOVE_HU: Final = 3000
"""Petrous bone ends at about 2,500 HU; scanners of 12 bits cut metal at 3,071."""

BRIGHT_ABOVE_HU: Final = 85.0
"""Brighter than clots (95 % of measured bleeds have a mean below 70 HU), in cells of 2 mm. Calcium and iodine are."""

DEEP_MM: Final = 4.0
"""As far from the skull a bright cell is no rim of it."""

SPOT_MOST_MM2: Final = 200.0
"""A vessel's section is smaller; more is bone of the base."""

AIR_BELOW_HU: Final = -300.0
AIR_LEAST_SHARE: Final = 0.05

GREY_HU: Final = 80
"""Grey values of the brain are looked at from 0 to here."""

LEAST_GREY_CELLS: Final = 400
LEAST_GREYS: Final = 3

_TOUCHING: Final = np.ones((3, 3), dtype=bool)

Mask = NDArray[np.bool_]


def slice_facts(hu: NDArray[np.int16], pixel_mm: tuple[float, float], anatomy: Anatomy) -> SliceFacts:
    """The facts of one slice [H, W] in HU whose `anatomy` is found; `pixel_mm` is (row, column) spacing."""
    cell_mm = (anatomy.step[0] * pixel_mm[0], anatomy.step[1] * pixel_mm[1])
    middle = _middle(anatomy.inside)
    return SliceFacts(
        inside_mm2=anatomy.inside_area_mm2,
        inside_rc=None if middle is None else _as_pixels(middle, anatomy.step),
        gap_mm=None if middle is None else _gap_mm(anatomy, middle, cell_mm),
        bright_spots=_bright_spots(anatomy, cell_mm),
        metal_mm2=_metal_mm2(hu, pixel_mm, anatomy),
        air_hu=_air_hu(anatomy.coarse),
        grey_step_hu=_grey_step_hu(hu, anatomy),
    )


def _middle(inside: Mask) -> tuple[float, float] | None:
    """In cells; None where the skull encloses nothing."""
    rows, columns = np.nonzero(inside)
    return (float(rows.mean()), float(columns.mean())) if rows.size else None


def _as_pixels(cell: tuple[float, float], step: tuple[int, int]) -> tuple[float, float]:
    return (cell[0] + 0.5) * step[0] - 0.5, (cell[1] + 0.5) * step[1] - 0.5


def _gap_mm(anatomy: Anatomy, middle: tuple[float, float], cell_mm: tuple[float, float]) -> float | None:
    """The widest stretch between neighbouring cells of bone as one looks round from the middle, less a cell's diagonal."""
    bone_r, bone_c = np.nonzero(anatomy.skull)
    if bone_r.size == 0:
        return None
    down_mm, along_mm = (bone_r - middle[0]) * cell_mm[0], (bone_c - middle[1]) * cell_mm[1]
    direction, radius_mm = np.arctan2(down_mm, along_mm), np.hypot(down_mm, along_mm)
    order = np.argsort(direction, kind="stable")
    direction, radius_mm = direction[order], radius_mm[order]
    steps = np.diff(direction, append=direction[0] + 2 * np.pi)
    apart_mm = steps * (radius_mm + np.roll(radius_mm, -1)) / 2
    return round(max(0.0, float(apart_mm.max() - np.hypot(*cell_mm))), 3)  # beyond that processors differ


def _bright_spots(anatomy: Anatomy, cell_mm: tuple[float, float]) -> int:
    rows, columns = np.flatnonzero(anatomy.inside.any(axis=1)), np.flatnonzero(anatomy.inside.any(axis=0))
    if rows.size == 0:
        return 0
    span = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    bright = anatomy.coarse[span] > BRIGHT_ABOVE_HU
    bright &= _without_edge(anatomy.inside[span], max(1, round(DEEP_MM / min(cell_mm))))
    if not bright.any():
        return 0
    labels, _ = ndimage.label(bright, _TOUCHING)
    areas_mm2 = np.bincount(labels.ravel())[1:] * (cell_mm[0] * cell_mm[1])
    return int(np.count_nonzero(areas_mm2 <= SPOT_MOST_MM2))


def _without_edge(mask: Mask, cells: int) -> Mask:
    """The mask without so many cells from its edge, by sides."""
    kept = np.pad(mask, 1)
    for _ in range(cells):
        inner = kept[1:-1, 1:-1] & kept[:-2, 1:-1] & kept[2:, 1:-1] & kept[1:-1, :-2] & kept[1:-1, 2:]
        kept = np.pad(inner, 1)
    return kept[1:-1, 1:-1]


def _metal_mm2(hu: NDArray[np.int16], pixel_mm: tuple[float, float], anatomy: Anatomy) -> float:
    """In the rectangle round the skull: what lies on the table or in the ears' rings counts little for the brain."""
    rows, columns = np.flatnonzero(anatomy.skull.any(axis=1)), np.flatnonzero(anatomy.skull.any(axis=0))
    if rows.size == 0:
        return 0.0
    down, along = anatomy.step
    part = hu[rows[0] * down : (rows[-1] + 1) * down, columns[0] * along : (columns[-1] + 1) * along]
    return float(np.count_nonzero(part > METAL_ABOVE_HU) * pixel_mm[0] * pixel_mm[1])


def _air_hu(coarse: NDArray[np.float32]) -> float | None:
    air = coarse[coarse < AIR_BELOW_HU]
    return float(np.median(air)) if air.size >= AIR_LEAST_SHARE * coarse.size else None


def _grey_step_hu(hu: NDArray[np.int16], anatomy: Anatomy) -> float | None:
    """Of one pixel of each cell inside the skull."""
    (rows, columns), (down, along) = anatomy.inside.shape, anatomy.step
    grey = hu[: rows * down : down, : columns * along : along][anatomy.inside]
    grey = grey[(grey >= 0) & (grey <= GREY_HU)]
    if grey.size < LEAST_GREY_CELLS:
        return None
    seen = np.flatnonzero(np.bincount(grey))
    return float(np.median(np.diff(seen))) if seen.size >= LEAST_GREYS else None
