"""The outbox: what each channel owes, until it is told or its alert sounds no more."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from appliance.core.delivery import ChannelStanding
from appliance.core.ledger import DeliveryRow
from appliance.records.ledger import Connection
from appliance.records.models import alert_event, delivery

NEEDLESS: Final = "not needed any more"
"""How a message ends that nobody needed after all: DONE, but no channel has taken it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """One message that a channel owes: the alert, and the event that it tells of."""

    alert_id: int
    event_id: int
    channel: str


def not_yet_owed(r: Connection, owed: Iterable[Owed]) -> list[Owed]:
    """Of what is owed, that for which no message has been made yet."""
    wanted = list(owed)
    events = {one.event_id for one in wanted}
    known = r.execute(sa.select(delivery.c.event_id, delivery.c.channel).where(delivery.c.event_id.in_(events)))
    made = {(row.event_id, row.channel) for row in known}
    return [one for one in wanted if (one.event_id, one.channel) not in made]


def enqueue(w: Connection, owed: Iterable[Owed], now_ns: int) -> int:
    """Makes the messages that are owed, due now. Calling it again makes none. Returns how many were made."""
    missing = not_yet_owed(w, owed)
    for one in missing:
        # Its time makes it the key of this box alone: two boxes at one gateway count their alerts from 1.
        at_ns = w.execute(sa.select(alert_event.c.at_ns).where(alert_event.c.id == one.event_id)).scalar_one()
        w.execute(
            sa.insert(delivery).values(
                alert_id=one.alert_id,
                event_id=one.event_id,
                channel=one.channel,
                idempotency_key=f"alert-{one.alert_id}-event-{one.event_id}-{at_ns}-{one.channel}",
                state="DUE",
                attempts=0,
                created_ns=now_ns,
                due_ns=now_ns,
                last_error="",
            ),
        )
    return len(missing)


def waiting_deliveries(r: Connection) -> list[DeliveryRow]:
    """The messages that are neither told nor given up, the oldest first."""
    return deliveries_where(r, delivery.c.state == "DUE")


def taken_for(r: Connection, event_id: int) -> list[DeliveryRow]:
    """The messages about an event that a channel has taken."""
    return deliveries_where(
        r, (delivery.c.event_id == event_id) & (delivery.c.state == "DONE") & (delivery.c.last_error == "")
    )


def delivery_postponed(w: Connection, delivery_id: int, *, due_ns: int) -> None:
    """The next attempt is due then; none is counted."""
    w.execute(sa.update(delivery).where(delivery.c.id == delivery_id).values(due_ns=due_ns))


def delivery_again(w: Connection, delivery_id: int, *, now_ns: int) -> None:
    """A message that was taken is owed once more, under its own key, from now."""
    again = {"state": "DUE", "ended_ns": None, "due_ns": now_ns}
    w.execute(sa.update(delivery).where(delivery.c.id == delivery_id).values(**again))


def delivery_done(w: Connection, delivery_id: int, *, at_ns: int, status: int | None = None) -> None:
    """The channel has accepted the message."""
    _attempted(w, delivery_id, state="DONE", ended_ns=at_ns, last_status=status, last_error="")


def delivery_done_late(w: Connection, delivery_id: int, *, at_ns: int, status: int | None) -> bool:
    """The channel has accepted a message whose attempt was counted as failed. Returns whether it was still owed."""
    owed = (delivery.c.id == delivery_id) & (delivery.c.state == "DUE")
    done = {"state": "DONE", "ended_ns": at_ns, "last_status": status, "last_error": ""}
    return w.execute(sa.update(delivery).where(owed).values(**done)).rowcount == 1


def delivery_needless(w: Connection, delivery_id: int, *, at_ns: int) -> None:
    """Nobody needs this message any more: a person has answered, or a newer one tells it. No attempt is counted."""
    ended = {"state": "DONE", "ended_ns": at_ns, "last_error": NEEDLESS}
    w.execute(sa.update(delivery).where(delivery.c.id == delivery_id).values(**ended))


def delivery_failed(w: Connection, delivery_id: int, *, due_ns: int, status: int | None, error: str) -> None:
    """An attempt failed; the next is due then. `error` names no patient."""
    _attempted(w, delivery_id, due_ns=due_ns, last_status=status, last_error=error)


def delivery_dead(w: Connection, delivery_id: int, *, at_ns: int, status: int | None, error: str) -> None:
    """The last attempt failed and the alert sounds no more: a dead letter."""
    _attempted(w, delivery_id, state="DEAD", ended_ns=at_ns, last_status=status, last_error=error)


def dead_letters(r: Connection) -> list[DeliveryRow]:
    """The messages that were given up, the oldest first."""
    return deliveries_where(r, delivery.c.state == "DEAD")


def channel_standing(r: Connection, channel: str) -> ChannelStanding:
    """What is known of a channel, by its messages: also what a courier must know of it after a start."""
    of = delivery.c.channel == channel
    tried = sa.select(delivery.c.last_error).where(of & (delivery.c.attempts > 0))
    # What was not needed any more has an error as well: its last attempt was not taken.
    newest = r.execute(tried.order_by(delivery.c.id.desc()).limit(1)).scalar() or ""
    # Only of what waits and of what was given up: what was taken is most of a table of years.
    left = of & delivery.c.state.in_(("DUE", "DEAD"))
    states = sa.select(delivery.c.state, sa.func.count()).where(left).group_by(delivery.c.state)
    counts = {state: int(count) for state, count in r.execute(states)}
    taken = sa.select(delivery.c.ended_ns).where(of & (delivery.c.state == "DONE") & (delivery.c.last_error == ""))
    return ChannelStanding(
        name=channel,
        failing=newest != "",
        taken_ns=r.execute(taken.order_by(delivery.c.id.desc()).limit(1)).scalar(),
        due=counts.get("DUE", 0),
        dead=counts.get("DEAD", 0),
        last_error=newest,
    )


def deliveries_of(r: Connection, alert_id: int) -> list[DeliveryRow]:
    """All messages about an alert, the oldest first."""
    return deliveries_where(r, delivery.c.alert_id == alert_id)


def deliveries_of_events(r: Connection, event_ids: Iterable[int]) -> dict[int, list[DeliveryRow]]:
    """The messages that tell of these events, by alert id, the oldest first."""
    found: dict[int, list[DeliveryRow]] = {}
    for row in deliveries_where(r, delivery.c.event_id.in_(list(event_ids))):
        found.setdefault(row.alert_id, []).append(row)
    return found


def _attempted(w: Connection, delivery_id: int, **values: Any) -> None:
    counted = {"attempts": delivery.c.attempts + 1, **values}
    w.execute(sa.update(delivery).where(delivery.c.id == delivery_id).values(**counted))


def deliveries_where(r: Connection, where: sa.ColumnElement[bool]) -> list[DeliveryRow]:
    """The messages of a question over their table, the oldest first. For the other modules of this room."""
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
