"""Painting a procedural head: scalp and face, bone, meninges and brain, vessels and calcium."""

from __future__ import annotations

import numpy as np

from appliance.phantoms.fields import Field, ellipsoid, occupancy, paint, smoothstep
from appliance.phantoms.grid import Grid, paint_ball, paint_rod
from appliance.phantoms.plan import HeadPlan
from appliance.phantoms.shapes import cisterns, tent_height, ventricles


def paint_outside(hu: Field, rng: np.random.Generator, g: Grid) -> None:
    """Paint scalp with or without swelling, face, orbits, the soft tissue under the base, and the head rest."""
    scalp_mm = np.float32(rng.uniform(3.5, 7.5)) + g.rough
    swelling = rng.uniform(3.0, 14.0) if rng.random() < 0.25 else 0.0
    angle, up = rng.uniform(0, 2 * np.pi), rng.uniform(-20, 50)
    if swelling:
        away = np.hypot(
            np.hypot(g.x - np.float32(80 * np.cos(angle)), g.y - np.float32(95 * np.sin(angle))), g.z - np.float32(up)
        )
        scalp_mm += np.float32(swelling) * smoothstep(-away, -60.0, -15.0)
    skin = g.vault_mm + g.thick_mm + scalp_mm
    outer = occupancy(skin, g.voxel_mm)
    fat = smoothstep(skin, 1.6, 2.6)
    if swelling:
        fat *= 1.0 - smoothstep(-away, -60.0, -30.0)
    tissue = np.float32(45.0) - fat * np.float32(rng.uniform(70, 135))
    temporal = smoothstep(np.abs(g.x), 48.0, 56.0) * smoothstep(-np.abs(g.y + 8.0), -30.0, -18.0)
    temporal *= 1.0 - smoothstep(g.z, 5.0, 30.0)
    paint(tissue, temporal, 58.0)
    eye_y, eye_z = -rng.uniform(64, 70), -rng.uniform(38, 43)
    if float(g.z.min()) < 5.0:
        low = np.float32(1.0) - smoothstep(g.base_mm, -6.0, 0.0)
        lower = smoothstep(-g.y, 20.0, 60.0) * np.clip(-g.z - 30.0, 0.0, 25.0)
        np.maximum(outer, occupancy(g.vault_mm + 16.0 + lower, g.voxel_mm) * low, out=outer)
        muscle = smoothstep(g.grain + 0.6 * g.rough, -0.4, 0.2) * low
        paint(tissue, muscle, 52.0)
    paint(hu, outer, tissue)
    _paint_head_rest(hu, rng, g)
    for side in (-1.0, 1.0):
        paint_ball(hu, g, (side * 31, eye_y + 2, eye_z), (18, 25, 16), -85.0)
        paint_ball(hu, g, (side * 31, eye_y - 8, eye_z), (12, 12, 12), 14.0)
        paint_rod(hu, g, ((side * 30, eye_y + 4, eye_z), (side * 13, -34, eye_z + 3)), (2.5, 2.5), 40.0)


def _paint_head_rest(hu: Field, rng: np.random.Generator, g: Grid) -> None:
    wide, deep, open_mm = rng.uniform(92, 125), rng.uniform(104, 125), rng.uniform(-30, 40)
    value, thick, present = rng.uniform(-300, 600), rng.uniform(0.8, 2.5), rng.random() < 0.8
    if present:
        ring = np.abs(np.hypot(g.x * np.float32(deep / wide), g.y) - np.float32(deep))
        paint(hu, occupancy(np.float32(thick) - ring, g.voxel_mm) * (g.y > open_mm) * (hu < -900.0), value)


