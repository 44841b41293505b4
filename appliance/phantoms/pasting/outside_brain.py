"""Bleeds between brain and skull: crescents (SDH) and lenses (EDH), and the brain that they push in."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from appliance.phantoms.fields import Field, as_field, occupancy, smoothstep
from appliance.phantoms.pasting.host import BONE, INSIDE, VAULT, Host
from appliance.phantoms.pasting.lesion import Lesion, Push, draw_texture, draw_volume
from appliance.phantoms.pasting.sheets import falx_sheet, tentorium_sheet
from appliance.phantoms.pasting.site import (
    Point,
    Site,
    draw_wall_point,
    narrowed,
    site_of,
    site_round,
    whole_box,
)

_PUSH_FADE_MM = 18.0
_EVEN_MM = 1.5
_LEAST_MM = 0.35
_SDH_MM = (2.2, 15.0)
_EDH_MM = (2.5, 28.0)
_CHORD_MM = (14.0, 90.0)


def edh(rng: np.random.Generator, host: Host, index: int) -> Lesion | None:
    """Draw a lens of blood under the inner table with its middle in a slice."""
    at = draw_wall_point(rng, host, index)
    if at is None:
        return None
    volume = draw_volume(rng, "edh")
    ratio = float(rng.uniform(0.12, 0.34))
    # A cap of chord c and depth r c holds about pi/8 r c^3.
    chord = float(np.clip((volume * 1000.0 * 8.0 / (np.pi * ratio)) ** (1.0 / 3.0), *_CHORD_MM))
    deep = float(np.clip(ratio * chord, *_EDH_MM))
    site = site_round(host, at, 0.6 * chord + _PUSH_FADE_MM + 8.0)
    if site.indices.size == 0:
        return None
    x, y = site.frame()
    along = np.hypot(x - np.float32(at.x_mm), y - np.float32(at.y_mm))[None, None]
    dz = (site.planes_mm() - at.z_mm).astype(np.float32)[:, :, None, None]
    taller = np.float32(rng.uniform(0.8, 1.25))
    reach = 1.0 - (along**2 + (dz * taller) ** 2) / np.float32((0.5 * chord) ** 2)
    layer = np.float32(deep) * np.clip(reach, 0.0, None) ** np.float32(rng.uniform(0.75, 1.1))
    return _against_skull(rng, site, "edh", at, layer, ripple=float(rng.uniform(0.0, 0.04)))


def sdh(rng: np.random.Generator, host: Host, index: int) -> Lesion | None:
    """Draw subdural blood: a crescent, or in a quarter a sheet along falx or tentorium."""
    where = rng.random()
    if where < 0.18:
        return falx_sheet(rng, host, index)
    if where < 0.24:
        return tentorium_sheet(rng, host, index)
    at = draw_wall_point(rng, host, index)
    if at is None:
        return None
    volume = draw_volume(rng, "sdh")
    thick = float(np.clip(1.7 * volume**0.5 * rng.uniform(0.75, 1.3), *_SDH_MM))
    # The taper leaves about half of thickness times area.
    radius = float(np.clip(np.sqrt(volume * 1000.0 / (0.5 * thick * np.pi)), 9.0, 90.0))
    longer = float(rng.uniform(1.0, 1.7))
    site = site_round(host, at, radius * longer + 6.0)
    site = site_of(host, (at.z_mm - radius, at.z_mm + radius), whole_box(host) if radius > 25.0 else site.window)
    if site.indices.size == 0:
        return None
    x, y = site.frame()
    gap = np.hypot(x - np.float32(at.x_mm), y - np.float32(at.y_mm)) / np.float32(radius * longer)
    dz = (site.planes_mm() - at.z_mm).astype(np.float32)[:, :, None, None] / np.float32(radius / np.sqrt(longer))
    away = np.sqrt(gap[None, None] ** 2 + dz**2)
    layer = np.float32(thick) * smoothstep(as_field(1.0 - away), 0.0, float(rng.uniform(0.35, 0.7)))
    # Subdural blood crosses sutures but not the midline.
    own_side = smoothstep(x * np.float32(np.sign(at.x_mm) or 1.0), 0.5, 4.0)
    return _against_skull(rng, site, "sdh", at, as_field(layer * own_side), ripple=float(rng.uniform(0.02, 0.14)))


def _against_skull(
    rng: np.random.Generator, site: Site, kind: str, at: Point, layer: Field, *, ripple: float
) -> Lesion | None:
    """Return blood as thick as `layer` (mm, [k, SUB_PLANES, h, w]) from the skull inwards, and the brain pushed in."""
    x, y = site.frame()
    # The lesion lies on its own side of the head, where the nearest skull is the vault.
    facing = smoothstep(as_field(x * np.float32(at.x_mm) + y * np.float32(at.y_mm)), 0.0, 100.0)
    found = narrowed(site, (layer.max(axis=1) * facing > _LEAST_MM) & site.has(VAULT), _PUSH_FADE_MM + 6.0)
    if found is None:
        return None
    site, span = found
    facing = facing[span[1:]]
    wavy = 1.0 + np.float32(ripple) * site.noise(rng, float(rng.uniform(10.0, 25.0)))
    layer = layer[span[0], :, span[1], span[2]] * wavy[:, None]
    depth = site.depth()
    allowed = site.has(INSIDE) & ~site.has(BONE) & site.has(VAULT)
    filled = occupancy(as_field(layer - depth[:, None]), site.host.pixel_mm) * (layer > _LEAST_MM)
    share = as_field(filled.mean(axis=1) * allowed * facing)
    return Lesion(
        kind=kind,
        site=site,
        share=share,
        texture=_mixed(rng, site, share, kind),
        push=_push_in(rng, site, as_field(layer.mean(axis=1) * facing), depth),
    )


def _mixed(rng: np.random.Generator, site: Site, share: Field, kind: str) -> Field:
    """Return the blood's texture; some subdural blood is of two ages, in islands or with a level."""
    texture = draw_texture(rng, site, share, kind)
    drawn = rng.random()
    total = float(share.sum())
    if kind != "sdh" or drawn > 0.22 or total <= 0.0:
        return texture
    if drawn < 0.15:
        dark = smoothstep(site.noise(rng, float(rng.uniform(10.0, 22.0))), 0.0, 0.9)
    else:
        _, y = site.frame()
        middle = float((share * y).sum()) / total
        dark = smoothstep(as_field(np.float32(middle) - y), -4.0, 4.0)[None]
    texture = texture - np.float32(rng.uniform(8.0, 22.0)) * dark
    return as_field(texture - np.float32(float((texture * share).sum()) / total))


def _push_in(rng: np.random.Generator, site: Site, thick: Field, depth: Field) -> Push:
    """Move the brain under the blood inwards by most of its thickness, fading with depth."""
    slope_r = np.gradient(depth, axis=1)
    slope_c = np.gradient(depth, axis=2)
    steep = np.maximum(np.hypot(slope_r, slope_c), np.float32(1e-3))
    fade = np.clip(1.0 - (depth - thick) / np.float32(_PUSH_FADE_MM), 0.0, 1.0)
    moved = np.float32(rng.uniform(0.7, 0.95)) * thick * fade * fade
    moved = np.minimum(moved, np.float32(0.9) * depth) * np.float32(1.0 / site.host.pixel_mm) * site.has(VAULT)
    even = (0.0, _EVEN_MM / site.host.pixel_mm, _EVEN_MM / site.host.pixel_mm)
    return Push(
        site=site,
        rows=as_field(ndimage.gaussian_filter(-moved * slope_r / steep, even, truncate=3.0)),
        columns=as_field(ndimage.gaussian_filter(-moved * slope_c / steep, even, truncate=3.0)),
    )
