"""The notebook: a small ledger in memory, where the courier writes while the ledger itself cannot be written.

It has the ledger's own tables, so everything that tells from a ledger tells from it too: steps, waits and repeats are the
same. It holds what is open and no patient: clinical alerts lose their key. What is begun in it has ids from `OWN_FROM` on,
and moves into the ledger once that can be written again, with the keys under which it was told.

It is a file in the runtime folder: a courier that is killed finds it again, and tells nobody anew.
"""

import contextlib
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from appliance.core.alerts import Happening, ImpossibleEvent
from appliance.core.errors import Fault
from appliance.core.ledger import AlertEventRow, AlertKey, AlertRow, DeliveryRow
from appliance.core.status import Unrecorded
from appliance.core.words import Finality, Level
from appliance.records.alerts import (
    alert_by_id,
    alerts_where,
    append_event,
    events_where,
    find_alert,
    raise_alert,
)
from appliance.records.deliveries import deliveries_where
from appliance.records.ledger import Connection, Ledger, fault_of, open_engine
from appliance.records.migrations import REVISIONS
from appliance.records.models import NAMES, alert, alert_event, delivery, metadata

log = logging.getLogger(__name__)

OWN_FROM: Final = 2**40
"""No ledger comes so far: an id from here on was given in the notebook."""
HOME_PATIENCE_MS: Final = 100
"""How long the ledger may keep one waiting who tries whether it can be written again."""
STEPS_COPIED: Final = 20
_TOLD: Final = (Happening.ESCALATED, Happening.DELIVERED, Happening.FAILED)
_FORM: Final = int(REVISIONS[-1])
_UNRECORDED: Final = "unrecorded"
_OWN_IDS: Final = ("alert", "alert_event", "delivery")


