"""What a head has been through besides its bleed: operations, broken bone, metal, a drain.

Each may be mistaken for blood.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from appliance.phantoms.fields import Field, as_field, occupancy, paint, tube
from appliance.phantoms.grid import Point
from appliance.phantoms.head import Head
from appliance.phantoms.wall import draw_wall_point

Box = tuple[slice, slice, slice]
_BONE_HU = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What has been done to a head or befallen it; nothing by default."""

    flap: bool = False  # a piece of vault sawn out and put back with plates
    gap: bool = False  # a piece of vault that is missing
    burr_hole: bool = False
    fracture: bool = False  # with its swelling outside, and no blood within
    clip: bool = False
    drain: bool = False


NOTHING = History()


def draw_history(rng: np.random.Generator) -> History:
    """Draw what a head has been through: of one in three something, mostly one thing."""
    chances = rng.random(6)
    return History(
        flap=bool(chances[0] < 0.06),
        gap=bool(chances[1] < 0.03),
        burr_hole=bool(chances[2] < 0.05),
        fracture=bool(chances[3] < 0.1),
        clip=bool(chances[4] < 0.05),
        drain=bool(chances[5] < 0.05),
    )


def live_through(rng: np.random.Generator, head: Head, history: History) -> None:
    """Paint what the history says into the head's HU, in place."""
    high = float(min(head.scan.planes_mm[-1] - 12.0, 55.0))
    where = [draw_wall_point(rng, head, low_mm=0.0, high_mm=max(high, 5.0)) for _ in range(4)]
    size = rng.uniform(18.0, 38.0)
    if history.gap:
        _open_bone(head, where[0], size, float(rng.uniform(20.0, 45.0)))
    if history.flap:
        _saw_flap(rng, head, where[1], size)
    if history.burr_hole or history.drain:
        _open_bone(head, where[2], 6.5, float(rng.uniform(5.0, 40.0)))
    if history.fracture:
        _break_bone(rng, head, where[3])
    if history.clip:
        at = (
            float(rng.choice([-1, 1]) * rng.uniform(4, 34)),
            float(rng.uniform(-18, -8)),
            float(rng.uniform(-20, -10)),
        )
        _put_metal(head, at, float(rng.uniform(1.5, 3.5)))
    if history.drain:
        side = float(np.sign(where[2][0]) or 1.0)
        _put_rod(head, (where[2], (side * 5.0, -6.0, 6.0)), 1.3, float(rng.uniform(150.0, 450.0)))


def _near(head: Head, centre: Point, radius: float) -> tuple[Box, Field] | None:
    """Return the box of points within `radius` of a point and how far each lies from it."""
    box = head.scan.near(centre, radius)
    if box is None:
        return None
    x, y, z = _points(head, box)
    return box, np.sqrt((x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2)


def _points(head: Head, box: Box) -> tuple[Field, Field, Field]:
    u = head.scan.columns_mm[box[2]][None, None, :]
    v = head.scan.rows_mm[box[1]][None, :, None]
    w = head.scan.planes_mm[box[0]][:, None, None]
    x, y, z = (as_field((t[0] * u + t[1] * v) + t[2] * w) for t in head.scan.turn)
    return x, y, z


def _bone(head: Head, box: Box) -> Field:
    """Return 1 in bone, its half-covered inner edge included."""
    return as_field((head.hu[box] > _BONE_HU) & (head.inside_mm[box] < 1.0))


def _open_bone(head: Head, centre: Point, radius: float, value: float) -> None:
    found = _near(head, centre, radius + 12.0)
    if found is not None:
        box, far = found
        paint(head.hu[box], occupancy(np.float32(radius) - far, 1.0) * _bone(head, box), value)


def _saw_flap(rng: np.random.Generator, head: Head, centre: Point, radius: float) -> None:
    """Saw a ring, and hold the piece by two or three plates of titanium over it."""
    found = _near(head, centre, radius + 12.0)
    if found is None:
        return
    box, far = found
    cut = occupancy(np.float32(rng.uniform(0.7, 1.6)) - np.abs(far - np.float32(radius)), 1.0)
    paint(head.hu[box], cut * _bone(head, box), 35.0)
    x, y, z = _points(head, box)
    outer = np.nonzero((np.abs(far - radius) < 1.5) & (head.hu[box] > -200.0) & (head.inside_mm[box] < -4.0))
    for k in rng.choice(outer[0].size, min(3, outer[0].size), replace=False) if outer[0].size else ():
        place = tuple(float(part[outer[0][k], outer[1][k], outer[2][k]]) for part in (x, y, z))
        _put_metal(head, (place[0], place[1], place[2]), float(rng.uniform(0.8, 1.6)), value=5000.0)


def _break_bone(rng: np.random.Generator, head: Head, centre: Point) -> None:
    """Break the vault along a plane through a point, and swell the scalp over it."""
    found = _near(head, centre, 45.0)
    if found is None:
        return
    box, far = found
    out = np.asarray(centre) / max(float(np.linalg.norm(centre)), 1.0)
    across = np.cross(out, rng.normal(size=3))
    across /= max(float(np.linalg.norm(across)), 1e-6)
    gap = sum(
        np.float32(n) * (part - np.float32(c)) for n, part, c in zip(across, _points(head, box), centre, strict=True)
    )
    line = occupancy(np.float32(rng.uniform(0.4, 1.0)) - np.abs(as_field(gap)), 1.0) * (far < rng.uniform(20.0, 44.0))
    paint(head.hu[box], line * _bone(head, box), 45.0)
    wide, high = rng.uniform(20.0, 36.0), rng.uniform(4.0, 11.0)
    bump = np.float32(9.0) + np.float32(high) * (1.0 - (far / np.float32(wide)) ** 2) + head.inside_mm[box]
    swollen = occupancy(as_field(bump), 1.5) * (head.hu[box] < 20.0) * (head.inside_mm[box] < -3.0) * (far < wide)
    paint(head.hu[box], as_field(swollen), float(rng.uniform(40.0, 65.0)))


def _put_metal(head: Head, centre: Point, radius: float, value: float = 12000.0) -> None:
    found = _near(head, centre, radius + 3.0)
    if found is not None:
        box, far = found
        paint(head.hu[box], occupancy(np.float32(radius) - far, max(1.0, head.scan.step_mm)), value)


def _put_rod(head: Head, ends: tuple[Point, Point], radius: float, value: float) -> None:
    middle = np.mean(ends, axis=0)
    reach = 0.5 * float(np.linalg.norm(np.subtract(*ends))) + 4.0
    found = _near(head, (float(middle[0]), float(middle[1]), float(middle[2])), reach)
    if found is not None:
        box, _ = found
        rod = tube(*_points(head, box), ends, (radius, radius))
        paint(head.hu[box], occupancy(rod, max(1.0, head.scan.step_mm)) * (head.inside_mm[box] > -9.0), value)
