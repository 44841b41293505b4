"""The host of a pasted bleed: some slices of one exam, with the anatomy of each and of the head they make."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from appliance.phantoms.fields import Field, as_field
from appliance.phantoms.pasting.slice_anatomy import (
    brain_median,
    dark_spaces,
    depth_in_skull,
    is_soft,
    skull_and_brain,
)

MARGIN_MM = 28.0
"""Kept round the brain: skull, scalp and room for a swelling."""

BONE, INSIDE, VENTRICLE, GUTTER, VAULT = 1, 2, 4, 8, 16
"""Bits of `Host.tissue`. VAULT: the nearest skull lies outwards, not at the base or in the middle of the head."""

_LEAST_VENTRICLE_ML = 0.6


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """Slices of one exam of one patient, foot to head, with their anatomy.

    `hu` int16 [n, H, W]; `positions_mm` [n], rising; `free` [n]: labelled bleed-free, only these are pasted into.
    `box` is the window (rows, columns) of the picture that holds the head; the arrays below lie in it.
    `depth_mm` float16 [n, h, w]: how far inside the skull, 0 outside; `tissue` uint8 [n, h, w], bits BONE to VAULT.
    `brain_hu`, `brain_mm2` [n]: median and area of the brain, 0 where there is none.
    `centre_rc` (pixels of the box) and `turn` (cosine, sine): the middle of the head and how its front lies.
    `midline_mm` [n]: where falx or fissure lies in each slice, x in mm from the middle.
    """

    hu: NDArray[np.int16]
    pixel_mm: float
    positions_mm: NDArray[np.float64]
    free: NDArray[np.bool_]
    box: tuple[slice, slice]
    depth_mm: NDArray[np.float16]
    tissue: NDArray[np.uint8]
    brain_hu: NDArray[np.float32]
    brain_mm2: NDArray[np.float32]
    centre_rc: tuple[float, float]
    turn: tuple[float, float]
    midline_mm: NDArray[np.float32]

    @property
    def thickness_mm(self) -> float:
        """What a slice is taken to average over: the usual step between slices."""
        if self.positions_mm.size < 2:
            return 5.0
        return float(np.clip(np.median(np.diff(self.positions_mm)), 0.5, 10.0))


def look_at(hu: NDArray[np.int16], pixel_mm: float, positions_mm: NDArray[np.float64], free: NDArray[np.bool_]) -> Host:
    """Find the anatomy of slices `hu` int16 [n, H, W] of square pixels, foot to head.

    A host without brain has an empty box; nothing can be pasted into it.
    """
    masks = [skull_and_brain(one, pixel_mm) for one in hu]
    box = _box(np.stack([inside for _, inside in masks]), pixel_mm)
    bone = np.stack([b[box] for b, _ in masks])
    inside = np.stack([i[box] for _, i in masks])
    pictures = hu[:, box[0], box[1]]
    centre, turn = _frame(inside)
    tissue = (bone * np.uint8(BONE) | inside * np.uint8(INSIDE)).astype(np.uint8)
    depth = np.zeros(inside.shape, dtype=np.float16)
    brain_hu = np.zeros(len(hu), dtype=np.float32)
    brain_mm2 = (inside.sum(axis=(1, 2)) * pixel_mm**2).astype(np.float32)
    widest = int(np.argmax(brain_mm2))
    for i in np.flatnonzero(brain_mm2):
        far, vault = depth_in_skull(inside[i], bone[i], centre, pixel_mm, is_low=bool(i < widest))
        depth[i] = far
        tissue[i] |= vault * np.uint8(VAULT)
        brain_hu[i] = brain_median(pictures[i], bone[i], far)
        ventricle, gutter = dark_spaces(pictures[i], inside[i], far, float(brain_hu[i]), pixel_mm)
        tissue[i] |= ventricle * np.uint8(VENTRICLE) | gutter * np.uint8(GUTTER)
    x, _ = frame_mm(inside.shape[1:], centre, turn, pixel_mm)
    _sort_fluid(tissue, depth, x, positions_mm - positions_mm[widest], pixel_mm)
    midline = _midlines(pictures, depth, x)
    return Host(
        hu=hu,
        pixel_mm=pixel_mm,
        positions_mm=positions_mm,
        free=free,
        box=box,
        depth_mm=depth,
        tissue=tissue,
        brain_hu=brain_hu,
        brain_mm2=brain_mm2,
        centre_rc=centre,
        turn=turn,
        midline_mm=midline,
    )


def frame_mm(
    shape: tuple[int, ...],
    centre_rc: tuple[float, float],
    turn: tuple[float, float],
    pixel_mm: float,
    corner: tuple[int, int] = (0, 0),
) -> tuple[Field, Field]:
    """Return x and y in mm from the head's middle, each [h, w]: x to the right of the picture, y to the back."""
    r = (np.arange(shape[0], dtype=np.float32) + np.float32(corner[0] - centre_rc[0]))[:, None]
    c = (np.arange(shape[1], dtype=np.float32) + np.float32(corner[1] - centre_rc[1]))[None, :]
    cosine, sine = turn
    return as_field((c * cosine + r * sine) * pixel_mm), as_field((r * cosine - c * sine) * pixel_mm)


