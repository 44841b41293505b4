"""What a lesion is before it is painted: its share of each pixel, and what it does to its surroundings."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from appliance.phantoms.fields import Field
from appliance.phantoms.pasting.site import Point, Site, narrowed

MEAN_HU = {"edh": (52.0, 8.0), "iph": (46.0, 8.0), "ivh": (39.0, 8.0), "sah": (43.0, 7.0), "sdh": (45.0, 11.0)}
"""Mean and deviation of a lesion's mean HU inside its mask: what comes out, not what is painted.

Of 1,873 published lesions the means are 57, 48, 40, 44 and 51 (deviations 8 to 12): reached after the faintest, which
no eye finds, have fallen out.
"""

USUAL_BRAIN_HU = 33.0
"""Brain of the exams that MEAN_HU was measured in."""

_LN_ML = {"edh": (1.3, 1.6), "iph": (0.9, 1.7), "ivh": (0.4, 1.6), "sah": (0.5, 1.5), "sdh": (1.2, 1.6)}
_ML = (0.05, 120.0)

LEAST_SHARE = 0.05
"""A slice in which no pixel holds more blood than this is not reached."""

LEAST_MOVE_PX = 0.1
_MARGIN_MM = 5.0
_PUSH_MARGIN_MM = 9.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """How the surroundings are moved: each pixel of `site` takes its value from `rows`, `columns` pixels away."""

    site: Site
    rows: Field
    columns: Field


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesion:
    """A bleed to be painted into `site`.

    `share` [k, h, w] 0..1 of each pixel that is blood; `texture` [k, h, w] HU round the blood's mean;
    `oedema` [k, h, w] HU by which the brain beside it is darker.
    """

    kind: str
    site: Site
    share: Field
    texture: Field
    oedema: Field | None = None
    push: Push | None = None


def draw_volume(rng: np.random.Generator, kind: str) -> float:
    """Draw a lesion's volume in mL: log-normal, from what an eye can just find to the massive."""
    return float(np.clip(np.exp(rng.normal(*_LN_ML[kind])), *_ML))


def draw_mean(rng: np.random.Generator, kind: str, brain_hu: float, least_over_brain: float) -> float:
    """Draw the mean HU of a lesion; an exam whose brain reads brighter shows brighter blood."""
    mean, deviation = MEAN_HU[kind]
    shift = 0.5 * float(np.clip(brain_hu - USUAL_BRAIN_HU, -10.0, 6.0))
    least, most = brain_hu + least_over_brain, mean + shift + 1.5 * deviation
    drawn = min(float(rng.normal(mean + shift, deviation)), most)
    return drawn if drawn > least else float(rng.uniform(least, max(mean + shift, least + 4.0)))


def draw_texture(rng: np.random.Generator, site: Site, share: Field, kind: str) -> Field:
    """Return HU round the blood's mean: clots are not even, and some hold unclotted islands."""
    texture = site.noise(rng, float(rng.uniform(8.0, 24.0)))
    texture *= np.float32(rng.uniform(0.8, 4.0))
    if kind in ("iph", "edh") and rng.random() < 0.15:
        islands = site.noise(rng, float(rng.uniform(12.0, 30.0)))
        texture -= np.clip(islands - np.float32(0.4), 0.0, 1.2) * np.float32(rng.uniform(6.0, 16.0))
    total = float(share.sum())
    return texture - np.float32(float((texture * share).sum()) / total if total > 0 else 0.0)


def volume_ml(lesion: Lesion) -> float:
    """Return how much blood lies in the slices, mL."""
    host = lesion.site.host
    return float(lesion.share.sum()) * host.pixel_mm**2 * host.thickness_mm / 1000.0


def middle_of(lesion: Lesion) -> Point:
    """Return the middle of the blood."""
    x, y = lesion.site.frame()
    flat, total = lesion.share.sum(axis=0), max(float(lesion.share.sum()), 1e-6)
    high = lesion.site.host.positions_mm[lesion.site.indices] @ lesion.share.sum(axis=(1, 2))
    return Point(x_mm=float((x * flat).sum()) / total, y_mm=float((y * flat).sum()) / total, z_mm=float(high) / total)


def reached(lesion: Lesion) -> Lesion | None:
    """Return the lesion on the slices, and in the window, that hold blood or its oedema; None where there is none."""
    full = lesion.share.max(axis=(1, 2), initial=0.0) > LEAST_SHARE
    touched = lesion.share > 0.0 if lesion.oedema is None else (lesion.share > 0.0) | (lesion.oedema > 0.2)
    found = narrowed(lesion.site, touched & full[:, None, None], _MARGIN_MM)
    if found is None:
        return None
    site, span = found
    return replace(
        lesion,
        site=site,
        share=lesion.share[span],
        texture=lesion.texture[span],
        oedema=None if lesion.oedema is None else lesion.oedema[span],
        push=None if lesion.push is None else _reached(lesion.push, site),
    )


def _reached(push: Push, site: Site) -> Push | None:
    moved = (np.abs(push.rows) > LEAST_MOVE_PX) | (np.abs(push.columns) > LEAST_MOVE_PX)
    moved &= np.isin(push.site.indices, site.indices)[:, None, None]
    found = narrowed(push.site, moved, _PUSH_MARGIN_MM)
    if found is None:
        return None
    kept, span = found
    return Push(site=kept, rows=push.rows[span], columns=push.columns[span])
