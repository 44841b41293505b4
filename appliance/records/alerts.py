"""Alerts: append-only events, and beside them the fold that they come to, written in one transaction."""

from collections.abc import Iterable
from typing import Any, Final

import sqlalchemy as sa

from appliance.core.alerts import AlertEvent, AlertState, AlertStatus, Happening, Judged, advance, rings
from appliance.core.ledger import AlertEventRow, AlertKey, AlertRow
from appliance.core.words import Finality, Level
from appliance.records.ledger import Connection
from appliance.records.models import alert, alert_event

_NEWS_OF_THE_MACHINE = frozenset(
    {Happening.RAISED, Happening.UPGRADED, Happening.DOUBTED, Happening.WITHDRAWN, Happening.MENDED},
)

PAGE: Final = "page"
"""Who has told, where it was a page."""
LAST_EVENTS: Final = 100
"""More than what all channels answer in one round."""
_SAID: Final = (
    Happening.RAISED,
    Happening.UPGRADED,
    Happening.DOUBTED,
    Happening.WITHDRAWN,
    Happening.ACKNOWLEDGED,
    Happening.JUDGED,
    Happening.MENDED,
)


def find_alert(r: Connection, key: AlertKey) -> AlertRow | None:
    """The row that new events of this key go to: None where there is none, or where the last one has ended."""
    return _one(r, _of_key(key) & ~alert.c.ended)


def raise_alert(
    w: Connection,
    key: AlertKey,
    level: Level,
    *,
    study_id: int | None,
    series_id: int | None,
    reading_id: int | None,
    at_ns: int,
    details: dict[str, str],
    by: str,
    finality: Finality = Finality.FINAL,
    new_acquisition: bool = False,
) -> AlertRow:
    """Raises an alert (RAISED): a new row, or again in the row that stands.

    A technical alert or a test that stands is left as it is, so whoever sees a cause may call this at every look.
    """
    event = AlertEvent(
        happening=Happening.RAISED,
        at_ns=at_ns,
        by=by,
        level=level,
        finality=finality,
        new_acquisition=new_acquisition,
    )
    standing = find_alert(w, key)
    if standing is None:
        return _insert(w, key, event, study_id, series_id, reading_id, details)
    if level in (Level.TECHNICAL, Level.TEST):
        return standing
    return _apply(w, standing, event, details, reading_id, series_id)


def append_event(
    w: Connection,
    alert_id: int,
    happening: Happening,
    *,
    at_ns: int,
    by: str,
    details: dict[str, str],
    reading_id: int | None = None,
    level: Level | None = None,
    finality: Finality | None = None,
    new_acquisition: bool = False,
    judged: Judged | None = None,
    series_id: int | None = None,
) -> AlertRow:
    """Appends an event and stores the fold. ImpossibleEvent if it cannot happen now; then nothing is written.

    `series_id`: the series that the alert stands on from now on. `details` of a machine's news join those of the alert.
    """
    event = AlertEvent(
        happening=happening,
        at_ns=at_ns,
        by=by,
        level=level,
        finality=finality,
        new_acquisition=new_acquisition,
        judged=judged,
    )
    return _apply(w, existing_alert(w, alert_id), event, details, reading_id, series_id)


def alert_by_id(r: Connection, alert_id: int) -> AlertRow | None:
    """The alert with this id."""
    return _one(r, alert.c.id == alert_id)


def existing_alert(r: Connection, alert_id: int) -> AlertRow:
    """The alert with this id; NoResultFound if there is none."""
    return _alert(r.execute(sa.select(alert).where(alert.c.id == alert_id)).one())


def events_of(r: Connection, alert_id: int) -> list[AlertEventRow]:
    """All that happened to an alert, in order."""
    return _events(r, sa.select(alert_event).where(alert_event.c.alert_id == alert_id))


def events_of_alerts(r: Connection, alert_ids: Iterable[int]) -> dict[int, list[AlertEventRow]]:
    """The same of several alerts, by alert id."""
    found: dict[int, list[AlertEventRow]] = {}
    for event in _events(r, sa.select(alert_event).where(alert_event.c.alert_id.in_(list(alert_ids)))):
        found.setdefault(event.alert_id, []).append(event)
    return found


def last_events_of_alerts(r: Connection, alert_ids: Iterable[int]) -> dict[int, list[AlertEventRow]]:
    """What a look must know of several alerts, by alert id, in order: all that the machine and people have said, on which
    pages each was shown, and of what channels were told the last LAST_EVENTS.

    An alert that nobody answers for weeks has thousands of rounds behind it: they are not read.
    """
    begins = _last_events_begin(r, alert_ids)
    short = [alert_id for alert_id, first in begins.items() if first is None]
    found = events_of_alerts(r, short)
    for alert_id, first in begins.items():
        if first is not None:
            found[alert_id] = _last_events(r, alert_id, first)
    return found


