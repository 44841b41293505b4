"""The scanner of a phantom: how the head is sampled, blurred and disturbed on its way to slices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from appliance.phantoms.faults import moved, overshoot, stars, windmill
from appliance.phantoms.fields import Field, as_field
from appliance.phantoms.grid import ScanGrid


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanner:
    """How the head is sampled: geometry in mm and degrees, noise in HU, blur in mm."""

    thickness_mm: float = 5.0
    spacing_mm: float = 5.0
    slices: int = 30
    pixel_mm: float = 1.0
    size: int = 256
    tilt_deg: float = 0.0
    yaw_deg: float = 0.0
    roll_deg: float = 0.0
    lowest_mm: float = -62.0
    shift_mm: tuple[float, float] = (0.0, 0.0)
    blur_mm: float = 0.65
    tail_share: float = 0.03
    tail_mm: float = 2.5
    cupping_hu: float = 0.0
    wide_cupping_hu: float = 3.0
    streak_hu: float = 4.0
    noise_hu: float = 3.5
    grain_mm: float = 0.8
    overshoot_share: float = 0.0  # of an edge's step, by sharp kernels
    overshoot_mm: float = 1.0
    motion_share: float = 0.0  # of a second pose laid over the first
    motion_mm: float = 0.0
    motion_deg: float = 0.0
    motion_part: tuple[float, float] = (0.0, 1.0)  # of the exam
    windmill_hu: float = 0.0
    star_hu: float = 0.0  # round metal
    round_field: bool = False


def scan_grid(scanner: Scanner, step: float, subs: int) -> tuple[ScanGrid, NDArray[np.float64]]:
    """Return the sub-planes of every slice with their rows and columns, and the slices' positions in mm."""
    rows, columns = round(250.0 / step), round(214.0 / step)
    positions = np.arange(scanner.slices, dtype=np.float64) * scanner.spacing_mm
    within = ((np.arange(subs) + 0.5) / subs - 0.5) * scanner.thickness_mm
    a, b, c = np.deg2rad([scanner.tilt_deg, scanner.yaw_deg, scanner.roll_deg])
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_z = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    about_y = np.array([[np.cos(c), 0, np.sin(c)], [0, 1, 0], [-np.sin(c), 0, np.cos(c)]])
    scan = ScanGrid(
        planes_mm=(positions[:, None] + within[None, :]).ravel() + scanner.lowest_mm,
        rows_mm=np.asarray((np.arange(rows) - (rows - 1) / 2) * step, dtype=np.float64),
        columns_mm=np.asarray((np.arange(columns) - (columns - 1) / 2) * step, dtype=np.float64),
        turn=about_x @ about_y @ about_z,
    )
    return scan, positions


