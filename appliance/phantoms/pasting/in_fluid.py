"""Bleeds that fill fluid spaces: the ventricles (IVH) and the gutters between skull and brain (SAH)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from appliance.phantoms.fields import Field, as_field, occupancy, smoothstep
from appliance.phantoms.pasting.host import GUTTER, INSIDE, VENTRICLE, Host
from appliance.phantoms.pasting.lesion import Lesion, draw_texture, draw_volume
from appliance.phantoms.pasting.site import Point, Site, draw_point, site_of, site_round

_SAH_REACH_MM = 48.0
_SPREAD_MM = {"ivh": (0.5, 0.8), "sah": (0.6, 1.2)}


def ivh(rng: np.random.Generator, host: Host, index: int) -> Lesion | None:
    """Draw blood in the ventricles: a level in what lies lowest, or a cast of a whole part."""
    site = site_of(host, (float(host.positions_mm[index]) - 40.0, float(host.positions_mm[index]) + 40.0))
    room = site.has(VENTRICLE)
    x, y = site.frame()
    cast = rng.random() < 0.25
    if rng.random() < 0.5 and not cast:
        room &= (x * np.float32(rng.choice([-1.0, 1.0])) > -1.0)[None]
    if not room.any():
        return None
    z = host.positions_mm[site.indices].astype(np.float32)[:, None, None]
    if cast:
        at = draw_point(rng, host, index, (host.tissue[index] & VENTRICLE) > 0)
        if at is None:
            return None
        low = -np.sqrt((x - at.x_mm) ** 2 + (y - at.y_mm) ** 2 + (z - at.z_mm) ** 2)
    else:
        # The patient lies on the back: blood settles towards the foot of the picture, level with the table.
        down = np.arange(site.shape[1], dtype=np.float32)[:, None] * np.float32(host.pixel_mm)
        low = down + np.float32(np.tan(np.deg2rad(rng.normal(0.0, 1.7)))) * x + np.float32(rng.normal(0, 0.08)) * z
    low = as_field(np.broadcast_to(low, room.shape))
    cut = _level(low, room, draw_volume(rng, "ivh"), host)
    share = as_field(occupancy(low - np.float32(cut), 1.5) * room * np.float32(rng.uniform(0.75, 1.0)))
    return _trimmed(rng, "ivh", site, share)


def sah(rng: np.random.Generator, host: Host, index: int) -> Lesion | None:
    """Draw blood that spreads from one to four places along the gutters and lies in patches."""
    wanted = (host.tissue[index] & GUTTER) > 0
    first = draw_point(rng, host, index, wanted)
    if first is None:
        return None
    seeds = [first]
    for _ in range(int(rng.choice([0, 1, 2, 3], p=[0.4, 0.3, 0.2, 0.1]))):
        near = draw_point(rng, host, index, wanted)
        if near is not None and abs(near.x_mm - first.x_mm) + abs(near.y_mm - first.y_mm) < 2.0 * _SAH_REACH_MM:
            seeds.append(near)
    reach = _SAH_REACH_MM + (20.0 if len(seeds) > 1 else 0.0)
    site = site_round(host, first, reach)
    room = site.has(GUTTER)
    if not room.any():
        return None
    closeness = _closeness(site, seeds)
    closeness += np.float32(rng.uniform(2.0, 8.0)) * site.noise(rng, float(rng.uniform(8.0, 26.0)))
    cut = _level(closeness, room, draw_volume(rng, "sah"), host)
    edge = float(rng.uniform(1.5, 4.0))
    share = room * smoothstep(as_field(closeness - np.float32(cut)), -edge, edge)
    share *= np.float32(rng.uniform(0.7, 1.0))
    return _trimmed(rng, "sah", site, as_field(share))


def _closeness(site: Site, seeds: list[Point]) -> Field:
    """Return minus the distance in mm from the nearest seed, [k, h, w]."""
    x, y = site.frame()
    z = site.host.positions_mm[site.indices].astype(np.float32)[:, None, None]
    best: Field | None = None
    for at in seeds:
        far = np.float32(1.4) * (z - np.float32(at.z_mm)) ** 2
        far = -np.sqrt(((x - np.float32(at.x_mm)) ** 2 + (y - np.float32(at.y_mm)) ** 2)[None] + far)
        best = far if best is None else np.maximum(best, far)
    assert best is not None
    return as_field(best)


def _level(values: Field, room: NDArray[np.bool_], volume_ml: float, host: Host) -> float:
    """Return the cut above which the room holds the wanted volume, or all of it."""
    inside = np.sort(values[room])[::-1]
    pixels = volume_ml * 1000.0 / (host.pixel_mm**2 * host.thickness_mm)
    return float(inside[min(int(pixels), inside.size - 1)])


def _trimmed(rng: np.random.Generator, kind: str, site: Site, share: Field) -> Lesion | None:
    """Return the lesion on the slices that it reaches; its outermost slices hold only part of their thickness."""
    reached = np.flatnonzero(share.max(axis=(1, 2)) > 0.05)
    if reached.size == 0:
        return None
    span = slice(int(reached[0]), int(reached[-1]) + 1)
    # Blood widens the space that it fills, and no space ends with a pixel.
    spread = float(rng.uniform(*_SPREAD_MM[kind])) / site.host.pixel_mm
    share = ndimage.gaussian_filter(share[span], (0.0, spread, spread), truncate=3.0)
    share = np.minimum(np.float32(1.35) * share, np.float32(1.0)) * site.has(INSIDE)[span]
    if share.shape[0] > 2:
        share[[0, -1]] *= rng.uniform(0.25, 1.0, (2, 1, 1)).astype(np.float32)
    site = Site(host=site.host, indices=site.indices[span], window=site.window)
    return Lesion(kind=kind, site=site, share=as_field(share), texture=draw_texture(rng, site, share, kind))
