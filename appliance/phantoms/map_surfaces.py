"""What a label map does not name, measured on it: inner table, skull, dura's folds and true sinuses.

Arrays are [z, y, x] at 1 mm as in `label_map`; distances in mm, positive inside. MRI cannot tell bone from
air, has no falx and no tentorium, and its vein label runs as a sheet along the inner table: here each gets the form
that a CT shows.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, special

from appliance.phantoms.fields import Field, as_field
from appliance.phantoms.grid import Point
from appliance.phantoms.label_numbers import BRAIN, CEREBRUM, HOLLOW, Tissue

Mask = NDArray[np.bool_]
FAR_MM: Final = 30.0
_SKULL_MM: Final = 6.0  # where a map has none
_SCALP_MM: Final = 6.0
_HULL_MM: Final = 12.0
_ROOM_MM: Final = 2.5


def signed_mm(mask: Mask, most_mm: float, *, smooth: float = 1.0) -> Field:
    """Return the signed distance to a mask's edge, right to a part of a voxel near it, and no more than `most_mm`.

    Within 2 mm it comes from the smoothed mask, so that the steps of the voxels do not show.
    """
    box = box_of(mask, int(most_mm) + 2)
    near = ndimage.gaussian_filter(mask[box].astype(np.float32), smooth)
    edge = smooth * np.sqrt(2.0) * special.erfinv(np.clip(2.0 * near - 1.0, -0.9999, 0.9999))
    coarse = mask[box][::2, ::2, ::2]
    far = grown(_signed(coarse), near.shape)
    weight = np.clip(1.75 * smooth - np.abs(edge), 0.0, 1.0)
    distance = np.full(mask.shape, -most_mm, dtype=np.float32)
    distance[box] = np.clip(weight * edge + (1.0 - weight) * far, -most_mm, most_mm)
    return distance


def inner_surface(tissue: NDArray[np.uint8], *, has_skull: bool) -> Field:
    """Return the depth below the inner table: round brain, its fluid and the vessels that touch them.

    Maps of the brain alone leave out the fluid round it: there the table lies some mm off a hull of the brain.
    """
    core = brain_mask(tissue) | np.isin(tissue, (*HOLLOW, Tissue.CSF))
    core = _largest(ndimage.binary_opening(core, iterations=1))
    if not has_skull:
        hull = _closed(core[::2, ::2, ::2], _HULL_MM / 2)
        smooth = as_field(ndimage.gaussian_filter(_signed(hull), 2.0)) + np.float32(_ROOM_MM)
        return as_field(np.clip(grown(smooth, tissue.shape), -FAR_MM, FAR_MM))
    touching = ndimage.binary_dilation(core, iterations=3)
    vessels = np.isin(tissue, (Tissue.VEIN, Tissue.ARTERY, Tissue.CORD))
    core |= touching & vessels
    closed = ndimage.binary_closing(core, iterations=3, border_value=0)
    closed |= core
    filled = np.stack([ndimage.binary_fill_holes(plane) for plane in closed])
    return signed_mm(filled, FAR_MM, smooth=1.2)


def outer_surface(tissue: NDArray[np.uint8], inside: Field, *, has_skull: bool) -> Field:
    """Return the depth below the skull's outer surface: holes that MRI left in the vault are closed, faces kept out."""
    if not has_skull:
        return inside + np.float32(_SKULL_MM)
    skull = (tissue == Tissue.BONE) | (inside > -2.0)
    small = skull[::2, ::2, ::2]
    closed = _closed(small, 10.0 / 2)
    whole = grown(as_field(ndimage.gaussian_filter(_signed(closed), 1.5)), tissue.shape)
    # A wall of the vault is never thicker than this; below lies the face.
    return as_field(np.clip(np.minimum(whole, inside + np.float32(13.0)), -FAR_MM, FAR_MM))


def skull_hull(tissue: NDArray[np.uint8], outer: Field, *, has_skull: bool) -> Field:
    """Return the depth below the skin."""
    if not has_skull:
        return outer + np.float32(_SCALP_MM)
    body = ndimage.binary_opening((tissue != Tissue.AIR)[::2, ::2, ::2])
    body = _closed(_largest(body), 3.0)
    skin = grown(as_field(ndimage.gaussian_filter(_signed(body), 0.8)), tissue.shape)
    return as_field(np.maximum(np.clip(skin, -FAR_MM, FAR_MM), outer + np.float32(2.0)))


