"""The skull and the brain of one slice, found once for the pixel rules, the head's box and the heat map.

Works on a copy shrunk to about 2 mm a pixel: a millisecond, and noise and thin holes drop out. No rule looks
at the picture's size or field of view; all are ratios within the picture, so that a small head is a head.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

BONE_HU = 250.0
BRAIN_HU = (0.0, 80.0)
COARSE_MM = 2.0
LEAST_COARSE_SIDE = 64
"""A picture is not shrunk below this many pixels a side."""

CLOSING_CELLS = (2, 4, 6)
"""How far a gap in the skull is bridged, in cells to each side, tried in this order."""

LEAST_HOLLOW_SHARE = 0.15
"""A skull that encloses less than this share of its own rectangle is taken for an open one, and closed further."""

LEAST_BRIDGED_MM2 = 6000.0
LEAST_BRIDGED_SHARE = 0.6
LEAST_BRIDGED_RING_SHARE = 0.66
"""What a skull that is open at one wide place has to enclose: more than any jaw (45 cm2), and .6 of its own outline."""

MIDDLE_SHARE = 0.5
"""Of the way from the middle to the edge: bone nearer than this is not the wall in which a gap is looked for."""

LEAST_BRAIN_SHARE = 0.5
"""At least this share of what the skull encloses reads as brain or fluid; a hollow head's inside is air."""

LEAST_RING_SHARE = 0.72
"""At least this share of directions from the inside meets bone: a jaw or a lone bar is no skull."""

LEAST_INSIDE_SHARE = 0.06
"""The inside takes at least this share of what the skull outlines: an all-bone vertex slice shows no brain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Anatomy:
    """What one slice shows; `coarse` in HU and masks, all [H', W'], are a copy shrunk by `step` (row, column) pixels."""

    coarse: NDArray[np.float32]
    skull: NDArray[np.bool_]
    inside: NDArray[np.bool_]
    step: tuple[int, int]
    skull_area_mm2: float
    inside_area_mm2: float
    has_brain_in_skull: bool
    brain_median_hu: float | None
    skull_length_mm: float
    centre_rc: tuple[float, float]  # pixels of the picture as stored


def find_anatomy(hu: NDArray[np.int16] | NDArray[np.float32], pixel_mm: tuple[float, float]) -> Anatomy:
    """Find skull and brain in one slice [H, W] of Hounsfield values; `pixel_mm` is (row, column) spacing."""
    step = _step(hu.shape, pixel_mm)
    coarse = _shrink(hu, step)
    cell_mm = (step[0] * pixel_mm[0], step[1] * pixel_mm[1])
    cell_mm2 = cell_mm[0] * cell_mm[1]
    skull = _skull(coarse > BONE_HU)
    if not skull.any():
        return _nothing(hu.shape, coarse, skull, step)
    found = _outlined(skull, coarse, cell_mm2)
    grown_rows, grown_columns = np.nonzero(found.closed)
    centre = (
        (0.5 * (float(grown_rows.min()) + float(grown_rows.max())) + 0.5) * step[0] - 0.5,
        (0.5 * (float(grown_columns.min()) + float(grown_columns.max())) + 0.5) * step[1] - 0.5,
    )
    length = max(np.ptp(grown_rows) * cell_mm[0] + cell_mm[0], np.ptp(grown_columns) * cell_mm[1] + cell_mm[1])
    return Anatomy(
        coarse=coarse,
        skull=skull,
        inside=found.inside,
        step=step,
        skull_area_mm2=float(np.count_nonzero(skull) * cell_mm2),
        inside_area_mm2=float(np.count_nonzero(found.inside) * cell_mm2),
        has_brain_in_skull=found.has_brain,
        brain_median_hu=float(np.median(found.brain)) if found.has_brain else None,
        skull_length_mm=float(length),
        centre_rc=centre,
    )


def _step(shape: tuple[int, ...], pixel_mm: tuple[float, float]) -> tuple[int, int]:
    steps = []
    for pixels, spacing in zip(shape, pixel_mm, strict=True):
        wanted = max(1, int(COARSE_MM / spacing)) if spacing > 0 else 1
        steps.append(max(1, min(wanted, pixels // LEAST_COARSE_SIDE)))
    return steps[0], steps[1]


def _shrink(hu: NDArray[np.int16] | NDArray[np.float32], step: tuple[int, int]) -> NDArray[np.float32]:
    rows, columns = hu.shape[0] // step[0], hu.shape[1] // step[1]
    cut = hu[: rows * step[0], : columns * step[1]]
    total = np.zeros((rows, columns), dtype=np.float32)
    for r in range(step[0]):
        for c in range(step[1]):
            total += cut[r :: step[0], c :: step[1]]
    total /= np.float32(step[0] * step[1])
    return total


def _skull(bone: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the bone that encloses most: the table under the head encloses nothing."""
    joined = ndimage.binary_dilation(bone)
    labels, count = ndimage.label(joined)
    if count == 0:
        return bone
    best, best_area = 0, -1.0
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        height, width = box[0].stop - box[0].start, box[1].stop - box[1].start
        if height * width <= best_area:
            continue
        part = labels[box] == number
        filled = ndimage.binary_fill_holes(part)
        area = float(np.count_nonzero(filled))
        if area > best_area:
            best, best_area = number, area
    return np.asarray(bone & (labels == best))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outline:
    """`closed`: the skull with its `inside`; `brain` the values in it that may be brain; `has_brain` whether they are."""

    closed: NDArray[np.bool_]
    inside: NDArray[np.bool_]
    brain: NDArray[np.float32]
    has_brain: bool


