"""What people and pages send: acknowledge, seen, told. Each is one short transaction, checked inside it."""

import re
from dataclasses import dataclass
from typing import Final

from appliance.core.alerts import HAPPENED_ONCE, Happening
from appliance.core.ledger import AlertEventRow
from appliance.core.words import Level
from appliance.records.alerts import alert_by_id, append_event, events_of
from appliance.records.board import CHANGES
from appliance.records.ledger import Connection, Ledger
from appliance.records.studies import see_study, study_by_id

SETTLE_NS: Final = 500_000_000
LONGEST_NAME: Final = 60
CHANGED: Final = "This alert has just changed. Look again, then press."
NO_NAME: Final = "A name is needed: who has seen it?"
GONE: Final = "The box does not know this alert. Load the page again."

# Controls, line and paragraph separators, and marks that turn the direction of a text round.
_UNREADABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a press came to: an HTTP status and the sentence that the page shows."""

    status: int
    message: str


def person_name(text: object) -> str:
    """A name as it is kept: one line, no control characters, at most 60 characters. Empty if there is none."""
    if not isinstance(text, str):
        return ""
    return " ".join(_UNREADABLE.sub(" ", text).split())[:LONGEST_NAME].strip()


def acknowledge(ledger: Ledger, *, alert_id: int, shown_event: int, by: str, page: str, now_ns: int) -> Answer:
    """ACKNOWLEDGED(by), unless what the person saw is no longer what stands."""
    if not by:
        return Answer(status=422, message=NO_NAME)
    with ledger.writing() as w:
        alert = alert_by_id(w, alert_id)
        if alert is None:
            return Answer(status=404, message=GONE)
        events = events_of(w, alert_id)
        if _has_just_changed(events, shown_event, now_ns):
            return Answer(status=409, message=CHANGED)
        if alert.acknowledged_ns is not None and alert.level is not Level.TECHNICAL:
            return Answer(status=200, message=f"Already acknowledged by {alert.acknowledged_by}.")
        details = {"page": page, "shown": str(shown_event)}
        append_event(w, alert_id, Happening.ACKNOWLEDGED, at_ns=now_ns, by=by, details=details)
        if alert.key.first in HAPPENED_ONCE:
            append_event(w, alert_id, Happening.MENDED, at_ns=now_ns, by=by, details={"note": "seen"})
    return Answer(status=200, message="Acknowledged. Sound is off for this alert.")


def see(ledger: Ledger, *, study_id: int, by: str, now_ns: int) -> Answer:
    """SEEN(by) of a study that nobody has read."""
    if not by:
        return Answer(status=422, message=NO_NAME)
    with ledger.writing() as w:
        study = study_by_id(w, study_id)
        if study is None:
            return Answer(status=404, message=GONE)
        if study.closed_ns is None or _is_settling(study.closed_ns, now_ns):
            return Answer(status=409, message=CHANGED)
        if study.seen_by:
            return Answer(status=200, message=f"Already seen by {study.seen_by}.")
        see_study(w, study_id, by, now_ns)
    return Answer(status=200, message="Seen. The study stays on the list.")


def told(ledger: Ledger, *, alert_id: int, event_id: int, page: str, sounded: bool, now_ns: int) -> Answer:
    """DELIVERED by a page: once for each alert event and page, and once more where it sounds only later."""
    with ledger.reading() as r:
        if _is_known_delivery(r, alert_id, event_id, page, sounded=sounded):
            return Answer(status=200, message="known")
    with ledger.writing() as w:
        alert = alert_by_id(w, alert_id)
        if alert is None or event_id not in {event.id for event in events_of(w, alert_id)}:
            return Answer(status=404, message=GONE)
        if _is_known_delivery(w, alert_id, event_id, page, sounded=sounded):
            return Answer(status=200, message="known")
        details = {"page": page, "event": str(event_id), "sounded": "yes" if sounded else "no"}
        append_event(w, alert_id, Happening.DELIVERED, at_ns=now_ns, by="page", details=details)
    return Answer(status=200, message="noted")


def missed_since(events: list[AlertEventRow]) -> str:
    """What a page that slept has missed, in one sentence; empty if nothing that matters."""
    raised = sum(event.happening in (Happening.RAISED, Happening.UPGRADED) for event in events)
    answered = sum(event.happening is Happening.ACKNOWLEDGED for event in events)
    parts = [f"{raised} raised"] if raised else []
    parts += [f"{answered} acknowledged"] if answered else []
    return f"While this screen was away: {', '.join(parts)}." if parts else ""


def _has_just_changed(events: list[AlertEventRow], shown_event: int, now_ns: int) -> bool:
    """Whether the press was meant for something else than what stands: the rule of half a second, and of news unseen."""
    changes = [event for event in events if event.happening in CHANGES]
    if not changes:
        return False
    last_sounding = max((event.id for event in events if event.sounds), default=0)
    return _is_settling(changes[-1].at_ns, now_ns) or shown_event < last_sounding


def _is_settling(at_ns: int, now_ns: int) -> bool:
    """Half a second after a change. A change from the future tells of a clock set back, which must not keep a sound on."""
    return 0 <= now_ns - at_ns < SETTLE_NS


def _is_known_delivery(r: Connection, alert_id: int, event_id: int, page: str, *, sounded: bool) -> bool:
    for event in events_of(r, alert_id):
        details = event.details
        same = event.happening is Happening.DELIVERED and event.by == "page" and details.get("page") == page
        if same and details.get("event") == str(event_id) and (details.get("sounded") == "yes" or not sounded):
            return True
    return False
