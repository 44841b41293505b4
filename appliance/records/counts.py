"""The sums of a day, for the board."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from appliance.core.words import Outcome, StudyState
from appliance.records.ledger import Connection
from appliance.records.models import series, study


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardCounts:
    """Sums of the day, over the studies that may be a head CT; `studies` over all."""

    heads: int = 0
    read: int = 0
    landing: int = 0
    incomplete: int = 0
    not_analysed: int = 0
    studies: int = 0


def count_day(r: Connection, midnight_ns: int) -> BoardCounts:
    """The sums of what has landed since midnight."""
    head = (
        sa.select(series.c.id).where((series.c.study_id == study.c.id) & series.c.may_be_head).correlate(study).exists()
    )
    chosen = sa.select(study.c.state, study.c.outcome, head.label("head"), sa.func.count().label("n"))
    today = chosen.where(study.c.last_landed_ns >= midnight_ns).group_by(study.c.state, study.c.outcome, "head")
    rows = list(r.execute(today))
    heads = [row for row in rows if row.head]
    closed = [row for row in heads if row.state == StudyState.CLOSED]
    return BoardCounts(
        heads=_sum(heads),
        read=_sum(row for row in closed if row.outcome not in (Outcome.NOT_ANALYSED, Outcome.INCOMPLETE)),
        landing=_sum(row for row in heads if row.state == StudyState.OPEN),
        incomplete=_sum(row for row in closed if row.outcome == Outcome.INCOMPLETE),
        not_analysed=_sum(row for row in closed if row.outcome == Outcome.NOT_ANALYSED),
        studies=_sum(rows),
    )


def last_landing_ns(r: Connection) -> int | None:
    """When something of any study landed last; None on a box that has never seen a scan."""
    return r.execute(sa.select(sa.func.max(study.c.last_landed_ns))).scalar()


def _sum(rows: Iterable[Any]) -> int:
    return sum(row.n for row in rows)
