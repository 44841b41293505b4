"""Points on the inner table of a painted head, found where the head really ends."""

from __future__ import annotations

import numpy as np

from appliance.phantoms.grid import Point
from appliance.phantoms.head import Head

_FARTHEST_MM = 120


def wall_point(head: Head, aim: Point) -> Point:
    """Return where the vault ends on the way from the middle, at the height of `aim`, out to it and beyond.

    All in the head frame, mm. `aim` itself where the way leaves the scanned planes first.
    """
    start = np.array([0.0, 0.0, min(aim[2], head.plan.size[2] - 12.0)])
    way = np.asarray(aim) - start
    way /= max(float(np.linalg.norm(way)), 1e-6)
    points = start + way * np.arange(_FARTHEST_MM)[:, None]
    scan = head.scan
    places = points @ scan.turn
    index = [
        np.clip(np.searchsorted(axis, places[:, column]), 0, axis.size - 1)
        for axis, column in ((scan.planes_mm, 2), (scan.rows_mm, 1), (scan.columns_mm, 0))
    ]
    depth = head.inside_mm[index[0], index[1], index[2]]
    outside = np.flatnonzero(depth <= 0.0)
    outside = outside[outside > 8]
    if outside.size == 0:
        return aim
    x, y, z = points[outside[0]]
    return float(x), float(y), float(z)


def draw_wall_point(rng: np.random.Generator, head: Head, *, low_mm: float, high_mm: float) -> Point:
    """Draw a point of the vault between two heights, anywhere round it."""
    angle, up = rng.uniform(0, 2 * np.pi), float(rng.uniform(low_mm, high_mm))
    return wall_point(head, (70.0 * float(np.sin(angle)), -70.0 * float(np.cos(angle)), up))
