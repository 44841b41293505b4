"""A slice as people see it: windowed, the heat map laid over it, as PNG. Always on black.

Slices come turned already (`placing`): the patient's right on the picture's left, the face up.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from appliance.core.engine import Window
from appliance.core.headers import SliceGeometry, Vector
from appliance.core.reads import Hounsfield
from appliance.core.slices import BoxPlace
from appliance.imaging.windows import windowed

MOST_OPAQUE: Final = 0.36  # so that the blood stays visible beneath
SHOWN_FROM: Final = 0.08  # of the heat; below it nothing is laid over
CONTOUR_AT: Final = 0.5
DASH_PX: Final = 7.0
MAX_SIDE_PX: Final = 2048

COLOURS_AT: Final = (0.0, 0.35, 0.65, 1.0)
COLOURS: Final = ((0.20, 0.04, 0.38), (0.58, 0.13, 0.50), (0.94, 0.46, 0.25), (1.00, 0.93, 0.35))
CONTOUR: Final = (1.0, 0.97, 0.80)
_SURE: Final = 0.8  # of a direction's length that must lie along one axis of the patient

Grey = NDArray[np.float32]


class Edges(NamedTuple):
    """The patient's direction at each edge of the picture: R, L, A, P, H or F, and "?" where nobody knows."""

    left: str = "?"
    right: str = "?"
    top: str = "?"
    bottom: str = "?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A PNG, square, 8 bits; grey without a heat map, else RGB."""

    png: bytes
    edges: Edges
    mm_per_px: float


def edge_letters(geometry: SliceGeometry | None) -> Edges:
    """The letters at the edges, from the directions alone."""
    if geometry is None:
        return Edges()
    left, right = _letters(geometry.row_direction)
    top, bottom = _letters(geometry.column_direction)
    return Edges(left=left, right=right, top=top, bottom=bottom)


def _letters(direction: Vector) -> tuple[str, str]:
    """Where a direction comes from and where it goes. Patient coordinates grow to left, back and head."""
    axis = max(range(3), key=lambda index: abs(direction[index]))
    if abs(direction[axis]) < _SURE:
        return "?", "?"
    ends = (("R", "L"), ("A", "P"), ("F", "H"))[axis]
    return ends if direction[axis] > 0 else (ends[1], ends[0])


