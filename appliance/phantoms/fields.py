"""Smooth random fields and soft shapes: what a phantom is painted with.

All arrays are float32 of shape (planes, rows, columns). Distances are in mm, positive inside a shape.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Field = NDArray[np.float32]


SPLINE_TAPS = 4


def _along(coarse: Field, size: int, axis: int, places: slice = slice(None)) -> Field:
    """Return `coarse` [.., knots, ..] drawn out to `size` places along an axis by uniform cubic B-splines.

    Each place takes four knots, so they are gathered: a product with the whole matrix of weights costs ten times more
    where there are many knots.
    """
    knots = coarse.shape[axis]
    place = np.linspace(1.0, knots - 2.0, size)[places]
    first = np.clip(np.floor(place).astype(np.int64) - 1, 0, knots - SPLINE_TAPS)
    shape = [1] * coarse.ndim
    shape[axis] = -1
    drawn: Field | None = None
    for tap in range(SPLINE_TAPS):
        distance = np.abs(place - (first + tap))
        near = 2.0 / 3.0 - distance**2 + 0.5 * distance**3
        far = np.clip(2.0 - distance, 0.0, None) ** 3 / 6.0
        weight = np.where(distance < 1.0, near, far).astype(np.float32).reshape(shape)
        part = np.take(coarse, first + tap, axis=axis)
        part *= weight
        drawn = part if drawn is None else np.add(drawn, part, out=drawn)
    assert drawn is not None
    return drawn


def smooth_noise(
    rng: np.random.Generator,
    shape: tuple[int, int, int],
    extent_mm: tuple[float, float, float],
    wavelength_mm: float,
    planes: slice = slice(None),
) -> Field:
    """Return `planes` of a smooth random field of mean 0 and standard deviation about 1.

    `shape` and `extent_mm` (its physical size) are the whole field's: any planes of it come out the same,
    whichever others are asked for. Structure is about half a wavelength wide.
    """
    knots = [max(4, round(extent / (0.5 * wavelength_mm)) + 3) for extent in extent_mm]
    coarse = rng.standard_normal(knots).astype(np.float32)
    field = _along(coarse, shape[0], 0, planes)
    field = _along(_along(field, shape[1], 1), shape[2], 2)
    field *= np.float32(1.0 / 0.34)
    return field


def occupancy(distance_mm: Field, softness_mm: float) -> Field:
    """Return the share of a voxel that lies inside, from a signed distance: anti-aliased edges."""
    share = distance_mm * np.float32(1.0 / softness_mm)
    share += np.float32(0.5)
    return np.clip(share, 0.0, 1.0, out=share)


def as_field(values: ArrayLike) -> Field:
    """Return values as a field, without a copy where they are one."""
    return np.asarray(values, dtype=np.float32)


def paint(hu: Field, weight: Field, value: Field | float) -> None:
    """Mix `value` (HU) into `hu` in place, by `weight` 0..1."""
    if isinstance(value, np.ndarray):
        hu += weight * (value - hu)
    else:
        hu += weight * (np.float32(value) - hu)


def ellipsoid(
    x: Field,
    y: Field,
    z: Field,
    centre: tuple[float, float, float],
    radii: tuple[float, float, float],
) -> Field:
    """Return the approximate signed distance (mm, positive inside) of an ellipsoid."""
    squares = ((x - np.float32(centre[0])) / np.float32(radii[0])) ** 2
    squares += ((y - np.float32(centre[1])) / np.float32(radii[1])) ** 2
    squares += ((z - np.float32(centre[2])) / np.float32(radii[2])) ** 2
    np.sqrt(squares, out=squares)
    return (np.float32(1.0) - squares) * np.float32(min(radii))


def tube(
    x: Field,
    y: Field,
    z: Field,
    ends: tuple[tuple[float, float, float], tuple[float, float, float]],
    radii: tuple[float, float],
) -> Field:
    """Return the signed distance (mm, positive inside) of a rod whose radius goes from one end's to the other's."""
    (x0, y0, z0), (x1, y1, z1) = ends
    dx, dy, dz = x1 - x0, y1 - y0, z1 - z0
    length2 = dx * dx + dy * dy + dz * dz
    along = as_field((x - np.float32(x0)) * np.float32(dx / length2))
    along += (y - np.float32(y0)) * np.float32(dy / length2)
    along += (z - np.float32(z0)) * np.float32(dz / length2)
    np.clip(along, 0.0, 1.0, out=along)
    gap = (x - np.float32(x0) - along * np.float32(dx)) ** 2
    gap += (y - np.float32(y0) - along * np.float32(dy)) ** 2
    gap += (z - np.float32(z0) - along * np.float32(dz)) ** 2
    np.sqrt(gap, out=gap)
    along *= np.float32(radii[1] - radii[0])
    along += np.float32(radii[0])
    along -= gap
    return along


def smoothstep(value: Field, low: float, high: float) -> Field:
    """Return 0 below `low`, 1 above `high`, a smooth ramp between."""
    ramp = value - np.float32(low)
    ramp *= np.float32(1.0 / (high - low))
    np.clip(ramp, 0.0, 1.0, out=ramp)
    curve = np.float32(3.0) - np.float32(2.0) * ramp
    curve *= ramp
    curve *= ramp
    return curve
