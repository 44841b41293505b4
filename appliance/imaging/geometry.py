"""How the slices of a series lie to each other: order, spacing, gaps, repeats. Pure functions over places.

Places are along the normal, from orientation and position alone: number, location and file name mean nothing here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Final

SAME_PLACE_MM: Final = 0.05
GAP_SHARE: Final = 0.10  # of the spacing
GAP_MM: Final = 0.1
THICKNESS_STEP_MM: Final = 0.1  # thicknesses closer than this are one


@dataclass(frozen=True, slots=True)
class Placed:
    """One slice along the normal. Lengths in mm."""

    position_mm: float
    thickness_mm: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A step that is too wide. `missing` slices fit into it, numbered from the foot and from 1; 0 for a crooked step."""

    below_mm: float
    above_mm: float
    missing: int
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What a series looks like along its normal. `spacing_mm` is None below two places."""

    places: tuple[float, ...]
    spacing_mm: float | None
    gaps: tuple[Gap, ...]
    repeats: int  # slices at a place that another slice has
    two_thicknesses: bool

    @property
    def missing(self) -> int:
        """How many slices are missing between others."""
        return sum(gap.missing for gap in self.gaps)

    @property
    def coverage_mm(self) -> float:
        """From the lowest to the highest place."""
        return self.places[-1] - self.places[0] if self.places else 0.0


def order(positions_mm: Sequence[float]) -> list[int]:
    """Indices from foot to head; slices at one place keep the order they were given in."""
    return sorted(range(len(positions_mm)), key=positions_mm.__getitem__)


def survey(slices: Sequence[Placed]) -> Survey:
    """Looks over a series in any order.

    A series may have two thicknesses (thin at the base, thick above): each has its own spacing, and the step between
    them is measured by the wider one. Steps that are too narrow are overlap, not loss.
    """
    unique = _unique(slices)
    steps = [after.position_mm - before.position_mm for before, after in pairwise(unique)]
    expected = _expected(unique, steps)
    return Survey(
        places=tuple(one.position_mm for one in unique),
        spacing_mm=median(steps) if steps else None,
        gaps=_gaps(unique, steps, expected),
        repeats=len(slices) - len(unique),
        two_thicknesses=two_thicknesses([one.thickness_mm for one in slices]),
    )


def two_thicknesses(thicknesses_mm: Sequence[float | None]) -> bool:
    """Whether slices of different thickness stand in one series."""
    known = sorted(thickness for thickness in thicknesses_mm if thickness is not None)
    return bool(known) and known[-1] - known[0] > THICKNESS_STEP_MM


def _unique(slices: Sequence[Placed]) -> list[Placed]:
    """One slice for each place, from foot to head."""
    unique: list[Placed] = []
    for one in sorted(slices, key=lambda placed: (placed.position_mm, placed.thickness_mm or 0.0)):
        if not unique or one.position_mm - unique[-1].position_mm >= SAME_PLACE_MM:
            unique.append(one)
    return unique


def _kind(placed: Placed) -> int:
    return -1 if placed.thickness_mm is None else round(placed.thickness_mm / THICKNESS_STEP_MM)


def _expected(unique: Sequence[Placed], steps: Sequence[float]) -> list[float]:
    """The step that is due between each pair of neighbours."""
    if not steps:
        return []
    kinds = [_kind(one) for one in unique]
    within: dict[int, list[float]] = {}
    for (kind, following), step in zip(pairwise(kinds), steps, strict=True):
        if kind == following:
            within.setdefault(kind, []).append(step)
    overall = median(steps)
    usual = {kind: median(within[kind]) if kind in within else overall for kind in kinds}
    return [max(usual[kind], usual[following]) for kind, following in pairwise(kinds)]


def _gaps(unique: Sequence[Placed], steps: Sequence[float], expected: Sequence[float]) -> tuple[Gap, ...]:
    gaps: list[Gap] = []
    missing_below = 0
    for index, (step, due) in enumerate(zip(steps, expected, strict=True)):
        if step - due <= max(GAP_SHARE * due, GAP_MM):
            continue
        missing = round(step / due) - 1
        first = index + 2 + missing_below
        gaps.append(
            Gap(
                below_mm=unique[index].position_mm,
                above_mm=unique[index + 1].position_mm,
                missing=missing,
                first=first,
                last=first + missing - 1,
            )
        )
        missing_below += missing
    return tuple(gaps)
