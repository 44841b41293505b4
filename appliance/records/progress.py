"""What is new since the last look, for whoever measures the box from outside."""

from dataclasses import dataclass

import sqlalchemy as sa

from appliance.core.words import Finality
from appliance.records.ledger import Connection
from appliance.records.models import reading, series, slice_


@dataclass(frozen=True, slots=True, kw_only=True)
class SlicesSoFar:
    """Of one study: slices that are safe in the store, and those of them that have a score."""

    taken: int
    scored: int


def scored_slice_ids(r: Connection) -> set[int]:
    """Every slice that has a score."""
    return set(r.execute(sa.select(slice_.c.id).where(slice_.c.logits.is_not(None))).scalars())


def final_readings(r: Connection) -> dict[int, int]:
    """The series of every final reading, by the reading's id."""
    found = r.execute(sa.select(reading.c.id, reading.c.series_id).where(reading.c.finality == Finality.FINAL))
    return {row.id: row.series_id for row in found}


def slices_so_far(r: Connection) -> dict[int, SlicesSoFar]:
    """How far each study is, by study id; studies without a slice are not in it."""
    scored = sa.func.count(slice_.c.logits)
    counted = sa.select(series.c.study_id, sa.func.count().label("taken"), scored.label("scored"))
    joined = counted.join(slice_, slice_.c.series_id == series.c.id).group_by(series.c.study_id)
    return {row.study_id: SlicesSoFar(taken=row.taken, scored=row.scored) for row in r.execute(joined)}