def vault_depth(inside: Field, origin: Point) -> Field:
    """Return the depth below the vault alone: the surface that faces up or sideways, the base left out."""
    small = inside[::2, ::2, ::2]
    within = small > 0
    up = np.gradient(ndimage.gaussian_filter(small, 2.0), axis=0)
    shell = within & ~ndimage.binary_erosion(within)
    low = (origin[2] - 45.0) / 2
    high_enough = np.arange(small.shape[0])[:, None, None] > low
    # The gradient points inwards, so it points up over the base.
    wall = shell & (up < 0.7) & high_enough
    away = 2.0 * as_field(ndimage.distance_transform_edt(~wall))
    depth = np.where(within, away, np.minimum(small, 0.0))
    return grown(as_field(np.clip(depth, -FAR_MM, 60.0)), inside.shape)


def tentorium(tissue: NDArray[np.uint8], origin: Point) -> tuple[Field, Field]:
    """Return the height over the tentorium everywhere, and the same where its leaf stands, else FAR_MM.

    It lies equally far from cerebrum and cerebellum, behind the brain stem.
    """
    small = tissue[::2, ::2, ::2]
    above = np.isin(small, (*CEREBRUM, Tissue.VENTRICLE, Tissue.PLEXUS))
    below = np.isin(small, (Tissue.CEREBELLUM, Tissue.CEREBELLUM_WHITE, Tissue.FOURTH))
    over = _signed(above)
    under = _signed(below)
    height = ndimage.gaussian_filter(0.5 * (over - under), 1.0)
    stem = _signed(small == Tissue.STEM)
    y = 2.0 * np.arange(small.shape[1])[None, :, None] - origin[1]
    leaf = (np.minimum(over, under) > -13.0) & (stem < -5.0) & (y > 8.0)
    standing = grown(as_field(ndimage.binary_opening(leaf)), tissue.shape)
    tent = grown(as_field(height), tissue.shape)
    return tent, np.where(standing > 0.5, tent, np.float32(FAR_MM))


def thick_veins(tissue: NDArray[np.uint8], inside: Field) -> Mask:
    """Return the vein label's pieces thicker than two voxels, within the skull or in its wall: the true sinuses."""
    veins = tissue == Tissue.VEIN
    thick = ndimage.binary_opening(veins, np.ones((2, 3, 3), dtype=np.bool_))
    return np.asarray(veins & ndimage.binary_dilation(thick) & (inside > -4.0))


def gap_to_brain(tissue: NDArray[np.uint8]) -> Field:
    """Return how far a voxel's middle lies from brain's edge, -0.5 in brain, at most 6 mm."""
    brain = brain_mask(tissue) | np.isin(tissue, HOLLOW)
    away = np.minimum(as_field(ndimage.distance_transform_edt(~brain)), 6.5) - np.float32(0.5)
    return as_field(ndimage.gaussian_filter(away, 0.5))


