"""Painting what lies inside the skull of a label map: brain, fluid, dura's folds, sinuses and calcium, by a seed.

Arrays are [z, y, x] at 1 mm in the map's own frame, cut to the box of the skull's inside.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from appliance.phantoms.fields import Field, as_field, occupancy, paint, smooth_noise, smoothstep
from appliance.phantoms.grid import Point
from appliance.phantoms.label_map import Box, LabelMap
from appliance.phantoms.label_numbers import Tissue
from appliance.phantoms.plan import HeadPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """HU of what lies inside, and fluid outside the ventricles as 0..1, ventricle as 0..-1, in one field."""

    hu: Field
    water: Field


def paint_inside(rng: np.random.Generator, head: LabelMap, plan: HeadPlan) -> Inside:
    """Paint a brain of the plan's age: the cortex grows into the fluid that MRI counts too generously."""
    box = head.box
    tissue, depth = head.tissue[box], head.inside_mm[box]
    young = 1.0 - plan.atrophy
    grown = np.float32(0.2 + young * rng.uniform(0.2, 1.3)) + np.float32(0.35) * _noise(rng, tissue.shape, 30.0)
    widened = np.float32(rng.uniform(-1.4, 0.6) + 1.6 * plan.atrophy * rng.uniform(0.0, 1.0))
    grown = np.maximum(grown, np.float32(0.1))
    hu = _brain_hu(rng, head, plan)
    hollow = head.hollow_mm + widened
    fluid = occupancy(head.gap_mm - grown, 1.0)
    dura = np.float32(plan.dura_mm) - depth
    fluid *= 1.0 - occupancy(dura, 1.0)
    ventricle = occupancy(hollow, 1.1)
    if plan.caps_hu:
        hu -= np.float32(plan.caps_hu) * smoothstep(hollow, -9.0, -1.0) * (tissue == Tissue.WHITE)
    if plan.infarct_hu:
        _paint_old_infarct(rng, head, hu, plan)
    paint(hu, fluid, plan.fluid_hu)
    paint(hu, ventricle, plan.fluid_hu)
    _paint_plexus(rng, head, hu, plan)
    paint(hu, occupancy(dura, 1.0), float(rng.uniform(42.0, 60.0)))
    _paint_folds(rng, head, hu, plan)
    paint(hu, np.minimum(np.float32(1.3) * head.artery, np.float32(1.0)), plan.blood_hu - float(rng.uniform(0.0, 6.0)))
    sinus = np.maximum(smoothstep(as_field(head.sinus), 0.15, 0.75), _sinus_course(rng, head))
    paint(hu, sinus, plan.blood_hu)
    _paint_calcium(rng, head, hu, plan)
    fluid *= 1.0 - sinus
    return Inside(hu=hu, water=fluid * (1.0 - ventricle) - ventricle)


def _noise(rng: np.random.Generator, shape: tuple[int, ...], wavelength_mm: float) -> Field:
    size = (shape[0], shape[1], shape[2])
    return smooth_noise(rng, size, (float(size[0]), float(size[1]), float(size[2])), wavelength_mm)


def _brain_hu(rng: np.random.Generator, head: LabelMap, plan: HeadPlan) -> Field:
    """Return the brain's grey values, carried on for some mm into what is no brain."""
    tissue, grey, white = head.tissue[head.box], plan.grey_hu, plan.white_hu
    step = grey - white
    value = np.zeros(int(max(Tissue)) + 1, dtype=np.float32)
    value[Tissue.CORTEX], value[Tissue.WHITE] = grey, white
    value[Tissue.LESION] = white - rng.uniform(4.0, 9.0)
    value[Tissue.DEEP] = grey - rng.uniform(-1.0, 1.5)
    value[Tissue.PALLIDUM] = grey - rng.uniform(0.0, 3.0)
    value[Tissue.THALAMUS] = white + step * rng.uniform(0.5, 0.9)
    value[Tissue.MEDIAL] = white + step * rng.uniform(0.5, 0.9)
    value[Tissue.STEM] = white + step * rng.uniform(0.1, 0.5)
    value[Tissue.CEREBELLUM] = grey - rng.uniform(0.0, 3.0)
    value[Tissue.CEREBELLUM_WHITE] = white + rng.uniform(0.0, 2.0)
    hu = ndimage.gaussian_filter(value[tissue], 0.8, truncate=3.0)
    hu += np.float32(1e-3 * grey)
    hu /= head.brain + np.float32(1e-3)
    hu += np.float32(0.9) * _noise(rng, tissue.shape, 26.0)
    hu += np.float32(rng.uniform(0.3, 1.2)) * _noise(rng, tissue.shape, 7.0)
    return as_field(hu)


def _paint_old_infarct(rng: np.random.Generator, head: LabelMap, hu: Field, plan: HeadPlan) -> None:
    where = (rng.uniform(20, 50) * rng.choice([-1, 1]), rng.uniform(-50, 60), rng.uniform(-5, 50))
    centre = [o + w for o, w in zip(head.origin, where, strict=True)]
    radii = rng.uniform(10, 30, 3)
    z, y, x = (
        ((np.arange(part.start, part.stop) - c) / r).astype(np.float32)
        for part, c, r in zip(head.box, centre[::-1], radii, strict=True)
    )
    far = np.sqrt(z[:, None, None] ** 2 + y[None, :, None] ** 2 + x[None, None, :] ** 2)
    inside = (1.0 - far) * np.float32(radii.min()) + np.float32(5.0) * _noise(rng, hu.shape, 18.0)
    hu -= np.float32(plan.infarct_hu) * smoothstep(as_field(inside), -4.0, 4.0)


