"""What scored slices prove: the level of an exam, the early alert, and the finding that is said to people. Pure.

An early alert needs what one bad slice cannot give: two neighbours that agree on the place, or one slice far past
every doubt. Only slices whose own pixels show brain inside a skull count for it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from appliance.core.completeness import SAME_PLACE_MM
from appliance.core.engine import Points
from appliance.core.headers import SliceGeometry
from appliance.core.ledger import Finding, SliceRow
from appliance.core.slices import SliceScore
from appliance.core.words import KINDS, PLACE, Label, Level, Side

MIDDLE_MM: Final = 8.0  # a peak this near to the skull's middle has no side
SIDEWAYS: Final = 0.5  # least part of the left-right axis in the plane of the picture for a side to be named
KIND_STANDS_OUT: Final = 0.3  # least probability of a kind for it to be named
BOTH_FROM_SHARE: Final = 0.25  # of the hot cells of the key side: a speck across the middle names no second side
HOT: Final = 128  # of 255: a cell of the heat map that is more likely blood than not


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The slices that suffice for an early alert, from the foot: a pair of neighbours, or a single one."""

    slice_ids: tuple[int, ...]


def level_of(probability_any: float, points: Points) -> Level | None:
    """The level that an exam's probability of "any" comes to."""
    if probability_any >= points.critical:
        return Level.CRITICAL
    return Level.REVIEW if probability_any >= points.review else None


def soft_dice(one: NDArray[np.uint8], other: NDArray[np.uint8], shift_cells: tuple[int, int] = (0, 0)) -> float:
    """Overlap 2 sum(a b) / (sum(a a) + sum(b b)) of two heat maps [n, n], 0 to 1; 0 where both are cold.

    `shift_cells` (rows, columns) is how far `other` lies from `one`; what is moved over the edge meets nothing. Exact:
    sums of whole numbers far below 2**53, so no order of adding can change it.
    """
    a, b = one.astype(np.float64), other.astype(np.float64)
    total = float(np.vdot(a, a) + np.vdot(b, b))
    (a_rows, b_rows), (a_columns, b_columns) = (
        _overlapping(size, by) for size, by in zip(a.shape, shift_cells, strict=True)
    )
    shared = float((a[a_rows, a_columns] * b[b_rows, b_columns]).sum())
    return 2.0 * shared / total if total else 0.0


def heat_overlap(lower: SliceRow, upper: SliceRow) -> float:
    """Soft Dice of two slices' heat maps, each put where it lies in the patient."""
    return soft_dice(scored_of(lower).heat, scored_of(upper).heat, cells_apart(lower, upper))


def cells_apart(lower: SliceRow, upper: SliceRow) -> tuple[int, int]:
    """How many cells (rows, columns) the second slice's heat map lies from the first's in the patient.

    Each map is centred on its own slice's skull; at the base that centre jumps by centimetres from slice to slice, so
    maps laid on each other as they are would agree on a place that is two.
    """
    one = scored_of(lower)
    cell_mm = one.box.side_mm / one.heat.shape[0]
    apart_mm = np.subtract(box_centre_mm(upper), box_centre_mm(lower))
    down = float(np.dot(apart_mm, lower.geometry.column_direction))
    along = float(np.dot(apart_mm, lower.geometry.row_direction))
    return round(down / cell_mm), round(along / cell_mm)


def box_centre_mm(row: SliceRow) -> NDArray[np.float64]:
    """The middle of the head's box of a scored slice, float64 [3], mm in patient coordinates."""
    return point_mm(row.geometry, scored_of(row).box.centre_rc)


def point_mm(geometry: SliceGeometry, place_rc: tuple[float, float]) -> NDArray[np.float64]:
    """A place of a picture (row, column; pixels as stored) in the patient, float64 [3], mm in patient coordinates."""
    return (
        np.asarray(geometry.corner_mm)
        + np.asarray(geometry.column_direction) * (place_rc[0] * geometry.pixel_mm[0])
        + np.asarray(geometry.row_direction) * (place_rc[1] * geometry.pixel_mm[1])
    )


