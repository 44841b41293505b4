"""A head of a label map, bent by a seed and seen at the points of a scan: the same `Head` as the procedural one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from appliance.phantoms.fields import Field, as_field, occupancy, smooth_noise
from appliance.phantoms.grid import Point, ScanGrid
from appliance.phantoms.head import Head, HeadMaker
from appliance.phantoms.label_map import LabelMap, load_label_map
from appliance.phantoms.mapped_inside import paint_inside
from appliance.phantoms.mapped_outside import paint_outside_of
from appliance.phantoms.plan import HeadPlan, draw_plan

PLANES_AT_ONCE: Final = 6
CHILD_SHARE: Final = 0.05
_COARSE_MM: Final = 6.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bend:
    """How a head differs from its map: size along x, y, z, bends in mm, and whether its sides are swapped."""

    scale: Point
    wide_mm: float
    fine_mm: float
    mirrored: bool
    skull_share: float


def mapped(path: Path) -> HeadMaker:
    """Return a maker of heads from one label map."""
    return partial(_from_file, path=path)


def _from_file(seed: tuple[int, ...], scan: ScanGrid, *, path: Path) -> Head:
    return build_mapped_head(seed, scan, load_label_map(path))


def draw_bend(rng: np.random.Generator) -> tuple[Bend, bool]:
    """Draw sizes from .88 to 1.12, bends of 5 to 15 mm at their widest, and a child now and then; True for a child."""
    child = bool(rng.random() < CHILD_SHARE)
    whole = rng.uniform(0.8, 0.92) if child else rng.uniform(0.92, 1.08)
    scale = np.clip(whole * rng.uniform(0.95, 1.05, 3), 0.76 if child else 0.88, 1.12)
    bend = Bend(
        scale=(float(scale[0]), float(scale[1]), float(scale[2])),
        wide_mm=float(rng.uniform(1.5, 4.5)),
        fine_mm=float(rng.uniform(0.2, 0.8)),
        mirrored=bool(rng.random() < 0.5),
        skull_share=float(rng.uniform(0.35, 0.6) if child else rng.uniform(0.7, 1.0)),
    )
    return bend, child


def draw_mapped_plan(rng: np.random.Generator, head: LabelMap, bend: Bend, *, child: bool) -> HeadPlan:
    """Draw what the map does not say: grey values, calcium and how far the brain has shrunk."""
    plan = draw_plan(rng)
    size = tuple(half * s for half, s in zip(head.size, bend.scale, strict=True))
    blood = float(np.clip(rng.uniform(32.0, 43.0) * rng.uniform(1.25, 1.5), 42.0, 62.0))
    plan = replace(
        plan, size=(size[0], size[1], size[2]), dura_mm=float(rng.uniform(0.8, 1.5)), blood_hu=blood,
        falx_mm=float(rng.uniform(0.8, 2.6)),
    )  # fmt: skip
    if child:
        plan = replace(
            plan, atrophy=0.05, plexus_hu=45.0, pineal_hu=38.0, ganglia_hu=0.0, falx_plaque_hu=0.0, caps_hu=0.0,
            grey_hu=plan.white_hu + float(rng.uniform(4.0, 6.5)),
        )  # fmt: skip
    return plan


def build_mapped_head(seed: tuple[int, ...], scan: ScanGrid, head: LabelMap) -> Head:
    """Paint the head of `seed` after a label map at the points of a scan."""
    bend, child = draw_bend(np.random.default_rng([*seed, 10]))
    plan = draw_mapped_plan(np.random.default_rng([*seed, 0]), head, bend, child=child)
    inside = paint_inside(np.random.default_rng([*seed, 11]), head, plan)
    outside = paint_outside_of(np.random.default_rng([*seed, 12]), head, bend.skull_share)
    corner = np.array([part.start for part in head.box], dtype=np.float32)[:, None]
    hu, depth, wall, tent_mm = (np.empty(scan.shape, dtype=np.float32) for _ in range(4))
    wet = np.zeros(scan.shape, dtype=np.float32)
    hu[...], depth[...], wall[...], tent_mm[...] = -1000.0, -30.0, -30.0, 0.0
    places = _Places.over(np.random.default_rng([*seed, 13]), scan, head, bend)
    shrink = np.float32(np.mean(bend.scale))
    for first in range(0, scan.shape[0], PLANES_AT_ONCE):
        planes = slice(first, min(first + PLANES_AT_ONCE, scan.shape[0]))
        at = places.fine(planes)
        part = (planes, *places.window)
        deep = _seen(head.inside_mm, at) * shrink
        depth[part] = deep
        share = occupancy(deep, scan.step_mm)
        within, without = np.nonzero(share > 0.0), np.nonzero(share < 1.0)
        in_box = np.stack([axis[within] for axis in at]) - corner
        seen = np.zeros_like(deep)
        seen[without] = _seen(outside, np.stack([axis[without] for axis in at]))
        seen[within] += share[within] * (_seen(inside.hu, in_box) - seen[within])
        hu[part] = seen
        seen[...] = 0.0
        seen[within] = _seen(inside.water, in_box)
        wet[part] = seen
        wall[part] = places.smooth(head.coarse[0], planes) * shrink
        tent_mm[part] = places.smooth(head.coarse[2], planes) * shrink
    _paint_rest(np.random.default_rng([*seed, 14]), scan, hu)
    return Head(
        scan=scan,
        plan=plan,
        hu=hu,
        inside_mm=depth,
        vault_mm=np.maximum(wall, depth),
        fluid=np.maximum(wet, 0.0) * (depth > 0),
        ventricle=np.maximum(-wet, 0.0) * (depth > 0),
        tent_mm=tent_mm,
        rough=smooth_noise(np.random.default_rng([*seed, 15]), scan.shape, scan.extent_mm, 18.0),
        round_vault=False,
    )


@dataclass(frozen=True, slots=True)
class _Places:
    """Where the scan's points lie in the map, in voxels: known every few mm [3, planes, rows, columns]."""

    coarse: Field
    rows: NDArray[np.float32]  # weights [rows of the window, coarse rows]
    columns: NDArray[np.float32]
    window: tuple[slice, slice]

    @classmethod
    def over(cls, rng: np.random.Generator, scan: ScanGrid, head: LabelMap, bend: Bend) -> _Places:
        every = max(2, round(_COARSE_MM / scan.step_mm))
        knots = [np.arange(-1, -(-axis.size // every) + 1) * every for axis in (scan.rows_mm, scan.columns_mm)]
        thin = replace(
            scan,
            rows_mm=scan.rows_mm[0] + knots[0] * scan.step_mm,
            columns_mm=scan.columns_mm[0] + knots[1] * scan.step_mm,
        )
        at = _bent(rng, thin, head, bend)
        skin = _seen(head.coarse[3], at / 2.0)
        window = tuple(
            _window(np.asarray((skin > -6.0).any(axis=axes)), knots[k], size)
            for k, (axes, size) in enumerate((((0, 2), scan.rows_mm.size), ((0, 1), scan.columns_mm.size)))
        )
        weights = [_weights(cut, knots[k], every) for k, cut in enumerate(window)]
        return cls(at, weights[0], weights[1], (window[0], window[1]))

    def fine(self, planes: slice) -> Field:
        """Return voxel places z, y, x of every point of some planes, [3, planes, rows, columns]."""
        return self._spread(self.coarse[:, planes])

    def smooth(self, half: Field, planes: slice) -> Field:
        """Return a smooth field, given at every second voxel, at the points of some planes."""
        return self._spread(_seen(half, self.coarse[:, planes] / 2.0))

    def _spread(self, known: Field) -> Field:
        return as_field(np.matmul(np.matmul(self.rows, known), self.columns.T))


def _bent(rng: np.random.Generator, scan: ScanGrid, head: LabelMap, bend: Bend) -> Field:
    """Return the map's voxels z, y, x [3, ...] that the scan's points show."""
    x, y, z = scan.points()
    moved = []
    for place, scale in ((x, bend.scale[0]), (y, bend.scale[1]), (z, bend.scale[2])):
        shift = np.float32(bend.wide_mm) * smooth_noise(rng, scan.shape, scan.extent_mm, 95.0)
        shift += np.float32(bend.fine_mm) * smooth_noise(rng, scan.shape, scan.extent_mm, 40.0)
        if place is x:  # the falx is stiff
            shift *= np.clip(np.abs(x) / np.float32(35.0), 0.1, 1.0)
        moved.append((place + shift) * np.float32(1.0 / scale))
    across = -moved[0] if bend.mirrored else moved[0]
    return np.stack([moved[2] + np.float32(head.origin[2]), moved[1] + np.float32(head.origin[1]),
                     across + np.float32(head.origin[0])])  # fmt: skip


def _seen(volume: Field, at: Field) -> Field:
    flat = at.reshape(3, -1)
    return as_field(ndimage.map_coordinates(volume, flat, np.float32, order=1, mode="nearest")).reshape(at.shape[1:])


def _window(any_head: NDArray[np.bool_], knots: NDArray[np.int64], size: int) -> slice:
    found = np.flatnonzero(any_head)
    if found.size == 0:
        return slice(0, 1)
    first, last = max(0, found[0] - 1), min(knots.size - 1, found[-1] + 1)
    return slice(int(max(0, knots[first])), int(min(size, knots[last] + 1)))


def _weights(cut: slice, knots: NDArray[np.int64], every: int) -> NDArray[np.float32]:
    gap = np.abs(np.arange(cut.start, cut.stop)[:, None] - knots[None, :]) / every
    return np.clip(1.0 - gap, 0.0, None).astype(np.float32)


def _paint_rest(rng: np.random.Generator, scan: ScanGrid, hu: Field) -> None:
    """Paint the head rest, which stays level while the head tilts in it."""
    wide, deep, open_mm = rng.uniform(92, 125), rng.uniform(108, 128), rng.uniform(-30, 40)
    value, thick, present = rng.uniform(-300, 600), rng.uniform(0.8, 2.5), rng.random() < 0.8
    if present:
        ring = np.hypot(scan.columns_mm[None, :] * (deep / wide), scan.rows_mm[:, None]) - deep
        shell = np.clip((thick - np.abs(ring)) / scan.step_mm + 0.5, 0, 1) * (scan.rows_mm[:, None] > open_mm)
        rows, columns = np.nonzero(shell > 0)
        behind = hu[:, rows, columns]
        share = as_field(shell[rows, columns])
        hu[:, rows, columns] = np.where(behind < -900.0, behind + share * np.float32(value + 1000.0), behind)
