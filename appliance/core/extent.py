"""How large a finding is and where it lies, as far as heat maps can say. Pure, rough, and said so.

The warm part of the key slice is followed from slice to slice, up and down, while it stays warm at the same place of
the patient. Nothing here is a volume or an outline: a cell of the heat map is about 4 mm wide.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Final

import numpy as np
from numpy.typing import NDArray

from appliance.core.evidence import HOT, SIDEWAYS, box_centre_mm, one_per_place, scored_of
from appliance.core.ledger import SliceRow

GAP_STEPS: Final = 1.5  # of the usual step; a longer one means that a slice is missing, and nothing is known across it

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """A finding's reach. Numbers count the series' slices from the foot, from 1.

    `tall_mm` is None where the series does not say how far its slices lie apart. `warm_mm` is the box round the warm
    part of the key slice, the longer side first. `left_mm` and `back_mm` are how far its middle lies from the middle of
    the skull, to the patient's left and back (negative: right, front); None where the picture does not show them.
    """

    first_number: int
    last_number: int
    key_number: int
    tall_mm: float | None
    warm_mm: tuple[float, float]
    left_mm: float | None
    back_mm: float | None


def extent_of(rows: Sequence[SliceRow], key_slice_id: int) -> Extent | None:
    """The extent of the finding on this key slice. `rows`: all slices of its series, foot to head.

    None where the key slice is not there or has no score, or where no cell of its heat map is more likely blood than not.
    """
    places = one_per_place(rows)
    at = next((index for index, row in enumerate(places) if row.id == key_slice_id), None)
    if at is None:
        return None
    key = places[at]
    warm = _warm_part(key)
    if warm is None:
        return None
    steps = [upper.geometry.position_mm - lower.geometry.position_mm for lower, upper in pairwise(places)]
    usual_mm = median(steps) if steps else key.geometry.thickness_mm
    first = places[at - _reach(places[at::-1], warm, usual_mm)]
    last = places[at + _reach(places[at:], warm, usual_mm)]
    numbers = {row.id: number for number, row in enumerate(rows, start=1)}
    apart_mm = last.geometry.position_mm - first.geometry.position_mm
    left_mm, back_mm = _from_skull_middle(key, warm)
    return Extent(
        first_number=numbers[first.id],
        last_number=numbers[last.id],
        key_number=numbers[key.id],
        tall_mm=None if usual_mm is None else apart_mm + usual_mm,
        warm_mm=_sides_mm(key, warm),
        left_mm=left_mm,
        back_mm=back_mm,
    )


def _warm_part(row: SliceRow) -> Mask | None:
    """The hot cells that hang together with the hottest one."""
    heat = scored_of(row).heat
    if heat.max() < HOT:
        return None
    seed = np.zeros(heat.shape, dtype=bool)
    seed[np.unravel_index(int(heat.argmax()), heat.shape)] = True
    return _grown(seed, heat >= HOT)


def _reach(places: Sequence[SliceRow], warm: Mask, usual_mm: float | None) -> int:
    """How many further places of this direction are warm where the one before them is. The first place is the key's."""
    for steps, (before, here) in enumerate(pairwise(places)):
        apart_mm = abs(here.geometry.position_mm - before.geometry.position_mm)
        if usual_mm is None or apart_mm > GAP_STEPS * usual_mm:
            return steps
        hot = scored_of(here).heat >= HOT
        touching = _widened(_moved(warm, before, here)) & hot
        if not touching.any():
            return steps
        warm = _grown(touching, hot)
    return len(places) - 1


def _moved(warm: Mask, before: SliceRow, here: SliceRow) -> Mask:
    """The cells of one slice as cells of another, at the same place of the patient: each map lies on its own skull."""
    cell_mm = scored_of(here).box.side_mm / warm.shape[0]
    apart_mm = box_centre_mm(before) - box_centre_mm(here)
    down = round(float(np.dot(apart_mm, here.geometry.column_direction)) / cell_mm)
    along = round(float(np.dot(apart_mm, here.geometry.row_direction)) / cell_mm)
    rows, columns = np.nonzero(warm)
    rows, columns = rows + down, columns + along
    inside = (rows >= 0) & (rows < warm.shape[0]) & (columns >= 0) & (columns < warm.shape[1])
    moved = np.zeros_like(warm)
    moved[rows[inside], columns[inside]] = True
    return moved


def _grown(seed: Mask, allowed: Mask) -> Mask:
    """All allowed cells that hang together with the seed, by sides or corners."""
    grown = seed
    while True:
        wider = _widened(grown) & allowed
        if np.array_equal(wider, grown):
            return grown
        grown = wider


def _widened(mask: Mask) -> Mask:
    """The mask and every cell that touches it."""
    padded = np.pad(mask, 1)
    rows, columns = mask.shape
    wide = np.zeros_like(mask)
    for down in range(3):
        for along in range(3):
            wide |= padded[down : down + rows, along : along + columns]
    return wide


def _sides_mm(row: SliceRow, warm: Mask) -> tuple[float, float]:
    cell_mm = scored_of(row).box.side_mm / warm.shape[0]
    rows, columns = np.nonzero(warm)
    one, other = float(np.ptp(rows) + 1) * cell_mm, float(np.ptp(columns) + 1) * cell_mm
    return max(one, other), min(one, other)


def _from_skull_middle(row: SliceRow, warm: Mask) -> tuple[float | None, float | None]:
    """How far the warm part's middle lies to the patient's left and back of the middle of the skull (the head's box)."""
    score, geometry = scored_of(row), row.geometry
    count = warm.shape[0]
    rows, columns = np.nonzero(warm)
    down_mm = ((float(rows.mean()) + 0.5) / count - 0.5) * score.box.side_mm
    along_mm = ((float(columns.mean()) + 0.5) / count - 0.5) * score.box.side_mm

    def towards(axis: int) -> float | None:
        """LPS: x grows to the left, y to the back. Not told where that direction points out of the picture."""
        across, downward = geometry.row_direction[axis], geometry.column_direction[axis]
        return along_mm * across + down_mm * downward if abs(across) + abs(downward) >= SIDEWAYS else None

    return towards(0), towards(1)