def paint_bone(hu: Field, rng: np.random.Generator, g: Grid) -> None:
    """Paint the two tables and the diploe of the vault, the base with petrous bones, and their air cells."""
    table = np.float32(rng.uniform(1000, 1600))
    diploe = np.float32(rng.uniform(350, 800)) + np.float32(130.0) * g.grain
    base_thick = np.float32(rng.uniform(4.0, 8.0))
    petrous_hu = rng.uniform(1300, 1900)
    share = g.inside_mm / -g.thick_mm
    core = smoothstep(share, 0.16, 0.36) * (1.0 - smoothstep(share, 0.62, 0.86))
    bone = table + core * (diploe - table)
    base_share = smoothstep(g.vault_mm - g.base_mm, 0.0, 6.0)
    paint(bone, base_share, np.float32(650.0) + np.float32(260.0) * g.grain)
    base_mm = np.maximum(base_thick * (1.0 + np.float32(0.4) * g.rough), 2.0)
    shell = np.minimum(-g.inside_mm, g.inside_mm + g.thick_mm + base_share * (base_mm - g.thick_mm))
    # Below the base only the vault's own wall goes on as bone, and fades into the neck.
    shell_share = occupancy(shell, g.voxel_mm) * np.maximum(smoothstep(g.z, -72.0, -55.0), base_share)
    paint(hu, shell_share, bone)
    if float(g.z.min()) < 5.0:
        outside = occupancy(-g.inside_mm, g.voxel_mm)
        for side in (-1.0, 1.0):
            paint_ball(hu, g, (side * 34, 16, -41), (26, 13, 12), petrous_hu, soft_mm=2.0, lumpy=1.5, where=outside)
        paint_rod(hu, g, ((0, -2, -34), (0, 22, -66)), (7.0, 8.0), 560.0, where=outside)
        struts = smoothstep(-np.abs(g.rough + 0.5 * g.grain), -0.16, -0.04)
        struts *= (g.base_mm < -8.0) & (g.vault_mm > -6.0)
        struts *= 1.0 - smoothstep(g.y, -12.0, 8.0)
        paint(hu, struts, 600.0)
        _paint_neck(hu, g)
        walls = np.float32(-850.0) + smoothstep(-np.abs(g.grain), -0.28, -0.10) * np.float32(1300.0)
    else:
        outside = walls = hu  # nothing below reaches these planes; the draws are made all the same
    _paint_air_cells(hu, rng, g, outside, walls)


def _paint_neck(hu: Field, g: Grid) -> None:
    """Paint the foramen magnum, the first vertebra's ring and the cord."""
    below = smoothstep(-g.z, 74.0, 79.0)
    paint_rod(hu, g, ((0, 36, -74), (0, 32, -110)), (22.0, 21.0), 750.0, where=below)
    paint_rod(hu, g, ((0, 38, -50), (0, 32, -110)), (13.0, 11.5), 10.0, where=occupancy(-g.inside_mm, g.voxel_mm))
    paint_rod(hu, g, ((0, 34, -50), (0, 31, -110)), (7.5, 6.0), 34.0, where=occupancy(-g.inside_mm, g.voxel_mm))


def _paint_air_cells(hu: Field, rng: np.random.Generator, g: Grid, outside: Field, walls: Field) -> None:
    airy = rng.random() < 0.85
    front_height, front_wide, frontal = rng.uniform(6, 20), rng.uniform(8, 17), rng.random() < 0.8
    if float(g.z.min()) >= 5.0:
        return
    for side in (-1.0, 1.0):
        if airy:
            _paint_cells(hu, g, (side * 54, 34, -48), (10, 14, 15), walls, outside)
        paint_rod(hu, g, ((side * 44, 12, -50), (side * 82, 12, -52)), (3.5, 4.0), -950.0, where=outside)
    deep = occupancy(-g.inside_mm - 2.0, g.voxel_mm)
    _paint_cells(hu, g, (1.0, -20, -47), (15, 13, 10), walls - 60.0, deep)
    _paint_cells(hu, g, (0, -54, -46), (12, 24, 16), walls, deep)
    if frontal:
        bony = occupancy(-g.inside_mm - 1.6, g.voxel_mm) * occupancy(g.vault_mm + g.thick_mm - 1.0, g.voxel_mm)
        for side in (-1.0, 1.0):
            centre = (side * 12, -86.0, -26 + front_height * 0.4)
            paint_ball(hu, g, centre, (front_wide, 9, front_height), -970.0, lumpy=0.6, where=bony)


def _paint_cells(
    hu: Field, g: Grid, centre: tuple[float, float, float], radii: tuple[float, float, float], air: Field, where: Field
) -> None:
    box = g.scan.near(centre, max(radii) + 4.0)
    if box is not None:
        depth = ellipsoid(g.x[box], g.y[box], g.z[box], centre, radii) + np.float32(1.6) * g.rough[box]
        paint(hu[box], occupancy(depth, 1.0) * where[box], air[box])


