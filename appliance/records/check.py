"""Whether the ledger is whole, and whether each stored status is what its events come to."""

from collections import defaultdict
from collections.abc import Iterable

import sqlalchemy as sa

from appliance.core import alerts as alert_life
from appliance.core import studies as study_life
from appliance.core.alerts import ImpossibleEvent
from appliance.core.errors import Fault
from appliance.core.ledger import AlertEventRow, AlertRow
from appliance.core.words import StudyState
from appliance.records.alerts import event_of, events_of, existing_alert, status_of
from appliance.records.ledger import Connection, Ledger
from appliance.records.models import alert, study
from appliance.records.studies import study_by_id, study_events_of


def check(ledger: Ledger) -> list[str]:
    """What is wrong, one sentence each; empty if nothing is. No sentence names a patient."""
    try:
        with ledger.reading() as r:
            return [*_structure(r), *_alerts(r), *_studies(r)]
    except Fault as fault:
        return [f"The ledger cannot be read to its end ({fault.message})."]


def _structure(r: Connection) -> Iterable[str]:
    said = r.exec_driver_sql("PRAGMA integrity_check").scalars().all()
    if list(said) != ["ok"]:
        yield from (f"SQLite: {line}" for line in said)
    orphans: dict[tuple[str, str], int] = defaultdict(int)
    for table, _row, parent, _key in r.exec_driver_sql("PRAGMA foreign_key_check"):
        orphans[(table, parent)] += 1
    yield from (
        f"{n} rows of {table} refer to rows of {parent} that are not there." for (table, parent), n in orphans.items()
    )


def _alerts(r: Connection) -> Iterable[str]:
    for alert_id in r.execute(sa.select(alert.c.id).order_by(alert.c.id)).scalars():
        yield from _alert(existing_alert(r, alert_id), events_of(r, alert_id))


def _alert(row: AlertRow, events: list[AlertEventRow]) -> Iterable[str]:
    status = None
    sounding_event_id = None
    for event_row in events:
        event = event_of(event_row)
        try:
            sounds = alert_life.rings(status, event)
            status = alert_life.advance(status, event)
        except ImpossibleEvent as impossible:
            yield f"Alert {row.id}: event {event_row.id} cannot have happened ({impossible})."
            return
        if sounds != event_row.sounds:
            yield f"Alert {row.id}: event {event_row.id} is stored with another word about sounding."
        sounding_event_id = event_row.id if sounds else sounding_event_id
    if status is None:
        yield f"Alert {row.id} has no events."
        return
    stored = (status_of(row), row.open, row.sounds, row.doubted, row.withdrawn)
    if stored != (status, status.open, status.sounds, status.doubted, status.withdrawn):
        yield f"Alert {row.id} is stored as {row.state}, its events come to {status.state}."
    if (row.sounding_event_id, row.last_event_id) != (sounding_event_id, events[-1].id):
        yield f"Alert {row.id} names another last event than it has."


def _studies(r: Connection) -> Iterable[str]:
    for study_id in r.execute(sa.select(study.c.id).order_by(study.c.id)).scalars():
        yield from _study(r, study_id)


def _study(r: Connection, study_id: int) -> Iterable[str]:
    row = study_by_id(r, study_id)
    if row is None:
        return
    status = None
    for event in study_events_of(r, study_id):
        folded = study_life.StudyEvent(
            happening=event.happening,
            at_ns=event.at_ns,
            by=event.by,
            outcome=event.outcome,
            judged=event.judged,
        )
        try:
            status = study_life.advance(status, folded)
        except ImpossibleEvent as impossible:
            yield f"Study {study_id}: event {event.id} cannot have happened ({impossible})."
            return
    if status is None:
        yield f"Study {study_id} has no events."
        return
    stored = (row.state, row.opened_ns, row.closed_ns, row.seen_by, row.judged)
    if stored != (status.state, status.opened_ns, status.closed_ns, status.seen_by, status.judged):
        yield f"Study {study_id} is stored as {row.state}, its events come to {status.state}."
    elif row.state is StudyState.CLOSED and row.outcome is not status.outcome:
        yield f"Study {study_id} is stored as {row.outcome}, its events come to {status.outcome}."
