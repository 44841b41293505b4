"""What a large clot does to the brain round it: it moves aside, the midline with it, but not bone nor dura."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from appliance.phantoms.bleed import Bleed
from appliance.phantoms.fields import Field, as_field
from appliance.phantoms.head import Head

_CELL_MM = 4.0
_REACH_MM = 20.0  # over which it fades
_STIFF_MM = 9.0  # of brain by the dura, which cannot move outwards
_FROM_ML, _FULL_ML = 6.0, 30.0
_PLANES_AT_ONCE = 6
_LEAST_MM = 0.2


def pressed(head: Head, bled: Field, clot: Field, press: float, volume_ml: float) -> Field:
    """Return `bled` with the brain moved away from `clot` (share 0..1, as `bled`), the clot left in place.

    The push is `press` times the side of a cube of that volume, at its greatest; nothing below 6 mL.
    """
    strength = float(np.clip((volume_ml - _FROM_ML) / (_FULL_ML - _FROM_ML), 0.0, 1.0))
    most_mm = press * strength * (volume_ml * 1000.0) ** (1 / 3)
    if most_mm < _LEAST_MM:
        return bled
    push, cells = _push(head, clot, most_mm)
    out = bled.copy()
    steps = (head.scan.slab_mm, head.scan.step_mm, head.scan.step_mm)
    for first in range(0, bled.shape[0], _PLANES_AT_ONCE):
        planes = np.arange(first, min(first + _PLANES_AT_ONCE, bled.shape[0]))
        shift = np.stack(
            [_fine(part, planes, cells, bled.shape) / step for part, step in zip(push, steps, strict=True)]
        )
        moving = np.nonzero((np.abs(shift).max(axis=0) > _LEAST_MM / max(steps)) & (head.inside_mm[planes] > 0.0))
        if moving[0].size == 0:
            continue
        where = np.stack([moving[0] + first, moving[1], moving[2]]).astype(np.float32) - np.stack(
            [part[moving] for part in shift]
        )
        here = (moving[0] + first, moving[1], moving[2])
        moved = ndimage.map_coordinates(head.hu, where, np.float32, order=1, mode="nearest")
        # What blood does not cover changes by as much as the brain under it does.
        out[here] += (np.float32(1.0) - clot[here]) * (moved - head.hu[here])
    return out


def _push(head: Head, clot: Field, most_mm: float) -> tuple[Field, tuple[int, int, int]]:
    """Return the push in mm along planes, rows and columns [3, ...] at every few points, and how many those are."""
    scan = head.scan
    cells = (
        max(1, round(_CELL_MM / scan.slab_mm)),
        max(1, round(_CELL_MM / scan.step_mm)),
        max(1, round(_CELL_MM / scan.step_mm)),
    )
    every = tuple(slice(None, None, cell) for cell in cells)
    size = (cells[0] * scan.slab_mm, cells[1] * scan.step_mm, cells[2] * scan.step_mm)
    near = ndimage.gaussian_filter(clot[every], [_REACH_MM / mm for mm in size], mode="constant")
    slopes = [np.gradient(near, mm, axis=axis) if near.shape[axis] > 1 else near * 0 for axis, mm in enumerate(size)]
    push = -np.stack(slopes)
    push *= np.clip(head.inside_mm[every] / np.float32(_STIFF_MM), 0.0, 1.0)
    longest = float(np.sqrt((push**2).sum(axis=0)).max())
    return as_field(push * (most_mm / max(longest, 1e-9))), cells


def _fine(part: Field, planes: np.ndarray, cells: tuple[int, int, int], shape: tuple[int, ...]) -> Field:
    place = np.minimum(planes / cells[0], part.shape[0] - 1.0)
    low = np.minimum(place.astype(np.int64), max(part.shape[0] - 2, 0))
    share = (place - low)[:, None, None]
    high = np.minimum(low + 1, part.shape[0] - 1)
    level = as_field(part[low] * (1.0 - share) + part[high] * share)
    rows, columns = (_weights(shape[axis], part.shape[axis], cells[axis]) for axis in (1, 2))
    return as_field(np.matmul(np.matmul(rows, level), columns.T))


def _weights(size: int, knots: int, every: int) -> Field:
    place = np.minimum(np.arange(size) / every, knots - 1.0)
    return as_field(np.clip(1.0 - np.abs(place[:, None] - np.arange(knots)[None, :]), 0.0, None))


def drawn_press(rng: np.random.Generator, bleed: Bleed) -> float:
    """Draw how hard a bleed pushes: blood in the fluid pushes nothing."""
    return 0.0 if bleed.kind in ("ivh", "sah") else float(rng.uniform(0.15, 0.4))
