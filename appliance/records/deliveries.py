"""The outbox: what each channel owes, until it is told or its alert sounds no more."""

from collections.abc import Collection
from typing import Any, Final

import sqlalchemy as sa

from appliance.core.ledger import DeliveryRow
from appliance.core.words import Level
from appliance.records.ledger import Connection
from appliance.records.models import alert, alert_event, delivery

TOLD_LEVELS: Final = (Level.CRITICAL, Level.TEST)


def owed(r: Connection, channel: str, levels: Collection[Level] = TOLD_LEVELS) -> list[tuple[int, int]]:
    """(alert id, event id) of what this channel must tell and has no message for yet.

    Only what sounds now, at its last event that started the sound: a channel that is set up today does not tell of last
    year, and what a person has answered needs no telling.
    """
    known = sa.select(delivery.c.id).where(
        (delivery.c.event_id == alert.c.sounding_event_id) & (delivery.c.channel == channel),
    )
    sounding = sa.select(alert.c.id, alert.c.sounding_event_id).where(
        alert.c.sounds & alert.c.sounding_event_id.is_not(None) & alert.c.level.in_(list(levels)) & ~known.exists(),
    )
    return [(row[0], row[1]) for row in r.execute(sounding.order_by(alert.c.sounding_event_id))]


def enqueue_missing(w: Connection, channel: str, now_ns: int, levels: Collection[Level] = TOLD_LEVELS) -> int:
    """Makes the messages that this channel owes, due now. Calling it again makes none. Returns how many were made."""
    missing = owed(w, channel, levels)
    for alert_id, event_id in missing:
        # Its time makes it the key of this box alone: two boxes at one gateway count their alerts from 1.
        at_ns = w.execute(sa.select(alert_event.c.at_ns).where(alert_event.c.id == event_id)).scalar_one()
        w.execute(
            sa.insert(delivery).values(
                alert_id=alert_id,
                event_id=event_id,
                channel=channel,
                idempotency_key=f"alert-{alert_id}-event-{event_id}-{at_ns}-{channel}",
                state="DUE",
                attempts=0,
                created_ns=now_ns,
                due_ns=now_ns,
                last_error="",
            ),
        )
    return len(missing)


def due_deliveries(r: Connection, now_ns: int) -> list[DeliveryRow]:
    """The messages whose next attempt is due, the oldest first."""
    return _many(r, (delivery.c.state == "DUE") & (delivery.c.due_ns <= now_ns))


def next_due_ns(r: Connection) -> int | None:
    """When the next attempt of any message is due; None where none is owed."""
    due: int | None = r.execute(sa.select(sa.func.min(delivery.c.due_ns)).where(delivery.c.state == "DUE")).scalar()
    return due


def delivery_done(w: Connection, delivery_id: int, *, at_ns: int, status: int | None = None) -> None:
    """The channel has accepted the message."""
    _attempted(w, delivery_id, state="DONE", ended_ns=at_ns, last_status=status, last_error="")


def delivery_needless(w: Connection, delivery_id: int, *, at_ns: int) -> None:
    """Nobody needs this message any more: a person has answered, or a newer one tells it. No attempt is counted."""
    ended = {"state": "DONE", "ended_ns": at_ns, "last_error": "not needed any more"}
    w.execute(sa.update(delivery).where(delivery.c.id == delivery_id).values(**ended))


def delivery_failed(w: Connection, delivery_id: int, *, due_ns: int, status: int | None, error: str) -> None:
    """An attempt failed; the next is due then. `error` names no patient."""
    _attempted(w, delivery_id, due_ns=due_ns, last_status=status, last_error=error)


def delivery_dead(w: Connection, delivery_id: int, *, at_ns: int, status: int | None, error: str) -> None:
    """The last attempt failed and the alert sounds no more: a dead letter."""
    _attempted(w, delivery_id, state="DEAD", ended_ns=at_ns, last_status=status, last_error=error)


def dead_letters(r: Connection) -> list[DeliveryRow]:
    """The messages that were given up, the oldest first."""
    return _many(r, delivery.c.state == "DEAD")


def last_attempt_failed(r: Connection, channel: str) -> bool:
    """Whether the newest message of this channel that was tried was not taken. False where none was ever tried."""
    tried = sa.select(delivery.c.state, delivery.c.last_error).where(
        (delivery.c.channel == channel) & (delivery.c.attempts > 0)
    )
    newest = r.execute(tried.order_by(delivery.c.id.desc()).limit(1)).first()
    # A message that was not needed any more is DONE as well, but nobody has taken it.
    return newest is not None and not (newest.state == "DONE" and newest.last_error == "")


def deliveries_of(r: Connection, alert_id: int) -> list[DeliveryRow]:
    """All messages about an alert, the oldest first."""
    return _many(r, delivery.c.alert_id == alert_id)


def _attempted(w: Connection, delivery_id: int, **values: Any) -> None:
    counted = {"attempts": delivery.c.attempts + 1, **values}
    w.execute(sa.update(delivery).where(delivery.c.id == delivery_id).values(**counted))


def _many(r: Connection, where: sa.ColumnElement[bool]) -> list[DeliveryRow]:
    return [_delivery(row) for row in r.execute(sa.select(delivery).where(where).order_by(delivery.c.id))]


def _delivery(row: Any) -> DeliveryRow:
    return DeliveryRow(
        id=row.id,
        alert_id=row.alert_id,
        event_id=row.event_id,
        channel=row.channel,
        idempotency_key=row.idempotency_key,
        state=row.state,
        attempts=row.attempts,
        created_ns=row.created_ns,
        due_ns=row.due_ns,
        ended_ns=row.ended_ns,
        last_status=row.last_status,
        last_error=row.last_error,
    )
