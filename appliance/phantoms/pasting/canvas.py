"""The slices that mimics are drawn into, before any blood: what pasted slices and their twins share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from appliance.phantoms.fields import Field, as_field, occupancy
from appliance.phantoms.pasting.host import INSIDE
from appliance.phantoms.pasting.site import SUB_PLANES, Point, Site, pixel_of
from appliance.phantoms.pasting.slice_anatomy import is_soft, local_mean

_GRAIN_MM = 0.7
_MEAN_MM = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Canvas:
    """`picture` float32 [k, h, w], changed in place: slices `site.indices`, the host's whole box.

    `x`, `y` [h, w] and `z` [k] in mm of the head; `depth` [k, h, w] inside the skull in mm; `inside` [k, h, w];
    `noise_hu`: the picture's own noise.
    """

    picture: Field
    site: Site
    x: Field
    y: Field
    z: Field
    depth: Field
    inside: NDArray[np.bool_]
    noise_hu: float

    @property
    def brain_hu(self) -> float:
        return float(self.site.host.brain_hu[self.site.indices].mean())

    @property
    def pixel_mm(self) -> float:
        return self.site.host.pixel_mm

    def window_round(self, at: Point, reach_mm: float) -> tuple[slice, slice]:
        """Return the window within reach of a point, cut to the box."""
        spans = []
        for middle, size in zip(pixel_of(self.site.host, at), self.x.shape, strict=True):
            px = reach_mm / self.pixel_mm
            low = min(max(int(middle - px), 0), size - 1)
            spans.append(slice(low, max(low + 1, min(int(middle + px) + 2, size))))
        return spans[0], spans[1]

    def slices_at(self, z_mm: float, reach_mm: float) -> NDArray[np.int64]:
        """Return the slices (of the canvas) that lie within reach of a height."""
        return np.flatnonzero(np.abs(self.z - z_mm) < reach_mm + 0.5 * self.site.host.thickness_mm)

    def degrees_from(self, middle_deg: float) -> Field:
        """Return how far, seen from the middle of the head, each pixel lies from a direction, 0 to 180 degrees [h, w]."""
        angle = np.rad2deg(np.arctan2(self.y, self.x))
        return as_field(np.abs((angle - middle_deg + 180.0) % 360.0 - 180.0))

    def planes_mm(self, k: int) -> Field:
        """Return where the sub-planes of a slice lie, [SUB_PLANES]."""
        within = (np.arange(SUB_PLANES) + 0.5) / SUB_PLANES - 0.5
        return as_field(self.z[k] + within * self.site.host.thickness_mm)

    def raise_to(self, k: int, window: tuple[slice, slice], share: Field, hu: float) -> None:
        """Move local means of a slice to `hu` by `share`, where that is brighter; grain stays."""
        part = self.picture[k][window]
        soft = is_soft(part)
        mean = local_mean(part, soft, _MEAN_MM / self.pixel_mm)
        part += share * np.maximum(np.float32(hu) - mean, 0.0) * soft

    def grain(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Field:
        """Return noise like the picture's, for what is painted where none was."""
        sigma = _GRAIN_MM / self.pixel_mm
        fine = ndimage.gaussian_filter(
            rng.standard_normal(shape, dtype=np.float32), (0.0,) * (len(shape) - 2) + (sigma, sigma)
        )
        return fine * np.float32(self.noise_hu / max(float(fine.std()), 1e-6))


def canvas_of(picture: Field, site: Site) -> Canvas:
    """Return the canvas of slices that are to be drawn into; `site` must be the whole box."""
    x, y = site.frame()
    inside = site.has(INSIDE)
    return Canvas(
        picture=picture,
        site=site,
        x=x,
        y=y,
        z=as_field(site.host.positions_mm[site.indices]),
        depth=site.depth(),
        inside=inside,
        noise_hu=_noise(picture, inside),
    )


def _noise(picture: Field, inside: NDArray[np.bool_]) -> float:
    """Return the noise of the middle slice's brain, from neighbours two pixels apart."""
    k = int(np.argmax(inside.sum(axis=(1, 2))))
    both = inside[k, :, 2:] & inside[k, :, :-2]
    gaps = np.abs(picture[k, :, 2:] - picture[k, :, :-2])[both]
    return float(np.median(gaps)) / (0.6745 * 2.0**0.5) if gaps.size else 3.0


def ball(canvas: Canvas, at: Point, radius_mm: float, k: int, window: tuple[slice, slice]) -> Field:
    """Return the share of each pixel of a slice that lies in a ball."""
    flat = (canvas.x[window] - np.float32(at.x_mm)) ** 2 + (canvas.y[window] - np.float32(at.y_mm)) ** 2
    rise = (canvas.planes_mm(k) - np.float32(at.z_mm)) ** 2
    gap = np.float32(radius_mm) - np.sqrt(flat[None] + rise[:, None, None])
    return as_field(occupancy(as_field(gap), canvas.pixel_mm).mean(axis=0))
