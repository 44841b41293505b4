"""A slice as two pictures of one square: the grey slice, and the heat map that a page lays over it.

Apart, they are quick to draw and few to keep: a page that hides the heat map, inverts the grey or changes the window
fetches nothing twice. Both are square, so that any size of the one fits any size of the other.
"""

from functools import lru_cache
from typing import Final

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from appliance.core.engine import Window
from appliance.core.headers import SliceGeometry
from appliance.core.reads import Hounsfield
from appliance.core.slices import BoxPlace
from appliance.imaging.pictures import (
    COLOURS,
    COLOURS_AT,
    CONTOUR,
    CONTOUR_AT,
    MOST_OPAQUE,
    SHOWN_FROM,
    Grid,
    dashed_contour,
    grid_of,
    heat_at,
    sampled,
)
from appliance.imaging.windows import windowed

HEAT_PX: Final = 640
LEAST_PX: Final = 256
MOST_PX: Final = 1024
_LEVEL: Final = 1  # of compression: noise hardly shrinks further, and a turn of the wheel waits for it
_HU_VALUES: Final = 1 << 16

Bytes = NDArray[np.uint8]


def grey_layer(hu: Hounsfield, geometry: SliceGeometry, window: Window) -> bytes:
    """A grey PNG of int16 [rows, columns], as large as the slice's own pixels ask for (LEAST_PX to MOST_PX)."""
    side_px = grey_side_px(geometry)
    square = geometry.rows == geometry.columns == side_px and geometry.pixel_mm[0] == geometry.pixel_mm[1]
    cells = _grey_of(window)[hu.view(np.uint16)] if square else _resampled(hu, geometry, window, side_px)
    return bytes(imagecodecs.png_encode(np.ascontiguousarray(cells), level=_LEVEL))


def grey_side_px(geometry: SliceGeometry) -> int:
    """How many pixels the square needs to show the smallest pixel of the slice."""
    rows_mm, columns_mm = geometry.rows * geometry.pixel_mm[0], geometry.columns * geometry.pixel_mm[1]
    return min(MOST_PX, max(LEAST_PX, round(max(rows_mm, columns_mm) / min(geometry.pixel_mm))))


def heat_layer(heat: NDArray[np.uint8], box: BoxPlace, geometry: SliceGeometry) -> bytes:
    """A PNG with transparency: the heat map uint8 [n, n] (255 = 1) where `box` lies in the slice.

    Never more than MOST_OPAQUE, so that the blood stays visible beneath; only the dashed line at half is opaque.
    """
    grid = grid_of(geometry.rows, geometry.columns, geometry.pixel_mm, HEAT_PX)
    here = heat_at(heat, box, grid)
    cells = _colour_of()[np.rint(here * 255).astype(np.uint8)]
    cells[dashed_contour(here >= CONTOUR_AT)] = [round(255 * part) for part in (*CONTOUR, 1.0)]
    return bytes(imagecodecs.png_encode(cells, level=_LEVEL))


def _resampled(hu: Hounsfield, geometry: SliceGeometry, window: Window, side_px: int) -> Bytes:
    grid: Grid = grid_of(geometry.rows, geometry.columns, geometry.pixel_mm, side_px)
    return np.rint(sampled(windowed(hu, window), grid) * 255).astype(np.uint8)


@lru_cache(maxsize=8)
def _grey_of(window: Window) -> Bytes:
    """The grey value of every 16-bit pattern, uint8 [65536]."""
    values = np.arange(_HU_VALUES, dtype=np.uint16).view(np.int16)
    return np.rint(windowed(values, window) * 255).astype(np.uint8)


@lru_cache(maxsize=1)
def _colour_of() -> Bytes:
    """Red, green, blue and opacity of every heat, uint8 [256, 4]."""
    heat = np.arange(256) / 255
    opaque = np.clip((heat - SHOWN_FROM) / (CONTOUR_AT - SHOWN_FROM), 0.0, 1.0) * MOST_OPAQUE
    colours = [np.interp(heat, COLOURS_AT, [one[c] for one in COLOURS]) for c in range(3)]
    # Rounded down: never more opaque than the bound.
    return np.stack([*(np.rint(255 * one) for one in colours), np.floor(255 * opaque)], axis=1).astype(np.uint8)
