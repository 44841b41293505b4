"""What a pose, a scanner and its noise could have made of a slice: drawn for a whole batch, laid on all at once."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from appliance.training.cache import UNKNOWN, WHOLE

AIR_HU = -1000.0
BANK = 64
SOFT_HU = (-50.0, 120.0)
_REACH = 3  # pixels to each side that blur and sharpening look


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """One draw for each of n slices; each field is an array [n]. Twins are given the same one."""

    mirror: NDArray[np.bool_]
    angle: NDArray[np.float64]  # radians
    scale: NDArray[np.float64]
    stretch: NDArray[np.float64]
    move_x: NDArray[np.float64]  # of half the picture
    move_y: NDArray[np.float64]
    blur_px: NDArray[np.float64]
    sharpen: NDArray[np.float64]  # -1 blurs, above 0 sharpens by so much
    gain: NDArray[np.float64]
    offset_hu: NDArray[np.float64]
    cupping_hu: NDArray[np.float64]  # per 400 HU of bone all round
    bar_hu: NDArray[np.float64]
    bar_row: NDArray[np.float64]  # of the picture's side
    bar_px: NDArray[np.float64]
    noise_hu: NDArray[np.float64]
    noise_of: NDArray[np.int64]
    noise_roll: NDArray[np.int64]

    def taken(self, indices: NDArray[np.int64]) -> Looks:
        """The looks of these numbers."""
        return Looks(**{one.name: getattr(self, one.name)[indices] for one in fields(self)})


def draw_looks(rng: np.random.Generator, n: int) -> Looks:
    """Draw n looks."""
    blurs = rng.random(n) < 0.7
    return Looks(
        mirror=rng.random(n) < 0.5,
        angle=np.deg2rad(rng.normal(0.0, 10.0, n)),
        scale=rng.uniform(0.82, 1.12, n),
        stretch=np.exp(rng.normal(0.0, 0.03, n)),
        move_x=rng.normal(0.0, 0.04, n),
        move_y=rng.normal(0.0, 0.04, n),
        blur_px=np.where(blurs, rng.uniform(0.0, 1.0, n), rng.uniform(0.8, 1.6, n)),
        sharpen=np.where(blurs, -1.0, rng.uniform(0.0, 0.8, n)),
        gain=rng.uniform(0.85, 1.15, n),
        offset_hu=rng.normal(0.0, 3.0, n),
        cupping_hu=30.0 * rng.random(n) ** 2 - 2.0,
        bar_hu=rng.normal(0.0, 5.0, n) * (rng.random(n) < 0.3),
        bar_row=rng.random(n),
        bar_px=rng.uniform(4.0, 20.0, n),
        noise_hu=rng.uniform(0.5, 5.0, n),
        noise_of=rng.integers(BANK, size=n),
        noise_roll=rng.integers(1 << 16, size=n),
    )


def noise_bank(rng: np.random.Generator, size: int) -> Tensor:
    """float32 [BANK, size, size] of deviation 1: noise of scanners is coloured, white noise would be easy to see through."""
    bank = []
    for _ in range(BANK):
        fine = rng.standard_normal((size, size)).astype(np.float32)
        fine = ndimage.gaussian_filter(fine, float(rng.uniform(0.2, 0.9)), mode="wrap")
        bank.append(fine / fine.std())
    return torch.from_numpy(np.stack(bank))


def look_hu(hu: Tensor, looks: Looks, bank: Tensor, size: int) -> Tensor:
    """[n, 1, S, S] HU -> [n, 1, size, size]: the middle of the picture, as posed, blurred, scaled and noisy as drawn."""
    hu = _posed(hu - AIR_HU, looks, size) + AIR_HU
    hu = _filtered(hu, looks)
    # Gain on soft tissue alone: bone and air keep their values.
    hu = torch.where((hu > SOFT_HU[0]) & (hu < SOFT_HU[1]), hu * _each(looks.gain), hu)
    hu = hu + _cupping(hu, looks)
    return hu + _noise(looks, bank, size)


def look_cells(cells: NDArray[np.uint8], looks: Looks, size: int) -> tuple[Tensor, Tensor]:
    """uint8 [n, h, h, 6] -> shares that bleed and whether they are known, float32 [n, 6, size, size], posed alike."""
    known = cells != UNKNOWN
    shares = np.where(known, cells, 0).astype(np.float32) / WHOLE
    both = np.concatenate([shares, known.astype(np.float32)], axis=-1).transpose(0, 3, 1, 2)
    # What comes in from outside the picture is known: nothing bleeds there.
    both = torch.from_numpy(np.ascontiguousarray(both))
    posed = _posed(both - _OUTSIDE, looks, size) + _OUTSIDE
    shares, known = posed.chunk(2, dim=1)
    return shares, known


_OUTSIDE = torch.tensor([0.0] * 6 + [1.0] * 6).view(1, 12, 1, 1)


def _posed(values: Tensor, looks: Looks, size: int) -> Tensor:
    """Turn, scale, mirror, move and cut to the middle `size` of the picture; 0 comes in from outside."""
    cosine, sine = np.cos(looks.angle) / looks.scale, np.sin(looks.angle) / looks.scale
    flip = np.where(looks.mirror, -1.0, 1.0)
    cut = size / values.shape[-1]
    rows = np.stack(
        [
            np.stack([flip * cosine * looks.stretch * cut, -flip * sine * cut, looks.move_x], axis=-1),
            np.stack([sine * looks.stretch * cut, cosine * cut, looks.move_y], axis=-1),
        ],
        axis=1,
    )
    theta = torch.from_numpy(rows.astype(np.float32))
    grid = functional.affine_grid(theta, [values.shape[0], values.shape[1], size, size], align_corners=False)
    return functional.grid_sample(values, grid, align_corners=False)


def _filtered(hu: Tensor, looks: Looks) -> Tensor:
    """Blur, or sharpen by what a blur takes away."""
    places = np.arange(-_REACH, _REACH + 1)
    lines = np.exp(-0.5 * (places[None, :] / np.maximum(looks.blur_px, 0.15)[:, None]) ** 2)
    kernel = torch.from_numpy((lines / lines.sum(axis=1, keepdims=True)).astype(np.float32))
    n, side = hu.shape[0], hu.shape[-1]
    flat = functional.pad(hu.view(1, n, side, side), [_REACH] * 4, mode="replicate")
    blurred = functional.conv2d(flat, kernel.view(n, 1, 1, -1), groups=n)
    blurred = functional.conv2d(blurred, kernel.view(n, 1, -1, 1), groups=n).view_as(hu)
    return hu + _each(looks.sharpen) * (hu - blurred)


def _cupping(hu: Tensor, looks: Looks) -> Tensor:
    """Return HU to add: bone blurred over 2 cm, as beam hardening does; most under the vertex, with bone all round."""
    bone = functional.avg_pool2d(hu.clamp(0.0, 1500.0), 8)
    places = torch.arange(-6, 7, dtype=torch.float32)
    line = torch.exp(-0.5 * (places * 8.0 / 20.0) ** 2)
    kernel = (line[:, None] * line[None, :] / line.sum() ** 2)[None, None]
    near = functional.conv2d(bone, kernel, padding=6)
    near = functional.interpolate(near, size=hu.shape[2:], mode="bilinear", align_corners=False)
    return torch.where(hu > -200.0, near * _each(looks.cupping_hu / 400.0), torch.zeros(()))


def _noise(looks: Looks, bank: Tensor, size: int) -> Tensor:
    """Return HU to add, [n, 1, size, size]: offset, coloured noise, bars along rows."""
    rolls = zip(looks.noise_of.tolist(), looks.noise_roll.tolist(), strict=True)
    noise = torch.stack([torch.roll(bank[k], (roll >> 8, roll & 255), (0, 1))[:size, :size] for k, roll in rolls])
    rows = np.arange(size)[None, :] - looks.bar_row[:, None] * size
    bars = looks.bar_hu[:, None] * np.exp(-0.5 * (rows / looks.bar_px[:, None]) ** 2) + looks.offset_hu[:, None]
    return noise[:, None] * _each(looks.noise_hu) + torch.from_numpy(bars.astype(np.float32))[:, None, :, None]


def _each(values: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))[:, None, None, None]