def _paint_plexus(rng: np.random.Generator, head: LabelMap, hu: Field, plan: HeadPlan) -> None:
    paint(hu, smoothstep(as_field(head.plexus), 0.35, 0.9), float(rng.uniform(30.0, 46.0)))
    for place in head.glomus:
        value, radii = plan.plexus_hu * float(rng.uniform(0.6, 1.0)), rng.uniform(1.5, 4.5, 3)
        _ball(hu, place, (radii[0], radii[1], radii[2]), value, head.box)


def _paint_folds(rng: np.random.Generator, head: LabelMap, hu: Field, plan: HeadPlan) -> None:
    """Paint falx and tentorium, thin where they are soft, thick where they harden."""
    box = head.box
    across = np.arange(box[2].start, box[2].stop, dtype=np.float32)[None, None, :] - head.falx_at[box[:2]][:, :, None]
    sheet = np.float32(0.5 * plan.falx_mm + 0.15) - np.abs(across)
    falx = occupancy(sheet, 1.0) * occupancy(head.falx_reach[box[:2]], 2.0)[:, :, None]
    paint(hu, falx, plan.falx_hu)
    if plan.falx_plaque_hu:
        y = float(rng.uniform(-50, 40)) + head.origin[1]
        z = float(rng.uniform(38, 58)) + head.origin[2]
        row = (int(np.clip(z, 0, head.falx_at.shape[0] - 1)), int(np.clip(y, 0, head.falx_at.shape[1] - 1)))
        if head.falx_reach[row] > 2.0:
            _ball(hu, (float(head.falx_at[row]), y, z), (1.6, 6.0, 5.0), plan.falx_plaque_hu, head.box)
    leaf = occupancy(np.float32(0.35 + 0.35 * plan.falx_mm) - np.abs(as_field(head.leaf_mm)), 1.0)
    paint(hu, leaf, plan.falx_hu - 3.0)


def _sinus_course(rng: np.random.Generator, head: LabelMap) -> Field:
    """Return the share of sagittal, straight and transverse sinus along their course: maps show them in pieces."""
    box = head.box
    depth = np.clip(head.inside_mm[box] - 0.8, 0.0, 60.0)
    within = occupancy(head.inside_mm[box] - 0.4, 1.0)
    z, y, x = (
        np.arange(part.start, part.stop, dtype=np.float32) - np.float32(o)
        for part, o in zip(box, head.origin[::-1], strict=True)
    )
    height, back = z[:, None, None], y[None, :, None]
    across = np.arange(box[2].start, box[2].stop, dtype=np.float32)[None, None, :] - head.falx_at[box[:2]][:, :, None]
    width = rng.uniform(3.0, 6.5) * (0.4 + 0.6 * smoothstep(back + 0.5 * height, -30.0, 50.0))
    sagittal = occupancy(as_field(width - np.abs(across - rng.normal(0, 1.0)) - 0.6 * depth), 1.2)
    sagittal *= smoothstep(height - 0.15 * back, -18.0, -6.0)
    strong = rng.uniform(1.8, 5.0, 2) * rng.permutation([1.0, rng.uniform(0.4, 1.0)])
    side = np.where(x > 0, np.float32(strong[0]), np.float32(strong[1]))[None, None, :]
    leaf = as_field(head.leaf_mm)
    transverse = occupancy(side - np.hypot(0.9 * leaf, depth), 1.2) * smoothstep(back, 22.0, 32.0)
    straight = occupancy(np.float32(rng.uniform(1.2, 2.6)) - np.hypot(across, leaf - 0.5), 1.2)
    straight *= smoothstep(back, 30.0, 36.0)
    return as_field(np.maximum(np.maximum(sagittal, transverse), straight) * within)


def _paint_calcium(rng: np.random.Generator, head: LabelMap, hu: Field, plan: HeadPlan) -> None:
    radii = rng.uniform(1.3, 3.4, 3)
    _ball(hu, head.pineal, (radii[0], radii[1], radii[2]), plan.pineal_hu, head.box)
    if plan.ganglia_hu:
        pallidum = ndimage.gaussian_filter(
            (head.tissue[head.box] == Tissue.PALLIDUM).astype(np.float32), 1.2, truncate=3.0
        )
        paint(hu, smoothstep(pallidum, 0.5, 1.0), plan.ganglia_hu)


def _ball(hu: Field, centre: Point, radii: Point, value: float, box: Box) -> None:
    """Paint an ellipsoid at a voxel of the map into the box's array."""
    reach = max(radii) + 2.0
    parts = []
    for part, place in zip(box, centre[::-1], strict=True):
        first = max(part.start, int(place - reach))
        parts.append(slice(first - part.start, max(min(part.stop, int(place + reach) + 1), first) - part.start))
    near = hu[parts[0], parts[1], parts[2]]
    if near.size == 0:
        return
    z, y, x = (
        ((np.arange(cut.start, cut.stop) + part.start - place) / radius).astype(np.float32)
        for cut, part, place, radius in zip(parts, box, centre[::-1], radii[::-1], strict=True)
    )
    far = np.sqrt(z[:, None, None] ** 2 + y[None, :, None] ** 2 + x[None, None, :] ** 2)
    paint(near, occupancy(as_field((1.0 - far) * min(radii)), 1.0), value)
