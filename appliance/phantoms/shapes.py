"""The surfaces of a procedural head, as signed distances in mm.

Head frame: x to the patient's left, y to the back, z up; the origin lies between the foramina of the
ventricles. Every surface is a formula with random parameters; no label map and no picture stands behind it.
"""

from __future__ import annotations

import numpy as np

from appliance.phantoms.fields import Field, as_field, ellipsoid, smoothstep, tube
from appliance.phantoms.plan import HeadPlan


def vault(x: Field, y: Field, z: Field, size: tuple[float, float, float]) -> Field:
    """Return the depth (mm) inside the vault: a blunt ellipsoid whose walls go on straight below its waist."""
    up = np.maximum(z, np.float32(-22.0)) + np.float32(8.0)
    down = np.minimum(z + np.float32(22.0), 0.0)
    wide = np.abs(x) / (np.float32(size[0]) * (np.float32(1.0) + np.float32(0.0016) * np.clip(y, -70.0, 45.0)))
    long = np.abs(y) / np.float32(size[1])
    high = up / np.float32(size[2] + 8.0)
    total = wide**2.25 + long**2.15 + np.abs(high) ** 2.2
    total += (down * np.float32(1.0 / 95.0)) ** 2
    root = np.sqrt(total)
    slope = np.sqrt((wide**1.25 / size[0]) ** 2 + (long**1.15 / size[1]) ** 2 + (np.abs(high) ** 1.2 / size[2]) ** 2)
    slope = np.maximum(slope / np.maximum(root, 0.3), np.float32(1.0 / 95.0))
    return as_field((np.float32(1.0) - root) / slope)


def base_height(x: Field, y: Field, bumps: Field) -> Field:
    """Return z (mm) of the skull base under (x, y): three fossae, the sella and the petrous ridges."""
    side = np.abs(x)
    front = smoothstep(-y, 26.0, 36.0)
    back = smoothstep(y, 8.0, 26.0)
    middle = np.float32(1.0) - front - back
    orbit_roof = np.float32(-23.0) + 8.0 * smoothstep(side, 6.0, 26.0) - 7.0 * smoothstep(side, 36.0, 55.0)
    temporal = np.float32(-28.0) - 13.0 * smoothstep(side, 9.0, 22.0)
    posterior = np.float32(-42.0) - 24.0 * smoothstep(y, 10.0, 34.0) + 10.0 * smoothstep(side, 24.0, 50.0)
    height = front * orbit_roof + middle * temporal + back * posterior
    # The petrous ridge runs from behind the ear to the clivus.
    along = np.clip((side - 10.0) / 46.0, 0.0, 1.0)
    across = np.abs(y - (2.0 + 26.0 * along)) * np.float32(0.87)
    ridge = np.clip(1.0 - across / 13.0, 0.0, 1.0) * smoothstep(side, 6.0, 12.0)
    ridge_top = np.float32(-31.0) + 4.0 * along
    height += ridge * np.maximum(ridge_top - height, 0.0)
    wing_across = np.abs(y - (-27.0 + 0.12 * side))
    wing = np.clip(1.0 - wing_across / 6.0, 0.0, 1.0) * smoothstep(side, 8.0, 14.0)
    height += wing * np.maximum(np.float32(-24.0) - height, 0.0)
    return height + bumps


def tent_height(x: Field, y: Field) -> Field:
    """Return z (mm) of the tentorium above (x, y); it rises to the straight sinus and to the notch."""
    side = np.abs(x)
    return as_field(np.float32(2.0) - 0.42 * side - 0.30 * np.clip(y - 28.0, 0.0, None) - 0.0020 * side * side)


def ventricles(x: Field, y: Field, z: Field, plan: HeadPlan) -> Field:
    s = plan.ventricle_scale
    right, left = np.float32(1.0 + plan.asymmetry * 4), np.float32(1.0 - plan.asymmetry * 4)
    side = np.where(x > 0, np.abs(x) * left, np.abs(x) * right)
    grow = float(np.sqrt(s))
    shape = tube(side, y, z, ((7.0 * grow, -30.0, 2.0), (4.0 * grow, -6.0, 8.0)), (3.6 * s, 3.2 * s))
    body = tube(side, y, z, ((5.0 * grow, -6.0, 12.0), (16.0 * grow, 30.0, 12.0)), (3.8 * s, 4.8 * s))
    np.maximum(shape, body, out=shape)
    atrium = tube(side, y, z, ((16.0 * grow, 30.0, 10.0), (24.0 * grow, 34.0, -3.0)), (5.2 * s, 4.4 * s))
    np.maximum(shape, atrium, out=shape)
    horn = tube(side, y, z, ((22.0 * grow, 36.0, 2.0), (19.0, 56.0, 1.0)), (4.2 * s, 1.2 * s))
    np.maximum(shape, horn, out=shape)
    temporal = tube(side, y, z, ((26.0, 30.0, -6.0), (29.0, -8.0, -20.0)), (2.4 * s - 0.3, 1.5 * s - 0.3))
    np.maximum(shape, temporal, out=shape)
    third = np.minimum(1.6 * s - side, ellipsoid(x, y, z, (0, 2, -5), (9, 15, 10)))
    np.maximum(shape, third, out=shape)
    fourth = ellipsoid(x, y, z, (0, 35, -34), (7 * grow, 5 * grow, 9))
    return np.maximum(shape, fourth)


def cisterns(x: Field, y: Field, z: Field, plan: HeadPlan, rough: Field) -> Field:
    side = np.abs(x)
    open_mm = np.float32(0.4 + 2.2 * plan.atrophy)
    space = ellipsoid(x, y, z, (0, -8, -22), (15 + 3 * float(open_mm), 13, 8))
    np.maximum(space, ellipsoid(x, y, z, (0, 13, -34), (13, 5.0, 17)) - 1.0, out=space)
    np.maximum(space, ellipsoid(x, y, z, (0, 31, -6), (12, 5 + float(open_mm), 7)), out=space)
    np.maximum(space, ellipsoid(x, y, z, (0, 72, -60), (16, 12, 10)) - 1.0, out=space)
    ring = np.abs(np.hypot(x * np.float32(0.95), y - 18.0) - 19.0 - 2.0 * rough)
    ambient = np.minimum(open_mm + 1.5 * rough - 0.6 - ring, np.minimum(14.0 - np.abs(z + 16.0), y - 6.0))
    np.maximum(space, ambient, out=space)
    tilt = np.abs(z - (0.28 * (y + 8.0) - 2.0) + 3.0 * rough)
    cleft = np.minimum(0.5 + open_mm - tilt, np.minimum(side - 36.0, 26.0 - np.abs(y - 2.0)))
    np.maximum(space, cleft, out=space)
    insula = np.minimum(
        0.5 + 0.9 * open_mm - np.abs(side - 38.0 - 2.0 * rough), np.minimum(17.0 - np.abs(y), 11.0 - np.abs(z - 3.0))
    )
    np.maximum(space, insula, out=space)
    fissure = np.minimum(0.5 + 0.9 * open_mm - side, np.maximum(z - 24.0, np.maximum(-y - 34.0, y - 42.0)))
    return as_field(np.maximum(space, np.minimum(fissure, z + 18.0)))
