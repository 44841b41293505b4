"""Patients unlike those of training: a scanner outside all that it draws, blood and brain moved aside as a whole.

An engine that has learned how phantoms are drawn does well on phantoms that it has not met and fails on these, as it may
on people. Whoever draws more widely for training moves these further out.
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import Final

import numpy as np

from appliance.phantoms.acquisition import Scanner
from appliance.phantoms.bleed import Bleed
from appliance.phantoms.grid import ScanGrid
from appliance.phantoms.head import Head, HeadMaker

SOFT_HU: Final = (14.0, 48.0)
"""Between them lies brain; fluid lies below, blood and calcium above."""

FADE_HU: Final = 8.0


class Unseen(StrEnum):
    """What of the patient is unlike training."""

    ACQUISITION = "acquisition"
    BLOOD = "blood"
    TISSUE = "tissue"


def unseen_scanner(rng: np.random.Generator, scanner: Scanner) -> Scanner:
    """Return the scanner tilted further, half as sharp, with loud coarse noise and all that hardened beams do."""
    return replace(
        scanner,
        tilt_deg=float(rng.choice([-1.0, 1.0]) * rng.uniform(25.0, 32.0)),
        noise_hu=float(rng.uniform(6.0, 8.0)),
        grain_mm=float(rng.uniform(1.2, 1.6)),
        blur_mm=float(rng.uniform(1.0, 1.3)),
        tail_share=float(rng.uniform(0.18, 0.25)),
        streak_hu=float(rng.uniform(26.0, 35.0)),
        wide_cupping_hu=float(rng.uniform(40.0, 55.0)),
    )


def unseen_bleeds(rng: np.random.Generator, bleeds: tuple[Bleed, ...]) -> tuple[Bleed, ...]:
    """Return the bleeds as a whole 6 HU darker or 14 HU denser than training draws them."""
    by_hu = float(rng.choice([-6.0, 14.0]))
    return tuple(replace(bleed, core_hu=bleed.core_hu + by_hu) for bleed in bleeds)


def unseen_tissue(rng: np.random.Generator, head_of: HeadMaker) -> HeadMaker:
    """Return a maker of heads whose brain has half the contrast of grey and white matter, and is 7 HU darker or brighter."""
    by_hu = float(rng.choice([-7.0, 7.0]))

    def flat(seed: tuple[int, ...], scan: ScanGrid) -> Head:
        head = head_of(seed, scan)
        brain = (head.inside_mm > 0.0) & (head.hu > SOFT_HU[0]) & (head.hu < SOFT_HU[1])
        middle_hu = np.median(head.hu[brain]) if brain.any() else 0.0
        # Less and less towards fluid and bone, so that no edge appears where there was none.
        to_edge_hu = np.minimum(head.hu - SOFT_HU[0], SOFT_HU[1] - head.hu)
        share = np.where(brain, np.clip(to_edge_hu / FADE_HU, 0.0, 1.0), 0.0).astype(np.float32)
        np.add(head.hu, share * ((middle_hu - head.hu) / 2 + by_hu), out=head.hu)
        return head

    return flat
