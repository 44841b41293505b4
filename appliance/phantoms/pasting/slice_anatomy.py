"""Skull, brain and fluid of one slice, found in the picture itself.

Works on Hounsfield values and on 8-bit pictures of a brain window turned back into HU (bone saturated, air at the
window's foot): no rule looks above 92 HU or below -15 HU. Masks are bool [h, w].
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from appliance.phantoms.fields import Field, as_field

BONE_HU = 92.0

CLOSINGS_MM = (2.2, 4.5)
"""How far a gap in the skull is bridged, tried in this order."""

LEAST_BRAIN_MM2 = 1200.0
"""A slice whose skull encloses less brain is no host."""

_SOFT_HU = (-15.0, BONE_HU)
_BRAIN_HU = (12.0, 52.0)
_LEAST_PART_MM2 = 250.0
_FLUID_BELOW_HU = 11.0
_VENTRICLE_DEPTH_MM = 16.0
_LEAST_VENTRICLE_MM2 = 14.0
_LEAST_GUTTER_MM2 = 9.0
_SMOOTH_MM = 0.85
_VAULT_BONE_MM = 13.0


def is_soft(hu: NDArray[np.int16] | Field) -> NDArray[np.bool_]:
    """Return where neither bone nor air is."""
    return np.asarray((hu > _SOFT_HU[0]) & (hu < _SOFT_HU[1]))


def local_mean(hu: Field, keep: NDArray[np.bool_], sigma_px: float) -> Field:
    """Return the mean of the pixels to `keep` round each pixel [.., h, w]; where none is near, the pixel itself."""
    sigmas = (0.0,) * (hu.ndim - 2) + (sigma_px, sigma_px)
    weight = ndimage.gaussian_filter(keep.astype(np.float32), sigmas, truncate=3.0)
    total = ndimage.gaussian_filter(np.where(keep, hu, np.float32(0.0)), sigmas, truncate=3.0)
    return np.where(weight > 0.02, total / np.maximum(weight, np.float32(0.02)), hu).astype(np.float32)


def skull_and_brain(hu: NDArray[np.int16], pixel_mm: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the bone of a slice int16 [h, w], and what the skull encloses of brain; none where it is no closed skull."""
    bone = np.asarray(hu >= BONE_HU)
    inside = np.zeros_like(bone)
    rows, columns = np.flatnonzero(bone.any(axis=1)), np.flatnonzero(bone.any(axis=0))
    if rows.size == 0:
        return bone, inside
    part = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    for closing_mm in CLOSINGS_MM:
        inside[part] = _brain(hu[part], bone[part], round(closing_mm / pixel_mm), pixel_mm)
        if inside.any():
            break
    return bone, inside


def _brain(hu: NDArray[np.int16], bone: NDArray[np.bool_], reach: int, pixel_mm: float) -> NDArray[np.bool_]:
    """Return what the closed skull encloses and reads as brain, calcium in it included."""
    padded = np.pad(bone, reach + 1)
    closed = ndimage.binary_dilation(padded, iterations=reach)
    closed = ndimage.binary_erosion(closed, iterations=reach)[reach + 1 : -reach - 1, reach + 1 : -reach - 1] | bone
    labels, count = ndimage.label(ndimage.binary_fill_holes(closed) & ~closed)
    inside = np.zeros_like(bone)
    for number, where in enumerate(ndimage.find_objects(labels), start=1):
        part = labels[where] == number
        if np.count_nonzero(part) * pixel_mm**2 < _LEAST_PART_MM2:
            continue
        values = hu[where][part]
        if _BRAIN_HU[0] <= np.median(values) <= _BRAIN_HU[1] and np.mean(values < -2) < 0.12:
            inside[where] |= part
    if np.count_nonzero(inside) * pixel_mm**2 < LEAST_BRAIN_MM2:
        return np.zeros_like(bone)
    inside = ndimage.binary_dilation(inside, iterations=reach + 1, mask=~bone)
    labels, count = ndimage.label(ndimage.binary_fill_holes(inside) & ~inside)
    if count:
        small = np.bincount(labels.ravel()) * pixel_mm**2 < 150.0
        small[0] = False
        inside |= small[labels]
    return np.asarray(inside)


