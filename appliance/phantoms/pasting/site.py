"""Where a lesion or a mimic is made: some slices of a host and a window of them, in millimetres of its head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.phantoms.fields import Field, as_field, smooth_noise
from appliance.phantoms.pasting.host import INSIDE, VAULT, Host, frame_mm

SUB_PLANES = 5
"""A slice is the average of so many planes spread over its thickness: partial volume as a scanner has it."""


TENTORIUM_ACROSS = 0.88
"""It slopes by about 28 degrees: what is measured along z counts so much across it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A place in the head: mm from its middle to the right of the picture, to the back, and along the slices."""

    x_mm: float
    y_mm: float
    z_mm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Slices `indices` [k] of a host, and a window (rows, columns) of its box [h, w]."""

    host: Host
    indices: NDArray[np.int64]
    window: tuple[slice, slice]

    @property
    def shape(self) -> tuple[int, int, int]:
        rows, columns = self.window
        return self.indices.size, rows.stop - rows.start, columns.stop - columns.start

    def frame(self) -> tuple[Field, Field]:
        """Return x and y in mm, each [h, w]: x to the right of the picture, y to the back of the head."""
        corner = (self.window[0].start, self.window[1].start)
        return frame_mm(self.shape[1:], self.host.centre_rc, self.host.turn, self.host.pixel_mm, corner)

    def to_picture(self, x: Field, y: Field) -> tuple[Field, Field]:
        """Return a direction (x, y) of the head as rows and columns of the picture, in pixels."""
        cosine, sine = self.host.turn
        step = np.float32(1.0 / self.host.pixel_mm)
        return as_field((x * sine + y * cosine) * step), as_field((x * cosine - y * sine) * step)

    def depth(self) -> Field:
        """Return the depth inside the skull in mm, [k, h, w]."""
        return self.host.depth_mm[self.indices, self.window[0], self.window[1]].astype(np.float32)

    def has(self, bit: int) -> NDArray[np.bool_]:
        """Return where the tissue's bit is set, [k, h, w]."""
        return np.asarray((self.host.tissue[self.indices, self.window[0], self.window[1]] & bit) > 0)

    def planes_mm(self) -> NDArray[np.float64]:
        """Return where the sub-planes lie, [k, SUB_PLANES]."""
        within = ((np.arange(SUB_PLANES) + 0.5) / SUB_PLANES - 0.5) * self.host.thickness_mm
        return np.asarray(self.host.positions_mm[self.indices][:, None] + within[None, :])

    def noise(self, rng: np.random.Generator, wavelength_mm: float) -> Field:
        """Return a smooth random field over the slices, SD about 1, [k, h, w]."""
        k, h, w = self.shape
        step = self.host.pixel_mm
        extent = (max(float(np.ptp(self.host.positions_mm[self.indices])), 1.0), h * step, w * step)
        return smooth_noise(rng, (k, h, w), extent, wavelength_mm)


def narrowed(site: Site, wanted: NDArray[np.bool_], margin_mm: float) -> tuple[Site, tuple[slice, slice, slice]] | None:
    """Return the least site that holds the wanted voxels [k, h, w] with a margin, and where it lies in `site`."""
    spans = []
    margins = (0, *[int(np.ceil(margin_mm / site.host.pixel_mm))] * 2)
    for axis, margin in enumerate(margins):
        places = np.flatnonzero(wanted.any(axis=tuple(other for other in range(3) if other != axis)))
        if places.size == 0:
            return None
        spans.append(slice(max(0, int(places[0]) - margin), min(wanted.shape[axis], int(places[-1]) + 1 + margin)))
    rows, columns = site.window
    window = (
        slice(rows.start + spans[1].start, rows.start + spans[1].stop),
        slice(columns.start + spans[2].start, columns.start + spans[2].stop),
    )
    kept = Site(host=site.host, indices=site.indices[spans[0]], window=window)
    return kept, (spans[0], spans[1], spans[2])


def site_of(host: Host, z_mm: tuple[float, float], window: tuple[slice, slice] | None = None) -> Site:
    """Return the slices with brain that meet a span of z; of the whole box where no window is given."""
    half = 0.5 * host.thickness_mm
    meets = (host.positions_mm > z_mm[0] - half) & (host.positions_mm < z_mm[1] + half) & (host.brain_mm2 > 0)
    return Site(host=host, indices=np.flatnonzero(meets & host.free), window=window or whole_box(host))


def whole_box(host: Host) -> tuple[slice, slice]:
    """Return the window that is the host's box."""
    return slice(0, host.tissue.shape[1]), slice(0, host.tissue.shape[2])


def tentorium_mm(x: Field, y: Field, apex_mm: float) -> Field:
    """Return the height of the tentorium [h, w] at places of the head, mm along the slices; `apex_mm` at the middle."""
    out = np.abs(x)
    return as_field(
        np.float32(apex_mm) - np.float32(0.42) * out - 0.3 * np.clip(y - 28.0, 0.0, None) - 0.002 * out * out
    )


def slice_of(host: Host, index: int) -> Site:
    """Return one slice, whole."""
    return Site(host=host, indices=np.array([index]), window=whole_box(host))


def site_round(host: Host, at: Point, reach_mm: float) -> Site:
    """Return the slices and the window that lie within `reach_mm` of a point."""
    r, c = pixel_of(host, at)
    px = reach_mm / host.pixel_mm
    spans = []
    for middle, size in ((r, host.tissue.shape[1]), (c, host.tissue.shape[2])):
        low, high = int(np.floor(middle - px)), int(np.ceil(middle + px)) + 1
        spans.append(slice(min(max(low, 0), size - 1), max(min(high, size), 1)))
    return site_of(host, (at.z_mm - reach_mm, at.z_mm + reach_mm), (spans[0], spans[1]))


def pixel_of(host: Host, at: Point) -> tuple[float, float]:
    """Return row and column of a point in the host's box."""
    cosine, sine = host.turn
    return (
        host.centre_rc[0] + (at.x_mm * sine + at.y_mm * cosine) / host.pixel_mm,
        host.centre_rc[1] + (at.x_mm * cosine - at.y_mm * sine) / host.pixel_mm,
    )


def point_at(host: Host, index: int, row: float, column: float, z_shift_mm: float = 0.0) -> Point:
    """Return the point of a pixel of a slice."""
    cosine, sine = host.turn
    r, c = (row - host.centre_rc[0]) * host.pixel_mm, (column - host.centre_rc[1]) * host.pixel_mm
    return Point(
        x_mm=float(c * cosine + r * sine),
        y_mm=float(r * cosine - c * sine),
        z_mm=float(host.positions_mm[index] + z_shift_mm),
    )


def draw_point(rng: np.random.Generator, host: Host, index: int, wanted: NDArray[np.bool_]) -> Point | None:
    """Draw one of the wanted pixels [h, w] of a slice; None where there is none."""
    places = np.flatnonzero(wanted)
    if places.size == 0:
        return None
    row, column = np.unravel_index(int(rng.choice(places)), wanted.shape)
    shift = float(rng.uniform(-0.5, 0.5)) * host.thickness_mm
    return point_at(host, index, float(row), float(column), shift)


def draw_wall_point(rng: np.random.Generator, host: Host, index: int) -> Point | None:
    """Draw a place along the inner table of the vault; None where the slice shows none."""
    bits = INSIDE | VAULT
    wall = (host.tissue[index] & bits) == bits
    return draw_point(rng, host, index, wall & (host.depth_mm[index] < 1.6 * host.pixel_mm))
