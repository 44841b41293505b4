"""Where an engine looked, held against what was marked: the hottest cell in masks and boxes, what is hot over masks."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from appliance.core.slices import SliceScore
from appliance.evaluation.answers import Place
from appliance.evaluation.manifest import Box
from appliance.evaluation.stacks import Picture
from appliance.imaging.pictures import Grid, heat_at

NEAR_MM: Final = 2.0
MARKED_AT: Final = 0.5  # of the heat: what the viewer draws a line round

DENSE_OVER_BRAIN_HU: Final = 9.0
DENSE_BELOW_HU: Final = 100.0
"""What may be blood: as much denser than the brain's median as white matter is not, and less dense than calcium.

On labelled slices of two hospitals any 5 to 11 HU over the brain give the same Dice within .03.
"""

_SMOOTHED_MM: Final = 0.8


def blood_pixels(picture: Picture, score: SliceScore) -> NDArray[np.bool_]:
    """The pixels that are hot and as dense as blood, bool [rows, columns]: cells of the heat are 4 mm wide, blood is not.

    Where none is, or the brain's own density is not known, all that are hot.
    """
    hot = hot_pixels(picture, score)
    if score.brain_hu is None:
        return hot
    smooth = ndimage.gaussian_filter(
        picture.hu.astype(np.float32), [_SMOOTHED_MM / mm for mm in picture.geometry.pixel_mm]
    )
    dense = hot & (smooth > score.brain_hu + DENSE_OVER_BRAIN_HU) & (smooth < DENSE_BELOW_HU)
    return dense if dense.any() else hot


def hot_pixels(picture: Picture, score: SliceScore) -> NDArray[np.bool_]:
    """The pixels of the picture where the heat is at least MARKED_AT, bool [rows, columns]."""
    rows, columns = picture.hu.shape
    grid = Grid(
        row_at=np.arange(rows, dtype=np.float64),
        column_at=np.arange(columns, dtype=np.float64),
        pixel_mm=picture.geometry.pixel_mm,
        mm_per_px=picture.geometry.pixel_mm[0],
    )
    return np.asarray(heat_at(score.heat, score.box, grid) >= MARKED_AT)


def place_of(
    picture: Picture, score: SliceScore, mask: NDArray[np.bool_] | None, peak_xy: tuple[float, float] | None
) -> Place | None:
    """How the peak lies to the mask, else to the boxes. A picture that is marked and has no peak counts as missed."""
    if mask is not None and mask.any():
        return _in_mask(mask, score.peak_rc, picture.geometry.pixel_mm)
    if picture.row.boxes:
        near_px = NEAR_MM / min(picture.geometry.pixel_mm)
        inside = peak_xy is not None and any(_in_box(peak_xy, box, 0.0) for box in picture.row.boxes)
        near = peak_xy is not None and any(_in_box(peak_xy, box, near_px) for box in picture.row.boxes)
        return Place(by="boxes", inside=inside, near=near)
    return None


def _in_mask(mask: NDArray[np.bool_], peak_rc: tuple[float, float] | None, pixel_mm: tuple[float, float]) -> Place:
    if peak_rc is None:
        return Place(by="mask", inside=False, near=False)
    row, column = (min(max(round(at), 0), side - 1) for at, side in zip(peak_rc, mask.shape, strict=True))
    away_mm = ndimage.distance_transform_edt(~mask, sampling=pixel_mm)
    return Place(by="mask", inside=bool(mask[row, column]), near=bool(away_mm[row, column] <= NEAR_MM))


def _in_box(peak_xy: tuple[float, float], box: Box, by_px: float) -> bool:
    x0, y0, x1, y1 = box
    return x0 - by_px <= peak_xy[0] <= x1 + by_px and y0 - by_px <= peak_xy[1] <= y1 + by_px