def depth_in_skull(
    inside: NDArray[np.bool_], bone: NDArray[np.bool_], centre: tuple[float, float], pixel_mm: float, *, is_low: bool
) -> tuple[Field, NDArray[np.bool_]]:
    """Return the distance to the skull in mm, and where the nearest skull is the vault.

    That lies outwards as seen from the middle, and in low slices near the head's outside: petrous bones do not.
    """
    far, nearest = ndimage.distance_transform_edt(inside, return_indices=True)
    nearest = np.asarray(nearest)
    rows, columns = np.indices(inside.shape, dtype=np.float32)
    out_r, out_c = rows - np.float32(centre[0]), columns - np.float32(centre[1])
    to_r, to_c = nearest[0] - rows, nearest[1] - columns
    lengths = np.hypot(out_r, out_c) * np.maximum(far, 1e-3)
    vault = inside & (out_r * to_r + out_c * to_c > 0.45 * lengths)
    if is_low:
        head = ndimage.binary_fill_holes(bone | inside)
        to_outside = ndimage.distance_transform_edt(head) * pixel_mm
        vault &= to_outside[nearest[0], nearest[1]] < _VAULT_BONE_MM
    return as_field(far * pixel_mm), vault


def brain_median(hu: NDArray[np.int16], bone: NDArray[np.bool_], depth_mm: Field) -> float:
    """Return the brain's median HU, away from the skull where there is enough of it."""
    for least_mm in (6.0, 2.0, 0.0):
        values = hu[(depth_mm > least_mm) & ~bone]
        if values.size >= 200:
            return float(np.median(values))
    return 0.0


def dark_spaces(
    hu: NDArray[np.int16], inside: NDArray[np.bool_], depth_mm: Field, brain_hu: float, pixel_mm: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return ventricles and gutters (sulci, fissures, cisterns). White matter is dark too, but neither thin nor as dark."""
    soft = inside & is_soft(hu)
    smooth = local_mean(hu.astype(np.float32), soft, _SMOOTH_MM / pixel_mm)
    smooth = np.where(soft, smooth, np.float32(brain_hu))
    below = brain_hu - smooth
    ventricle = _sized(
        soft & (below > _FLUID_BELOW_HU) & (depth_mm > _VENTRICLE_DEPTH_MM), _LEAST_VENTRICLE_MM2, pixel_mm
    )
    labels, count = ndimage.label(ventricle)
    if count:
        # A slit counts, a speckled patch of white matter does not: somewhere it is some pixels wide.
        wide = np.zeros(count + 1, dtype=np.bool_)
        wide[labels[ndimage.binary_erosion(ventricle)]] = True
        ventricle = wide[labels] & ventricle
    lines = ndimage.grey_closing(smooth, footprint=_disc(3.0 / pixel_mm)) - smooth
    gutter = soft & ((lines > 5.0) & (below > 4.0) | (below > 12.0)) & ~ndimage.binary_dilation(ventricle, iterations=2)
    return np.asarray(ventricle), _sized(gutter, _LEAST_GUTTER_MM2, pixel_mm)


def _sized(mask: NDArray[np.bool_], least_mm2: float, pixel_mm: float) -> NDArray[np.bool_]:
    """Return the parts of a mask [h, w] that are large enough."""
    labels, _ = ndimage.label(mask, structure=np.ones((3, 3)))
    large = np.bincount(labels.ravel()) * pixel_mm**2 >= least_mm2
    large[0] = False
    return np.asarray(large[labels])


def _disc(radius_px: float) -> NDArray[np.bool_]:
    """Return a disc as a structuring element."""
    reach = int(np.ceil(radius_px))
    r, c = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    return np.asarray(r * r + c * c <= radius_px**2 + 0.5)
