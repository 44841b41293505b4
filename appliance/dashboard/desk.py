"""What people and pages send: acknowledge, seen, told. Each is one short transaction, checked inside it."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from appliance.core.alerts import HAPPENED_ONCE, Happening, Judged
from appliance.core.ledger import AlertEventRow
from appliance.core.plain_text import unreadable
from appliance.core.studies import StudyJudged
from appliance.core.words import Level
from appliance.records import studies
from appliance.records.alerts import alert_by_id, alerts_of_studies, append_event, events_of
from appliance.records.board import CHANGES
from appliance.records.ledger import Connection, Ledger
from appliance.records.studies import see_study, study_by_id
from appliance.records.test_alarms import raise_test, running_test

SETTLE_NS: Final = 500_000_000
LONGEST_NAME: Final = 60
CHANGED: Final = "This alert has just changed. Look again, then press."
NO_NAME: Final = "A name is needed: who has seen it?"
GONE: Final = "The box does not know this alert. Load the page again."

ACKNOWLEDGED: Final = "Acknowledged. Sound is off for this alert."
TEST_STARTED: Final = "The test alarm has started: every screen shows TEST and plays four rising tones, once."
TEST_RUNS: Final = "A test alarm is running already."
TEST_SEEN: Final = "Seen and heard. The test is over."
NOWHERE: Final[Mapping[str, str]] = MappingProxyType({})

NOT_JUDGED: Final = "Only an alert about a patient can be judged."
NO_WORD: Final = "Right, wrong or unclear: one of these is needed."
NO_STUDY: Final = "The box does not know this study."
NO_STUDY_WORD: Final = "A bleed, no bleed or unclear: one of these is needed."
HAS_AN_ALERT: Final = "An alert was raised for this study: judge that one, on the page of the study."
FIRST_JUDGED: Final = "Your answer is on record."
JUDGED_AGAIN: Final = "Your new answer counts. The old one stays on record."


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a press came to: an HTTP status and the sentence that the page shows."""

    status: int
    message: str


def person_name(text: object) -> str:
    """A name as it is kept: one line, no control characters, at most 60 characters. Empty if there is none."""
    if not isinstance(text, str):
        return ""
    readable = "".join(" " if unreadable(one) else one for one in text)
    return " ".join(readable.split())[:LONGEST_NAME].strip()


def acknowledge(
    ledger: Ledger,
    *,
    alert_id: int,
    shown_event: int,
    by: str,
    page: str,
    now_ns: int,
    where: Mapping[str, str] = NOWHERE,
) -> Answer:
    """ACKNOWLEDGED(by), unless what the person saw is no longer what stands. `where`: place and screen of the page."""
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
        details = {"page": page, "shown": str(shown_event), **where}
        append_event(w, alert_id, Happening.ACKNOWLEDGED, at_ns=now_ns, by=by, details=details)
        if alert.key.first in HAPPENED_ONCE:
            append_event(w, alert_id, Happening.MENDED, at_ns=now_ns, by=by, details={"note": "seen"})
    return Answer(status=200, message=TEST_SEEN if alert.level is Level.TEST else ACKNOWLEDGED)


def start_test(ledger: Ledger, *, by: str, page: str, now_ns: int, where: Mapping[str, str] = NOWHERE) -> Answer:
    """RAISED(TEST) by a person at a screen. One that is running goes on."""
    if not by:
        return Answer(status=422, message=NO_NAME)
    with ledger.writing() as w:
        if running_test(w) is not None:
            return Answer(status=200, message=TEST_RUNS)
        raise_test(w, by=by, at_ns=now_ns, details={"page": page, **where})
    return Answer(status=200, message=TEST_STARTED)


def see(
    ledger: Ledger, *, study_id: int, by: str, page: str, now_ns: int, where: Mapping[str, str] = NOWHERE
) -> Answer:
    """SEEN(by) of a study that nobody has read. `where`: place and screen of the page."""
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
        see_study(w, study_id, by, now_ns, {"page": page, **where})
    return Answer(status=200, message="Seen. The study stays on the list.")


def judge(
    ledger: Ledger,
    *,
    alert_id: int,
    shown_event: int,
    judged: object,
    by: str,
    page: str,
    now_ns: int,
    where: Mapping[str, str] = NOWHERE,
) -> Answer:
    """JUDGED(by). May be said again: the last one counts, all stay. `where`: place and screen of the page.

    Who judges has looked, so this ends the sound of an alert that nobody has answered: then the rules of a press hold.
    """
    if not by:
        return Answer(status=422, message=NO_NAME)
    if not isinstance(judged, str) or judged not in set(Judged):
        return Answer(status=422, message=NO_WORD)
    with ledger.writing() as w:
        alert = alert_by_id(w, alert_id)
        if alert is None:
            return Answer(status=404, message=GONE)
        if alert.level not in (Level.CRITICAL, Level.REVIEW):
            return Answer(status=409, message=NOT_JUDGED)
        events = events_of(w, alert_id)
        if alert.acknowledged_ns is None and _has_just_changed(events, shown_event, now_ns):
            return Answer(status=409, message=CHANGED)
        details = {"page": page, "shown": str(shown_event), **where}
        append_event(w, alert_id, Happening.JUDGED, at_ns=now_ns, by=by, details=details, judged=Judged(judged))
    again = any(event.happening is Happening.JUDGED for event in events)
    return Answer(status=200, message=JUDGED_AGAIN if again else FIRST_JUDGED)


def judge_study(
    ledger: Ledger, *, study_id: int, judged: object, by: str, details: Mapping[str, str], now_ns: int
) -> Answer:
    """JUDGED(by) of a study that no alert was raised for: so that a bleed that was missed is kept.

    May be said again: the last one counts, all stay. `details`: from which screen, or that it was none.
    """
    if not by:
        return Answer(status=422, message=NO_NAME)
    if not isinstance(judged, str) or judged not in set(StudyJudged):
        return Answer(status=422, message=NO_STUDY_WORD)
    with ledger.writing() as w:
        study = study_by_id(w, study_id)
        if study is None:
            return Answer(status=404, message=NO_STUDY)
        if alerts_of_studies(w, (study_id,)):
            return Answer(status=409, message=HAS_AN_ALERT)
        studies.judge_study(w, study_id, StudyJudged(judged), by=by, at_ns=now_ns, details=details)
    return Answer(status=200, message=FIRST_JUDGED if study.judged is None else JUDGED_AGAIN)


def told(
    ledger: Ledger,
    *,
    alert_id: int,
    event_id: int,
    page: str,
    sounded: bool,
    now_ns: int,
    where: Mapping[str, str] = NOWHERE,
) -> Answer:
    """DELIVERED by a page: once for each alert event and page, and once more where it sounds only later.

    `where`: place and screen of the page; a page that is loaded again is another page of the same screen.
    """
    with ledger.reading() as r:
        if _is_known_delivery(r, alert_id, event_id, page, sounded=sounded):
            return Answer(status=200, message="known")
    with ledger.writing() as w:
        alert = alert_by_id(w, alert_id)
        if alert is None or event_id not in {event.id for event in events_of(w, alert_id)}:
            return Answer(status=404, message=GONE)
        if _is_known_delivery(w, alert_id, event_id, page, sounded=sounded):
            return Answer(status=200, message="known")
        details = {"page": page, "event": str(event_id), "sounded": "yes" if sounded else "no", **where}
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