def _last_events_begin(r: Connection, alert_ids: Iterable[int]) -> dict[int, int | None]:
    """Of each alert, the id of the first of its LAST_EVENTS; None where it has no more than these."""
    newer = alert_event.alias("newer")
    newest = sa.select(newer.c.id).where(newer.c.alert_id == alert.c.id).order_by(newer.c.id.desc())
    first = newest.limit(1).offset(LAST_EVENTS).correlate(alert).scalar_subquery()
    chosen = sa.select(alert.c.id, first.label("first")).where(alert.c.id.in_(list(alert_ids)))
    return {row.id: row.first for row in r.execute(chosen)}


def _last_events(r: Connection, alert_id: int, first: int) -> list[AlertEventRow]:
    of = alert_event.c.alert_id == alert_id
    said = sa.select(alert_event.c.id).where(of & alert_event.c.kind.in_(_SAID))
    on_pages = sa.select(alert_event.c.id).where(
        of & (alert_event.c.kind == Happening.DELIVERED) & (alert_event.c.by == PAGE)
    )
    last = sa.select(alert_event.c.id).where(of & (alert_event.c.id >= first))
    return _events(r, sa.select(alert_event).where(alert_event.c.id.in_(sa.union_all(said, on_pages, last))))


def events_after(r: Connection, event_id: int, limit: int) -> list[AlertEventRow]:
    """What happened to any alert after this event, in order: what a page that slept has missed."""
    return _events(r, sa.select(alert_event).where(alert_event.c.id > event_id), limit)


def last_event_id(r: Connection) -> int:
    """The id of the last event of any alert, 0 before the first."""
    return r.execute(sa.select(sa.func.max(alert_event.c.id))).scalar() or 0


def has_news_after(r: Connection, event_id: int) -> bool:
    """Whether anything has happened to an alert since that event, but that somebody has been told."""
    newer, told = alert_event.c.id > event_id, alert_event.c.kind == Happening.DELIVERED
    return r.execute(sa.select(alert_event.c.id).where(newer, ~told).limit(1)).first() is not None


def open_alerts(r: Connection) -> list[AlertRow]:
    """The alerts that nobody has answered, and the faults that are not mended. The newest first."""
    return _many(r, alert.c.open)


def alerts_on_board(r: Connection, now_ns: int, linger_ns: int) -> list[AlertRow]:
    """What the board shows, the newest first: the open ones, and clinical ones that somebody has seen or that were
    withdrawn, until they are judged or `linger_ns` has passed."""
    touched = sa.func.coalesce(alert.c.acknowledged_ns, alert.c.changed_ns)
    lingers = (alert.c.kind == "clinical") & alert.c.judged.is_(None) & (touched > now_ns - linger_ns)
    return _many(r, sa.or_(alert.c.open, lingers))


def alerts_of_studies(r: Connection, study_ids: Iterable[int]) -> dict[int, AlertRow]:
    """Of each study its clinical alert, by study id; studies without one are not in it."""
    chosen = (alert.c.kind == "clinical") & alert.c.study_id.in_(list(study_ids))
    return {row.study_id: row for row in _many(r, chosen) if row.study_id is not None}


def alerts_where(r: Connection, query: sa.Select[Any]) -> list[AlertRow]:
    """The alerts of a query over their table, in its order. For the other modules of this room."""
    return [_alert(row) for row in r.execute(query)]


def events_where(r: Connection, query: sa.Select[Any]) -> list[AlertEventRow]:
    """The events of a query over their table, in its order. For the other modules of this room."""
    return [_event(row) for row in r.execute(query)]


def _of_key(key: AlertKey) -> sa.ColumnElement[bool]:
    return sa.and_(
        alert.c.kind == key.kind,
        alert.c.first == key.first,
        alert.c.second == key.second,
        alert.c.third == key.third,
    )


def _insert(
    w: Connection,
    key: AlertKey,
    event: AlertEvent,
    study_id: int | None,
    series_id: int | None,
    reading_id: int | None,
    details: dict[str, str],
) -> AlertRow:
    values = {
        "kind": key.kind,
        "first": key.first,
        "second": key.second,
        "third": key.third,
        "study_id": study_id,
        "series_id": series_id,
        "reading_id": reading_id,
        "details": dict(details),
        **_status_values(advance(None, event)),
        "last_event_id": 0,
    }
    alert_id = int(w.execute(sa.insert(alert).values(**values).returning(alert.c.id)).scalar_one())
    sounds = rings(None, event)
    event_id = _append(w, alert_id, event, sounds, reading_id, details)
    ids = {"last_event_id": event_id, "sounding_event_id": event_id if sounds else None}
    return _alert(w.execute(sa.update(alert).where(alert.c.id == alert_id).values(**ids).returning(*alert.c)).one())