def _outlined(skull: NDArray[np.bool_], coarse: NDArray[np.float32], cell_mm2: float) -> _Outline:
    """Find what the skull encloses. What small gaps leave open may be open at one place alone: an orbit, a bone flap."""
    found = _outline(skull, _filled(skull), coarse, LEAST_INSIDE_SHARE, LEAST_RING_SHARE)
    if found.has_brain or _encloses(found.closed, skull):
        return found
    bridged = _filled(skull | _bridge(skull))
    wide = _outline(skull, bridged, coarse, LEAST_BRIDGED_SHARE, LEAST_BRIDGED_RING_SHARE)
    is_head = wide.has_brain and np.count_nonzero(wide.inside) * cell_mm2 >= LEAST_BRIDGED_MM2
    return wide if is_head else found


def _outline(
    skull: NDArray[np.bool_],
    closed: NDArray[np.bool_],
    coarse: NDArray[np.float32],
    inside_share: float,
    ring_share: float,
) -> _Outline:
    inside = _inside(closed & ~skull, coarse)
    brain = coarse[inside]
    brain = brain[(brain >= BRAIN_HU[0]) & (brain <= BRAIN_HU[1])]
    has_brain = (
        brain.size >= 12
        and brain.size >= LEAST_BRAIN_SHARE * np.count_nonzero(inside)
        and np.count_nonzero(inside) >= inside_share * np.count_nonzero(closed)
        and _ring_share(skull, inside) >= ring_share
    )
    return _Outline(closed=closed, inside=inside, brain=brain, has_brain=bool(has_brain))


def _span(skull: NDArray[np.bool_]) -> tuple[slice, slice]:
    """The rectangle round it; it must not be empty."""
    rows, columns = np.flatnonzero(skull.any(axis=1)), np.flatnonzero(skull.any(axis=0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _encloses(closed: NDArray[np.bool_], skull: NDArray[np.bool_]) -> bool:
    """Whether what was closed takes in a hollow as large as a head's."""
    part = skull[_span(skull)]
    return bool(np.count_nonzero(closed) - np.count_nonzero(part) >= LEAST_HOLLOW_SHARE * part.size)


def _filled(skull: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the skull with its inside, closing gaps (orbits, sutures, burr holes) by no more than is needed."""
    span = _span(skull)
    part = skull[span]
    filled = np.zeros_like(skull)
    filled[span] = ndimage.binary_fill_holes(part)
    if _encloses(filled, skull):
        return filled
    most = max(CLOSING_CELLS)
    padded = np.pad(part, most)
    to_bone = ndimage.distance_transform_edt(~padded)
    for reach in CLOSING_CELLS:
        closed = ndimage.binary_fill_holes(to_bone <= reach)
        shrunk = ndimage.distance_transform_edt(closed) > reach
        filled[span] = (shrunk | padded)[most:-most, most:-most]
        if _encloses(filled, skull):
            break
    return filled


def _bridge(skull: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the straight line over the widest gap, as one looks round from the middle of the rectangle.

    Bone near the middle (clivus, petrous bone, calcium) is looked over.
    """
    span = _span(skull)
    rows, columns = np.nonzero(skull)
    down, along = (
        (at - (one.start + one.stop - 1) / 2) / max((one.stop - one.start) / 2, 1.0)
        for at, one in zip((rows, columns), span, strict=True)
    )
    outer = np.hypot(down, along) >= MIDDLE_SHARE
    rows, columns, direction = rows[outer], columns[outer], np.arctan2(down[outer], along[outer])
    line = np.zeros_like(skull)
    if direction.size < 2:
        return line
    order = np.argsort(direction, kind="stable")  # the same on every processor
    widest = int(np.diff(direction[order], append=direction[order[0]] + 2 * np.pi).argmax())
    one, other = order[widest], order[(widest + 1) % order.size]
    cells = 2 * max(skull.shape)  # twice as many as the line can have: none is passed over
    line[
        np.rint(np.linspace(rows[one], rows[other], cells)).astype(np.intp),
        np.rint(np.linspace(columns[one], columns[other], cells)).astype(np.intp),
    ] = True
    return line


def _inside(hollow: NDArray[np.bool_], coarse: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return the largest hollow of soft tissue; where all are air, the largest hollow at all."""
    soft = hollow & (coarse > -150.0)
    for mask in (soft, hollow):
        labels, count = ndimage.label(mask)
        if count:
            sizes = np.bincount(labels.ravel())
            sizes[0] = 0
            largest = labels == int(sizes.argmax())
            if mask is hollow or 2 * sizes.max() >= np.count_nonzero(hollow) // 2:
                return np.asarray(largest)
    return hollow


def _ring_share(skull: NDArray[np.bool_], inside: NDArray[np.bool_], directions: int = 72) -> float:
    """Return the share of directions from the middle of the inside in which bone is met."""
    rows, columns = np.nonzero(inside)
    if rows.size == 0:
        return 0.0
    middle_r, middle_c = float(rows.mean()), float(columns.mean())
    bone_r, bone_c = np.nonzero(skull)
    angle = np.arctan2(bone_r - middle_r, bone_c - middle_c)
    bins = np.floor((angle + np.pi) / (2 * np.pi) * directions).astype(np.intp) % directions
    return float(np.unique(bins).size / directions)


def _nothing(
    shape: tuple[int, ...], coarse: NDArray[np.float32], empty: NDArray[np.bool_], step: tuple[int, int]
) -> Anatomy:
    return Anatomy(
        coarse=coarse,
        skull=empty,
        inside=np.zeros_like(empty),
        step=step,
        skull_area_mm2=0.0,
        inside_area_mm2=0.0,
        has_brain_in_skull=False,
        brain_median_hu=None,
        skull_length_mm=0.0,
        centre_rc=((shape[0] - 1) / 2.0, (shape[1] - 1) / 2.0),
    )
