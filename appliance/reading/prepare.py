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
    become those of the engine's own spacing.
    """
    box = head_box(anatomy, spec)
    above_air = np.asarray(hu, dtype=np.float32) - np.float32(AIR_HU)
    by_rows = _into_cells(above_air, pixel_mm[0], box.centre_rc[0], spec)
    crop = _into_cells(np.ascontiguousarray(by_rows.T), pixel_mm[1], box.centre_rc[1], spec).T
    return np.ascontiguousarray(crop + np.float32(AIR_HU))


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


def _into_cells(values: NDArray[np.float32], spacing_mm: float, centre: float, spec: InputSpec) -> NDArray[np.float32]:
    """Return [size, columns]: the rows of `values` [pixels, columns] averaged into the cells of the box.

    A pixel reaches half a pixel to each side of its middle. Where pixels are coarser than cells, a cell takes the
    linear interpolation of the two nearest: a triangle as wide as the coarser of the two. Two to four pixels make a
    cell, so they are gathered; a product with a whole matrix of weights takes five times as long.
    """
    cell = spec.spacing_mm / spacing_mm
    middles = centre + (np.arange(spec.size) - (spec.size - 1) / 2) * cell
    reach = 0.5 * cell + 0.5 if cell >= 1.0 else 1.0
    first = np.ceil(middles - reach).astype(np.int64)
    total = np.zeros((spec.size, values.shape[1]), dtype=np.float32)
    gathered = np.empty_like(total)
    for tap in range(int(2 * reach) + 1):
        pixel = first + tap
        gap = np.abs(pixel - middles)
        weight = np.clip(reach - gap, 0.0, 1.0) / cell if cell >= 1.0 else np.clip(1.0 - gap, 0.0, None)
        inside = (pixel >= 0) & (pixel < values.shape[0])
        weight = np.where(inside, weight, 0.0).astype(np.float32)
        np.take(values, np.where(inside, pixel, 0), axis=0, out=gathered, mode="clip")
        gathered *= weight[:, None]
        total += gathered
    return total