def render(
    hu: Hounsfield,
    geometry: SliceGeometry | None,
    window: Window,
    *,
    heat: NDArray[np.uint8] | None = None,
    box: BoxPlace | None = None,
    pixel_mm: tuple[float, float] | None = None,
    size_px: int = 512,
) -> Picture:
    """Draws one slice int16 [rows, columns] into a square of `size_px`.

    `heat` uint8 [n, n], 255 = 1, lies over `box` (`core.slices`); both or neither. Its colours run from dark violet to
    yellow, never more than MOST_OPAQUE; a dashed line stands at half. `pixel_mm` is needed only without a geometry.
    """
    if not 16 <= size_px <= MAX_SIDE_PX:
        raise ValueError(f"a picture of {size_px} px is not drawn")
    mm = geometry.pixel_mm if geometry is not None else pixel_mm or (1.0, 1.0)
    rows, columns = hu.shape
    grid = grid_of(rows, columns, mm, size_px)
    grey = sampled(windowed(hu, window), grid)
    edges = edge_letters(geometry)
    if heat is None or box is None:
        return Picture(png=_png(grey), edges=edges, mm_per_px=grid.mm_per_px)
    shown = heat_at(heat, box, grid)
    return Picture(png=_png(_overlaid(grey, shown)), edges=edges, mm_per_px=grid.mm_per_px)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A square picture over a slice: the centres of its pixels, in pixels of the slice."""

    row_at: NDArray[np.float64]
    column_at: NDArray[np.float64]
    pixel_mm: tuple[float, float]  # of the slice
    mm_per_px: float  # of the picture


def grid_of(rows: int, columns: int, pixel_mm: tuple[float, float], size_px: int) -> Grid:
    """The grid of `size_px` by `size_px` that holds the whole slice in its middle."""
    mm_per_px = max(rows * pixel_mm[0], columns * pixel_mm[1]) / size_px
    across_mm = size_px * mm_per_px
    at_mm: NDArray[np.float64] = (np.arange(size_px, dtype=np.float64) + 0.5) * mm_per_px
    row_at: NDArray[np.float64] = (at_mm - (across_mm - rows * pixel_mm[0]) / 2) / pixel_mm[0] - 0.5
    column_at: NDArray[np.float64] = (at_mm - (across_mm - columns * pixel_mm[1]) / 2) / pixel_mm[1] - 0.5
    return Grid(row_at=row_at, column_at=column_at, pixel_mm=pixel_mm, mm_per_px=mm_per_px)


def sampled(grey: Grey, grid: Grid) -> Grey:
    """Linear sampling; smoothed before where the picture shrinks, black outside."""
    steps = [grid.mm_per_px / mm for mm in grid.pixel_mm]
    sigma = tuple(0.4 * one if one > 1.2 else 0.0 for one in steps)
    if any(sigma):
        grey = ndimage.gaussian_filter(grey, sigma)
    return _bilinear(grey, grid.row_at, grid.column_at)


def _bilinear(values: Grey, row_at: NDArray[np.float64], column_at: NDArray[np.float64]) -> Grey:
    """Values at a grid of places, 0 outside. A separable gather: much faster than a general one."""
    for axis, places in ((0, row_at), (1, column_at)):
        size = values.shape[axis]
        inside = (places >= -0.5) & (places <= size - 0.5)
        at = np.clip(places, 0, size - 1)
        low = np.minimum(at.astype(np.intp), max(size - 2, 0))
        weight = (at - low).astype(np.float32)
        keep = inside.astype(np.float32)
        shape = (-1, 1) if axis == 0 else (1, -1)
        below = values.take(low, axis) * ((1 - weight) * keep).reshape(shape)
        values = below + values.take(np.minimum(low + 1, size - 1), axis) * (weight * keep).reshape(shape)
    return values


def heat_at(heat: NDArray[np.uint8], box: BoxPlace, grid: Grid) -> Grey:
    """The heat under each pixel of the picture, 0 to 1."""
    values = heat.astype(np.float32) / np.float32(255)
    cell_mm = box.side_mm / heat.shape[0], box.side_mm / heat.shape[1]
    middle = (heat.shape[0] - 1) / 2, (heat.shape[1] - 1) / 2
    mm = grid.pixel_mm
    heat_row = (grid.row_at - box.centre_rc[0]) * mm[0] / cell_mm[0] + middle[0]
    heat_column = (grid.column_at - box.centre_rc[1]) * mm[1] / cell_mm[1] + middle[1]
    return _bilinear(values, heat_row, heat_column)


def _overlaid(grey: Grey, heat: Grey) -> Grey:
    """RGB, 0 to 1."""
    picture = np.repeat(grey[:, :, None], 3, axis=2)
    warm = heat > SHOWN_FROM
    if warm.any():
        here = heat[warm]
        opaque = (MOST_OPAQUE * np.minimum(1.0, (here - SHOWN_FROM) / (0.5 - SHOWN_FROM)))[:, None]
        colour = np.stack([np.interp(here, COLOURS_AT, [one[c] for one in COLOURS]) for c in range(3)], axis=1)
        picture[warm] = picture[warm] * (1 - opaque) + colour * opaque
    picture[dashed_contour(heat >= CONTOUR_AT)] = CONTOUR
    return picture


def dashed_contour(hot: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A line just outside each hot part, broken into dashes of about DASH_PX along it."""
    drawn = np.zeros_like(hot)
    width = 1 + len(hot) // 500
    found = ndimage.find_objects(hot.astype(np.int8))
    if not found:
        return drawn
    room = width + 2
    around = tuple(slice(max(0, one.start - room), one.stop + room) for one in found[0])
    named, count = ndimage.label(ndimage.binary_dilation(hot[around], iterations=1 + width))
    line = (named > 0) & ~ndimage.binary_dilation(hot[around])
    rows, columns = np.nonzero(line)
    centres = np.atleast_2d(ndimage.center_of_mass(named > 0, named, range(1, count + 1)))
    own = named[rows, columns]
    away = np.stack((rows, columns), axis=1) - centres[own - 1]
    dashes = np.maximum(2, np.rint(np.bincount(own, minlength=count + 1) / (2 * DASH_PX * width)))[own]
    turn = (np.arctan2(away[:, 0], away[:, 1]) / (2 * np.pi)) % 1.0
    on = (turn * dashes) % 1.0 < 0.6
    drawn[around][rows[on], columns[on]] = True
    return drawn


def _png(picture: Grey) -> bytes:
    cells = np.ascontiguousarray(np.rint(picture * 255).astype(np.uint8))
    return bytes(imagecodecs.png_encode(cells, level=3))
