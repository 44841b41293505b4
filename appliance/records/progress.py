"""What is new since the last look, for whoever measures the box from outside."""

import sqlalchemy as sa

from appliance.core.words import Finality
from appliance.records.ledger import Connection
from appliance.records.models import reading, slice_


def scored_slice_ids(r: Connection) -> set[int]:
    """Every slice that has a score."""
    return set(r.execute(sa.select(slice_.c.id).where(slice_.c.logits.is_not(None))).scalars())


def final_readings(r: Connection) -> dict[int, int]:
    """The series of every final reading, by the reading's id."""
    found = r.execute(sa.select(reading.c.id, reading.c.series_id).where(reading.c.finality == Finality.FINAL))
    return {row.id: row.series_id for row in found}