def paint_brain(hu: Field, rng: np.random.Generator, g: Grid, plan: HeadPlan) -> tuple[Field, Field, Field]:
    """Paint dura, fluid, grey and white matter; return fluid share, ventricle share and height over the tent."""
    a = plan.atrophy
    tent = (g.z - tent_height(g.x, g.y)) * np.float32(0.9)
    above = smoothstep(tent, -0.5, 0.5) + (1.0 - smoothstep(g.y, 8.0, 12.0))
    np.minimum(above, 1.0, out=above)
    depth = g.inside_mm - np.float32(plan.dura_mm)
    gyri = g.noise(21.0) + 0.35 * g.noise(10.0)
    reach = smoothstep(-depth, -(13.0 + 6.0 * a), -6.0)
    groove = np.abs(gyri) * np.float32(5.0)  # mm from the floor of a sulcus, by the field's usual slope
    width = np.float32(0.35 + 1.1 * a * rng.uniform(0.5, 1.1)) + 0.35 * g.rough
    sulci = smoothstep(width - groove, -1.2, 0.8) * reach * above * np.float32(min(1.0, 0.6 + 0.7 * a))
    gap = np.float32(0.2 + 2.6 * a * rng.uniform(0.2, 1.0)) * (1.0 + 0.35 * g.rough)
    gap *= 1.0 + 0.6 * smoothstep(-g.y, 10.0, 60.0)
    rim = occupancy(gap - depth, 1.4)
    space = occupancy(cisterns(g.x, g.y, g.z, plan, g.rough), 1.2)
    fluid = np.maximum(np.maximum(sulci, rim), space)

    edge = np.minimum(depth - gap, groove + (1.0 - reach) * 12.0)
    white = smoothstep(edge + 0.8 * g.rough, 2.0, 5.2) * above
    tissue = np.float32(plan.grey_hu) + white * np.float32(plan.white_hu - plan.grey_hu)
    _paint_deep(tissue, rng, g, plan)
    folia = np.abs(np.sin((g.z + 0.25 * g.y + 2.2 * g.rough) * np.float32(1.35)))
    cerebellum = (1.0 - above) * smoothstep(depth, 2.0, 12.0)
    tissue -= (1.0 - above) * np.float32(2.0) + cerebellum * folia * np.float32(1.5 + 5.0 * a)
    tissue += np.float32(0.9) * g.noise(26.0) + np.float32(rng.uniform(0.3, 1.2)) * g.grain
    hollow = ventricles(g.x, g.y, g.z, plan)
    if plan.caps_hu:
        tissue -= np.float32(plan.caps_hu) * smoothstep(hollow, -9.0, -1.0) * above
    if plan.infarct_hu:
        where = (rng.uniform(20, 50) * rng.choice([-1, 1]), rng.uniform(-50, 60), rng.uniform(-5, 50))
        radii = rng.uniform(10, 30, 3)
        old = ellipsoid(g.x, g.y, g.z, where, (radii[0], radii[1], radii[2])) + np.float32(5.0) * g.rough
        tissue -= np.float32(plan.infarct_hu) * smoothstep(old, -4.0, 4.0)
    ventricle = occupancy(hollow, 1.1)
    paint(tissue, fluid, plan.fluid_hu)
    paint(tissue, ventricle, plan.fluid_hu)
    dura = rng.uniform(42, 60)
    paint(tissue, occupancy(-depth, 1.0), dura)
    _paint_membranes(tissue, rng, g, plan, tent, depth)
    paint(hu, occupancy(g.inside_mm, g.voxel_mm), tissue)
    fluid = fluid * occupancy(depth, 1.0) * (1.0 - ventricle)
    return fluid, ventricle, tent


def _paint_deep(tissue: Field, rng: np.random.Generator, g: Grid, plan: HeadPlan) -> None:
    grey = plan.grey_hu + rng.uniform(-2.0, 1.0)
    for side in (-1.0, 1.0):
        paint_ball(tissue, g, (side * 25, -2, 1), (6, 17, 11), grey, soft_mm=3.0, lumpy=0.5)
        paint_ball(tissue, g, (side * 11, 14, 3), (8, 14, 9), grey, soft_mm=3.0, lumpy=0.5)
        paint_ball(tissue, g, (side * 14, -22, 8), (4.5, 9, 9), grey, soft_mm=2.0, lumpy=0.5)
        if plan.ganglia_hu:
            paint_ball(tissue, g, (side * 19, 1, -1), (3, 5, 4), plan.ganglia_hu, soft_mm=2.0, lumpy=1.0)


