"""The cards of the stage: one message each, in words that are read across a room."""

from functools import lru_cache
from typing import Final

from appliance.core.alerts import Happening
from appliance.core.escalation import EscalationPolicy
from appliance.core.headers import StudyFacts
from appliance.core.ledger import Finding
from appliance.core.plain_text import plain
from appliance.core.words import Level
from appliance.dashboard.board.story import answer_words, is_open, screen_words, state_words
from appliance.dashboard.board.strip import Strip, draw
from appliance.dashboard.board.telling import telling
from appliance.dashboard.board.views import CONSOLE_FACE, Age, Alarm, Card, Face, Moment, Picture
from appliance.dashboard.words import wording
from appliance.dashboard.words.moments import SECOND_NS, lasted
from appliance.imaging.pictures import edge_letters
from appliance.imaging.windows import BRAIN
from appliance.records.board import BoardAlert, BoardSeries, BoardStudy

MOST_STRIPS: Final = 256
NO_POLICY: Final = EscalationPolicy()
HIDDEN: Final = "names are hidden on this screen by site rule"
TEST_ENDS_AFTER_S: Final = 180
"""A test alarm that nobody has answered by then ends by itself, and that is said."""


@lru_cache(maxsize=MOST_STRIPS)
def series_strip(shown: BoardSeries | None, *, still_open: bool) -> Strip | None:
    """The strip of the series that speaks for a study."""
    if shown is None:
        return None
    reading = shown.reading
    return draw(
        shown.slices,
        critical_point=reading.critical_point if reading else None,
        review_point=reading.review_point if reading else None,
        key_slice_id=shown.finding.key_slice_id if shown.finding else None,
        expected=shown.series.facts.images_in_acquisition,
        still_open=still_open,
    )


def alert_card(
    alert: BoardAlert,
    moment: Moment,
    *,
    large: bool,
    count: str = "",
    policy: EscalationPolicy = NO_POLICY,
    face: Face = CONSOLE_FACE,
) -> Card:
    """The card of one clinical or test alert."""
    if alert.alert.level is Level.TEST:
        return _test_card(alert, moment, large=large, face=face)
    unanswered = alert.alert.acknowledged_ns is None
    level = alert.alert.level
    study = alert.study
    shown = study.shown if study else None
    sentence = wording.finding(level, _finding(shown))
    lead, where = state_words(alert, shown, brief=not large)
    told = telling(alert, policy, moment)
    next_lead, next_words = answer_words(
        alert, moment, brief=not large, paged=told.said if large or not told.first else ""
    )
    age, age_words, age_small = _age(alert, shown, moment)
    look = ["alarm"]
    look += [] if large else ["slim"]
    look += [] if unanswered else ["seen"]
    look += ["review"] if level is Level.REVIEW else []
    return Card(
        key=f"alert-{alert.alert.id}",
        look=" ".join(look),
        icon="critical" if level is Level.CRITICAL else "review",
        word=level.value,
        beacon=unanswered and level is Level.CRITICAL,
        count=count,
        age=age,
        age_words=age_words,
        age_small=age_small,
        name=name_of(study.facts if study else None, face),
        identity=_identity(study.facts, face, parts=9 if large else 2) if study else (),
        what=sentence,
        lead=lead,
        where=where,
        next_lead=next_lead,
        next=next_words,
        due_words=told.due_words,
        due=told.due,
        study=study_address(study.study.id) if study and face.buttons else "",
        button="Acknowledge" if unanswered and face.buttons else "",
        action="acknowledge",
        target=alert.alert.id,
        event=alert.changed.id,
        picture=_picture(shown, sentence) if large else None,
        strip=series_strip(shown, still_open=is_open(shown)) if large else None,
    )


def study_address(study_id: int) -> str:
    """The page of a study. Its row id: no name and no UID stands in an address."""
    return f"/study/{study_id}"


def unseen_card(study: BoardStudy, moment: Moment, *, face: Face = CONSOLE_FACE) -> Card:
    """A head CT that nobody has read: amber, silent, on top until a person presses."""
    closed_ns = study.study.closed_ns or study.study.last_landed_ns
    return Card(
        key=f"study-{study.study.id}",
        look="alarm slim review",
        icon="notanalysed",
        word="NOT ANALYSED",
        age=moment.age(f"study-{study.study.id}", closed_ns),
        name=name_of(study.facts, face),
        identity=_identity(study.facts, face, parts=1),
        what=wording.why(study.study.reasons) or "A head CT landed and nobody has read it. Please look early.",
        study=study_address(study.study.id) if face.buttons else "",
        button="I have seen it" if face.buttons else "",
        action="seen",
        target=study.study.id,
    )


