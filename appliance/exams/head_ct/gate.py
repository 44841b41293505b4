"""Whether a whole series may be called without a finding: rules over what its slices' own pixels showed (`facts`).

Nothing here declines a series and nothing hides a bleed: each rule only says why "no finding" may not be said. Figures
and the exams that they were chosen on: docs/decisions/0017. Pure; the order of the rows means nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

import numpy as np
from numpy.typing import NDArray

from appliance.core.completeness import unique_positions
from appliance.core.evidence import box_centre_mm, one_per_place, point_mm, scored_of
from appliance.core.ledger import Reasons, SliceRow
from appliance.core.slices import SliceFacts

FEWEST: Final = 3
"""Slices on which a rule may stand: one bad slice proves nothing of a series. Fewer with brain show no end of it."""

CUT_SHARE: Final = 0.6
"""The last slice that shows brain encloses less than this share of the widest, or the scan ends inside the brain."""

CRANIAL_SHARE: Final = 0.4
"""Slices that enclose less than this share lie below the skull base (or at the vertex), where teeth hold metal."""

VAULT_MM: Final = (12.0, 65.0)
"""Below the highest slice that shows brain: there the skull is a whole ring, and no bone of the base lies inside it."""

RING_MM: Final = (10.0, 50.0)
"""The same for the ring alone: below it, in a tilted head, orbits open it."""

METAL_MM2: Final = 15.0
OPEN_MM: Final = 2.0
OPEN_HEIGHT_MM: Final = 10.0
SPOTS: Final = 3
SPOTS_SHARE: Final = 0.5
"""Calcified plexus and pineal make so many spots in a few slices; filled vessels do in most."""

MOVED_MM: Final = 3.5
NEIGHBOUR_MM: Final = 12.0
AIR_AT_MOST_HU: Final = -850.0
"""Mats and pillows in the air read less."""

GREY_STEP_HU: Final = 6.0
"""Grey and white matter differ by 7."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """One slice that is scored and measured. `number` counts the series' places from the foot, from 1."""

    row: SliceRow
    facts: SliceFacts
    number: int

    @property
    def mm(self) -> float:
        """Along the normal."""
        return self.row.geometry.position_mm


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    """A series as the rules see it: from foot to head, at least one of it with brain. `places`: how many it has."""

    all: tuple[_Place, ...]
    brain: tuple[_Place, ...]
    widest_mm2: float
    places: int

    def share(self, place: _Place) -> float:
        """What a slice encloses, of what the widest does."""
        return place.facts.inside_mm2 / self.widest_mm2

    @property
    def shows_top(self) -> bool:
        """Whether the skull closes over the brain before the scan ends."""
        last = self.brain[-1]
        return len(self.brain) >= FEWEST and (last.number < self.places or self.share(last) < CUT_SHARE)

    @property
    def shows_base(self) -> bool:
        """The same at the other end."""
        first = self.brain[0]
        return len(self.brain) >= FEWEST and (first.number > 1 or self.share(first) < CUT_SHARE)

    def below_top(self, among: Sequence[_Place], from_to_mm: tuple[float, float]) -> list[_Place]:
        """Those so far below the highest slice that shows brain; none where the scan ends before the vertex."""
        if not self.shows_top:
            return []
        top_mm = self.brain[-1].mm
        return [one for one in among if from_to_mm[0] <= top_mm - one.mm <= from_to_mm[1]]


def doubts(rows: Sequence[SliceRow]) -> Reasons:
    """Why "no finding" may not be said of a whole series with these slices, codes of family study. Empty: it may.

    Slices without a score or from before facts were measured are passed over.
    """
    head = _head(rows)
    if head is None:
        return ()
    return tuple(reason for rule in _RULES for reason in rule(head))


