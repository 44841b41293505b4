"""What a card tells of its alert's life: what the machine thinks now, and who was told and has answered."""

from collections.abc import Mapping, Sequence
from typing import Final

from appliance.core.alerts import Happening
from appliance.core.ledger import AlertEventRow
from appliance.core.words import Finality, Level
from appliance.dashboard.board.views import Moment
from appliance.dashboard.words import wording
from appliance.dashboard.words.moments import SECOND_NS, lasted
from appliance.dashboard.words.told_by import screens_told
from appliance.records.board import BoardAlert, BoardSeries

_PLACE: Final = {
    "board": "the board",
    "study": "the page of the study",
    "alerts": "the page Alerts",
    "system": "the page System",
}


def is_open(shown: BoardSeries | None) -> bool:
    """Whether slices of this series may still land."""
    return shown is not None and shown.series.closed_ns is None


def state_words(alert: BoardAlert, shown: BoardSeries | None, *, brief: bool) -> tuple[str, str]:
    """The bold word and the line that say what the machine thinks now. `brief` leaves the slices out."""
    reading = shown.reading if shown else None
    key = "" if brief else _key_words(shown)
    slices = reading.slices if reading else 0
    row = alert.alert
    if row.withdrawn:
        return _withdrawn_words(alert, slices)
    if row.doubted:
        return "Later slices disagree. Please look yourself.", f"The alert stands. {_progress(shown)} {key}".strip()
    was = _was_review(alert)
    if reading is not None and reading.finality is Finality.FINAL and not is_open(shown):
        return "Final.", f"{was}All {slices} slices read. {key}".strip()
    return "Provisional.", f"{was}{_progress(shown)} {key}".strip()


def _withdrawn_words(alert: BoardAlert, slices: int) -> tuple[str, str]:
    raised_ns = alert.news.at_ns
    gone = [event for event in alert.events if event.happening is Happening.WITHDRAWN][-1]
    after = lasted(max(0.0, (gone.at_ns - raised_ns) / SECOND_NS))
    together = f"all {slices} slices together do not look like a bleed"
    why = gone.details.get("why", "").removesuffix(".")
    said = [part for part in (together if slices and why != together else "", why) if part]
    words = " ".join(f"{part[:1].upper()}{part[1:]}." for part in said)
    if alert.alert.acknowledged_ns is not None:
        return f"Withdrawn after {after}.", words
    ends = "Sounds until then." if alert.alert.sounds else ""
    return f"Withdrawn after {after}, nobody has seen it.", f"{words} Look yourself, then press. {ends}".strip()


def _was_review(alert: BoardAlert) -> str:
    if not any(event.happening is Happening.UPGRADED for event in alert.events):
        return ""
    at = f" at slice {alert.made_of}" if alert.news.happening is Happening.UPGRADED and alert.made_of else ""
    return f"Was REVIEW, raised to CRITICAL{at}. "


def _progress(shown: BoardSeries | None) -> str:
    if shown is None:
        return ""
    expected = shown.series.facts.images_in_acquisition
    read = sum(one.probability is not None for one in shown.slices)
    hoped = f", {expected} expected" if expected and expected > read else ""
    running = "The scan is still running: " if is_open(shown) else ""
    return f"{running}{read} slices read{hoped}."


def _key_words(shown: BoardSeries | None) -> str:
    found = shown.finding if shown else None
    if shown is None or found is None:
        return ""
    numbers = {one.id: number for number, one in enumerate(shown.slices, start=1)}
    key = numbers.get(found.key_slice_id, found.key_number)
    evidence = sorted(numbers[one] for one in found.evidence if one in numbers)
    agree = f"; {wording.agreeing(evidence)}" if evidence else ""
    return f"Key slice {key} of {len(shown.slices)}{agree}."


def answer_words(alert: BoardAlert, moment: Moment, *, brief: bool, paged: str = "") -> tuple[str, str]:
    """Who has answered, and who was told. `brief` says only what is out of the ordinary; `paged`: whom the box has told."""
    row = alert.alert
    if row.acknowledged_ns is not None:
        return _acknowledged_words(alert, row.acknowledged_ns, moment, brief=brief)
    if row.level is Level.REVIEW:
        return "", "On the list, no sound."
    anew = _answered_before(alert.events, moment)
    channels = _channel_words(alert, moment, failures_only=brief or bool(paged))
    if brief:
        return f"{anew} {paged}".strip(), channels
    return f"{paged or 'Nobody has answered.'} {anew}".strip(), f"{_page_words(alert)} {channels}".strip()


def _acknowledged_words(alert: BoardAlert, at_ns: int, moment: Moment, *, brief: bool) -> tuple[str, str]:
    answers = [event for event in alert.events if event.happening is Happening.ACKNOWLEDGED]
    where = screen_words(answers[-1].details) if answers else ""
    lead = f"Acknowledged {moment.calendar.clock(at_ns)} by {alert.alert.acknowledged_by}."
    on = f"{where[0].upper()}{where[1:]}. " if where else ""
    return lead, "" if brief else f"{on}Sound off. Stays here until it is judged or the shift ends."


def screen_words(details: Mapping[str, str]) -> str:
    """From which screen a person pressed: "on the board, screen 3f2a". Empty where that is not known."""
    if not details.get("screen"):
        return ""
    return f"on {_PLACE.get(details.get('place', ''), 'a page')}, screen {details['screen']}"


def _answered_before(events: Sequence[AlertEventRow], moment: Moment) -> str:
    answers = [event for event in events if event.happening is Happening.ACKNOWLEDGED]
    if not answers:
        return ""
    return f"Sounds anew: {answers[-1].by} answered {moment.calendar.clock(answers[-1].at_ns)}, then it changed."


def _page_words(alert: BoardAlert) -> str:
    """On how many screens the news stands, and how many of them have sounded."""
    screens = screens_told(_told(alert, Happening.DELIVERED))
    return f"On {screens.words}, sounded on {screens.sounded}." if screens.shown else ""


def _channel_words(alert: BoardAlert, moment: Moment, *, failures_only: bool) -> str:
    """What became of the other channels: the last word of each."""
    last = {event.by: event for event in _told(alert, Happening.DELIVERED, Happening.FAILED) if event.by != "page"}
    said = []
    for channel, event in sorted(last.items()):
        if event.happening is Happening.FAILED:
            said.append(f"The {channel} does not answer.")
        elif not failures_only:
            said.append(f"The {channel} was told {moment.calendar.clock(event.at_ns)}.")
    return " ".join(said)


def _told(alert: BoardAlert, *happenings: Happening) -> list[AlertEventRow]:
    return [event for event in alert.events if event.id > alert.news.id and event.happening in happenings]