def _apply(
    w: Connection,
    standing: AlertRow,
    event: AlertEvent,
    details: dict[str, str],
    reading_id: int | None,
    series_id: int | None,
) -> AlertRow:
    status = status_of(standing)
    after = advance(status, event)
    sounds = rings(status, event)
    event_id = _append(w, standing.id, event, sounds, reading_id, details)
    values: dict[str, Any] = {**_status_values(after), "last_event_id": event_id}
    if event.happening in _NEWS_OF_THE_MACHINE:
        values["details"] = {**standing.details, **details}
        values["reading_id"] = reading_id if reading_id is not None else standing.reading_id
        values["series_id"] = series_id if series_id is not None else standing.series_id
    if sounds:
        values["sounding_event_id"] = event_id
    changed = sa.update(alert).where(alert.c.id == standing.id).values(**values).returning(*alert.c)
    return _alert(w.execute(changed).one())


def _append(
    w: Connection,
    alert_id: int,
    event: AlertEvent,
    sounds: bool,
    reading_id: int | None,
    details: dict[str, str],
) -> int:
    values = {
        "alert_id": alert_id,
        "kind": event.happening,
        "at_ns": event.at_ns,
        "by": event.by,
        "level": event.level,
        "finality": event.finality,
        "new_acquisition": event.new_acquisition,
        "sounds": sounds,
        "judged": event.judged,
        "reading_id": reading_id,
        "details": dict(details),
    }
    return int(w.execute(sa.insert(alert_event).values(**values).returning(alert_event.c.id)).scalar_one())


def _status_values(status: AlertStatus) -> dict[str, Any]:
    return {
        "state": status.state,
        "level": status.level,
        "finality": status.finality,
        "raised_ns": status.raised_ns,
        "changed_ns": status.changed_ns,
        "sounded_ns": status.sounded_ns,
        "open": status.open,
        "sounds": status.sounds,
        "withdrawn": status.withdrawn,
        "doubted": status.doubted,
        "ended": status.ended,
        "acknowledged_by": status.acknowledged_by,
        "acknowledged_ns": status.acknowledged_ns,
        "judged": status.judged,
    }


def status_of(row: AlertRow) -> AlertStatus:
    """The stored fold of an alert."""
    return AlertStatus(
        state=row.state,
        level=row.level,
        finality=row.finality,
        raised_ns=row.raised_ns,
        changed_ns=row.changed_ns,
        sounded_ns=row.sounded_ns,
        acknowledged_by=row.acknowledged_by,
        acknowledged_ns=row.acknowledged_ns,
        judged=row.judged,
    )


def event_of(row: AlertEventRow) -> AlertEvent:
    """A stored event as the fold sees it."""
    return AlertEvent(
        happening=row.happening,
        at_ns=row.at_ns,
        by=row.by,
        level=row.level,
        finality=row.finality,
        new_acquisition=row.new_acquisition,
        judged=row.judged,
    )


def _one(r: Connection, where: sa.ColumnElement[bool]) -> AlertRow | None:
    row = r.execute(sa.select(alert).where(where)).one_or_none()
    return None if row is None else _alert(row)


def _many(r: Connection, where: sa.ColumnElement[bool]) -> list[AlertRow]:
    newest = sa.func.coalesce(alert.c.sounded_ns, alert.c.raised_ns).desc()
    return [_alert(row) for row in r.execute(sa.select(alert).where(where).order_by(newest, alert.c.id.desc()))]


def _events(r: Connection, query: sa.Select[Any], limit: int | None = None) -> list[AlertEventRow]:
    return [_event(row) for row in r.execute(query.order_by(alert_event.c.id).limit(limit))]


def _event(row: Any) -> AlertEventRow:
    return AlertEventRow(
        id=row.id,
        alert_id=row.alert_id,
        happening=Happening(row.kind),
        at_ns=row.at_ns,
        by=row.by,
        level=None if row.level is None else Level(row.level),
        finality=None if row.finality is None else Finality(row.finality),
        new_acquisition=row.new_acquisition,
        sounds=row.sounds,
        judged=None if row.judged is None else Judged(row.judged),
        reading_id=row.reading_id,
        details=row.details,
    )


def _alert(row: Any) -> AlertRow:
    return AlertRow(
        id=row.id,
        key=AlertKey(kind=row.kind, first=row.first, second=row.second, third=row.third),
        state=AlertState(row.state),
        level=Level(row.level),
        finality=Finality(row.finality),
        study_id=row.study_id,
        series_id=row.series_id,
        reading_id=row.reading_id,
        details=row.details,
        raised_ns=row.raised_ns,
        changed_ns=row.changed_ns,
        sounded_ns=row.sounded_ns,
        open=row.open,
        sounds=row.sounds,
        withdrawn=row.withdrawn,
        doubted=row.doubted,
        acknowledged_by=row.acknowledged_by,
        acknowledged_ns=row.acknowledged_ns,
        judged=None if row.judged is None else Judged(row.judged),
        sounding_event_id=row.sounding_event_id,
        last_event_id=row.last_event_id,
    )
