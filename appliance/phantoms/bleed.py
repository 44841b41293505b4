"""One bleed to paint."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Bleed:
    """One bleed to paint: its kind, volume in mL and core in HU, and what age and size make of it."""

    kind: str
    volume_ml: float
    core_hu: float
    press: float = 0.0  # greatest push on the brain, as a share of the side of a cube of its volume
    mixed: float = 0.0  # share of the clot that is islands of unclotted blood
    level_share: float = 0.0  # share below a fluid level, where cells have settled; 0: none
