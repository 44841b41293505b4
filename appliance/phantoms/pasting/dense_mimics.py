"""Mimics that are as dense as blood where something dense belongs: sinuses, falx, tentorium, a catheter."""

from __future__ import annotations

import numpy as np

from appliance.phantoms.fields import as_field, occupancy, smoothstep
from appliance.phantoms.pasting.canvas import Canvas
from appliance.phantoms.pasting.host import VAULT
from appliance.phantoms.pasting.site import TENTORIUM_ACROSS, tentorium_mm
from appliance.phantoms.pasting.slice_anatomy import is_soft


def dense_sagittal_sinus(rng: np.random.Generator, canvas: Canvas) -> None:
    """Brighten the sinus: a triangle on the midline under the vault, behind, and in high slices in front too."""
    hu, deep, half = float(rng.uniform(46.0, 66.0)), float(rng.uniform(4.0, 10.0)), float(rng.uniform(2.5, 5.5))
    ends = (1.0, -1.0) if rng.random() < 0.4 else (1.0,)
    for k in range(canvas.z.size):
        across = np.abs(canvas.x - canvas.site.host.midline_mm[canvas.site.indices[k]])
        for end in ends:
            share = occupancy(as_field(half * (1.0 - canvas.depth[k] / deep) - across), 1.2)
            share *= canvas.inside[k] & (canvas.y * np.float32(end) > 15.0)
            canvas.raise_to(k, canvas.site.window, share, hu)


def dense_transverse_sinus(rng: np.random.Generator, canvas: Canvas) -> None:
    """Brighten a transverse sinus: a band along the vault behind, low in the head, a slice or two high."""
    host = canvas.site.host
    low = np.flatnonzero(canvas.z < host.positions_mm[int(np.argmax(host.brain_mm2))])
    if low.size == 0:
        return
    hu, deep, side = float(rng.uniform(46.0, 66.0)), float(rng.uniform(4.0, 9.0)), float(rng.choice([-1.0, 1.0]))
    vault = canvas.site.has(VAULT)
    angle = np.rad2deg(np.arctan2(canvas.x * np.float32(side), canvas.y))
    band = smoothstep(as_field(angle), 2.0, 8.0) * smoothstep(as_field(-angle), -70.0, -55.0)
    z = float(rng.choice(canvas.z[low]))
    for k in canvas.slices_at(z, float(rng.uniform(1.0, 5.0))):
        share = occupancy(as_field(deep - canvas.depth[k]), 1.2) * band * (canvas.inside[k] & vault[k])
        canvas.raise_to(k, canvas.site.window, share, hu)


def dense_falx(rng: np.random.Generator, canvas: Canvas) -> None:
    """Brighten the falx evenly: thin, on both sides of the midline, through many slices."""
    hu, half, hangs = float(rng.uniform(42.0, 62.0)), float(rng.uniform(0.7, 1.4)), float(rng.uniform(15.0, 50.0))
    for k in range(canvas.z.size):
        across = np.abs(canvas.x - canvas.site.host.midline_mm[canvas.site.indices[k]])
        share = occupancy(as_field(half - across), 1.0) * smoothstep(as_field(hangs - canvas.depth[k]), 0.0, 8.0)
        canvas.raise_to(k, canvas.site.window, as_field(share * canvas.inside[k]), hu)


def dense_tentorium(rng: np.random.Generator, canvas: Canvas) -> None:
    """Brighten the tentorium: the same thin bands on both sides, as it cuts low slices."""
    host = canvas.site.host
    apex = float(host.positions_mm[int(np.argmax(host.brain_mm2))] + rng.uniform(-8.0, 12.0))
    hu, half = float(rng.uniform(42.0, 62.0)), float(rng.uniform(0.6, 1.2))
    height = tentorium_mm(canvas.x, canvas.y, apex)
    band = smoothstep(canvas.y, 8.0, 16.0) * smoothstep(np.abs(canvas.x), 4.0, 8.0)
    for k in canvas.slices_at(apex - 14.0, 14.0):
        gap = np.abs(canvas.planes_mm(k)[:, None, None] - height[None]) * np.float32(TENTORIUM_ACROSS)
        share = occupancy(as_field(np.float32(half) - gap), 1.0).mean(axis=0) * band * canvas.inside[k]
        canvas.raise_to(k, canvas.site.window, as_field(share), hu)


def catheter(rng: np.random.Generator, canvas: Canvas) -> None:
    """Lead a catheter from the vault towards the middle, slanting through the slices."""
    z = float(rng.choice(canvas.z))
    angle = float(rng.uniform(0.0, 2.0 * np.pi))
    start = np.array([75.0 * np.cos(angle), 90.0 * np.sin(angle), z + float(rng.uniform(-10.0, 40.0))])
    end = np.array([float(rng.normal(0.0, 8.0)), float(rng.normal(0.0, 12.0)), z + float(rng.uniform(-10.0, 10.0))])
    way = (end - start) / np.linalg.norm(end - start)
    radius, wall, hu = float(rng.uniform(1.0, 2.0)), float(rng.uniform(0.5, 0.9)), float(rng.uniform(80.0, 200.0))
    for k in range(canvas.z.size):
        rises = canvas.planes_mm(k) - np.float32(start[2])
        dx, dy = (canvas.x - np.float32(start[0]))[None], (canvas.y - np.float32(start[1]))[None]
        dz = rises[:, None, None]
        along = np.clip(dx * way[0] + dy * way[1] + dz * way[2], 0.0, np.linalg.norm(end - start))
        gap = np.sqrt((dx - along * way[0]) ** 2 + (dy - along * way[1]) ** 2 + (dz - along * way[2]) ** 2)
        solid = occupancy(as_field(radius - gap), canvas.pixel_mm).mean(axis=0) * canvas.inside[k]
        if solid.max() > 0.0:
            lumen = occupancy(as_field(radius - wall - gap), canvas.pixel_mm).mean(axis=0) * canvas.inside[k]
            part = canvas.picture[k]
            part += solid * (np.float32(hu) - part) * is_soft(part) - lumen * np.float32(hu - 10.0) * is_soft(part)
