"""Slices as the board draws them: a place, a height, and where the key slice lies. No picture, no embedding."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass

import sqlalchemy as sa

from appliance.core.headers import SliceGeometry
from appliance.records.ledger import Connection
from appliance.records.models import slice_
from appliance.records.shapes import geometry_in


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardSlice:
    """One slice as a bar. `probability` of "any", None until it is scored."""

    id: int
    position_mm: float
    landed_ns: int
    probability: float | None


def bars_of(r: Connection, series_ids: Collection[int]) -> dict[int, tuple[BoardSlice, ...]]:
    """Of each series its slices from foot to head, as bars."""
    columns = (slice_.c.id, slice_.c.series_id, slice_.c.position_mm, slice_.c.landed_ns, slice_.c.p_any)
    chosen = sa.select(*columns).where(slice_.c.series_id.in_(list(series_ids)))
    bars: dict[int, list[BoardSlice]] = defaultdict(list)
    for row in r.execute(chosen.order_by(slice_.c.position_mm, slice_.c.id)):
        bar = BoardSlice(id=row.id, position_mm=row.position_mm, landed_ns=row.landed_ns, probability=row.p_any)
        bars[row.series_id].append(bar)
    return {series_id: tuple(of) for series_id, of in bars.items()}


def geometries_of(r: Connection, slice_ids: Collection[int]) -> dict[int, SliceGeometry]:
    """Where these slices lie, by their ids."""
    chosen = sa.select(slice_.c.id, slice_.c.geometry).where(slice_.c.id.in_(list(slice_ids)))
    return {row.id: geometry_in(row.geometry) for row in r.execute(chosen)}
