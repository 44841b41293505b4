"""The list of the day: which closed studies stand in it, by what a person wants to see, and how many there are of each."""

from enum import StrEnum
from typing import Any, Final

import sqlalchemy as sa

from appliance.core.words import Level, Outcome, StudyState
from appliance.records.ledger import Connection
from appliance.records.models import alert, series, study


class Shown(StrEnum):
    """What the list can be narrowed to. A study stands under the first that fits, in this order."""

    CRITICAL = "critical"  # or alerted as that, withdrawn or not
    REVIEW = "review"
    EARLY = "early"  # a head that nobody has read, or not with certainty
    NO_FINDING = "no-finding"
    NO_HEAD = "no-head"


_EARLY: Final = (Outcome.INDETERMINATE, Outcome.INCOMPLETE, Outcome.NOT_ANALYSED)


def count_shown(r: Connection, since_ns: int) -> dict[Shown, int]:
    """How many studies of the list stand under each."""
    counted = sa.select(_fits().label("fits"), sa.func.count().label("n")).where(_listed(since_ns)).group_by("fits")
    return {Shown(row.fits): row.n for row in r.execute(counted)}


def day_list(r: Connection, since_ns: int, shown: Shown | None, *, limit: int, offset: int = 0) -> list[int]:
    """Ids of the closed studies of which something landed since then, the newest first. `shown` None: all."""
    chosen = sa.select(study.c.id).where(_listed(since_ns))
    if shown is not None:
        chosen = chosen.where(_fits() == shown.value)
    newest = chosen.order_by(study.c.last_landed_ns.desc(), study.c.id.desc())
    return list(r.execute(newest.limit(limit).offset(offset)).scalars())


def _listed(since_ns: int) -> sa.ColumnElement[bool]:
    return (study.c.last_landed_ns >= since_ns) & (study.c.state == StudyState.CLOSED)


def _fits() -> sa.ColumnElement[str]:
    def alerted(level: Level) -> sa.ColumnElement[bool]:
        of = (alert.c.study_id == study.c.id) & (alert.c.kind == "clinical") & (alert.c.level == level)
        return sa.select(alert.c.id).where(of).correlate(study).exists()

    head: Any = sa.select(series.c.id).where((series.c.study_id == study.c.id) & series.c.may_be_head)
    return sa.case(
        ((study.c.outcome == Outcome.CRITICAL) | alerted(Level.CRITICAL), Shown.CRITICAL.value),
        ((study.c.outcome == Outcome.REVIEW) | alerted(Level.REVIEW), Shown.REVIEW.value),
        (study.c.outcome == Outcome.NO_FINDING, Shown.NO_FINDING.value),
        (study.c.outcome.in_(_EARLY) & head.correlate(study).exists(), Shown.EARLY.value),
        else_=Shown.NO_HEAD.value,
    )