def _paint_membranes(
    tissue: Field, rng: np.random.Generator, g: Grid, plan: HeadPlan, tent: Field, depth: Field
) -> None:
    bend = np.float32(rng.normal(0.0, 1.0)) + 1.2 * g.rough * 0.5
    sheet = np.float32(0.5 * plan.falx_mm) + 0.3 * g.rough - np.abs(g.x - bend)
    reach = np.maximum(np.maximum(22.0 + 0.2 * g.y - g.z, 0.0) * (np.abs(g.y + 6.0) < 44.0), 0.0)
    falx = occupancy(sheet, 1.0) * (reach <= 0.0) * smoothstep(g.z, -14.0, -8.0) * smoothstep(tent, -1.0, 1.0)
    paint(tissue, falx.astype(np.float32), plan.falx_hu)
    at = (float(rng.normal(0, 1)), float(rng.uniform(-60, 40)), float(rng.uniform(35, 60)))
    if plan.falx_plaque_hu:
        paint_ball(tissue, g, at, (1.6, 6, 5), plan.falx_plaque_hu)
    leaf = np.float32(0.6 + 0.3 * plan.falx_mm) - np.abs(tent)
    notch = smoothstep(np.hypot(g.x, 0.8 * (g.y - 14.0)), 17.0, 19.0) * smoothstep(g.y, 4.0, 10.0)
    paint(tissue, occupancy(leaf, 1.0) * notch, plan.falx_hu - 3.0)


def paint_vessels(hu: Field, rng: np.random.Generator, g: Grid, plan: HeadPlan, tent: Field) -> None:
    """Paint venous sinuses, arteries of the base, plexus and pineal gland: all the bright things of health."""
    within = occupancy(g.inside_mm - 0.4, 1.0)
    blood = plan.blood_hu
    width = rng.uniform(2.5, 5.5) * (0.45 + 0.55 * smoothstep(g.y + g.z * 0.5, -30.0, 50.0))
    corner = width - np.abs(g.x - rng.normal(0, 1.2)) - 0.55 * np.clip(g.inside_mm, 0.0, 60.0)
    sagittal = occupancy(corner, 1.2) * smoothstep(g.z - 0.15 * g.y, -22.0, -10.0)
    paint(hu, sagittal * within, blood)
    strong = rng.uniform(2.2, 5.5, 2) * rng.permutation([1.0, rng.uniform(0.5, 1.0)])
    height = np.where(g.x > 0, np.float32(strong[0]), np.float32(strong[1]))
    ring = height - np.hypot(tent * 0.9, np.clip(g.inside_mm - 1.0, 0.0, 60.0))
    paint(hu, occupancy(ring, 1.2) * smoothstep(g.y, 22.0, 30.0) * within, blood)
    for side in (-1.0, 1.0):
        paint_ball(hu, g, (side * 47, 34, -38), (5, 6, 16), blood, where=within)
    straight = np.float32(rng.uniform(1.4, 3.2)) - np.hypot(g.x, tent - 1.0)
    paint(hu, occupancy(straight, 1.2) * smoothstep(g.y, 32.0, 38.0) * within, blood)
    artery = blood - rng.uniform(0.0, 6.0)
    for side in (-1.0, 1.0):
        r = rng.uniform(1.1, 2.0)
        hard = rng.random() < 0.4
        paint_rod(hu, g, ((side * 7, -12, -20), (side * 34, -14, -14)), (r, r * 0.7), artery, where=within)
        wall = artery + 150.0 * hard
        paint_rod(hu, g, ((side * 9, -12, -32), (side * 9, -12, -20)), (r + 0.7, r + 0.4), wall, where=within)
        plexus_at = (side * rng.uniform(17, 24), rng.uniform(28, 36), rng.uniform(0, 10))
        radii = rng.uniform(2.0, 5.0, 3)
        paint_ball(
            hu, g, plexus_at, (radii[0], radii[1], radii[2]), plan.plexus_hu, soft_mm=1.4, lumpy=0.8, where=within
        )
    paint_rod(hu, g, ((rng.normal(0, 1.5), 4, -48), (0, 3, -22)), (1.8, 1.6), artery, where=within)
    pineal_y, radii = rng.uniform(25, 29), rng.uniform(1.5, 3.6, 3)
    paint_ball(hu, g, (0, pineal_y, -1), (radii[0], radii[1], radii[2]), plan.pineal_hu, soft_mm=1.2, where=within)
