"""Subdural blood in thin sheets along falx and tentorium."""

from __future__ import annotations

import numpy as np

from appliance.phantoms.fields import Field, as_field, occupancy, smoothstep
from appliance.phantoms.pasting.host import BONE, INSIDE, Host
from appliance.phantoms.pasting.lesion import Lesion, draw_texture, draw_volume
from appliance.phantoms.pasting.site import (
    TENTORIUM_ACROSS,
    Point,
    Site,
    site_of,
    site_round,
    slice_of,
    tentorium_mm,
)


def falx_sheet(rng: np.random.Generator, host: Host, index: int) -> Lesion | None:
    """Draw a thin sheet on one side of the falx, which hangs from the vault in front, above and behind."""
    volume = min(draw_volume(rng, "sdh"), 5.0)
    thick = float(np.clip(1.4 + 0.5 * volume * rng.uniform(0.6, 1.4), 1.6, 4.2))
    area = volume * 1000.0 / (0.7 * thick)
    tall = float(np.clip(np.sqrt(area / np.pi) * rng.uniform(0.6, 1.0), 7.0, 26.0))
    long = float(np.clip(area / (np.pi * tall), 8.0, 60.0))
    widest = host.positions_mm[int(np.argmax(host.brain_mm2))]
    if host.positions_mm[index] < widest - 8.0:
        return None
    end = float(rng.choice([-1.0, 1.0]))
    y_wall = _wall_y(host, index, end)
    at = Point(
        x_mm=0.0,
        y_mm=y_wall - end * float(rng.uniform(2.0, 18.0)) - end * 0.6 * long,
        z_mm=float(host.positions_mm[index]),
    )
    site = site_of(host, (at.z_mm - tall, at.z_mm + tall))
    if site.indices.size == 0:
        return None
    x, y = site.frame()
    side = np.float32(rng.choice([-1.0, 1.0]))
    bow = np.float32(rng.normal(0.0, 0.8)) * np.cos(y * np.float32(np.pi / 90.0))
    dz = (site.planes_mm() - at.z_mm).astype(np.float32)[:, :, None, None]
    away = np.sqrt(((y - np.float32(at.y_mm)) / np.float32(long)) ** 2 + (dz / np.float32(tall)) ** 2)
    layer = np.float32(thick) * smoothstep(as_field(1.0 - away), 0.0, 0.4)
    across = ((x - bow)[None] - host.midline_mm[site.indices][:, None, None])[:, None] * side
    inside = np.minimum(across + 0.4, layer - across)
    return _sheet(rng, site, as_field((occupancy(as_field(inside), host.pixel_mm) * (layer > 0.3)).mean(axis=1)))


def tentorium_sheet(rng: np.random.Generator, host: Host, index: int) -> Lesion | None:
    """Draw a thin sheet on one half of the tentorium: a band that runs out and forward from the middle behind."""
    widest = host.positions_mm[int(np.argmax(host.brain_mm2))]
    if host.positions_mm[index] > widest + 5.0:
        return None
    apex = float(host.positions_mm[index] + rng.uniform(8.0, 18.0))
    volume = min(draw_volume(rng, "sdh"), 8.0)
    thick = float(np.clip(1.6 + 0.4 * volume, 1.8, 5.0))
    side = float(rng.choice([-1.0, 1.0]))
    at = Point(x_mm=side * float(rng.uniform(12.0, 28.0)), y_mm=float(rng.uniform(28.0, 50.0)), z_mm=apex - 10.0)
    reach = float(np.clip(np.sqrt(volume * 1000.0 / (thick * np.pi)), 8.0, 32.0))
    site = site_round(host, at, reach * 1.3 + 3.0)
    if site.indices.size == 0:
        return None
    x, y = site.frame()
    dz = site.planes_mm().astype(np.float32)[:, :, None, None] - tentorium_mm(x, y, apex)[None, None]
    away = np.hypot(x - np.float32(at.x_mm), y - np.float32(at.y_mm)) / np.float32(reach)
    layer = np.float32(thick) * smoothstep(as_field(1.0 - away), 0.0, 0.4) * smoothstep(x * np.float32(side), 2.0, 5.0)
    inside = np.minimum(dz, layer[None, None] - dz) * np.float32(TENTORIUM_ACROSS)
    return _sheet(rng, site, as_field((occupancy(as_field(inside), 1.0) * (layer > 0.3)).mean(axis=1)))


def _wall_y(host: Host, index: int, end: float) -> float:
    """Return y in mm of the inner table at the midline, in front (-1) or behind (1)."""
    whole = slice_of(host, index)
    x, y = whole.frame()
    line = whole.has(INSIDE)[0] & (np.abs(x) < 3.0)
    return float((y[line] * end).max() * end) if line.any() else 70.0 * end


def _sheet(rng: np.random.Generator, site: Site, filled: Field) -> Lesion:
    room = site.has(INSIDE) & ~site.has(BONE)
    share = as_field(filled * room * smoothstep(site.depth(), 0.5, 2.0))
    return Lesion(kind="sdh", site=site, share=share, texture=draw_texture(rng, site, share, "sdh"))
