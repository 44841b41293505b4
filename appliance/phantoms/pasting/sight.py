"""What of a pasted bleed an eye could see, slice by slice: an invisible bleed as a positive would teach noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.phantoms.bleeds import KINDS
from appliance.phantoms.fields import Field

LEAST_MM2 = 14.0
LEAST_CHANGE_HU = {"edh": 8.0, "iph": 8.0, "ivh": 8.0, "sah": 8.0, "sdh": 7.0}
LEAST_STRENGTH = 80.0
"""Least of change (HU) times the root of the area (mm2)."""

_COVERED = 0.25
_TRACE = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """`labels` int8 [k, 6] (any and KINDS): 1 seen, -1 a trace, 0 none; `faint` [k]: traces only."""

    labels: NDArray[np.int8]
    faint: NDArray[np.bool_]


def what_shows(change: Field, covers: Field, pixel_mm: float) -> Shown:
    """Judge the change in HU [k, h, w] where blood covers pixels, `covers` 0..1 [k, 5, h, w]."""
    labels = np.zeros((change.shape[0], 1 + len(KINDS)), dtype=np.int8)
    there = covers.max(axis=(2, 3)) > _TRACE
    for k in range(change.shape[0]):
        for kind, name in enumerate(KINDS):
            cover = covers[k, kind]
            if there[k, kind]:
                seen = _is_seen(change[k][cover > _COVERED], name, pixel_mm)
                labels[k, 1 + kind] = 1 if seen else -1
    seen_any = (labels[:, 1:] == 1).any(axis=1)
    faint = ~seen_any & (labels[:, 1:] == -1).any(axis=1)
    labels[:, 0] = np.where(seen_any, 1, np.where(faint, -1, 0))
    return Shown(labels=labels, faint=faint)


def _is_seen(change: NDArray[np.float32], kind: str, pixel_mm: float) -> bool:
    area = change.size * pixel_mm**2
    if area < LEAST_MM2:
        return False
    mean = float(change.mean())
    return mean >= LEAST_CHANGE_HU[kind] and mean * area**0.5 >= LEAST_STRENGTH
