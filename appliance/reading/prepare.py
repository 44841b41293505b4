"""From one slice of Hounsfield values to the picture that an engine takes, and back to the slice's pixels.

One rule makes the head's box, in training and in service: a fixed number of millimetres a pixel, centred on the
slice's own skull, else on the picture. Nothing depends on other slices, so nothing is scored twice because of it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from appliance.core.engine import InputSpec
from appliance.core.slices import BoxPlace
from appliance.exams.head_ct.anatomy import Anatomy
from appliance.inference.windows import apply_windows

AIR_HU = -1000.0


def head_box(anatomy: Anatomy, spec: InputSpec) -> BoxPlace:
    """Return the square of the slice that the engine looks at."""
    return BoxPlace(centre_rc=anatomy.centre_rc, side_mm=spec.size * spec.spacing_mm)


def head_crop(
    hu: NDArray[np.int16] | NDArray[np.float32], pixel_mm: tuple[float, float], anatomy: Anatomy, spec: InputSpec
) -> NDArray[np.float32]:
    """Return the head's box as float32 [size, size] HU at the engine's spacing; outside the slice lies air.

    Each value is the mean of the slice over one cell of the box (by area), so that noise and edges of fine pixels
    become those of the engine's own spacing. Two sparse sums of weights, rows then columns.
    """
    box = head_box(anatomy, spec)
    rows = _cell_weights(hu.shape[0], pixel_mm[0], box.centre_rc[0], spec)
    columns = _cell_weights(hu.shape[1], pixel_mm[1], box.centre_rc[1], spec)
    (row_from, row_to), row_weights = rows
    (col_from, col_to), col_weights = columns
    part = np.asarray(hu[row_from:row_to, col_from:col_to], dtype=np.float32) - np.float32(AIR_HU)
    crop = row_weights @ part @ col_weights.T
    return np.ascontiguousarray(crop + np.float32(AIR_HU), dtype=np.float32)


def prepare(
    hu: NDArray[np.int16] | NDArray[np.float32], pixel_mm: tuple[float, float], anatomy: Anatomy, spec: InputSpec
) -> NDArray[np.float32]:
    """Return the engine's input float32 [1, windows, size, size], each channel 0 to 1, from a slice [H, W] in HU."""
    return apply_windows(head_crop(hu, pixel_mm, anatomy, spec), spec)[None]


def heat_cell_to_pixel(
    cell_rc: tuple[float, float], heat_size: int, box: BoxPlace, pixel_mm: tuple[float, float]
) -> tuple[float, float]:
    """Return (row, column) in pixels of the slice as stored of the middle of a heat-map cell."""
    return (
        box.centre_rc[0] + ((cell_rc[0] + 0.5) / heat_size - 0.5) * box.side_mm / pixel_mm[0],
        box.centre_rc[1] + ((cell_rc[1] + 0.5) / heat_size - 0.5) * box.side_mm / pixel_mm[1],
    )


def _cell_weights(
    pixels: int, spacing_mm: float, centre: float, spec: InputSpec
) -> tuple[tuple[int, int], NDArray[np.float32]]:
    """Return the stretch of pixels that the box covers, and weights [size, stretch] of their share in each cell.

    A pixel reaches half a pixel to each side of its middle. Where pixels are coarser than cells, a cell takes the
    linear interpolation of the two nearest: a triangle as wide as the coarser of the two.
    """
    cell = spec.spacing_mm / spacing_mm
    middles = centre + (np.arange(spec.size) - (spec.size - 1) / 2) * cell
    first = max(0, int(np.floor(middles[0] - max(cell, 1.0))))
    last = min(pixels, int(np.ceil(middles[-1] + max(cell, 1.0))) + 1)
    if last <= first:
        return (0, 0), np.zeros((spec.size, 0), dtype=np.float32)
    places = np.arange(first, last, dtype=np.float64)[None, :]
    gap = np.abs(places - middles[:, None])
    fine = cell >= 1.0
    weights = np.clip(0.5 * cell + 0.5 - gap, 0.0, 1.0) / cell if fine else np.clip(1.0 - gap, 0.0, None)
    return (first, last), np.asarray(weights, dtype=np.float32)
