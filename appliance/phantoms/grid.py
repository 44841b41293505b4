"""The points of a scan in the head's frame, and the boxes of them that a small shape needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.phantoms.fields import Field, ellipsoid, occupancy, paint, tube

Point = tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanGrid:
    """Planes, rows and columns of a scan in mm (gantry frame), and the turn from gantry to head frame [3, 3]."""

    planes_mm: NDArray[np.float64]
    rows_mm: NDArray[np.float64]
    columns_mm: NDArray[np.float64]
    turn: NDArray[np.float64]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Planes, rows, columns."""
        return self.planes_mm.size, self.rows_mm.size, self.columns_mm.size

    @property
    def step_mm(self) -> float:
        """In-plane step."""
        return float(self.rows_mm[1] - self.rows_mm[0])

    @property
    def extent_mm(self) -> tuple[float, float, float]:
        """Physical size along planes, rows, columns."""
        return float(np.ptp(self.planes_mm)) + 1.0, float(np.ptp(self.rows_mm)), float(np.ptp(self.columns_mm))

    @property
    def slab_mm(self) -> float:
        """Mean distance between planes."""
        return float(np.ptp(self.planes_mm)) / max(self.planes_mm.size - 1, 1)

    def points(self, planes: slice = slice(None)) -> tuple[Field, Field, Field]:
        """Return x, y, z in the head frame, float32 (planes, rows, columns)."""
        u = self.columns_mm[None, None, :]
        v = self.rows_mm[None, :, None]
        w = self.planes_mm[planes][:, None, None]
        x, y, z = (((t[0] * u + t[1] * v) + t[2] * w).astype(np.float32) for t in self.turn)
        return x, y, z

    def near(self, centre: Point, radius_mm: float) -> tuple[slice, slice, slice] | None:
        """Return the box of points within `radius_mm` of a head-frame point, None where there are none."""
        u, v, w = self.turn.T @ np.asarray(centre)
        box = []
        for axis, place in ((self.planes_mm, w), (self.rows_mm, v), (self.columns_mm, u)):
            first, last = np.searchsorted(axis, [place - radius_mm, place + radius_mm])
            if first >= last:
                return None
            box.append(slice(int(first), int(last)))
        return box[0], box[1], box[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Some planes of a scan and the surfaces that all tissues share; arrays float32 (planes, rows, columns)."""

    scan: ScanGrid
    x: Field
    y: Field
    z: Field
    vault_mm: Field  # depth below the inner table of the vault, the base left out
    base_mm: Field  # height above the base
    inside_mm: Field  # depth below the inner table, negative in bone and outside
    thick_mm: Field
    grain: Field
    rough: Field
    noise: Callable[[float], Field]

    @property
    def voxel_mm(self) -> float:
        """In-plane step."""
        return self.scan.step_mm


def paint_ball(
    hu: Field,
    g: Grid,
    centre: Point,
    radii: Point,
    value: float,
    *,
    soft_mm: float = 1.0,
    lumpy: float = 0.0,
    where: Field | None = None,
) -> None:
    """Paint an ellipsoid, inside its own box only; `where` (0..1) limits it."""
    box = g.scan.near(centre, max(radii) + 2.0)
    if box is None:
        return
    depth = ellipsoid(g.x[box], g.y[box], g.z[box], centre, radii)
    if lumpy:
        depth += np.float32(lumpy) * g.grain[box]
    share = occupancy(depth, soft_mm)
    if where is not None:
        share *= where[box]
    paint(hu[box], share, value)


def paint_rod(
    hu: Field,
    g: Grid,
    ends: tuple[Point, Point],
    radii: tuple[float, float],
    value: float,
    *,
    where: Field | None = None,
) -> None:
    """Paint a rod, inside its own box only; `where` (0..1) limits it."""
    middle = tuple(0.5 * (a + b) for a, b in zip(*ends, strict=True))
    half = 0.5 * float(np.linalg.norm(np.subtract(*ends)))
    box = g.scan.near((middle[0], middle[1], middle[2]), half + max(radii) + 2.0)
    if box is None:
        return
    share = occupancy(tube(g.x[box], g.y[box], g.z[box], ends, radii), max(1.0, g.voxel_mm))
    if where is not None:
        share *= where[box]
    paint(hu[box], share, value)
