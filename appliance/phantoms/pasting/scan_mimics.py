"""Mimics that scanner and old illness make: rim, cupping, streaks, and an old infarct."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from appliance.phantoms.fields import Field, as_field, smoothstep
from appliance.phantoms.pasting.canvas import Canvas
from appliance.phantoms.pasting.slice_anatomy import BONE_HU, is_soft


def bone_rim(rng: np.random.Generator, canvas: Canvas) -> None:
    """Change the bright rim of brain beside bone, on a part of the circle."""
    by, fade = float(rng.uniform(-12.0, 45.0)), float(rng.uniform(0.8, 2.6))
    part = _arc(rng, canvas, float(rng.uniform(40.0, 180.0)))
    rim = np.exp(canvas.depth * np.float32(-1.0 / fade)) * np.float32(by) * part
    canvas.picture[...] += np.where(canvas.inside & (canvas.picture < BONE_HU), rim, 0.0)


def cupping(rng: np.random.Generator, canvas: Canvas) -> None:
    by, fade = float(rng.uniform(-3.0, 8.0)), float(rng.uniform(12.0, 30.0))
    cup = np.exp(canvas.depth * np.float32(-1.0 / fade)) * np.float32(by)
    canvas.picture[...] += np.where(canvas.inside, cup, 0.0)


def old_infarct(rng: np.random.Generator, canvas: Canvas) -> None:
    """Darken a territory at the surface, as an old infarct leaves it."""
    k = int(rng.integers(canvas.z.size))
    places = np.flatnonzero(canvas.inside[k] & (canvas.depth[k] < 14.0))
    if places.size == 0:
        return
    where = np.unravel_index(int(rng.choice(places)), canvas.inside[k].shape)
    x, y = canvas.x - canvas.x[where], canvas.y - canvas.y[where]
    radius, by = float(rng.uniform(8.0, 34.0)), float(rng.uniform(5.0, 20.0))
    ragged = canvas.site.noise(rng, float(rng.uniform(10.0, 25.0))) * np.float32(0.15 * radius)
    away = np.sqrt((x**2 + y**2)[None] + ((canvas.z - canvas.z[k]) ** 2)[:, None, None]) + ragged
    dark = smoothstep(as_field(radius - away), 0.0, float(rng.uniform(2.0, 6.0))) * np.float32(by)
    canvas.picture[...] -= np.where(
        canvas.inside & is_soft(canvas.picture), np.minimum(dark, np.maximum(canvas.picture, 0.0)), 0.0
    )


def streaks(rng: np.random.Generator, canvas: Canvas) -> None:
    """Draw straight streaks between places of dense bone, through a slice or two."""
    for k in rng.permutation(canvas.z.size)[: int(rng.integers(1, 3))]:
        dense = np.flatnonzero((canvas.picture[k] > 150.0) & ndimage.binary_dilation(canvas.inside[k], iterations=4))
        if dense.size < 2:
            continue
        for _ in range(int(rng.integers(1, 5))):
            ends = rng.choice(dense, 2, replace=False)
            rows, columns = np.unravel_index(ends, canvas.inside[k].shape)
            canvas.picture[k] += _streak(rng, canvas, k, rows, columns)


def _streak(
    rng: np.random.Generator, canvas: Canvas, k: int, rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> Field:
    r, c = (np.arange(n, dtype=np.float32) for n in canvas.x.shape)
    dr, dc = float(rows[1] - rows[0]), float(columns[1] - columns[0])
    length = max(float(np.hypot(dr, dc)), 1.0)
    off = ((r - rows[0]) * np.float32(dc))[:, None] - ((c - columns[0]) * np.float32(dr))[None, :]
    width = float(rng.uniform(0.8, 3.0))
    across = off * np.float32(canvas.pixel_mm / (length * width))
    by = float(rng.choice([-1.0, 1.0])) * float(rng.uniform(4.0, 14.0))
    return as_field(np.exp(-0.5 * across * across) * np.float32(by) * canvas.inside[k])


def _arc(rng: np.random.Generator, canvas: Canvas, half_deg: float) -> Field:
    """Return 1 within an arc round the head's middle, fading to 0 at its ends."""
    middle = float(rng.uniform(-180.0, 180.0))
    return smoothstep(as_field(half_deg - canvas.degrees_from(middle)), 0.0, 20.0)
