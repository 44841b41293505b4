"""Mimics of skull and scalp: a swelling outside the bone, a fracture, an opened skull. Each says "injured", none bleeds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from appliance.phantoms.fields import Field, as_field, occupancy, smoothstep
from appliance.phantoms.pasting.canvas import Canvas
from appliance.phantoms.pasting.slice_anatomy import BONE_HU

_WALL_MM = 16.0
"""Bone counts as skull this near the brain."""


def scalp_swelling(rng: np.random.Generator, canvas: Canvas) -> None:
    """Swell the scalp over some place of the vault: as bright as blood, outside the bone."""
    middle, half = float(rng.uniform(-180.0, 180.0)), float(rng.uniform(12.0, 70.0))
    arc = smoothstep(as_field(1.0 - canvas.degrees_from(middle) / np.float32(half)), 0.0, 0.6)
    mottled = canvas.site.noise(rng, float(rng.uniform(6.0, 15.0))) * np.float32(rng.uniform(1.0, 9.0))
    z, tall = float(rng.choice(canvas.z)), float(rng.uniform(12.0, 50.0))
    thick, hu = float(rng.uniform(2.0, 20.0)), float(rng.uniform(40.0, 60.0))
    for k in canvas.slices_at(z, tall):
        rise = float(np.clip(1.0 - abs(float(canvas.z[k]) - z) / tall, 0.0, 1.0)) ** 0.5
        height = arc * np.float32(rise * thick)
        picture = canvas.picture[k]
        gap = _outside_mm(canvas, k)
        swollen = occupancy(as_field(height - gap), 1.5) * (gap > 0.0) * (height > 0.5) * (picture < BONE_HU)
        filled = np.float32(hu) + mottled[k] + canvas.grain(rng, gap.shape)
        picture += swollen * (filled - picture)


def fracture(rng: np.random.Generator, canvas: Canvas) -> None:
    """Break the skull somewhere; no blood beside it."""
    fracture_at(rng, canvas, float(rng.uniform(-180.0, 180.0)), float(rng.choice(canvas.z)))


def fracture_at(rng: np.random.Generator, canvas: Canvas, middle_deg: float, z_mm: float) -> None:
    """Break the skull in a direction from the middle: a thin dark line, slanting from slice to slice."""
    slant, tall = float(rng.normal(0.0, 1.2)), float(rng.uniform(8.0, 50.0))
    width, hu = float(rng.uniform(0.7, 2.2)), float(rng.uniform(30.0, 120.0))
    away = np.hypot(canvas.x, canvas.y)
    for k in canvas.slices_at(z_mm, tall):
        turned = canvas.degrees_from(middle_deg + slant * (float(canvas.z[k]) - z_mm))
        across = turned * np.float32(np.pi / 180.0) * away
        line = occupancy(as_field(0.5 * width - across), canvas.pixel_mm) * _wall(canvas, k)
        canvas.picture[k] += line * np.minimum(np.float32(hu) - canvas.picture[k], 0.0)


def craniotomy(rng: np.random.Generator, canvas: Canvas) -> None:
    """Open the skull: a flap with two saw cuts, or a gap that soft tissue fills."""
    middle, half = float(rng.uniform(-180.0, 180.0)), float(rng.uniform(8.0, 24.0))
    z, tall = float(rng.choice(canvas.z)), float(rng.uniform(15.0, 40.0))
    flap, cut = rng.random() < 0.6, float(rng.uniform(1.5, 3.5))
    hu = float(rng.uniform(25.0, 50.0))
    away, across = np.hypot(canvas.x, canvas.y) * np.float32(np.pi / 180.0), canvas.degrees_from(middle)
    for k in canvas.slices_at(z, tall):
        gap = 0.5 * cut - np.abs(across - half) * away if flap else (half - across) * away
        open_share = occupancy(as_field(gap), canvas.pixel_mm) * _wall(canvas, k)
        filled = np.float32(hu) + canvas.grain(rng, canvas.x.shape)
        canvas.picture[k] += open_share * (filled - canvas.picture[k])


def _outside_mm(canvas: Canvas, k: int) -> Field:
    """Return how far outside the skull each pixel of a slice lies."""
    head = ndimage.binary_fill_holes(canvas.inside[k] | _wall(canvas, k))
    return as_field(ndimage.distance_transform_edt(~head) * canvas.pixel_mm)


def _wall(canvas: Canvas, k: int) -> NDArray[np.bool_]:
    reach = ndimage.distance_transform_edt(~canvas.inside[k]) * canvas.pixel_mm < _WALL_MM
    return np.asarray(reach & (canvas.picture[k] >= BONE_HU))
