"""Has all of a series landed? A pure function of what has landed and of now.

The rule: proven by count and geometry, else by quiet, never later than ten minutes. No header field is proof by itself:
(0020,1002) is optional and often wrong, so it counts only where the positions agree with it.
"""

from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from statistics import median

QUIET_LEAST_S = 3.0
QUIET_MOST_S = 30.0
QUIET_FEW_S = 10.0  # below three slices no gap between arrivals can be judged
QUIET_GAPS = 4.0  # times the median gap between arrivals
NEVER_LATER_S = 600.0
FEW_SLICES = 3
COVERAGE_LEAST_MM = 90.0  # of a head, along the normal; less proves nothing
SAME_PLACE_MM = 0.05
STEP_TOLERANCE = 0.1  # of the median step


class Complete(StrEnum):
    """Why a series counts as complete."""

    PROVEN = "proven"
    QUIET = "quiet"
    TIMED_OUT = "timed-out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Landed:
    """What has landed of one series. `arrivals_s` are monotonic seconds in order of landing."""

    arrivals_s: tuple[float, ...]
    positions_mm: tuple[float, ...]
    header_count: int | None = None  # (0020,1002) of its first slice


def quiet_s(arrivals_s: tuple[float, ...]) -> float:
    """How long nothing must land before a series without proof counts as complete."""
    if len(arrivals_s) < FEW_SLICES:
        return QUIET_FEW_S
    gap_s = median(later - earlier for earlier, later in pairwise(arrivals_s))
    return min(max(QUIET_GAPS * gap_s, QUIET_LEAST_S), QUIET_MOST_S)


def unique_positions(positions_mm: tuple[float, ...]) -> list[float]:
    """Positions from the foot, repeats left out."""
    places: list[float] = []
    for position in sorted(positions_mm):
        if not places or position - places[-1] >= SAME_PLACE_MM:
            places.append(position)
    return places


def is_proven(landed: Landed) -> bool:
    """The header's count agrees with unique positions, the spacing has no gap, and they cover a head."""
    places = unique_positions(landed.positions_mm)
    if len(places) < FEW_SLICES or len(places) != landed.header_count:
        return False
    steps = [upper - lower for lower, upper in pairwise(places)]
    widest = median(steps) * (1 + STEP_TOLERANCE)
    return places[-1] - places[0] >= COVERAGE_LEAST_MM and max(steps) <= widest


def completeness(landed: Landed, now_s: float) -> Complete | None:
    """Why the series is complete at `now_s`, or None while more is awaited."""
    if not landed.arrivals_s:
        return None
    if is_proven(landed):
        return Complete.PROVEN
    if now_s - landed.arrivals_s[-1] >= quiet_s(landed.arrivals_s):
        return Complete.QUIET
    if now_s - landed.arrivals_s[0] >= NEVER_LATER_S:
        return Complete.TIMED_OUT
    return None
