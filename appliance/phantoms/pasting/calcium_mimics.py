"""Mimics that calcium makes: plexus, pineal gland, falx, basal ganglia, and lumps anywhere."""

from __future__ import annotations

import numpy as np

from appliance.phantoms.pasting.canvas import Canvas, ball
from appliance.phantoms.pasting.host import VENTRICLE
from appliance.phantoms.pasting.site import Point


def calcified_plexus(rng: np.random.Generator, canvas: Canvas) -> None:
    """Calcify the plexus of one or both ventricles, in their hind part."""
    for k in rng.permutation(canvas.z.size)[:3]:
        fluid = (canvas.site.host.tissue[canvas.site.indices[k]] & VENTRICLE) > 0
        fluid &= (canvas.y > 0.0) & (np.abs(canvas.x) > 8.0)
        for side in (-1.0, 1.0):
            places = np.flatnonzero(fluid & (canvas.x * np.float32(side) > 0.0))
            if places.size and rng.random() < 0.8:
                where = np.unravel_index(int(rng.choice(places)), fluid.shape)
                _calcium(
                    rng,
                    canvas,
                    Point(x_mm=float(canvas.x[where]), y_mm=float(canvas.y[where]), z_mm=float(canvas.z[k])),
                )


def calcified_pineal(rng: np.random.Generator, canvas: Canvas) -> None:
    at = Point(x_mm=float(rng.normal(0.0, 1.5)), y_mm=float(rng.uniform(5.0, 22.0)), z_mm=_some_z(rng, canvas))
    _calcium(rng, canvas, at)


def calcified_falx(rng: np.random.Generator, canvas: Canvas) -> None:
    """Calcify the falx: one to three lumps in a row on the midline, a slice or two high."""
    k = int(rng.integers(canvas.z.size))
    midline_mm = float(canvas.site.host.midline_mm[canvas.site.indices[k]])
    front_mm, apart_mm = float(rng.uniform(-65.0, 50.0)), float(rng.uniform(2.0, 7.0))
    for place in range(int(rng.integers(1, 4))):
        x, z = midline_mm + float(rng.normal(0.0, 0.8)), float(canvas.z[k]) + float(rng.normal(0.0, 1.5))
        _calcium(rng, canvas, Point(x_mm=x, y_mm=front_mm + place * apart_mm, z_mm=z))


def calcified_ganglia(rng: np.random.Generator, canvas: Canvas) -> None:
    z = _some_z(rng, canvas)
    for side in (-1.0, 1.0):
        for _ in range(int(rng.integers(1, 4))):
            x, y = side * float(rng.uniform(12.0, 26.0)), float(rng.uniform(-20.0, 4.0))
            _calcium(rng, canvas, Point(x_mm=x, y_mm=y, z_mm=z + float(rng.normal(0.0, 2.0))))


def stray_calcium(rng: np.random.Generator, canvas: Canvas) -> None:
    k = int(rng.integers(canvas.z.size))
    places = np.flatnonzero(canvas.inside[k])
    where = np.unravel_index(int(rng.choice(places)), canvas.inside[k].shape)
    _calcium(rng, canvas, Point(x_mm=float(canvas.x[where]), y_mm=float(canvas.y[where]), z_mm=float(canvas.z[k])))


def _calcium(rng: np.random.Generator, canvas: Canvas, at: Point) -> None:
    """Draw a lump of calcium: some grains close together."""
    radius = float(rng.uniform(1.2, 4.5))
    hu = float(np.exp(rng.uniform(np.log(70.0), np.log(600.0))))
    window = canvas.window_round(at, 2.0 * radius + 2.0)
    grains = []
    for _ in range(int(rng.integers(1, 5))):
        off = rng.normal(0.0, 0.5 * radius, 3)
        place = Point(x_mm=at.x_mm + off[0], y_mm=at.y_mm + off[1], z_mm=at.z_mm + off[2])
        grains.append((place, radius * float(rng.uniform(0.45, 0.85))))
    for k in canvas.slices_at(at.z_mm, 2.0 * radius):
        share = np.max([ball(canvas, place, grain, k, window) for place, grain in grains], axis=0)
        share *= canvas.inside[k][window]
        part = canvas.picture[k][window]
        part += share * np.maximum(np.float32(hu) - part, 0.0)


def _some_z(rng: np.random.Generator, canvas: Canvas) -> float:
    return float(rng.choice(canvas.z) + rng.uniform(-0.5, 0.5) * canvas.site.host.thickness_mm)
