"""Series: what their headers say, whether they are read, and why not."""

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from appliance.core.headers import SeriesFacts
from appliance.core.ledger import Reasons, SeriesChange, SeriesRow
from appliance.core.words import SeriesState, SeriesVerdict
from appliance.records.ledger import Connection
from appliance.records.models import series
from appliance.records.shapes import reasons_in, reasons_out, series_in, series_out


def open_series(
    w: Connection,
    study_id: int,
    facts: SeriesFacts,
    verdict: SeriesVerdict,
    reasons: Reasons,
    may_be_head: bool,
    at_ns: int,
) -> SeriesRow:
    """Opens a series with the verdict of its first header."""
    values = {
        "study_id": study_id,
        "series_uid": facts.series_uid,
        "header": series_out(facts),
        "state": SeriesState.OPEN,
        "verdict": verdict,
        "reasons": reasons_out(reasons),
        "corrections": [],
        "may_be_head": may_be_head,
        "first_landed_ns": at_ns,
        "last_landed_ns": at_ns,
        "closed_ns": None,
    }
    row = w.execute(sa.insert(series).values(**values).returning(*series.c)).one()
    return _series(row)


def change_series(
    w: Connection,
    series_id: int,
    *,
    verdict: SeriesVerdict | None = None,
    reasons: Reasons | None = None,
    may_be_head: bool | None = None,
    state: SeriesState | None = None,
    corrections: tuple[str, ...] | None = None,
    closed_ns: int | None = None,
) -> None:
    """Changes what is given and leaves the rest. A series that is closed needs `closed_ns`; one that opens loses it."""
    values: dict[str, Any] = {}
    if verdict is not None:
        values["verdict"] = verdict
    if reasons is not None:
        values["reasons"] = reasons_out(reasons)
    if may_be_head is not None:
        values["may_be_head"] = may_be_head
    if state is not None:
        values["state"] = state
        values["closed_ns"] = closed_ns if state is SeriesState.CLOSED else None
    if corrections is not None:
        values["corrections"] = list(corrections)
    if values:
        w.execute(sa.update(series).where(series.c.id == series_id).values(**values))


def apply_series_change(w: Connection, change: SeriesChange) -> None:
    """The same from one value."""
    change_series(
        w,
        change.series_id,
        verdict=change.verdict,
        reasons=change.reasons,
        may_be_head=change.may_be_head,
        state=change.state,
        corrections=change.corrections,
        closed_ns=change.closed_ns,
    )


def update_series_facts(w: Connection, series_id: int, facts: SeriesFacts) -> None:
    """A corrected header changes what is shown and judged. The UID stays."""
    w.execute(sa.update(series).where(series.c.id == series_id).values(header=series_out(facts)))


def series_of(r: Connection, study_id: int) -> list[SeriesRow]:
    """The series of a study, in the order in which they landed."""
    chosen = sa.select(series).where(series.c.study_id == study_id).order_by(series.c.id)
    return [_series(row) for row in r.execute(chosen)]


def series_of_studies(r: Connection, study_ids: Iterable[int]) -> dict[int, list[SeriesRow]]:
    """The same of several studies, by study id."""
    chosen = sa.select(series).where(series.c.study_id.in_(list(study_ids))).order_by(series.c.id)
    found: dict[int, list[SeriesRow]] = {}
    for row in r.execute(chosen):
        found.setdefault(row.study_id, []).append(_series(row))
    return found


def series_by_id(r: Connection, series_ids: Iterable[int]) -> dict[int, SeriesRow]:
    """Several series, by their ids."""
    chosen = sa.select(series).where(series.c.id.in_(list(series_ids)))
    return {row.id: _series(row) for row in r.execute(chosen)}


def _series(row: Any) -> SeriesRow:
    return SeriesRow(
        id=row.id,
        study_id=row.study_id,
        facts=series_in(row.header),
        state=SeriesState(row.state),
        verdict=SeriesVerdict(row.verdict),
        reasons=reasons_in(row.reasons),
        corrections=tuple(row.corrections),
        first_landed_ns=row.first_landed_ns,
        last_landed_ns=row.last_landed_ns,
        closed_ns=row.closed_ns,
        may_be_head=row.may_be_head,
    )
