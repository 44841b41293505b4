"""What looks like blood and is none: drawn alike into a pasted slice and its twin, so that only blood tells them apart."""

from __future__ import annotations

from collections.abc import Callable, Set

import numpy as np

from appliance.phantoms.fields import Field
from appliance.phantoms.pasting.calcium_mimics import (
    calcified_falx,
    calcified_ganglia,
    calcified_pineal,
    calcified_plexus,
    stray_calcium,
)
from appliance.phantoms.pasting.canvas import Canvas, canvas_of
from appliance.phantoms.pasting.dense_mimics import (
    catheter,
    dense_falx,
    dense_sagittal_sinus,
    dense_tentorium,
    dense_transverse_sinus,
)
from appliance.phantoms.pasting.scan_mimics import bone_rim, cupping, old_infarct, streaks
from appliance.phantoms.pasting.site import Point, Site
from appliance.phantoms.pasting.skull_mimics import craniotomy, fracture, fracture_at, scalp_swelling

Mimic = Callable[[np.random.Generator, Canvas], None]

_BESIDE_SHARE = 0.6


def add_mimics(
    rng: np.random.Generator, picture: Field, site: Site, under_fracture: list[Point], without: Set[str] = frozenset()
) -> None:
    """Draw mimics into `picture` float32 [k, h, w] in place, each with its own chance; `site` is the whole box.

    `under_fracture`: where bleeds will lie that often have a fracture beside them; the twin gets it too. `without`: of
    MIMIC_NAMES, those that are never drawn.
    """
    canvas = canvas_of(picture, site)
    for at in under_fracture:
        if rng.random() < _BESIDE_SHARE and fracture.__name__ not in without:
            fracture_at(rng, canvas, float(np.rad2deg(np.arctan2(at.y_mm, at.x_mm))), at.z_mm)
    for chance, mimic in MIMICS:
        if rng.random() < chance and mimic.__name__ not in without:
            mimic(rng, canvas)


MIMICS: tuple[tuple[float, Mimic], ...] = (
    (0.40, scalp_swelling),
    (0.15, fracture),
    (0.05, craniotomy),
    (0.40, calcified_plexus),
    (0.30, calcified_pineal),
    (0.15, calcified_falx),
    (0.08, calcified_ganglia),
    (0.20, stray_calcium),
    (0.25, dense_sagittal_sinus),
    (0.20, dense_transverse_sinus),
    (0.25, dense_falx),
    (0.15, dense_tentorium),
    (0.35, bone_rim),
    (0.25, cupping),
    (0.10, old_infarct),
    (0.25, streaks),
    (0.06, catheter),
)
"""How often each is drawn where mimics are: the skull's first, for the rest is drawn by what the skull then is."""

MIMIC_NAMES: tuple[str, ...] = tuple(mimic.__name__ for _, mimic in MIMICS)
