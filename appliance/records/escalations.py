"""What rings, how far it has been told, and the next step of telling it."""

from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from appliance.core.alerts import Happening
from appliance.core.ledger import AlertEventRow, AlertRow
from appliance.core.words import Level
from appliance.records.alerts import alerts_where, append_event, events_where, existing_alert
from appliance.records.ledger import Connection
from appliance.records.models import alert, alert_event

RINGING_LEVELS: Final = (Level.CRITICAL, Level.TEST, Level.TECHNICAL)
EVENTS_READ: Final = 200
"""Of a ringing that nobody answers for days, so many of the last events: more than a round and its answers come to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ringing:
    """An alert that sounds. `events`: the one that started the sound, then what it was escalated to, in order."""

    alert: AlertRow
    events: tuple[AlertEventRow, ...]

    @property
    def code(self) -> str:
        """Of a technical alert; empty for any other."""
        return self.alert.key.first if self.alert.level is Level.TECHNICAL else ""


def ringing_alerts(r: Connection) -> list[Ringing]:
    """Every alert that sounds, the longest ringing first."""
    # What sounds is open: so the index finds it among the alerts of years.
    sounds = (
        alert.c.open & alert.c.sounds & alert.c.sounding_event_id.is_not(None) & alert.c.level.in_(list(RINGING_LEVELS))
    )
    rows = alerts_where(r, sa.select(alert).where(sounds).order_by(alert.c.sounding_event_id))
    return [Ringing(alert=row, events=_since(r, row)) for row in rows]


def escalate(w: Connection, ringing: Ringing, details: dict[str, str], *, at_ns: int) -> AlertEventRow | None:
    """Takes a step (ESCALATED). None where the alert has stopped ringing or rings anew since it was looked at."""
    standing = existing_alert(w, ringing.alert.id)
    if not standing.sounds or standing.sounding_event_id != ringing.alert.sounding_event_id:
        return None
    row = append_event(w, standing.id, Happening.ESCALATED, at_ns=at_ns, by="courier", details=details)
    return events_where(w, sa.select(alert_event).where(alert_event.c.id == row.last_event_id))[0]


def was_told(r: Connection, alert_id: int, event_id: int, channel: str) -> bool:
    """Whether the record says that this channel has told of this event."""
    told = sa.select(alert_event.c.id).where(
        (alert_event.c.alert_id == alert_id)
        & (alert_event.c.id > event_id)
        & (alert_event.c.kind == Happening.DELIVERED)
        & (alert_event.c.by == channel)
        & (alert_event.c.details["event"].as_string() == str(event_id)),
    )
    return r.execute(told.limit(1)).first() is not None


def _since(r: Connection, row: AlertRow) -> tuple[AlertEventRow, ...]:
    of = alert_event.c.alert_id == row.id
    ring = events_where(r, sa.select(alert_event).where(alert_event.c.id == row.sounding_event_id))
    later = of & (alert_event.c.id > row.sounding_event_id)
    newest = events_where(r, sa.select(alert_event).where(later).order_by(alert_event.c.id.desc()).limit(EVENTS_READ))
    return (*ring, *(event for event in reversed(newest) if event.happening is Happening.ESCALATED))
