"""One line of the history: level, when, who, what, told by whom, answered, judged. Words only."""

from dataclasses import dataclass
from typing import Final

from appliance.core.alerts import HAPPENED_ONCE, AlertState, Happening, Judged
from appliance.core.escalation import EscalationPolicy, upcoming
from appliance.core.ledger import AlertEventRow, Finding
from appliance.core.status import PROGRAMS
from appliance.core.words import Label, Level
from appliance.dashboard.board.bands import sentences
from appliance.dashboard.board.views import Moment
from appliance.dashboard.words import judged_words, wording
from appliance.dashboard.words.header_text import header_text
from appliance.dashboard.words.moments import SECOND_NS
from appliance.dashboard.words.told_by import EARLY, parted, screens_told
from appliance.records.alert_stories import AlertStory
from appliance.records.board import CHANGES

BUTTONS: Final = tuple((judged, judged_words.SHORT[judged], judged_words.FULL[judged]) for judged in Judged)
"""What is sent, the word on the button, and what it says in full."""
_TECHNICAL_PARTS: Final = {"box": "this box"}
_LOOK: Final = {
    Level.CRITICAL: "critical",
    Level.REVIEW: "review",
    Level.TECHNICAL: "technical",
    Level.TEST: "test",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertLine:
    """`lead` parts are bold. `can_judge`: the three buttons stand there; `again`: they are folded behind a word."""

    key: str
    look: str
    word: str
    raised: str
    name: str
    sub: str
    study_id: int  # 0 where no study is behind it
    what: str
    told: str
    told_lead: str
    seen_lead: str
    seen: str
    seen_sub: str
    judged: str
    judged_sub: str
    before: tuple[str, ...]
    can_judge: bool
    again: bool
    target: int
    event: int


def alert_line(story: AlertStory, moment: Moment, policy: EscalationPolicy) -> AlertLine:
    """The line of one alert. `policy`: who is told next while nobody answers."""
    row = story.alert
    name, sub = _who(story)
    told, told_lead = _told(story, moment)
    seen_lead, seen, seen_sub = _seen(story, moment, policy)
    judged, judged_sub, before = _judged(story, moment)
    clinical = row.key.kind == "clinical"
    return AlertLine(
        key=f"history-{row.id}",
        look="withdrawn" if row.withdrawn else _LOOK[row.level],
        word="WITHDRAWN" if row.withdrawn else row.level,
        raised=_when(row.raised_ns, moment),
        name=name,
        sub=sub,
        study_id=row.study_id or 0,
        what=_what(story),
        told=told,
        told_lead=told_lead,
        seen_lead=seen_lead,
        seen=seen,
        seen_sub=seen_sub,
        judged=judged,
        judged_sub=judged_sub,
        before=before,
        can_judge=clinical and not row.open,
        again=clinical and row.judged is not None,
        target=row.id,
        event=max((event.id for event in story.events if event.happening in CHANGES), default=0),
    )


def _when(at_ns: int, moment: Moment) -> str:
    return moment.calendar.when(at_ns, moment.now_ns)


def took(seconds: float) -> str:
    """13 s, 2:37, 1:02:05: how long a person took."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d}"
    return f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}"


def _who(story: AlertStory) -> tuple[str, str]:
    row = story.alert
    if row.level is Level.TECHNICAL:
        return _TECHNICAL_PARTS.get(row.key.second, row.key.second) or "this box", row.key.first
    if row.level is Level.TEST:
        return "Practice alert", "not a patient"
    if story.study is None:
        return wording.NO_NAME, "no ID"
    patient = story.study.facts.patient
    return wording.name(patient), header_text(patient.patient_id) or "no ID"


def _what(story: AlertStory) -> str:
    row = story.alert
    if row.level is Level.TECHNICAL:
        return sentences(row.key.first, row.details)[0]
    if row.level is Level.TEST:
        return "Test of the whole road."
    said = _finding_words(story.found)
    if row.withdrawn:
        gone = [event for event in story.events if event.happening is Happening.WITHDRAWN][-1:]
        why = gone[0].details.get("why", "") if gone else ""
        after = took((gone[0].at_ns - _news(story).at_ns) / SECOND_NS) if gone else ""
        return f"{said}, withdrawn after {after}{f': {why}' if why else ''}"
    if row.doubted:
        return f"{said}; later slices disagree"
    return f"{said}, {row.finality.lower()}"


def _finding_words(found: Finding | None) -> str:
    if found is None:
        return "Bleed"
    kind = "Bleed" if found.label not in set(Label) or found.label == Label.ANY else found.label.upper()
    return f"{kind}, {found.side}"


def _news(story: AlertStory) -> AlertEventRow:
    """The event that it sounds for or last did; of what never sounds, the first."""
    for event in story.events:
        if event.id == story.alert.sounding_event_id:
            return event
    return story.events[0]


def _told(story: AlertStory, moment: Moment) -> tuple[str, str]:
    """Screens and channels since it last began to sound, and the escalations."""
    row, news = story.alert, _news(story)
    since = [event for event in story.events if event.id > news.id]
    screens = screens_told(since)
    said = [f"{screens.words}, sounded on {screens.sounded}"] if screens.shown else []
    said += _channels(since)
    if not said and row.sounded_ns is None:
        said = ["on the list, no sound by rule"]
    lead = _steps(since, news, moment)
    return "; ".join(said) or ("" if lead else "nobody yet" if row.open else "nobody on record"), lead


def _steps(since: list[AlertEventRow], news: AlertEventRow, moment: Moment) -> str:
    """Each step of the escalation with the time that had passed, why it came before its time; all repetitions in one."""
    said: dict[str, str] = {}
    steps, again = parted(since)
    for event in steps:
        if event.happening is Happening.ESCALATED:
            early = EARLY.get(event.details.get("why", ""), "")
            said.setdefault(
                event.details.get("name", ""), f"{took((event.at_ns - news.at_ns) / SECOND_NS)}{early and f', {early}'}"
            )
    told = [f"{name or 'next step'} told after {words}" for name, words in said.items()]
    told += [f"{again.name}{again.words(moment.calendar, moment.now_ns)}"] if again else []
    return "; ".join(told)


def _channels(since: list[AlertEventRow]) -> list[str]:
    """The last word of each channel."""
    words = {Happening.DELIVERED: "", Happening.FAILED: " does not answer"}
    last = {event.by: event.happening for event in since if event.happening in words and event.by != "page"}
    return [f"{channel}{words[happening]}" for channel, happening in sorted(last.items())]


def _seen(story: AlertStory, moment: Moment, policy: EscalationPolicy) -> tuple[str, str, str]:
    row = story.alert
    if row.acknowledged_ns is not None:
        after = took((row.acknowledged_ns - _news(story).at_ns) / SECOND_NS)
        return "", _when(row.acknowledged_ns, moment), f"{row.acknowledged_by}, after {after}"
    if row.open:
        coming = upcoming(policy, story.events) if row.sounds else None
        return "Not yet", "", f"{coming.step_name} next {moment.calendar.clock(coming.due_ns)}" if coming else ""
    return "", "nobody pressed", ""


def _judged(story: AlertStory, moment: Moment) -> tuple[str, str, tuple[str, ...]]:
    row = story.alert
    if row.key.kind != "clinical":
        return _mended(story, moment), "", ()
    said = list(story.judgements)
    standing = said.pop() if said and row.judged is not None else None
    before = tuple(
        f"before: {_judged_words(event)}, by {event.by}, {_when(event.at_ns, moment)}" for event in said[::-1]
    )
    if standing is not None:
        return _judged_words(standing), f"{standing.by}, {_when(standing.at_ns, moment)}", before
    return ("when it is acknowledged" if row.open else ""), "", before


def _judged_words(event: AlertEventRow) -> str:
    return judged_words.SHORT[event.judged] if event.judged is not None else ""


def _mended(story: AlertStory, moment: Moment) -> str:
    """How a technical alert or a test ended."""
    row = story.alert
    if row.state is not AlertState.MENDED:
        return "not mended yet" if row.level is Level.TECHNICAL else ""
    end = [event for event in story.events if event.happening is Happening.MENDED][-1]
    if row.key.first in HAPPENED_ONCE:
        return "seen, nothing to mend"
    by = "by itself" if end.by in PROGRAMS else f"by {end.by}"
    word = "mended" if row.level is Level.TECHNICAL else "ended"
    return f"{word} {_when(end.at_ns, moment)} {by}"
