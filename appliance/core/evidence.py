"""What scored slices prove: the level of an exam, the early alert, and the finding that is said to people. Pure.

An early alert needs what one bad slice cannot give: two neighbours that agree on the place, or one slice far past
every doubt. Only slices whose own pixels show brain inside a skull count for it.
"""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The slices that suffice for an early alert, from the foot: a pair of neighbours, or a single one."""

    slice_ids: tuple[int, ...]


def level_of(probability_any: float, points: Points) -> Level | None:
    """The level that an exam's probability of "any" comes to."""
    if probability_any >= points.critical:
        return Level.CRITICAL
    return Level.REVIEW if probability_any >= points.review else None


def soft_dice(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Overlap of two heat maps [n, n], 0 to 1; 0 where both are cold. Exact: sums of integers."""
    a, b = one.astype(np.int64), other.astype(np.int64)
    total = int((a * a).sum() + (b * b).sum())
    return 2.0 * int((a * b).sum()) / total if total else 0.0


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
    """Scored slices by position, of repeats at one place the one with the higher "any"."""
    kept: list[SliceRow] = []
    for row in foot_to_head(rows):
        if kept and row.geometry.position_mm - kept[-1].geometry.position_mm < SAME_PLACE_MM:
            kept[-1] = max(kept[-1], row, key=lambda one: float(scored_of(one).logits[0]))
        else:
            kept.append(row)
    return kept


def early_evidence(rows: Sequence[SliceRow], points: Points) -> Evidence | None:
    """What suffices for an early alert, or None. The strongest pair, else the strongest single slice."""
    brains = [row for row in one_per_place(rows) if scored_of(row).has_brain]
    pairs = [pair for pair in pairwise(brains) if _agree(*pair, points)]
    if pairs:
        best = max(pairs, key=lambda pair: min(_any(pair[0]), _any(pair[1])))
        return Evidence(slice_ids=(best[0].id, best[1].id))
    singles = [row for row in brains if _any(row) >= points.early_single]
    return Evidence(slice_ids=(max(singles, key=_any).id,)) if singles else None


def _agree(lower: SliceRow, upper: SliceRow, points: Points) -> bool:
    near = upper.geometry.position_mm - lower.geometry.position_mm <= points.neighbour_mm
    positive = min(_any(lower), _any(upper)) >= points.early_pair
    return near and positive and soft_dice(scored_of(lower).heat, scored_of(upper).heat) >= points.overlap


def finding_of(rows: Sequence[SliceRow], points: Points, evidence: Evidence | None) -> Finding | None:
    """What a positive series points at. None without a scored slice that shows brain.

    The key slice is the strongest; the kind is the strongest of the five there; the side is the patient's.
    """
    places = one_per_place(rows)
    brains = [row for row in places if scored_of(row).has_brain]
    if not brains:
        return None
    key = max(brains, key=_any)
    return Finding(
        label=kind_of(scored_of(key)),
        side=_side(key, [row for row in brains if _any(row) >= points.early_pair]),
        key_slice_id=key.id,
        key_number=places.index(key) + 1,
        evidence=evidence.slice_ids if evidence else (),
    )


def kind_of(score: SliceScore) -> Label:
    """The kind that is said: the highest of the five, "any" where none stands out."""
    best = max(KINDS, key=score.probability)
    return best if score.probability(best) >= KIND_STANDS_OUT else Label.ANY


def _side(key: SliceRow, others: Sequence[SliceRow]) -> Side:
    own = side_of(scored_of(key), key.geometry)
    across = {Side.LEFT: Side.RIGHT, Side.RIGHT: Side.LEFT}.get(own)
    if across and any(side_of(scored_of(row), row.geometry) is across for row in others):
        return Side.BOTH
    return own


def side_of(score: SliceScore, geometry: SliceGeometry) -> Side:
    """The patient's side of the hottest place, against the middle of the skull (the head's box). LPS: x grows to the left."""
    in_plane = abs(geometry.row_direction[0]) + abs(geometry.column_direction[0])
    if score.peak_rc is None or in_plane < SIDEWAYS:
        return Side.UNKNOWN
    down_mm = (score.peak_rc[0] - score.box.centre_rc[0]) * geometry.pixel_mm[0]
    along_mm = (score.peak_rc[1] - score.box.centre_rc[1]) * geometry.pixel_mm[1]
    left_mm = along_mm * geometry.row_direction[0] + down_mm * geometry.column_direction[0]
    if abs(left_mm) <= MIDDLE_MM:
        return Side.MIDDLE
    return Side.LEFT if left_mm > 0 else Side.RIGHT


def finding_details(finding: Finding) -> dict[str, str]:
    """What fills the sentences of `suspected-bleed` and `possible-bleed`."""
    label = Label(finding.label)
    kind = "" if label is Label.ANY else f" ({label.upper()})"
    return {"place": f"{PLACE[label]}{kind}", "side": str(finding.side)}


def _any(row: SliceRow) -> float:
    return scored_of(row).probability(Label.ANY)
