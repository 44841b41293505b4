"""What a source of training gives: exams of people, foot to head, with what is known of each slice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from appliance.evaluation.manifest import Box

Tell = Callable[[str], None]
"""Takes one sentence about what was left out. It never holds a patient's name or number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceExam:
    """One exam, or one lone picture, of one patient: n slices of one size, in rising position."""

    source: str  # the name that the recipe gives it
    patient: str  # only compared, never printed, and only within its source
    exam: str  # where it is found again: a path, or the number of a study. Not unique, and no name for a file
    hu: NDArray[np.int16]  # [n, H, W]
    pixel_mm: tuple[float, float]  # between rows, between columns
    positions_mm: NDArray[np.float64]  # [n], strictly rising
    labels: NDArray[np.int8]  # [n, 6] in the order of LABELS: 1, 0, UNKNOWN
    boxes: tuple[tuple[Box, ...], ...]  # of each slice: x0, y0, x1, y1 in pixels of `hu`, 0 at the middle of the first
    masks: (
        NDArray[np.uint8] | None
    )  # [n, H, W] 255 in blood of unknown kind; empty in a bleeding slice: nobody marked it


class Source(Protocol):
    """Exams of people. Made by `table.open_source`."""

    @property
    def size(self) -> int:
        """About how many exams there are, for a bar: one that holds slices of two sizes comes as two."""
        ...

    @property
    def mark(self) -> str:
        """Another one when its pictures or labels are others: see `same_data`."""
        ...

    def exams(self, tell: Tell = ...) -> Iterator[SourceExam]:
        """Every exam, always in the same order. CannotStart where too much of it cannot be read."""
        ...
