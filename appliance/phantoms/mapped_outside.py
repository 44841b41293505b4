"""Painting what lies outside the brain of a label map, by a seed: skull, its air, scalp, face and neck."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from appliance.phantoms.fields import Field, as_field, occupancy, paint, smooth_noise, smoothstep
from appliance.phantoms.label_map import LabelMap
from appliance.phantoms.label_numbers import Tissue
from appliance.phantoms.map_surfaces import grown


def paint_outside_of(rng: np.random.Generator, head: LabelMap, skull_share: float) -> Field:
    """Return HU float32 [z, y, x] at 1 mm of all that lies outside the inner table, and a margin of bone within it.

    `skull_share` of the map's thickness is bone: a child's skull is thinner. MRI sees no difference between air and
    bone: in the vault everything between the two surfaces is bone, but for a frontal sinus.
    """
    tissue, depth = head.tissue, head.inside_mm
    grain = smooth_noise(rng, tissue.shape, _extent(tissue), 7.0)
    skin = grown(head.coarse[3], tissue.shape)
    if not head.has_skull:
        tissue = np.where((tissue == Tissue.AIR) & (skin > 0.0), np.uint8(Tissue.SOFT), tissue)
    # What MRI showed dark between vault and skin is fat or scalp: no air lies there.
    over = slice(round(head.origin[2]) + 8, None)
    scalp = tissue.copy()
    scalp[over][(tissue[over] == Tissue.AIR) & (skin[over] > 0.8)] = Tissue.SOFT
    hu = _by_label(rng, scalp, skin, grain)
    outer = grown(head.coarse[1], tissue.shape)
    wall = np.nonzero((depth < 2.5) & (outer > -1.0))
    hu[wall] = _wall(rng, head, wall, hu[wall], outer[wall], grain[wall], skull_share)
    return hu


Places = tuple[NDArray[np.intp], ...]


def _wall(
    rng: np.random.Generator, head: LabelMap, at: Places, hu: Field, outer: Field, grain: Field, skull_share: float
) -> Field:
    """Return the HU of voxels [n] at or between the two surfaces of the skull."""
    depth, kind = head.inside_mm[at], head.tissue[at]
    z, y = (at[axis].astype(np.float32) - np.float32(head.origin[2 - axis]) for axis in (0, 1))
    thick = (outer - depth) * np.float32(skull_share)
    share = -depth / np.maximum(thick, 1.5)
    vault = smoothstep(z + np.float32(0.25) * y, -20.0, -12.0) if head.has_skull else np.ones_like(z)
    solid = occupancy(thick + depth, 1.0) * vault
    solid *= 1.0 - _frontal_sinus(head, outer, at)
    if skull_share < 0.95:
        hu = np.where((hu > 150.0) & (share > 1.0) & (vault > 0.5), np.float32(-20.0), hu)
    paint(hu, solid, _tables(rng, share, grain))
    openings = np.isin(kind, (Tissue.NERVE, Tissue.VEIN, Tissue.ARTERY, Tissue.CORD, Tissue.CSF))
    shell = occupancy(depth + np.float32(1.6), 1.0) * (~openings) * (hu < 500.0)
    paint(hu, as_field(shell), float(rng.uniform(600.0, 1100.0)))
    return hu


def _extent(tissue: NDArray[np.uint8]) -> tuple[float, float, float]:
    return float(tissue.shape[0]), float(tissue.shape[1]), float(tissue.shape[2])


def _by_label(rng: np.random.Generator, tissue: NDArray[np.uint8], skin: Field, grain: Field) -> Field:
    value = np.full(int(max(Tissue)) + 1, 35.0, dtype=np.float32)
    value[Tissue.AIR] = -990.0
    value[Tissue.SKIN] = rng.uniform(-20.0, 40.0)
    value[Tissue.SOFT] = rng.uniform(45.0, 60.0)
    value[Tissue.EYE] = rng.uniform(8.0, 18.0)
    value[Tissue.BONE] = rng.uniform(600.0, 900.0)
    value[Tissue.CSF] = 10.0
    value[Tissue.VEIN] = value[Tissue.ARTERY] = rng.uniform(38.0, 52.0)
    hu = value[tissue]
    soft = np.nonzero((tissue == Tissue.SOFT) & (skin < 9.0))
    fat = smoothstep(skin[soft], 1.5, 3.0) * (1.0 - smoothstep(skin[soft], 4.0, 9.0))
    hu[soft] -= fat * np.float32(rng.uniform(90.0, 150.0))
    bone = np.nonzero(tissue == Tissue.BONE)
    hu[bone] += np.float32(220.0) * grain[bone]
    hidden = np.nonzero((tissue == Tissue.AIR) & (skin > 2.0))
    # Cells of air are finer than the map: their walls make them half bone.
    hu[hidden] += np.clip(np.float32(260.0) * grain[hidden], 0.0, 700.0)
    return as_field(ndimage.gaussian_filter(hu, 0.55, truncate=3.0))


def _tables(rng: np.random.Generator, share: Field, grain: Field) -> Field:
    """Return the bone's grey value: two dense tables, and the diploe between them; `share` runs 0..1 outwards."""
    table = np.float32(rng.uniform(1100.0, 1700.0))
    diploe = np.float32(rng.uniform(350.0, 800.0)) + np.float32(110.0) * grain
    inner, outer = rng.uniform(0.14, 0.3), rng.uniform(0.66, 0.84)
    core = smoothstep(share, inner, inner + 0.18) * (1.0 - smoothstep(share, outer, outer + 0.18))
    return as_field(table + core * (diploe - table))


def _frontal_sinus(head: LabelMap, outer: Field, at: Places) -> Field:
    """Return the share of real air in the brow: pieces of more than a few voxels there, not the vault's holes."""
    back, top = max(1, round(head.origin[1] - 58.0)), round(head.origin[2] + 22.0)
    air = np.zeros(head.tissue.shape, dtype=np.float32)
    front = ndimage.binary_opening(head.tissue[:top, :back] == Tissue.AIR)
    air[:top, :back] = ndimage.gaussian_filter(front.astype(np.float32), 0.7)
    z, x = (at[axis].astype(np.float32) - np.float32(head.origin[2 - axis]) for axis in (0, 2))
    brow = (1.0 - smoothstep(z, -2.0, 12.0)) * (1.0 - smoothstep(np.abs(x), 20.0, 32.0))
    return as_field(air[at] * brow * (outer > 1.6))