def open_notebook(path: Path) -> Ledger:
    """The notebook of this file, made where there is none.

    Fault where it can be neither opened nor made; `ledger-damaged` if what lies there is no notebook of this version.
    """
    try:
        path.touch(mode=0o600, exist_ok=True)  # SQLite makes files by the umask alone
    except OSError as error:
        raise Fault("ledger-not-writable", error.strerror or type(error).__name__) from error
    engine = open_engine(path, notebook=True)
    try:
        with engine.begin() as w:
            if not sa.inspect(w).has_table("delivery"):
                _tables().create_all(w)
                for table in _OWN_IDS:
                    w.exec_driver_sql("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, OWN_FROM))
                w.exec_driver_sql(f"PRAGMA user_version = {_FORM}")
            form = w.exec_driver_sql("PRAGMA user_version").scalar()
        if form == _FORM:
            return Ledger(path, engine)
        engine.dispose()
        raise Fault("ledger-damaged", f"a notebook of another version ({form})")
    except sa.exc.DatabaseError as error:
        engine.dispose()
        raise fault_of(error.orig) from error


def remove_notebook(path: Path) -> None:
    """Nothing of it is needed any more."""
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(OSError):  # it is given back once more at the next start, which changes nothing
            path.with_name(path.name + suffix).unlink(missing_ok=True)


def _tables() -> sa.MetaData:
    """The ledger's tables, with ids that are given once and can be begun anywhere."""
    copied = sa.MetaData(naming_convention=NAMES)
    for table in metadata.sorted_tables:
        copy = table.to_metadata(copied)
        if table.name in _OWN_IDS:
            copy.dialect_options["sqlite"]["autoincrement"] = True
    return copied


# -- from the ledger ----------------------------------------------------------------------------------


class Copied:
    """What of each alert was copied last, by its last event: what has not changed in the ledger is not copied again, so
    that what became of it in the notebook stands."""

    def __init__(self) -> None:
        self._last_event: dict[int, int] = {}

    def copy(self, ledger: Ledger, notebook: Ledger) -> None:
        """Brings what is open, what has ended since, and what is owed into the notebook. Fault if the ledger fails."""
        with notebook.reading() as n:
            held = set(n.execute(sa.select(alert.c.id).where(alert.c.id < OWN_FROM)).scalars())
            awaited = {row.study_id for row in _own_clinical(n)}
        with ledger.reading() as r:
            due = list(r.execute(sa.select(delivery).where(delivery.c.state == "DUE")))
            wanted = alert.c.open | alert.c.id.in_(held | {row.alert_id for row in due})
            rows = [row for row in r.execute(sa.select(alert).where(wanted)) if not _is_twin(row, awaited)]
            changed = [row for row in rows if self._last_event.get(row.id) != row.last_event_id]
            events = [event for row in changed for event in _told_events(r, row)]
            told = delivery.c.event_id.in_({event.id for event in events})
            deliveries = [*r.execute(sa.select(delivery).where(told)), *due]
        if not changed:
            return
        known = {row.id for row in rows}
        with notebook.writing() as w:
            for row in changed:
                w.execute(sa.insert(alert).prefix_with("OR REPLACE").values(**_nameless(row)))
            _keep(w, alert_event, events)
            _keep(w, delivery, [one for one in deliveries if one.alert_id in known])
        self._last_event.update({row.id: row.last_event_id for row in changed})


def _is_twin(row: Any, awaited: set[int | None]) -> bool:
    """The ledger's own row of an alert that was told before it could be recorded."""
    return row.kind == "clinical" and row.study_id in awaited


def _told_events(r: Connection, row: Any) -> list[Any]:
    """The event that started the sound, the last steps and what channels answered since the first of these.

    Nothing that people have said: a note may name somebody.
    """
    if row.sounding_event_id is None:
        return []
    of = (alert_event.c.alert_id == row.id) & (alert_event.c.id > row.sounding_event_id)
    steps = sa.select(alert_event.c.id).where(of & (alert_event.c.kind == Happening.ESCALATED))
    newest = list(r.execute(steps.order_by(alert_event.c.id.desc()).limit(STEPS_COPIED)).scalars())
    since = newest[-1] if newest else row.sounding_event_id
    later = (alert_event.c.alert_id == row.id) & (alert_event.c.id >= since) & alert_event.c.kind.in_(_TOLD)
    return list(r.execute(sa.select(alert_event).where(later | (alert_event.c.id == row.sounding_event_id))))


def _nameless(row: Any) -> dict[str, Any]:
    """An alert's row without its patient: of a clinical one only the number stays."""
    values = dict(row._mapping)
    if row.kind == "clinical":
        values |= {"first": "", "second": str(row.id), "third": ""}
    return values


def _keep(w: Connection, table: sa.Table, rows: Iterable[Any]) -> None:
    """Rows that the notebook has not got. What it has got may have gone on in it."""
    for row in rows:
        w.execute(sa.insert(table).prefix_with("OR IGNORE").values(**dict(row._mapping)))


# -- what triage could not record ---------------------------------------------------------------------


def note_unrecorded(notebook: Ledger, unrecorded: Iterable[Unrecorded]) -> bool:
    """Raises in the notebook each CRITICAL that triage could not write into the ledger, once. Returns whether it did."""
    critical = [one for one in unrecorded if one.level == Level.CRITICAL]
    with notebook.reading() as n:
        fresh = [one for one in critical if find_alert(n, _key_of(one)) is None]
    if not fresh:
        return False
    with notebook.writing() as w:
        for one in fresh:
            raise_alert(
                w,
                _key_of(one),
                Level.CRITICAL,
                study_id=one.study_id,
                series_id=None,
                reading_id=None,
                at_ns=one.at_ns,
                details={"label": one.label, "side": one.side, "key_slice": str(one.key_number)},
                by="triage",
                finality=Finality(one.finality),
            )
    return True


def not_yet_recorded(r: Connection, unrecorded: Iterable[Unrecorded]) -> list[Unrecorded]:
    """Of what triage says it could not write, that which does not stand in the ledger by now."""
    return [one for one in unrecorded if _rung_since(r, one.study_id, one.at_ns) is None]


def is_unrecorded(row: AlertRow) -> bool:
    """Whether this alert stands in the notebook alone, because triage could not write it."""
    return row.key.first == _UNRECORDED and row.key.kind == "clinical"


def _key_of(one: Unrecorded) -> AlertKey:
    return AlertKey(kind="clinical", first=_UNRECORDED, second=str(one.study_id))


def _own_clinical(r: Connection) -> list[AlertRow]:
    own = (alert.c.id >= OWN_FROM) & (alert.c.kind == "clinical")
    return alerts_where(r, sa.select(alert).where(own).order_by(alert.c.id))


# -- back into the ledger -----------------------------------------------------------------------------


class NotYetRecorded(Exception):
    """Triage has not written an alert that the notebook has told of: its messages have no place in the ledger yet."""


class Unfit(Exception):
    """The notebook cannot be read, or tells of another ledger than this: a backup has been put back meanwhile."""


def begun_in_notebook(row_id: int) -> bool:
    """Whether this id of an alert, an event or a message was given in a notebook: no ledger has it."""
    return row_id >= OWN_FROM


def give_back(notebook: Ledger, ledger: Ledger, *, forsake: bool = False) -> Mapping[int, DeliveryRow]:
    """Writes into the ledger, in one transaction, all that happened in the notebook.

    Returns the ledger's own row of each message that was begun in the notebook, by the id that it had there. Fault if the
    ledger cannot be written; NotYetRecorded if an alert that was told from triage's word does not stand there, unless
    `forsake`: then that alert is left out. Unfit if it can never be given back; then nothing is written.
    """
    try:
        with notebook.reading() as n:
            alerts = alerts_where(n, sa.select(alert).order_by(alert.c.id))
            events = events_where(n, sa.select(alert_event).order_by(alert_event.c.id))
            deliveries = deliveries_where(n, sa.true())
    except Fault as fault:
        if fault.reason != "ledger-damaged":
            raise
        raise Unfit(fault.message) from fault
    try:
        with ledger.writing(patience_ms=HOME_PATIENCE_MS) as w:
            back = _Back(w, alerts, events, forsake=forsake)
            for event in events:
                if begun_in_notebook(event.id):
                    back.event(event)
            moved = {row.id: there for row in deliveries if (there := back.delivery(row)) is not None}
    except (sa.exc.IntegrityError, sa.exc.NoResultFound) as error:
        raise Unfit(type(error).__name__) from error
    return {own: row for own, row in moved.items() if begun_in_notebook(own)}


class _Back:
    """One way back: which alert and event of the ledger is meant by those of the notebook."""

    def __init__(
        self, w: Connection, alerts: Iterable[AlertRow], events: Iterable[AlertEventRow], *, forsake: bool
    ) -> None:
        self._w = w
        self._at_ns = {event.id: event.at_ns for event in events}
        self._alerts: dict[int, AlertRow] = {}
        self._rang_anew: set[int] = set()
        self._events: dict[int, int] = {}
        self._own: dict[int, AlertRow] = {}
        for row in alerts:
            if begun_in_notebook(row.id):
                self._own[row.id] = row
                self._begin(row, forsake)
            elif (there := alert_by_id(w, row.id)) is not None and there.raised_ns == row.raised_ns:
                self._alerts[row.id] = there
                if there.sounding_event_id != row.sounding_event_id:
                    self._rang_anew.add(row.id)

    def _begin(self, row: AlertRow, forsake: bool) -> None:
        """Finds the ledger's row of an alert that began in the notebook. A fault of the box is raised there at its RAISED."""
        if not is_unrecorded(row):
            return
        there = _rung_since(self._w, row.study_id, row.raised_ns)
        if there is not None:
            self._alerts[row.id] = there
        elif not forsake:
            raise NotYetRecorded
        else:
            log.error("an alert that was told is not in the ledger", extra={"facts": {"study": row.study_id}})

    def event(self, event: AlertEventRow) -> None:
        """Appends one event, as long as its alert can have it."""
        own = self._own.get(event.alert_id)
        if own is not None and event.happening is Happening.RAISED:
            self._raised(own, event)
            return
        there = self._alerts.get(event.alert_id)
        if there is None or (event.happening is Happening.ESCALATED and event.alert_id in self._rang_anew):
            return  # a step of the ringing before says nothing of this one
        details = dict(event.details)
        if "event" in details:
            details["event"] = str(self._event_id(int(details["event"])))
        if (known := self._known(there.id, event, details)) is not None:
            self._events[event.id] = known
            return
        try:
            after = append_event(
                self._w, there.id, event.happening, at_ns=event.at_ns, by=event.by, details=details, level=event.level
            )
        except ImpossibleEvent:  # mended or answered meanwhile by somebody else
            return
        self._events[event.id] = after.last_event_id

    def _raised(self, own: AlertRow, event: AlertEventRow) -> None:
        there = self._alerts.get(own.id)
        if there is None and own.key.kind != "clinical":
            before = find_alert(self._w, own.key) or self._raised_then(own.key, event.at_ns)
            there = before or raise_alert(
                self._w,
                own.key,
                own.level,
                study_id=None,
                series_id=None,
                reading_id=None,
                at_ns=event.at_ns,
                details=event.details,
                by=event.by,
            )
        if there is not None:
            self._alerts[own.id] = there
            self._events[event.id] = there.sounding_event_id or there.last_event_id

    def _known(self, alert_id: int, event: AlertEventRow, details: dict[str, str]) -> int | None:
        """The id of this event in the ledger, where a courier that was killed directly after has written it before."""
        same = (
            (alert_event.c.alert_id == alert_id)
            & (alert_event.c.kind == event.happening)
            & (alert_event.c.at_ns == event.at_ns)
            & (alert_event.c.by == event.by)
        )
        found = events_where(self._w, sa.select(alert_event).where(same))
        return next((one.id for one in found if one.details == details), None)

    def _raised_then(self, key: AlertKey, at_ns: int) -> AlertRow | None:
        same = (alert.c.kind == key.kind) & (alert.c.first == key.first) & (alert.c.second == key.second)
        return next(iter(alerts_where(self._w, sa.select(alert).where(same & (alert.c.raised_ns == at_ns)))), None)

    def _event_id(self, event_id: int) -> int:
        return self._events.get(event_id, event_id)

    def _is_event_of(self, there: AlertRow, here_id: int, event_id: int) -> bool:
        """Whether the ledger has this event. One that was copied is gone where an older backup has been put back."""
        if here_id != event_id:
            return True
        same = (alert_event.c.id == event_id) & (alert_event.c.alert_id == there.id)
        found = events_where(self._w, sa.select(alert_event).where(same))
        return [one.at_ns for one in found] == [self._at_ns.get(event_id)]

    def delivery(self, row: DeliveryRow) -> DeliveryRow | None:
        """Writes what has become of a message. None for one whose event has no place in the ledger."""
        event_id = self._event_id(row.event_id)
        there = self._alerts.get(row.alert_id)
        if there is None or not self._is_event_of(there, row.event_id, event_id):
            return None
        values = {
            "state": row.state,
            "attempts": row.attempts,
            "due_ns": row.due_ns,
            "ended_ns": row.ended_ns,
            "last_status": row.last_status,
            "last_error": row.last_error,
        }
        of = (delivery.c.event_id == event_id) & (delivery.c.channel == row.channel)
        if self._w.execute(sa.update(delivery).where(of).values(**values)).rowcount == 0:
            begun = {"idempotency_key": row.idempotency_key, "created_ns": row.created_ns}
            ids = {"alert_id": there.id, "event_id": event_id, "channel": row.channel}
            self._w.execute(sa.insert(delivery).values(**ids, **begun, **values))
        return deliveries_where(self._w, of)[0]


def _rung_since(r: Connection, study_id: int | None, since_ns: int) -> AlertRow | None:
    """The clinical alert of a study, where it has begun to sound then or later."""
    of = (alert.c.kind == "clinical") & (alert.c.study_id == study_id) & (alert.c.sounded_ns >= since_ns)
    return next(iter(alerts_where(r, sa.select(alert).where(of))), None)
