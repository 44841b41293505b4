"""What scanners and patients do to a picture: overshoot of sharp kernels, motion, windmills, metal's star, a cut field.

Slabs are float32 [slices, rows, columns] in HU; nothing is drawn here, so an exam and its twin get the same fault.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy import ndimage

from appliance.phantoms.fields import Field, as_field

METAL_HU: Final = 2600.0
OUTSIDE_FIELD_HU: Final = -1024.0


def overshoot(core: Field, share: float, reach_mm: float, step: float) -> Field:
    """Return the slabs with edges that overshoot by `share` of their step, as kernels between soft and bone do."""
    sigma = reach_mm / step
    return core + np.float32(share) * (core - ndimage.gaussian_filter(core, (0, sigma, sigma), output=np.float32))


def moved(core: Field, share: float, shift_mm: float, turn_deg: float, part: tuple[float, float], step: float) -> Field:
    """Return the slabs with a second pose laid over them by `share`, in the `part` (0..1 of the exam) that moved."""
    first, last = (round(edge * core.shape[0]) for edge in part)
    angle = np.deg2rad(turn_deg)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = (np.array(core.shape[1:]) - 1) / 2
    offset = middle - turn @ middle + np.array([0.4, 0.9]) * shift_mm / step
    out = core.copy()
    for index in range(first, last):
        other = ndimage.affine_transform(core[index], turn, offset, order=1, mode="nearest")
        out[index] += np.float32(share) * (other - core[index])
    return out


def windmill(slabs: Field, hu: float, step: float) -> Field:
    """Return light and dark vanes (HU) where bone comes or goes along z, turning from slice to slice."""
    if slabs.shape[0] < 2:
        return np.zeros_like(slabs)
    small = np.clip(slabs[:, ::2, ::2], 0.0, 1500.0)
    change = np.abs(np.gradient(small, axis=0))
    wide = 7.0 / (2.0 * step)
    change = np.minimum(ndimage.gaussian_filter(change, (0, wide, wide)) / 150.0, 1.0)
    angle, _ = _around(change.shape[1:], (change.shape[1] / 2, change.shape[2] / 2))
    turn = 0.9 * np.arange(slabs.shape[0])[:, None, None]
    vanes = change * np.sin(9.0 * angle[None] + turn) * np.float32(hu)
    return as_field(np.repeat(np.repeat(vanes, 2, axis=1), 2, axis=2)[:, : slabs.shape[1], : slabs.shape[2]])


def stars(slabs: Field, hu: float, step: float) -> Field:
    """Return the streaks (HU) that go out from metal, in the slices that hold some."""
    out = np.zeros_like(slabs)
    for index in np.flatnonzero(slabs.max(axis=(1, 2)) > METAL_HU):
        found, count = ndimage.label(slabs[index] > METAL_HU)
        for piece in range(1, min(count, 6) + 1):
            rows, columns = np.nonzero(found == piece)
            middle = (float(rows.mean()), float(columns.mean()))
            angle, far = _around(slabs.shape[1:], middle)
            turn = middle[0] * 0.37 + middle[1] * 0.53
            rays = np.cos(6 * angle + turn) + 0.8 * np.cos(10 * angle + 2 * turn) + 0.6 * np.cos(17 * angle - turn)
            rays = np.sign(rays) * np.abs(rays / 2.4) ** 0.7
            size = np.sqrt(rows.size * step**2 / 20.0)
            out[index] += np.float32(hu * min(size, 2.0)) * rays * (1.0 / (1.0 + far * step / 18.0))
    return out * (slabs > -500.0)


def round_field(picture: Field) -> Field:
    """Return pictures with nothing outside the round field that their square encloses."""
    rows, columns = picture.shape[1:]
    _, far = _around((rows, columns), ((rows - 1) / 2, (columns - 1) / 2))
    return np.where(far[None] <= min(rows, columns) / 2, picture, np.float32(OUTSIDE_FIELD_HU))


def _around(shape: tuple[int, ...], middle: tuple[float, float]) -> tuple[Field, Field]:
    """Return angle (radians) and distance (pixels) of every pixel from a middle."""
    rows = np.arange(shape[0], dtype=np.float32)[:, None] - np.float32(middle[0])
    columns = np.arange(shape[1], dtype=np.float32)[None, :] - np.float32(middle[1])
    return np.arctan2(rows, columns), np.hypot(rows, columns)