def _box(inside: NDArray[np.bool_], pixel_mm: float) -> tuple[slice, slice]:
    margin = round(MARGIN_MM / pixel_mm)
    spans = []
    for axis in (1, 2):
        places = np.flatnonzero(inside.any(axis=(0, 3 - axis)))
        if places.size == 0:
            return slice(0, 0), slice(0, 0)
        spans.append(slice(max(0, int(places[0]) - margin), min(inside.shape[axis], int(places[-1]) + 1 + margin)))
    return spans[0], spans[1]


def _frame(inside: NDArray[np.bool_]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the head's middle and how far its midline is turned: where its halves mirror each other best."""
    areas = inside.sum(axis=(1, 2))
    if not areas.any():
        return (0.0, 0.0), (1.0, 0.0)
    shape = as_field(inside[areas >= 0.75 * areas.max()].mean(axis=0))
    rows, columns = np.mgrid[: shape.shape[0], : shape.shape[1]]
    centre = (float((rows * shape).sum() / shape.sum()), float((columns * shape).sum() / shape.sum()))
    small = shape[::3, ::3]
    r, c = (rows[::3, ::3] - centre[0]) / 3.0, (columns[::3, ::3] - centre[1]) / 3.0
    best, best_gap = 0.0, np.inf
    for angle in np.deg2rad(np.arange(-24.0, 24.1, 3.0)):
        ct, st = np.cos(2 * angle), np.sin(2 * angle)
        # The mirror line runs from front to back, turned by `angle`.
        mirrored = [ct * r - st * c + centre[0] / 3.0, -st * r - ct * c + centre[1] / 3.0]
        gap = float(np.abs(ndimage.map_coordinates(small, mirrored, order=1) - small).sum())
        gap *= 1.0 + 0.3 * angle * angle
        if gap < best_gap:
            best, best_gap = float(angle), gap
    return centre, (float(np.cos(best)), float(np.sin(best)))


def _midlines(pictures: NDArray[np.int16], depth_mm: NDArray[np.float16], x: Field) -> NDArray[np.float32]:
    """Return where falx or fissure lies in each slice, x in mm: the straightest thin line near the middle."""
    bins = np.clip(np.rint(x + 12.0), 0, 25).astype(np.intp)
    found = np.zeros(len(pictures), dtype=np.float32)
    for i, (hu, depth) in enumerate(zip(pictures, depth_mm, strict=True)):
        line = (np.abs(x) < 12.5) & (depth > 5.0) & is_soft(hu)
        if np.count_nonzero(line) < 400:
            continue
        seen = np.bincount(bins[line], minlength=26)
        profile = np.bincount(bins[line], weights=hu[line], minlength=26) / np.maximum(seen, 1)
        ridge = np.abs(profile[3:-4] - 0.5 * (profile[:-7] + profile[6:-1]))
        ridge *= np.exp(-0.5 * ((np.arange(ridge.size) + 3 - 12) / 5.0) ** 2)
        found[i] = float(np.argmax(ridge) + 3 - 12)
    return np.asarray(ndimage.median_filter(found, 5, mode="nearest"))


def _sort_fluid(
    tissue: NDArray[np.uint8], depth_mm: NDArray[np.float16], x: Field, above_mm: NDArray[np.float64], pixel_mm: float
) -> None:
    """Sort what is dark by where it lies in the head, in place.

    Ventricles hang together, reach some way above the widest slice and, far below it, lie in the middle (the fourth).
    Above the base a gutter lies near the skull or in the fissure; dark specks elsewhere are noise.
    """
    ventricle = (tissue & VENTRICLE) > 0
    above = above_mm[:, None, None]
    aside = np.abs(x)[None]
    misplaced = ventricle & ((above > 26.0) | (above < -18.0) & (aside > 14.0))
    labels, count = ndimage.label(ventricle & ~misplaced)
    if count and above_mm.size > 1:
        voxel_ml = pixel_mm**2 * float(np.median(np.diff(above_mm))) / 1000.0
        small = np.bincount(labels.ravel()) * voxel_ml < _LEAST_VENTRICLE_ML
        small[0] = False
        misplaced |= small[labels]
    tissue[misplaced] ^= np.uint8(VENTRICLE | GUTTER)
    speck = (above > 8.0) & (depth_mm > 26.0) & (aside > 7.0) & ((tissue & GUTTER) > 0)
    tissue[speck] ^= np.uint8(GUTTER)
