"""The history of alerts, the newest first: which of them, a page at a time, and how many of each kind there are."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import sqlalchemy as sa

from appliance.core.ledger import AlertRow
from appliance.core.words import Level
from appliance.records.alert_stories import AlertStory, stories_of
from appliance.records.alerts import alerts_where
from appliance.records.ledger import Connection
from appliance.records.models import alert

ROWS_A_PAGE: Final = 50


class Show(StrEnum):
    """Which alerts. The words stand in addresses."""

    ALL = "all"
    OPEN = "open"
    TO_JUDGE = "to-judge"
    CRITICAL = "critical"
    REVIEW = "review"
    TECHNICAL = "technical"
    TEST = "test"


_TO_JUDGE: Final = (alert.c.kind == "clinical") & alert.c.judged.is_(None) & ~alert.c.open
_WHERE: Final[dict[Show, sa.ColumnElement[bool]]] = {
    Show.ALL: sa.true(),
    Show.OPEN: alert.c.open,
    Show.TO_JUDGE: _TO_JUDGE,
    **{Show(level.lower()): alert.c.level == level for level in Level},
}
"""To be judged is what a person has answered, or what was withdrawn unsounded: nobody judges while it sounds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """One page of the history and the sums of its filters. `page` is counted from 1 and never past the last."""

    stories: tuple[AlertStory, ...]
    counts: dict[Show, int]
    page: int
    pages: int


def read_history(r: Connection, show: Show, *, since_ns: int, page: int) -> History:
    """The alerts of `show` that were first raised at or after `since_ns`, ROWS_A_PAGE a page, the newest first."""
    counts = count_history(r, since_ns)
    pages = max(1, -(-counts[show] // ROWS_A_PAGE))
    page = min(max(1, page), pages)
    return History(
        stories=stories_of(r, _rows(r, show, since_ns, ROWS_A_PAGE, (page - 1) * ROWS_A_PAGE)),
        counts=counts,
        page=page,
        pages=pages,
    )


def count_history(r: Connection, since_ns: int) -> dict[Show, int]:
    """How many alerts each filter shows."""
    sums = [sa.func.count().filter(where).label(show.name) for show, where in _WHERE.items()]
    row = r.execute(sa.select(*sums).where(alert.c.raised_ns >= since_ns)).one()
    return {show: int(getattr(row, show.name)) for show in Show}


def alerts_after(r: Connection, alert_id: int, *, since_ns: int, open_only: bool, limit: int) -> list[AlertRow]:
    """The next alerts behind this id, in the order of their ids: how a whole history is walked in short steps."""
    where = (alert.c.id > alert_id) & (alert.c.raised_ns >= since_ns)
    where = where & alert.c.open if open_only else where
    return alerts_where(r, sa.select(alert).where(where).order_by(alert.c.id).limit(limit))


def _rows(r: Connection, show: Show, since_ns: int, limit: int, offset: int) -> list[AlertRow]:
    # Rows are given their ids as they are first raised, so the key is the order and nothing has to be sorted.
    chosen: sa.Select[Any] = sa.select(alert).where(_WHERE[show] & (alert.c.raised_ns >= since_ns))
    return alerts_where(r, chosen.order_by(alert.c.id.desc()).limit(limit).offset(offset))