def falx_sheet(tissue: NDArray[np.uint8], side: NDArray[np.int8], inside: Field, tent: Field) -> tuple[Field, Field]:
    """Return the middle sheet's voxel x over [z, y], and how deep (mm) each place lies within the falx's outline."""
    x = np.arange(tissue.shape[2], dtype=np.float32)
    near = np.abs(x - _midline(side)) < 22.0
    left, right = (side == 1) & near, (side == -1) & near
    last = np.where(left.any(axis=2), np.argmax(left, axis=2), -1).astype(np.float32)
    first = np.where(right.any(axis=2), x.size - 1 - np.argmax(right[:, :, ::-1], axis=2), -1).astype(np.float32)
    both = (last >= 0) & (first >= 0) & (last > first - 3)
    weight = ndimage.gaussian_filter(both.astype(np.float32), 6.0) + 1e-4
    middle = ndimage.gaussian_filter(np.where(both, (last + first) / 2, 0.0).astype(np.float32), 6.0)
    at = (middle + 1e-4 * _midline(side)) / weight
    column = np.clip(np.rint(at), 0, x.size - 1).astype(np.int64)[:, :, None]
    within = np.take_along_axis(inside, column, axis=2)[:, :, 0]
    above_tent = np.take_along_axis(tent, column, axis=2)[:, :, 0]
    flesh = np.isin(tissue, (*HOLLOW, Tissue.WHITE, Tissue.THALAMUS, Tissue.STEM, Tissue.MEDIAL))
    nearby = [np.take_along_axis(flesh, np.clip(column + k, 0, x.size - 1), axis=2)[:, :, 0] for k in (-1, 0, 1)]
    core = ndimage.binary_opening(nearby[0] & nearby[1] & nearby[2], iterations=2)
    if not core.any():
        core[tissue.shape[0] // 2, tissue.shape[1] // 2] = True
    clear = as_field(ndimage.distance_transform_edt(~core))
    # The free edge follows the corpus callosum: far from it in front, close to it behind.
    share = np.linspace(1.0, 0.0, tissue.shape[1], dtype=np.float32)[None, :]
    reach = np.minimum(within + 1.0, clear - (4.0 + 14.0 * share))
    level = np.flatnonzero(core.any(axis=1))
    height = np.arange(tissue.shape[0], dtype=np.float32)[:, None]
    reach = np.minimum(reach, height - (np.float32(np.median(level)) - 6.0))
    return as_field(at), as_field(np.minimum(reach, above_tent))


def _midline(side: NDArray[np.int8]) -> float:
    left, right = (np.flatnonzero((side == s).any(axis=(0, 1))) for s in (1, -1))
    if left.size == 0 or right.size == 0:
        return float(side.shape[2]) / 2
    ends = sorted(float(end) for end in (left.min(), left.max(), right.min(), right.max()))
    return 0.5 * (ends[1] + ends[2])


def brain_mask(tissue: NDArray[np.uint8]) -> Mask:
    """Return where there is brain, ventricles left out."""
    return (tissue >= BRAIN.start) & (tissue < BRAIN.stop)


def _signed(coarse: Mask) -> Field:
    """Return the signed distance in mm to the edge of a mask of every second voxel."""
    return as_field(2.0 * (ndimage.distance_transform_edt(coarse) - ndimage.distance_transform_edt(~coarse)))


def _closed(mask: Mask, radius: float) -> Mask:
    """Return a closing by a ball of `radius` voxels, by distances: a ball of that size as a kernel takes minutes."""
    grown = ndimage.distance_transform_edt(~mask) <= radius
    return np.asarray(ndimage.distance_transform_edt(np.pad(grown, 1, mode="edge"))[1:-1, 1:-1, 1:-1] > radius) | mask


def _largest(mask: Mask) -> Mask:
    found, count = ndimage.label(mask)
    if count <= 1:
        return mask
    return np.asarray(found == 1 + int(np.argmax(np.bincount(found.ravel())[1:])))


def grown(coarse: Field, shape: tuple[int, ...]) -> Field:
    """Return a field of every second voxel on all of them, linearly."""
    field: NDArray[Any] = coarse
    for axis, size in enumerate(shape):
        place = np.minimum(np.arange(size) / 2.0, field.shape[axis] - 1.0)
        low = np.minimum(place.astype(np.int64), max(field.shape[axis] - 2, 0))
        share = (place - low).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
        below, above = np.take(field, low, axis=axis), np.take(field, np.minimum(low + 1, field.shape[axis] - 1), axis)
        field = below + share * (above - below)
    return as_field(field)


def box_of(mask: Mask, margin: int) -> tuple[slice, slice, slice]:
    """Return the box of a mask with a margin round it, the whole where it is empty."""
    found = ndimage.find_objects(mask.astype(np.uint8))
    if not found or found[0] is None:
        return slice(0, mask.shape[0]), slice(0, mask.shape[1]), slice(0, mask.shape[2])
    z, y, x = (
        slice(max(0, part.start - margin), min(size, part.stop + margin))
        for part, size in zip(found[0], mask.shape, strict=True)
    )
    return z, y, x
