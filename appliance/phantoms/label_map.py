"""Heads as label maps: NIfTI files of FreeSurfer-like numbers, turned, cropped and measured once.

All arrays are [z, y, x] with 1-mm steps, in the directions of the head frame: x to the patient's left, y to the back, z
up. What is measured here costs seconds and does not depend on any seed; `mapped_inside` and `mapped_outside` paint it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from appliance.core.errors import CannotStart
from appliance.imaging.nifti import Volume, is_nifti, read_nifti
from appliance.imaging.plain_pictures import BadPicture
from appliance.phantoms.fields import Field
from appliance.phantoms.grid import Point
from appliance.phantoms.label_numbers import HOLLOW, Tissue, read_table, tissues_of
from appliance.phantoms.map_surfaces import (
    box_of,
    brain_mask,
    falx_sheet,
    gap_to_brain,
    inner_surface,
    outer_surface,
    signed_mm,
    skull_hull,
    tentorium,
    thick_veins,
    vault_depth,
)

_SUFFIXES: Final = (".nii", ".nii.gz")
_BELOW_MM: Final = 105  # of the head frame's origin: neck and chin are left away
_ANCHOR: Final = (0.0, 6.0, 2.0)  # the middle of thalami and putamina in the head frame
_COARSE: Final = 2  # mm; of surfaces that are smooth
_VOXEL_MM: Final = (0.1, 10.0)  # a header in metres or micrometres would ask for more memory than there is
MAPS_KEPT: Final = 3

Half = NDArray[np.float16]
Box = tuple[slice, slice, slice]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelMap:
    """One head. `*_mm` fields are signed distances in mm, positive inside; [z, y, x] unless said otherwise."""

    name: str
    origin: Point  # voxel (x, y, z) of the head frame's origin
    tissue: NDArray[np.uint8]  # of `label_numbers.Tissue`
    inside_mm: Field  # below the inner table
    box: Box  # of what lies inside the skull; the next seven arrays are cut to it
    brain: Half  # share of brain, as the smoothed label says
    hollow_mm: Half  # inside the ventricles
    gap_mm: Half  # from brain's edge into the fluid round it
    sinus: Half  # share of venous sinus, 0..1
    artery: Half
    plexus: Half
    leaf_mm: Half  # height over the tentorium where there is one, else far
    falx_at: Field  # [z, y] voxel x of the middle sheet
    falx_reach: Field  # [z, y] mm inside the falx's outline
    coarse: Field  # [4, z/2, y/2, x/2] vault depth, skull's outer surface, tentorium height, skin surface
    pineal: Point  # voxels x, y, z
    glomus: tuple[Point, ...]  # the thick part of the choroid plexus on each side
    has_skull: bool
    size: Point  # half axes of the vault in mm


def find_label_maps(place: Path) -> tuple[Path, ...]:
    """Return the NIfTI files that a file or folder holds, by name. CannotStart where there are none."""
    found = [place] if place.is_file() else sorted(p for p in place.iterdir() if p.name.endswith(_SUFFIXES))
    if not found:
        raise CannotStart(f"{place}: no label map (.nii or .nii.gz) lies there")
    return tuple(found)


@lru_cache(maxsize=MAPS_KEPT)
def load_label_map(path: Path) -> LabelMap:
    """Read and measure one map; the last few stay in memory (100 MB each). CannotStart where it is no such map."""
    try:
        data = path.read_bytes()
        if not is_nifti(data):
            raise CannotStart(f"{path}: not a NIfTI-1 file")
        volume = read_nifti(data)
    except (OSError, BadPicture) as error:
        raise CannotStart(f"{path}: {error}") from None
    values = np.rint(_head_frame(volume) * volume.slope + volume.intercept)
    values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0).astype(np.int64)
    tissue, side = tissues_of(values, read_table(path.parent))
    return measure(path.name, tissue, side)


def measure(name: str, tissue: NDArray[np.uint8], side: NDArray[np.int8]) -> LabelMap:
    """Measure a head given by tissue and hemisphere, uint8 and int8 [z, y, x]. CannotStart: no whole brain."""
    for needed in (Tissue.THALAMUS, Tissue.DEEP, Tissue.VENTRICLE, Tissue.WHITE, Tissue.CORTEX, Tissue.CEREBELLUM):
        if np.count_nonzero(tissue == needed) < 50:
            raise CannotStart(f"{name}: a map of a head has {needed.name.lower()}, and this one has none")
    anchor = (_middle(tissue == Tissue.THALAMUS) + _middle(tissue == Tissue.DEEP)) / 2
    tissue, side, corner = _cropped(tissue, side, int(anchor[0] - _ANCHOR[2]) - _BELOW_MM)
    anchor -= corner
    origin = (float(anchor[2] - _ANCHOR[0]), float(anchor[1] - _ANCHOR[1]), float(anchor[0] - _ANCHOR[2]))
    has_skull = bool(np.count_nonzero(tissue == Tissue.BONE) > 0.05 * np.count_nonzero(brain_mask(tissue)))
    inside = inner_surface(tissue, has_skull=has_skull)
    outer = outer_surface(tissue, inside, has_skull=has_skull)
    tent, leaf = tentorium(tissue, origin)
    skin = skull_hull(tissue, outer, has_skull=has_skull)
    box = box_of(inside > -2.0, 3)
    hollow = np.isin(tissue, HOLLOW)
    falx_at, falx_reach = falx_sheet(tissue, side, inside, tent)
    return LabelMap(
        name=name,
        origin=origin,
        tissue=tissue,
        inside_mm=inside,
        box=box,
        brain=_share(brain_mask(tissue[box]), 0.8),
        hollow_mm=signed_mm(hollow[box], 8.0, smooth=0.6).astype(np.float16),
        gap_mm=gap_to_brain(tissue[box]).astype(np.float16),
        sinus=_share(thick_veins(tissue, inside)[box], 0.8),
        artery=_share(tissue[box] == Tissue.ARTERY, 0.7),
        plexus=_share(tissue[box] == Tissue.PLEXUS, 0.7),
        leaf_mm=leaf[box].astype(np.float16),
        falx_at=falx_at,
        falx_reach=falx_reach,
        coarse=np.stack([f[::_COARSE, ::_COARSE, ::_COARSE] for f in (vault_depth(inside, origin), outer, tent, skin)]),
        pineal=_pineal(tissue),
        glomus=_glomus(tissue),
        has_skull=has_skull,
        size=_half_axes(inside, origin),
    )


def map_of(maps: tuple[Path, ...], seed: int, *, run: int = 1) -> Path:
    """Return the map that a seed goes by; `run` seeds in a row share one, since reading one costs seconds."""
    return maps[seed // run % len(maps)]


def _head_frame(volume: Volume) -> NDArray[Any]:
    """Return the values turned to [z, y, x] growing up, back and left, one value a millimetre."""
    axes = volume.affine[:, :3]
    steps = np.linalg.norm(axes, axis=0)
    if not np.isfinite(axes).all() or not (_VOXEL_MM[0] <= steps.min() and steps.max() <= _VOXEL_MM[1]):
        raise CannotStart("a label map whose header names no size of a voxel, in millimetres")
    order = [int(np.argmax(np.abs(axes[row] / steps))) for row in (2, 1, 0)]
    if len(set(order)) != 3:
        raise CannotStart("a label map that lies at 45 degrees to the head")
    values = volume.values.transpose(order)
    flips = [axes[2, order[0]] < 0, axes[1, order[1]] > 0, axes[0, order[2]] > 0]
    for axis, backwards in enumerate(flips):
        values = np.flip(values, axis) if backwards else values
    for axis, column in enumerate(order):
        count = round(values.shape[axis] * float(steps[column]))
        if count != values.shape[axis]:
            places = ((np.arange(count) + 0.5) / steps[column]).astype(np.int64)
            values = np.take(values, np.minimum(places, values.shape[axis] - 1), axis=axis)
    return values


def _cropped(
    tissue: NDArray[np.uint8], side: NDArray[np.int8], lowest: int
) -> tuple[NDArray[np.uint8], NDArray[np.int8], NDArray[np.int64]]:
    """Return what lies over `lowest` with some air round it, and the old index of its new first voxel."""
    pad = 18
    start = max(0, lowest)
    box = np.array([[0, pad], [pad, pad], [pad, pad]])
    return np.pad(tissue[start:], box), np.pad(side[start:], box), np.array([start, -pad, -pad])


def _middle(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    return np.asarray(ndimage.center_of_mass(mask), dtype=np.float64)


def _share(mask: NDArray[np.bool_], smooth: float) -> Half:
    return ndimage.gaussian_filter(mask.astype(np.float32), smooth, truncate=3.0).astype(np.float16)


def _pineal(tissue: NDArray[np.uint8]) -> Point:
    """Return a point just behind the third ventricle, at its height."""
    third = tissue == Tissue.THIRD
    z, y, x = _middle(third if third.sum() > 20 else tissue == Tissue.THALAMUS)
    back = float(np.flatnonzero(third.any(axis=(0, 2))).max()) if third.sum() > 20 else y + 10.0
    return float(x), back + 3.0, float(z) + 2.0


def _glomus(tissue: NDArray[np.uint8]) -> tuple[Point, ...]:
    """Return the glomus of each side: the back part of the plexus, or of the ventricle where none is labelled."""
    middle = tissue.shape[2] / 2
    points = np.argwhere(tissue == Tissue.PLEXUS)
    if points.shape[0] < 40:
        points = np.argwhere(tissue == Tissue.VENTRICLE)
    found = []
    for half in (points[points[:, 2] < middle], points[points[:, 2] >= middle]):
        if half.shape[0] >= 20:
            back = half[half[:, 1] >= np.quantile(half[:, 1], 0.75)].mean(axis=0)
            found.append((float(back[2]), float(back[1]), float(back[0])))
    return tuple(found)


def _half_axes(inside: Field, origin: Point) -> Point:
    level = inside[max(0, round(origin[2])) :] > 0
    wide, long = np.flatnonzero(level.any(axis=(0, 1))), np.flatnonzero(level.any(axis=(0, 2)))
    high = np.flatnonzero(level.any(axis=(1, 2)))
    return float(np.ptp(wide)) / 2, float(np.ptp(long)) / 2, float(high.max())