def slabs_of(volume: Field, subs: int) -> Field:
    """Return the mean of every slice's sub-planes."""
    planes, rows, columns = volume.shape
    return as_field(volume.reshape(planes // subs, subs, rows, columns).mean(axis=1))


def scanned(slabs: Field, scanner: Scanner, step: float) -> Field:
    """Blur by the scanner's point spread: a narrow core, and a wide tail that makes bone's bright rim."""
    sigma = np.sqrt(max(scanner.blur_mm**2 - (0.29 * step) ** 2, 0.04)) / step
    core = ndimage.gaussian_filter(slabs, (0, sigma, sigma), output=np.float32, mode="nearest")
    if scanner.tail_share:
        wide = scanner.tail_mm / step
        tissue = np.maximum(slabs, 0.0)  # air's shadow at the skin is not what the rim is about
        tail = ndimage.gaussian_filter(tissue, (0, wide, wide), output=np.float32, mode="nearest", truncate=3.0)
        core += np.float32(scanner.tail_share) * np.maximum(tail - np.maximum(core, 0.0), 0.0)
    if scanner.cupping_hu:
        core += _cupping(slabs, step, 8.0) * np.float32(scanner.cupping_hu / 400.0)
    if scanner.wide_cupping_hu:
        core += _cupping(slabs, step, 20.0) * np.float32(scanner.wide_cupping_hu / 400.0)
    if scanner.streak_hu:
        core += _streaks(slabs) * np.float32(scanner.streak_hu)
    core = _with_faults(core, slabs, scanner, step)
    smooth = abs(scanner.pixel_mm / step - 1.0) > 1e-6
    return to_picture(core + np.float32(1000.0), scanner, step, smooth=smooth) - np.float32(1000.0)


def _with_faults(core: Field, slabs: Field, scanner: Scanner, step: float) -> Field:
    if scanner.overshoot_share:
        core = overshoot(core, scanner.overshoot_share, scanner.overshoot_mm, step)
    if scanner.star_hu:
        core = core + stars(slabs, scanner.star_hu, step)
    if scanner.windmill_hu:
        core = core + windmill(slabs, scanner.windmill_hu, step)
    if scanner.motion_share:
        core = moved(core, scanner.motion_share, scanner.motion_mm, scanner.motion_deg, scanner.motion_part, step)
    return core


def _cupping(slabs: Field, step: float, reach_mm: float) -> Field:
    """Return bone blurred over `reach_mm`: what beam hardening leaves of the skull in the brain near it.

    The wide part lifts the brain under the vertex, with bone all round, by 10 HU and more, as in real scans.
    """
    coarse = 4 if reach_mm < 10.0 else 8
    small = np.clip(slabs[:, ::coarse, ::coarse], 0.0, 1500.0)
    wide = reach_mm / (coarse * step)
    small = ndimage.gaussian_filter(small, (0, wide, wide), truncate=2.5)
    near = np.repeat(np.repeat(small, coarse, axis=1), coarse, axis=2)[:, : slabs.shape[1], : slabs.shape[2]]
    return as_field(ndimage.uniform_filter(near, (0, coarse + 1, coarse + 1)))


def _streaks(slabs: Field) -> Field:
    """Return dark and bright bars, about -1..1, along the rows that hold much dense bone (between petrous bones)."""
    dense = np.clip(slabs - 500.0, 0.0, 1500.0).sum(axis=2) / 40000.0
    bars = ndimage.gaussian_filter1d(dense, 6.0, axis=1) - ndimage.gaussian_filter1d(dense, 1.5, axis=1)
    bars -= 0.6 * np.clip(ndimage.gaussian_filter1d(dense, 3.0, axis=1) - 1.0, 0.0, 2.0)
    inside = (slabs > -500.0).astype(np.float32)
    return as_field(np.clip(bars, -1.5, 1.5)[:, :, None].astype(np.float32) * inside)


def to_picture(slabs: Field, scanner: Scanner, step: float, *, smooth: bool) -> Field:
    """Interpolate painted slabs at the picture's pixels: `smooth` by cubics, else linearly; outside lies 0."""
    row_weights = _interpolation(slabs.shape[1], step, scanner.size, scanner.pixel_mm, scanner.shift_mm[0], smooth)
    col_weights = _interpolation(slabs.shape[2], step, scanner.size, scanner.pixel_mm, scanner.shift_mm[1], smooth)
    return as_field(np.matmul(np.matmul(row_weights, slabs), col_weights.T))


def _interpolation(
    painted: int, step: float, pixels: int, pixel_mm: float, shift_mm: float, smooth: bool
) -> NDArray[np.float32]:
    """Return weights [pixels, painted]; both grids share their middle, the picture moved by `shift_mm`."""
    middles = (np.arange(pixels) - (pixels - 1) / 2) * pixel_mm - shift_mm
    gap = np.abs((middles / step + (painted - 1) / 2)[:, None] - np.arange(painted)[None, :])
    if not smooth:
        return as_field(np.clip(1.0 - gap, 0.0, None))
    near = (1.5 * gap - 2.5) * gap * gap + 1.0
    far = ((-0.5 * gap + 2.5) * gap - 4.0) * gap + 2.0
    return np.where(gap < 1.0, near, np.where(gap < 2.0, far, 0.0)).astype(np.float32)


def scan_noise(rng: np.random.Generator, shape: tuple[int, ...], scanner: Scanner) -> Field:
    """Return coloured noise of the scanner's standard deviation; white noise would be easy to see through."""
    if scanner.noise_hu <= 0.0:
        return np.zeros(shape, dtype=np.float32)
    white = rng.standard_normal(shape, dtype=np.float32)
    sigma = scanner.grain_mm / scanner.pixel_mm / 1.6
    fine = ndimage.gaussian_filter(white, (0, sigma, sigma), output=np.float32, mode="wrap")
    return fine * np.float32(scanner.noise_hu / max(float(fine.std()), 1e-6))
