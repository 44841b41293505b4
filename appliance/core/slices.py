"""One slice, scored: what the engine said of it and where it looked."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.core.words import LABELS, Label

HEAT_SIZE = 56


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxPlace:
    """The head's box in the picture: centre (row, column; pixels as stored), side in mm. Square."""

    centre_rc: tuple[float, float]
    side_mm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceScore:
    """What one engine says of one slice.

    `logits` float32 [6], `embedding` float32 [n], `heat` uint8 [56, 56] (probability of "any", 255 = 1, over `box`);
    `probabilities` are calibrated. `peak_rc` is the hottest cell's centre in pixels of the picture as stored, None where
    the whole map is cold. `ms` are milliseconds by stage, from the monotonic clock. `backend` is who answered, empty in
    rows from before it was kept: what two of them say never makes one reading.
    """

    logits: NDArray[np.float32]
    embedding: NDArray[np.float32]
    heat: NDArray[np.uint8]
    probabilities: tuple[float, ...]
    box: BoxPlace
    peak_rc: tuple[float, float] | None
    has_brain: bool  # brain inside a skull, on this slice's own pixels
    brain_hu: float | None  # median of the brain, None without one
    skull_area_mm2: float
    ms: dict[str, float]
    backend: str = ""

    def probability(self, label: Label) -> float:
        """The calibrated probability of one label."""
        return self.probabilities[LABELS.index(label)]