def alarm(alert: BoardAlert, *, blind: bool = False, said: str = "", face: Face = CONSOLE_FACE) -> Alarm:
    """What the script must know of one alert."""
    row = alert.alert
    steps = [event for event in alert.events if event.happening is Happening.ESCALATED and event.id > alert.news.id]
    return Alarm(
        alert=row.id,
        event=alert.news.id,
        level=row.level.value,
        blind=blind,
        sounds=row.sounds,
        said=said or _said(alert, steps[-1].details.get("name", "") if steps else "", face),
        spoken=steps[-1].id if steps else alert.news.id,
    )


def _said(alert: BoardAlert, paged: str, face: Face) -> str:
    """One sentence for who does not see the card. `paged`: the step of the escalation that has just been taken."""
    row = alert.alert
    if row.level is Level.TEST:
        return "TEST. Practice alert. This is not a patient."
    study = alert.study
    what = wording.finding(row.level, _finding(study.shown if study else None))
    said = [f"{row.level}. {what}. {name_of(study.facts if study else None, face)}."]
    said += [f"{plain(paged)} paged, no answer yet."] if paged else []
    said += ["Press A, then Enter, to acknowledge."] if row.level is Level.CRITICAL and face.buttons else []
    return " ".join(said)


def name_of(facts: StudyFacts | None, face: Face) -> str:
    """The patient as this screen may say it."""
    if facts is None:
        return wording.NO_NAME
    if face.names:
        return wording.name(facts.patient)
    end = wording.id_end(facts.patient)
    return f"{wording.initials(facts.patient)}, ID {end}" if end else wording.initials(facts.patient)


def _identity(facts: StudyFacts, face: Face, *, parts: int) -> tuple[str, ...]:
    """So many parts of it; that something was removed from it is always said."""
    if not face.names:
        return (HIDDEN,)
    whole, removed = wording.identity(facts), wording.removed_words(facts)
    return whole[:parts] if not removed or len(whole) <= parts else (*whole[:parts], removed)


def _test_card(alert: BoardAlert, moment: Moment, *, large: bool, face: Face) -> Card:
    row = alert.alert
    began = (
        f"Started {moment.calendar.clock(row.raised_ns)} by {alert.events[0].by} {screen_words(row.details)}".strip()
    )
    tried = "The road from the records of the box to this screen, its sound and the other channels is being tried."
    finish = (
        "Press the button to finish the test." if face.buttons else "Press the button on the board to finish the test."
    )
    return Card(
        key=f"alert-{row.id}",
        look="alarm test" if large else "alarm slim test",
        icon="test",
        word="TEST",
        age=moment.age(f"alert-{row.id}", row.raised_ns),
        age_small="since it was started",
        what="Practice alert. This is not a patient.",
        name=began,
        where=f"{tried} {finish}" if large else finish,
        next="Nobody is paged for a patient.",
        due_words="Ends by itself",
        due=moment.until(f"test-{row.id}", row.raised_ns + TEST_ENDS_AFTER_S * SECOND_NS),
        button="I see and hear the test" if face.buttons else "",
        action="acknowledge",
        target=row.id,
        event=alert.changed.id,
    )


def _finding(shown: BoardSeries | None) -> Finding | None:
    return shown.finding if shown else None


def _age(alert: BoardAlert, shown: BoardSeries | None, moment: Moment) -> tuple[Age | None, str, str]:
    """The age of the alert, or once a person has answered when it began and how long they took."""
    row = alert.alert
    began_ns, landed = _began_ns(alert, shown)
    if row.acknowledged_ns is None:
        small = "since the slice landed" if landed else "since it was raised"
        return moment.age(f"alert-{row.id}", began_ns), "", small
    took_s = (row.acknowledged_ns - began_ns) / SECOND_NS
    return None, moment.calendar.clock(began_ns), f"seen after {lasted(max(0.0, took_s))}"


def _began_ns(alert: BoardAlert, shown: BoardSeries | None) -> tuple[int, bool]:
    """When the slice landed that made the alert news; when it was raised if that slice is not known."""
    evidence = alert.made_it.evidence if alert.made_it else ()
    landed = [one.landed_ns for one in shown.slices if one.id in evidence] if shown else []
    return (max(landed), True) if landed else (alert.news.at_ns, False)


def _picture(shown: BoardSeries | None, sentence: str) -> Picture | None:
    found = _finding(shown)
    if shown is None or found is None:
        return None
    number = next((n for n, one in enumerate(shown.slices, start=1) if one.id == found.key_slice_id), found.key_number)
    letters = edge_letters(shown.key_geometry) if shown.key_geometry else ("?", "?", "?", "?")
    return Picture(
        address=f"/picture/{found.key_slice_id}.png",
        sentence=f"Key slice {number} of {len(shown.slices)}, brain window, with the heat map. {sentence}.",
        letters=letters,
        window=f"W {BRAIN.width:g} L {BRAIN.center:g}",
        number=f"{number}/{len(shown.slices)}",
    )
