"""Slices: their place, their score, and where their pixels lie."""

from typing import Any

import sqlalchemy as sa

from appliance.core.headers import Header
from appliance.core.ledger import SliceRow
from appliance.core.slices import SliceScore
from appliance.records.ledger import Connection
from appliance.records.models import slice_
from appliance.records.shapes import fitting, geometry_in, geometry_out, score_in, score_out


def take_slice(
    w: Connection,
    series_id: int,
    header: Header,
    pixel_sha256: str,
    file_sha256: str,
    stored: str,
    landed_ns: int,
    ms: dict[str, float],
) -> SliceRow:
    """Records a slice whose bytes are in the store. ValueError for a header without a place."""
    if header.geometry is None:
        raise ValueError("a slice without a place")
    values = {
        "series_id": series_id,
        "sop_uid": header.sop_uid,
        "pixel_sha256": pixel_sha256,
        "file_sha256": file_sha256,
        "stored": stored,
        "position_mm": header.geometry.position_mm,
        "geometry": geometry_out(header.geometry),
        "instance_number": fitting(header.instance_number),
        "acquisition_number": fitting(header.acquisition_number),
        "acquired": header.acquired,
        "corrections": list(header.corrections),
        "landed_ns": landed_ns,
        "ms": dict(ms),
    }
    return _slice(w.execute(sa.insert(slice_).values(**values).returning(*slice_.c)).one())


def slices_of(r: Connection, series_id: int) -> list[SliceRow]:
    """The slices of a series from foot to head, with their scores. Those at one place: in the order of landing."""
    return _many(r, sa.select(slice_).where(slice_.c.series_id == series_id))


def slice_by_id(r: Connection, slice_id: int) -> SliceRow | None:
    """The slice with this id."""
    row = r.execute(sa.select(slice_).where(slice_.c.id == slice_id)).one_or_none()
    return None if row is None else _slice(row)


def score_slice(w: Connection, slice_id: int, score: SliceScore, ms: dict[str, float]) -> None:
    """Records a score; a later one takes its place. `ms` joins the stages that the slice has."""
    known = w.execute(sa.select(slice_.c.ms).where(slice_.c.id == slice_id)).scalar_one()
    values = {**score_out(score), "ms": {**known, **ms}}
    w.execute(sa.update(slice_).where(slice_.c.id == slice_id).values(**values))


def forget_scores(w: Connection, series_id: int) -> None:
    """Another engine reads this series anew: scores of two engines never stand side by side."""
    empty = dict.fromkeys(("logits", "embedding", "heat", "seen", *_PROBABILITIES))
    w.execute(sa.update(slice_).where(slice_.c.series_id == series_id).values(**empty))


_PROBABILITIES = tuple(column.name for column in slice_.c if column.name.startswith("p_"))


def _many(r: Connection, query: sa.Select[Any]) -> list[SliceRow]:
    return [_slice(row) for row in r.execute(query.order_by(slice_.c.position_mm, slice_.c.id))]


def _slice(row: Any) -> SliceRow:
    return SliceRow(
        id=row.id,
        series_id=row.series_id,
        sop_uid=row.sop_uid,
        pixel_sha256=row.pixel_sha256,
        file_sha256=row.file_sha256,
        stored=row.stored,
        geometry=geometry_in(row.geometry),
        instance_number=row.instance_number,
        acquisition_number=row.acquisition_number,
        acquired=row.acquired,
        corrections=tuple(row.corrections),
        landed_ns=row.landed_ns,
        score=score_in(row),
        ms=row.ms,
    )
