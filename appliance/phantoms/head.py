"""One procedural head painted on the points of a scan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from appliance.phantoms.fields import Field, as_field, smooth_noise, smoothstep
from appliance.phantoms.grid import Grid, ScanGrid
from appliance.phantoms.plan import HeadPlan, draw_plan
from appliance.phantoms.shapes import base_height, vault
from appliance.phantoms.tissues import paint_bone, paint_brain, paint_outside, paint_vessels

PLANES_AT_ONCE = 4
"""A few planes stay in the processor's cache while they are painted; whole volumes take five times as long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A painted head; all arrays float32 (planes, rows, columns)."""

    scan: ScanGrid
    plan: HeadPlan
    hu: Field
    inside_mm: Field  # depth below the inner table, negative in bone and outside
    vault_mm: Field  # the same from the vault alone, the base left out
    fluid: Field  # share of fluid outside the ventricles, 0..1
    ventricle: Field  # share of ventricle, 0..1
    tent_mm: Field  # height above the tentorium
    rough: Field  # smooth noise, for edges
    round_vault: bool = True  # the vault is the plan's blunt ellipsoid; else it is where `inside_mm` says


class HeadMaker(Protocol):
    """Paints the head of a seed at the points of a scan."""

    def __call__(self, seed: tuple[int, ...], scan: ScanGrid) -> Head: ...


def build_head(
    seed: tuple[int, ...], scan: ScanGrid, *, plan_of: Callable[[np.random.Generator], HeadPlan] = draw_plan
) -> Head:
    """Paint the head of `seed` at the points of a scan, a few planes at a time.

    The draws are repeated for every few planes, so no draw may depend on what the planes hold.
    """
    hu, inside, wall, fluid, ventricle, tent, rough = (np.empty(scan.shape, dtype=np.float32) for _ in range(7))
    plan = plan_of(np.random.default_rng([*seed, 0]))
    for first in range(0, scan.shape[0], PLANES_AT_ONCE):
        planes = slice(first, min(first + PLANES_AT_ONCE, scan.shape[0]))
        rng = np.random.default_rng([*seed, 1])
        grid = _grid(rng, plan, scan, planes)
        part = hu[planes]
        part[...] = -1000.0
        paint_outside(part, rng, grid)
        paint_bone(part, rng, grid)
        fluid[planes], ventricle[planes], tent[planes] = paint_brain(part, rng, grid, plan)
        paint_vessels(part, rng, grid, plan, tent[planes])
        inside[planes], wall[planes], rough[planes] = grid.inside_mm, grid.vault_mm, grid.rough
    return Head(
        scan=scan,
        plan=plan,
        hu=hu,
        inside_mm=inside,
        vault_mm=wall,
        fluid=fluid,
        ventricle=ventricle,
        tent_mm=tent,
        rough=rough,
    )


def _grid(rng: np.random.Generator, plan: HeadPlan, scan: ScanGrid, planes: slice) -> Grid:
    def noise(wavelength_mm: float) -> Field:
        return smooth_noise(rng, scan.shape, scan.extent_mm, wavelength_mm, planes)

    x, y, z = scan.points(planes)
    rough = noise(18.0)
    wall = vault(x, y, z, plan.size) + np.float32(1.3) * noise(55.0)
    base = (z - base_height(x, y, np.float32(1.6) * rough)) * np.float32(0.85)
    return Grid(
        scan=ScanGrid(
            planes_mm=scan.planes_mm[planes], rows_mm=scan.rows_mm, columns_mm=scan.columns_mm, turn=scan.turn
        ),
        x=x,
        y=y,
        z=z,
        vault_mm=wall,
        base_mm=base,
        inside_mm=np.minimum(wall, base),
        thick_mm=_thickness(x, y, plan, noise(45.0)),
        grain=noise(7.0),
        rough=rough,
        noise=noise,
    )


def _thickness(x: Field, y: Field, plan: HeadPlan, noise: Field) -> Field:
    """Return the skull's thickness in mm: thin at the temple, thick at the inion."""
    thick = np.float32(plan.skull_mm) * (np.float32(1.0) + np.float32(0.16) * noise)
    thick -= np.float32(2.2) * smoothstep(np.abs(x), 40.0, 56.0) * smoothstep(-np.abs(y + 2.0), -30.0, -12.0)
    thick += np.float32(3.0) * smoothstep(y, 70.0, 84.0) * smoothstep(-np.abs(x), -12.0, -2.0)
    return as_field(np.maximum(thick, np.float32(2.2)))