def _overlapping(size: int, by: int) -> tuple[slice, slice]:
    """The stretches of two rows of cells that lie on each other when the second is moved `by` cells."""
    by = max(-size, min(size, by))
    return slice(max(0, by), size + min(0, by)), slice(max(0, -by), size - max(0, by))


def scored_of(row: SliceRow) -> SliceScore:
    """The score of a slice that has one. ValueError for one that has not."""
    if row.score is None:
        raise ValueError("a slice without a score")
    return row.score


def foot_to_head(rows: Sequence[SliceRow]) -> list[SliceRow]:
    """Scored slices by position; at one place the one with the higher "any" comes first. No order of arrival in it."""
    scored = [row for row in rows if row.score is not None]
    return sorted(
        scored,
        key=lambda row: (row.geometry.position_mm, -float(scored_of(row).logits[0]), row.sop_uid, row.pixel_sha256),
    )


def one_per_place(rows: Sequence[SliceRow]) -> list[SliceRow]:
    """Scored slices by position, of repeats at one place the one with the higher "any".

    A place reaches from its first slice: repeats that drift do not draw it along, and it is counted as in
    `core.completeness`.
    """
    kept: list[SliceRow] = []
    begins_mm = -math.inf
    for row in foot_to_head(rows):
        if row.geometry.position_mm - begins_mm >= SAME_PLACE_MM:
            kept.append(row)
            begins_mm = row.geometry.position_mm
        elif scored_of(row).logits[0] > scored_of(kept[-1]).logits[0]:
            kept[-1] = row
    return kept


def near_brain(rows: Sequence[SliceRow], neighbour_mm: float) -> list[SliceRow]:
    """One slice a place, from the foot: those that show brain inside a skull or lie this near to one that does.

    What counts for the exam's own answer. The face, the neck and a hollow head are left out; a skull that is open (the
    base, the vertex, a craniotomy) hides no bleed. See docs/decisions/0004-which-slices-count.md.
    """
    places = one_per_place(rows)
    brains_mm = np.array([row.geometry.position_mm for row in places if scored_of(row).has_brain])
    if not brains_mm.size:
        return []
    at_mm = np.array([row.geometry.position_mm for row in places])
    # Both run from the foot, so the nearest brain is the first that does not lie below, or the one before it.
    above = np.searchsorted(brains_mm, at_mm)
    to_upper_mm = np.abs(brains_mm[np.minimum(above, brains_mm.size - 1)] - at_mm)
    to_lower_mm = np.abs(at_mm - brains_mm[np.maximum(above - 1, 0)])
    near = np.minimum(to_upper_mm, to_lower_mm) <= neighbour_mm + SAME_PLACE_MM
    return [row for row, is_near in zip(places, near, strict=True) if is_near]


def early_evidence(rows: Sequence[SliceRow], points: Points) -> Evidence | None:
    """What suffices for an early alert, or None. The strongest pair, else the strongest single slice."""
    places = one_per_place(rows)
    brains = [row for row in places if scored_of(row).has_brain]
    pairs = [pair for pair in pairwise(places) if _agree(*pair, points)]
    if pairs:
        best = max(pairs, key=lambda pair: min(_any(pair[0]), _any(pair[1])))
        return Evidence(slice_ids=(best[0].id, best[1].id))
    singles = [row for row in brains if _any(row) >= points.early_single]
    return Evidence(slice_ids=(max(singles, key=_any).id,)) if singles else None


def suffices_early(rows: Sequence[SliceRow], points: Points) -> bool:
    """Whether `early_evidence` finds any, without looking for the strongest: asked after each slice."""
    places = one_per_place(rows)
    single = any(scored_of(row).has_brain and _any(row) >= points.early_single for row in places)
    return single or any(_agree(*pair, points) for pair in pairwise(places))


