"""The cards of the stage: one message each, in words that are read across a room."""

from functools import lru_cache
from typing import Final

from appliance.core.ledger import Finding
from appliance.core.words import Level
from appliance.dashboard import wording
from appliance.dashboard.moments import SECOND_NS, lasted
from appliance.dashboard.story import answer_words, is_open, state_words
from appliance.dashboard.strip import Strip, draw
from appliance.dashboard.views import Age, Alarm, Card, Moment, Picture
from appliance.imaging.pictures import edge_letters
from appliance.imaging.windows import BRAIN
from appliance.records.board import BoardAlert, BoardSeries, BoardStudy

MOST_STRIPS: Final = 256


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


def alert_card(alert: BoardAlert, moment: Moment, *, large: bool, count: str = "") -> Card:
    """The card of one clinical or test alert."""
    if alert.alert.level is Level.TEST:
        return _test_card(alert, moment)
    unanswered = alert.alert.acknowledged_ns is None
    level = alert.alert.level
    study = alert.study
    shown = study.shown if study else None
    sentence = wording.finding(level, _finding(shown))
    lead, where = state_words(alert, shown, brief=not large)
    next_lead, next_words = answer_words(alert, moment, brief=not large)
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
        name=wording.name(study.facts.patient) if study else wording.NO_NAME,
        identity=wording.identity(study.facts) if study else (),
        what=sentence,
        lead=lead,
        where=where,
        next_lead=next_lead,
        next=next_words,
        button="Acknowledge" if unanswered else "",
        action="acknowledge",
        target=alert.alert.id,
        event=alert.changed.id,
        picture=_picture(shown, sentence) if large else None,
        strip=series_strip(shown, still_open=is_open(shown)) if large else None,
    )


def unseen_card(study: BoardStudy, moment: Moment) -> Card:
    """A head CT that nobody has read: amber, silent, on top until a person presses."""
    closed_ns = study.study.closed_ns or study.study.last_landed_ns
    return Card(
        key=f"study-{study.study.id}",
        look="alarm slim review",
        icon="notanalysed",
        word="NOT ANALYSED",
        age=moment.age(f"study-{study.study.id}", closed_ns),
        name=wording.name(study.facts.patient),
        identity=wording.identity(study.facts)[:1],
        what=wording.why(study.study.reasons) or "A head CT landed and nobody has read it. Please look early.",
        button="I have seen it",
        action="seen",
        target=study.study.id,
    )


def alarm(alert: BoardAlert, *, blind: bool = False, said: str = "") -> Alarm:
    """What the script must know of one alert."""
    row = alert.alert
    study = alert.study
    if not said:
        name = wording.name(study.facts.patient) if study else wording.NO_NAME
        what = wording.finding(row.level, _finding(study.shown if study else None))
        said = f"{row.level}. {what}. {name}."
        if row.level is Level.CRITICAL:
            said += " Press A, then Enter, to acknowledge."
    return Alarm(
        alert=row.id,
        event=alert.news.id,
        level=row.level.value,
        blind=blind,
        sounds=row.sounds,
        said=said,
    )


def _test_card(alert: BoardAlert, moment: Moment) -> Card:
    return Card(
        key=f"alert-{alert.alert.id}",
        look="alarm slim test",
        icon="test",
        word="TEST",
        age=moment.age(f"alert-{alert.alert.id}", alert.alert.raised_ns),
        name="Practice alert. This is not a patient.",
        what="Press the button to finish the test.",
        button="I see and hear the test",
        action="acknowledge",
        target=alert.alert.id,
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
