"""Batches from cached slices: which slices, and what a scanner and a pose could have done to them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from appliance.core.engine import InputSpec
from appliance.training.cache import Slices
from appliance.training.recipe import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """float32 image [n, windows, 224, 224], labels [n, 6], cells [n, 6, 56, 56] share that bleeds."""

    image: Tensor
    labels: Tensor
    cells: Tensor


class Sampler:
    """Draws batches: bleeding slices, the clean twins of some of them with the same noise, and other clean slices."""

    def __init__(self, slices: Slices, recipe: Recipe, spec: InputSpec, rng: np.random.Generator) -> None:
        self._slices = slices
        self._spec = spec
        self._rng = rng
        self._recipe = recipe
        positive = slices.labels[:, 0] == 1
        self._clean = np.flatnonzero(~positive & ~slices.faint)
        # Each kind is met about as often as any other, however many slices show it.
        self._by_kind = [np.flatnonzero(slices.labels[:, 1 + k] == 1) for k in range(5)]
        self._by_kind = [found for found in self._by_kind if found.size]
        if not self._by_kind or not self._clean.size:
            raise ValueError("the cache holds no bleeding or no clean slice; render more heads")
        self._noise = _noise_bank(np.random.default_rng(recipe.seed + 11), spec.size)

    def batches(self) -> Iterator[Batch]:
        """Yield batches for ever."""
        while True:
            yield self._one()

    def _one(self) -> Batch:
        rng, n = self._rng, self._recipe.batch
        bleeding = max(1, round(n * self._recipe.positive_share))
        twins = min(round(n * self._recipe.twin_share), bleeding)
        chosen = [int(rng.choice(self._by_kind[int(rng.integers(len(self._by_kind)))])) for _ in range(bleeding)]
        looks = [_Look.draw(rng) for _ in range(bleeding)]
        chosen += [int(self._slices.twin[k]) for k in chosen[:twins]]
        looks += looks[:twins]
        rest = n - len(chosen)
        chosen += [int(k) for k in rng.choice(self._clean, rest)]
        looks += [_Look.draw(rng) for _ in range(rest)]
        hu = torch.from_numpy(self._slices.hu[chosen].astype(np.float32)).unsqueeze(1)
        lesions = self._slices.lesions[chosen].astype(np.float32) / 255.0
        cells = np.concatenate([lesions.max(axis=-1, keepdims=True), lesions], axis=-1)
        maps = torch.from_numpy(np.ascontiguousarray(cells.transpose(0, 3, 1, 2)))
        hu, maps = _pose(hu, maps, looks)
        hu = hu + _cupping(hu, looks)
        hu = hu + torch.from_numpy(np.stack([self._noise_for(look) for look in looks]))[:, None]
        image = torch.cat(
            [((hu - (w.center - w.width / 2)) / w.width).clamp(0.0, 1.0) for w in self._spec.windows], dim=1
        )
        labels = torch.from_numpy(self._slices.labels[chosen].astype(np.float32))
        return Batch(image=image, labels=labels, cells=maps)

    def _noise_for(self, look: _Look) -> NDArray[np.float32]:
        noise = np.roll(self._noise[look.noise_index], look.roll, axis=(0, 1))
        noise = noise * np.float32(look.noise_hu) + np.float32(look.shift_hu)
        return np.asarray(noise + look.bars(), dtype=np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    mirror: bool
    angle: float
    zoom: float
    stretch: float
    move: tuple[float, float]
    noise_hu: float
    noise_index: int
    roll: tuple[int, int]
    shift_hu: float
    gain: float
    bar: tuple[float, float, float]
    cupping: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> _Look:
        return cls(
            mirror=bool(rng.random() < 0.5),
            angle=float(rng.normal(0.0, 0.12)),
            zoom=float(np.exp(rng.normal(0.0, 0.06))),
            stretch=float(np.exp(rng.normal(0.0, 0.03))),
            move=(float(rng.normal(0, 0.03)), float(rng.normal(0, 0.03))),
            noise_hu=float(rng.uniform(0.8, 5.0)),
            noise_index=int(rng.integers(64)),
            roll=(int(rng.integers(224)), int(rng.integers(224))),
            shift_hu=float(rng.normal(0.0, 2.5)),
            gain=float(np.exp(rng.normal(0.0, 0.05))),
            bar=(float(rng.uniform(0, 224)), float(rng.uniform(4, 20)), float(rng.normal(0, 5)) * (rng.random() < 0.3)),
            cupping=float(30.0 * rng.uniform() ** 2 - 2.0),
        )

    def bars(self) -> NDArray[np.float32]:
        rows = np.arange(224, dtype=np.float32)
        bar = self.bar[2] * np.exp(-0.5 * ((rows - self.bar[0]) / self.bar[1]) ** 2)
        return np.asarray(bar[:, None], dtype=np.float32)


def _pose(hu: Tensor, maps: Tensor, looks: list[_Look]) -> tuple[Tensor, Tensor]:
    theta = torch.zeros(len(looks), 2, 3)
    for k, look in enumerate(looks):
        cosine, sine = np.cos(look.angle) / look.zoom, np.sin(look.angle) / look.zoom
        flip = -1.0 if look.mirror else 1.0
        theta[k, 0] = torch.tensor([flip * cosine * look.stretch, -sine, look.move[0]])
        theta[k, 1] = torch.tensor([flip * sine * look.stretch, cosine, look.move[1]])
    gain = torch.tensor([look.gain for look in looks])[:, None, None, None]
    grid = torch.nn.functional.affine_grid(theta, list(hu.shape), align_corners=False)
    hu = torch.nn.functional.grid_sample(hu + 1000.0, grid, align_corners=False) - 1000.0
    # Gain on soft tissue alone: bone and air keep their values.
    hu = torch.where((hu > -50.0) & (hu < 120.0), hu * gain, hu)
    coarse = torch.nn.functional.affine_grid(theta, list(maps.shape), align_corners=False)
    return hu, torch.nn.functional.grid_sample(maps, coarse, align_corners=False)


def _cupping(hu: Tensor, looks: list[_Look]) -> Tensor:
    """Return HU to add: bone blurred over 2 cm, as beam hardening does; most under the vertex, with bone all round."""
    bone = torch.nn.functional.avg_pool2d(hu.clamp(0.0, 1500.0), 8)
    places = torch.arange(-6, 7, dtype=torch.float32)
    line = torch.exp(-0.5 * (places * 8.0 / 20.0) ** 2)
    kernel = (line[:, None] * line[None, :] / line.sum() ** 2)[None, None]
    near = torch.nn.functional.conv2d(bone, kernel, padding=6)
    near = torch.nn.functional.interpolate(near, size=hu.shape[2:], mode="bilinear", align_corners=False)
    share = torch.tensor([look.cupping / 400.0 for look in looks], dtype=torch.float32)[:, None, None, None]
    return torch.where(hu > -200.0, near * share, torch.zeros(()))


def _noise_bank(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    bank = []
    for _ in range(64):
        fine = rng.standard_normal((size, size)).astype(np.float32)
        fine = ndimage.gaussian_filter(fine, float(rng.uniform(0.2, 0.9)), mode="wrap")
        bank.append(fine / fine.std())
    return np.stack(bank)
