"""What came of one picture and of one exam, beside what is known of them. Every figure is made of these alone."""

from dataclasses import dataclass, field
from typing import NamedTuple

from appliance.core.headers import SliceGeometry
from appliance.core.reads import Hounsfield
from appliance.core.words import Level, Outcome

Truth = tuple[bool | None, ...]
"""What is known of each label, in the order of LABELS; None where nobody has said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """How the hottest cell lies to what was marked. `by`: "mask" or "boxes". `near`: inside, or at most NEAR_MM away."""

    by: str
    inside: bool
    near: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageAnswer:
    """One picture. `number` counts the rows from 0; `error` says why there is no answer, and is empty where there is one;
    `mask_error` the same of its mask.

    `peak_xy` is in pixels of the picture as stored, origin at the middle of its top left pixel.
    """

    number: int
    path: str
    patient: str
    stack: str
    truth: Truth
    groups: dict[str, str] = field(default_factory=dict)
    slice_index: int | None = None  # of a volume, the strongest where the row names it whole
    error: str = ""
    mask_error: str = ""
    probabilities: tuple[float, ...] | None = None
    peak_xy: tuple[float, float] | None = None
    dice: float | None = None
    place: Place | None = None
    has_brain: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamAnswer:
    """One exam. `level` is what its reading comes to; an outcome may stand above it (too few slices).

    `early_after`: how many slices of `early_of` had been seen when the early alert fired; None if it never did.
    `best_right`: whether the slice with the highest "any" is one that bleeds; None where that cannot be said.
    """

    stack: str
    patient: str
    truth: Truth
    groups: dict[str, str] = field(default_factory=dict)
    outcome: Outcome
    reasons: tuple[str, ...]
    level: Level | None = None
    probabilities: tuple[float, ...] | None = None
    slices: int = 0
    early_after: int | None = None
    early_of: int = 0
    best_right: bool | None = None


class Shown(NamedTuple):
    """A picture that is shown again: by the number of its answer."""

    number: int
    hu: Hounsfield
    geometry: SliceGeometry


def owner(one: ImageAnswer | ExamAnswer) -> str:
    """Whom an answer belongs to when patients are drawn: who names no patient stands for one."""
    return one.patient or one.stack or (f"#{one.number}" if isinstance(one, ImageAnswer) else "")