def _head(rows: Sequence[SliceRow]) -> _Head | None:
    places_mm = unique_positions(tuple(row.geometry.position_mm for row in rows))
    found = []
    for row in one_per_place(rows):
        facts = scored_of(row).facts
        if facts is not None:
            number = int(np.abs(np.subtract(places_mm, row.geometry.position_mm)).argmin()) + 1
            found.append(_Place(row=row, facts=facts, number=number))
    brain = tuple(one for one in found if scored_of(one.row).has_brain)
    widest_mm2 = max((one.facts.inside_mm2 for one in brain), default=0.0)
    if widest_mm2 <= 0:
        return None
    return _Head(all=tuple(found), brain=brain, widest_mm2=widest_mm2, places=len(places_mm))


def _part_of_brain(head: _Head) -> Reasons:
    ends = (("base", head.shows_base), ("top", head.shows_top))
    return tuple(("part-of-brain", {"end": end}) for end, is_shown in ends if not is_shown)


def _grey_values(head: _Head) -> Reasons:
    air = [one.facts.air_hu for one in head.brain if one.facts.air_hu is not None]
    steps = [one.facts.grey_step_hu for one in head.brain if one.facts.grey_step_hu is not None]
    if len(air) >= FEWEST and median(air) > AIR_AT_MOST_HU:
        return (("grey-values", {"what": f"air reads {median(air):.0f} HU"}),)
    if len(steps) >= FEWEST and median(steps) >= GREY_STEP_HU:
        return (("grey-values", {"what": f"they come in steps of {median(steps):.0f} HU"}),)
    return ()


def _contrast(head: _Head) -> Reasons:
    vault = head.below_top(head.brain, VAULT_MM)
    bright = [one for one in vault if one.facts.bright_spots >= SPOTS]
    if len(bright) < FEWEST or len(bright) <= SPOTS_SHARE * len(vault):
        return ()
    return (("contrast-seen", {"n": str(len(bright)), "all": str(head.places)}),)


def _motion(head: _Head) -> Reasons:
    """Between slices. Within one, doubled edges and streaks are no more than noise is: see the decision."""
    vault = head.below_top(head.brain, VAULT_MM)
    moved = sum(_off_line_mm(*three) > MOVED_MM for three in zip(vault, vault[1:], vault[2:], strict=False))
    return (("motion", {"n": str(moved), "all": str(head.places)}),) if moved >= FEWEST - 1 else ()


def _off_line_mm(below: _Place, here: _Place, above: _Place) -> float:
    """How far a slice lies beside the line through its neighbours; 0 where they are far away.

    Both middles must: that of the skull jumps where something touches the head, that of the inside where it is cut.
    """
    reach_mm = above.mm - below.mm
    if reach_mm > 2 * NEIGHBOUR_MM:
        return 0.0
    along = (here.mm - below.mm) / reach_mm
    return min(
        float(np.linalg.norm(at - (before * (1 - along) + after * along)))
        for before, at, after in zip(_middles_mm(below), _middles_mm(here), _middles_mm(above), strict=True)
    )


def _middles_mm(place: _Place) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of the skull and of what it encloses, mm in patient coordinates."""
    inside = place.facts.inside_rc or scored_of(place.row).box.centre_rc
    return box_centre_mm(place.row), point_mm(place.row.geometry, inside)


def _metal(head: _Head) -> Reasons:
    metal = [one for one in head.brain if one.facts.metal_mm2 >= METAL_MM2 and head.share(one) >= CRANIAL_SHARE]
    return (("metal", _span(metal)),) if len(metal) >= FEWEST - 1 else ()


def _open_skull(head: _Head) -> Reasons:
    ring = head.below_top(head.all, RING_MM)
    open_ = [one for one in ring if one.facts.gap_mm is not None and one.facts.gap_mm >= OPEN_MM]
    if len(open_) < FEWEST or open_[-1].mm - open_[0].mm < OPEN_HEIGHT_MM:
        return ()
    return (("skull-open", _span(open_)),)


def _span(places: Sequence[_Place]) -> dict[str, str]:
    return {"first": str(places[0].number), "last": str(places[-1].number)}


_RULES: Final[tuple[Callable[[_Head], Reasons], ...]] = (
    _part_of_brain,
    _grey_values,
    _contrast,
    _motion,
    _metal,
    _open_skull,
)
