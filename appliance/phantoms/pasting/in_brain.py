"""Bleeds in the brain (IPH): deep, lobar, contusions near the bone; oedema round them, and what they push aside."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from appliance.phantoms.fields import Field, as_field, occupancy, smooth_noise, smoothstep
from appliance.phantoms.pasting.host import BONE, INSIDE, VENTRICLE, Host
from appliance.phantoms.pasting.lesion import Lesion, Push, draw_texture, draw_volume
from appliance.phantoms.pasting.site import SUB_PLANES, Point, Site, draw_point, site_round, slice_of

_PUSHING_ML = 4.0
_PUSH_FADE_MM = 16.0
_OFF_MIDLINE_MM = 6.0


def iph(rng: np.random.Generator, host: Host, index: int) -> Lesion | None:
    """Draw a bleed in the brain with its middle in a slice."""
    volume = draw_volume(rng, "iph")
    contusions = rng.random() < 0.27
    at = _place(rng, host, index, contusions)
    if at is None:
        return None
    if not contusions:
        return _lesion(rng, host, [(at, volume)])
    count = int(rng.integers(1, 6))
    parts = rng.dirichlet(np.full(count, 1.5)) * min(volume, 25.0)
    foci = [(at, float(parts[0]))]
    for part in parts[1:]:
        away = rng.normal(0.0, (11.0, 11.0, 8.0))
        foci.append((Point(x_mm=at.x_mm + away[0], y_mm=at.y_mm + away[1], z_mm=at.z_mm + away[2]), float(part)))
    return _lesion(rng, host, [(where, max(part, 0.04)) for where, part in foci])


def _place(rng: np.random.Generator, host: Host, index: int, contusion: bool) -> Point | None:
    depth = host.depth_mm[index]
    brain = (host.tissue[index] & (INSIDE | VENTRICLE | BONE)) == INSIDE
    if rng.random() < 0.85:
        x, _ = slice_of(host, index).frame()
        brain &= np.abs(x) > _OFF_MIDLINE_MM
    where = rng.random()
    if contusion:
        return draw_point(rng, host, index, brain & (depth > 2.0) & (depth < 11.0))
    if where < 0.45:
        deepest = float(depth.max())
        wanted = brain & (depth > min(26.0, 0.6 * deepest))
        return draw_point(rng, host, index, wanted)
    if where < 0.8:
        return draw_point(rng, host, index, brain & (depth > 6.0) & (depth < 24.0))
    return draw_point(rng, host, index, brain & (depth > 3.0))


def _lesion(rng: np.random.Generator, host: Host, foci: list[tuple[Point, float]]) -> Lesion | None:
    radii = [(ml * 750.0 / np.pi) ** (1.0 / 3.0) for _, ml in foci]
    width = float(rng.uniform(1.5, 6.0))
    spread = max(
        np.hypot(at.x_mm - foci[0][0].x_mm, at.y_mm - foci[0][0].y_mm) + r
        for (at, _), r in zip(foci, radii, strict=True)
    )
    site = site_round(host, foci[0][0], 1.5 * float(spread) + width + 3.0)
    if site.indices.size == 0:
        return None
    inside = _inside(rng, site, foci, radii)
    room = as_field(np.where(site.has(VENTRICLE), 0.25, 1.0)) * (site.has(INSIDE) & ~site.has(BONE))
    room *= smoothstep(site.depth(), 0.3, 1.8)
    share = as_field(_slab(occupancy(inside, host.pixel_mm)) * room)
    oedema = None
    if rng.random() < 0.7:
        ring = _slab(smoothstep(inside, -width, -0.2))
        oedema = as_field(ring * room * np.float32(rng.uniform(3.0, 11.0)) * (1.0 - share))
    total_ml = sum(ml for _, ml in foci)
    push = _push(rng, host, foci[0][0], float(max(radii))) if total_ml > _PUSHING_ML else None
    return Lesion(
        kind="iph", site=site, share=share, texture=draw_texture(rng, site, share, "iph"), oedema=oedema, push=push
    )


def _slab(planes: Field) -> Field:
    """Average the sub-planes [k * SUB_PLANES, h, w] of each slice."""
    total, h, w = planes.shape
    return as_field(planes.reshape(total // SUB_PLANES, SUB_PLANES, h, w).mean(axis=1))


def _inside(rng: np.random.Generator, site: Site, foci: list[tuple[Point, float]], radii: list[float]) -> Field:
    """Return the signed depth inside the nearest focus in mm, at every sub-plane [k * SUB_PLANES, h, w]."""
    x, y = site.frame()
    planes = site.planes_mm().ravel()
    step = site.host.pixel_mm
    shape = (planes.size, *site.shape[1:])
    extent = (max(float(np.ptp(planes)), 1.0), shape[1] * step, shape[2] * step)
    largest = max(radii)
    lumps = smooth_noise(rng, shape, extent, float(np.clip(largest * rng.uniform(0.9, 2.2), 5.0, 40.0)))
    rough = float(rng.uniform(0.08, 0.32))
    inside: Field | None = None
    for (at, _), radius in zip(foci, radii, strict=True):
        gap = _gap(rng, x, y, planes, at)
        part = np.float32(radius) - gap
        part += lumps * np.float32(rough * radius)
        inside = part if inside is None else np.maximum(inside, part)
    assert inside is not None
    return inside


def _gap(rng: np.random.Generator, x: Field, y: Field, planes: NDArray[np.float64], at: Point) -> Field:
    """Return the distance from a point in mm, stretched along axes turned at random but of unit volume."""
    stretch = np.exp(rng.normal(0.0, 0.26, 3))
    stretch /= np.prod(stretch) ** (1.0 / 3.0)
    turned = rng.uniform(0.0, np.pi)
    u = (x - np.float32(at.x_mm)) * np.float32(np.cos(turned)) + (y - np.float32(at.y_mm)) * np.float32(np.sin(turned))
    v = (y - np.float32(at.y_mm)) * np.float32(np.cos(turned)) - (x - np.float32(at.x_mm)) * np.float32(np.sin(turned))
    lean = rng.normal(0.0, 0.25, 2)
    dz = (planes - at.z_mm).astype(np.float32)[:, None, None]
    squares = ((u[None] - np.float32(lean[0]) * dz) / np.float32(stretch[0])) ** 2
    squares += ((v[None] - np.float32(lean[1]) * dz) / np.float32(stretch[1])) ** 2
    squares += (dz / np.float32(stretch[2])) ** 2
    return as_field(np.sqrt(squares))


def _push(rng: np.random.Generator, host: Host, at: Point, radius_mm: float) -> Push:
    """Move the surroundings out of a clot's way, less and less with distance, and not at all at the skull."""
    site = site_round(host, at, radius_mm + 2.2 * _PUSH_FADE_MM)
    x, y = site.frame()
    x, y = x - np.float32(at.x_mm), y - np.float32(at.y_mm)
    away = np.maximum(np.hypot(x, y), np.float32(0.5))
    dz = (host.positions_mm[site.indices] - at.z_mm).astype(np.float32)[:, None, None]
    within = np.sqrt(np.clip(1.0 - (dz / np.float32(1.6 * radius_mm)) ** 2, 0.0, 1.0))
    moved = np.float32(rng.uniform(0.2, 0.45) * radius_mm) * within
    moved = moved * np.exp(-np.maximum(away - np.float32(radius_mm), 0.0) / np.float32(_PUSH_FADE_MM))[None]
    moved *= smoothstep(site.depth(), 1.0, 10.0) * smoothstep(1.0 - away / away.max(), 0.0, 0.3)
    moved = np.minimum(moved, 0.9 * away)
    rows, columns = site.to_picture(as_field(x / away), as_field(y / away))
    return Push(site=site, rows=as_field(-moved * rows), columns=as_field(-moved * columns))
