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
class SliceFacts:
    """What a slice's own pixels show beside brain and skull: what the gate judges once the series is whole.

    `inside_mm2` is what the skull encloses, `inside_rc` its middle in pixels of the picture as stored. `gap_mm` is the widest stretch of the skull, seen from inside, without bone;
    None without a skull. `bright_spots` are separate spots deep in the brain, brighter than any clot. `metal_mm2` is the
    area beyond every bone. `air_hu` is the median of what must be air, None where nothing can be. `grey_step_hu` is how
    far neighbouring grey values of the brain lie apart, None where too few are seen.
    """

    inside_mm2: float
    inside_rc: tuple[float, float] | None
    gap_mm: float | None
    bright_spots: int
    metal_mm2: float
    air_hu: float | None
    grey_step_hu: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceScore:
    """What one engine says of one slice.

    `logits` float32 [6], `embedding` float32 [n], `heat` uint8 [56, 56] (probability of "any", 255 = 1, over `box`);
    `probabilities` are calibrated. `peak_rc` is the centre of the cell that is hottest once the heat is smoothed, in pixels
    of the picture as stored, None where the whole map is cold. `ms` are milliseconds by stage, from the monotonic clock.
    `backend` is who answered, empty in rows from before it was kept: what two of them say never makes one reading. `facts`
    is None in rows from before they were measured: the gate asks nothing of them.
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
    facts: SliceFacts | None = None

    def probability(self, label: Label) -> float:
        """The calibrated probability of one label."""
        return self.probabilities[LABELS.index(label)]