def _agree(lower: SliceRow, upper: SliceRow, points: Points) -> bool:
    brain = scored_of(lower).has_brain and scored_of(upper).has_brain
    near = upper.geometry.position_mm - lower.geometry.position_mm <= points.neighbour_mm + SAME_PLACE_MM
    positive = min(_any(lower), _any(upper)) >= points.early_pair
    return brain and near and positive and heat_overlap(lower, upper) >= points.overlap


def finding_of(rows: Sequence[SliceRow], points: Points, evidence: Evidence | None) -> Finding | None:
    """What a positive series points at. None where no slice shows a brain.

    The key slice is the strongest of those that count for the exam; the kind is the strongest of the five there; the
    side is the patient's. Its number counts from 1 at the foot, over the places read.
    """
    counting = near_brain(rows, points.neighbour_mm)
    if not counting:
        return None
    key = max(counting, key=_any)
    return Finding(
        label=kind_of(scored_of(key)),
        side=_side(key, [row for row in counting if _any(row) >= points.early_pair]),
        key_slice_id=key.id,
        key_number=one_per_place(rows).index(key) + 1,
        evidence=evidence.slice_ids if evidence else (),
    )


def kind_of(score: SliceScore) -> Label:
    """The kind that is said: the highest of the five, "any" where none stands out."""
    best = max(KINDS, key=score.probability)
    return best if score.probability(best) >= KIND_STANDS_OUT else Label.ANY


def _side(key: SliceRow, others: Sequence[SliceRow]) -> Side:
    """The side of the key slice; both, where it or another strong slice is hot on the other side too."""
    own = side_of(scored_of(key), key.geometry)
    across = {Side.LEFT: Side.RIGHT, Side.RIGHT: Side.LEFT}.get(own)
    if across is None:
        return own
    if any(side_of(scored_of(row), row.geometry) is across for row in others):
        return Side.BOTH
    beyond = _hot_cells(key, across)
    return Side.BOTH if beyond and beyond >= BOTH_FROM_SHARE * _hot_cells(key, own) else own


def side_of(score: SliceScore, geometry: SliceGeometry) -> Side:
    """The patient's side of the hottest place, against the middle of the skull (the head's box)."""
    if score.peak_rc is None or not _shows_sides(geometry):
        return Side.UNKNOWN
    down_mm = (score.peak_rc[0] - score.box.centre_rc[0]) * geometry.pixel_mm[0]
    along_mm = (score.peak_rc[1] - score.box.centre_rc[1]) * geometry.pixel_mm[1]
    left_mm = along_mm * geometry.row_direction[0] + down_mm * geometry.column_direction[0]
    if abs(left_mm) <= MIDDLE_MM:
        return Side.MIDDLE
    return Side.LEFT if left_mm > 0 else Side.RIGHT


def _hot_cells(row: SliceRow, side: Side) -> int:
    """How many cells of the slice's heat map are hot on one side of the skull's middle."""
    score, geometry = scored_of(row), row.geometry
    count = score.heat.shape[0]
    from_middle_mm = ((np.arange(count) + 0.5) / count - 0.5) * score.box.side_mm
    left_mm = (
        from_middle_mm[None, :] * geometry.row_direction[0] + from_middle_mm[:, None] * geometry.column_direction[0]
    )
    on_side = left_mm > MIDDLE_MM if side is Side.LEFT else left_mm < -MIDDLE_MM
    return int(np.count_nonzero(on_side & (score.heat >= HOT)))


def _shows_sides(geometry: SliceGeometry) -> bool:
    """LPS: x grows to the patient's left. Where it points out of the picture (sagittal), no side can be told."""
    return abs(geometry.row_direction[0]) + abs(geometry.column_direction[0]) >= SIDEWAYS


def finding_details(finding: Finding) -> dict[str, str]:
    """What fills the sentences of `suspected-bleed` and `possible-bleed`."""
    label = Label(finding.label)
    kind = "" if label is Label.ANY else f" ({label.upper()})"
    return {"place": f"{PLACE[label]}{kind}", "side": str(finding.side)}


def _any(row: SliceRow) -> float:
    return scored_of(row).probability(Label.ANY)
