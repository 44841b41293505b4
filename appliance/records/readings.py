"""Readings: what an engine came to for a series, once for each revision and finality. Never changed."""

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from appliance.core.ledger import ReadingRow
from appliance.core.words import LABELS, Finality, Outcome
from appliance.records.ledger import Connection
from appliance.records.models import reading
from appliance.records.shapes import finding_in, finding_out, reasons_in, reasons_out, six


def record_reading(w: Connection, row: ReadingRow) -> int:
    """Records a reading and returns its id; the id in `row` is not looked at."""
    # A reading of nothing has no probabilities.
    probabilities = row.probabilities or (None,) * len(LABELS)
    values: dict[str, Any] = {
        "series_id": row.series_id,
        "revision": row.revision,
        "finality": row.finality,
        **{f"p_{label}": value for label, value in zip(LABELS, probabilities, strict=True)},
        "outcome": row.outcome,
        "reasons": reasons_out(row.reasons),
        "slices": row.slices,
        "finding": finding_out(row.finding),
        "engine_sha256": row.engine_sha256,
        "engine_name": row.engine_name,
        "backend": row.backend,
        "critical_point": row.critical_point,
        "review_point": row.review_point,
        "made_ns": row.made_ns,
    }
    return int(w.execute(sa.insert(reading).values(**values).returning(reading.c.id)).scalar_one())


def latest_readings(r: Connection, series_ids: Iterable[int]) -> dict[int, ReadingRow]:
    """The last reading of each of several series, by series id; series without one are not in it."""
    chosen = reading.c.series_id.in_(list(series_ids))
    last = sa.select(sa.func.max(reading.c.id)).where(chosen).group_by(reading.c.series_id)
    return {row.series_id: _reading(row) for row in r.execute(sa.select(reading).where(reading.c.id.in_(last)))}


def readings_of(r: Connection, series_id: int) -> list[ReadingRow]:
    """All readings of a series, in the order in which they were made."""
    chosen = sa.select(reading).where(reading.c.series_id == series_id).order_by(reading.c.id)
    return [_reading(row) for row in r.execute(chosen)]


def reading_by_id(r: Connection, reading_id: int) -> ReadingRow | None:
    """The reading with this id."""
    row = r.execute(sa.select(reading).where(reading.c.id == reading_id)).one_or_none()
    return None if row is None else _reading(row)


def readings_by_id(r: Connection, reading_ids: Iterable[int]) -> dict[int, ReadingRow]:
    """Several readings, by their ids."""
    chosen = sa.select(reading).where(reading.c.id.in_(list(reading_ids)))
    return {row.id: _reading(row) for row in r.execute(chosen)}


def _reading(row: Any) -> ReadingRow:
    return ReadingRow(
        id=row.id,
        series_id=row.series_id,
        revision=row.revision,
        finality=Finality(row.finality),
        probabilities=() if row.p_any is None else six(row),
        outcome=Outcome(row.outcome),
        reasons=reasons_in(row.reasons),
        slices=row.slices,
        finding=finding_in(row.finding),
        engine_sha256=row.engine_sha256,
        engine_name=row.engine_name,
        backend=row.backend,
        critical_point=row.critical_point,
        review_point=row.review_point,
        made_ns=row.made_ns,
    )
