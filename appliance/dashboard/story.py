"""What a card tells of its alert's life: what the machine thinks now, and who was told and has answered."""

from collections.abc import Sequence

from appliance.core.alerts import Happening
from appliance.core.ledger import AlertEventRow
from appliance.core.words import Finality, Level
from appliance.dashboard import wording
from appliance.dashboard.moments import SECOND_NS, lasted
from appliance.dashboard.views import Moment
from appliance.records.board import BoardAlert, BoardSeries


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
    was = "Was REVIEW, raised to CRITICAL. " if _was_review(alert) else ""
    if reading is not None and reading.finality is Finality.FINAL and not is_open(shown):
        return "Final.", f"{was}All {slices} slices read. {key}".strip()
    return "Provisional.", f"{was}{_progress(shown)} {key}".strip()


def _withdrawn_words(alert: BoardAlert, slices: int) -> tuple[str, str]:
    raised_ns = alert.news.at_ns
    gone = [event for event in alert.events if event.happening is Happening.WITHDRAWN][-1]
    after = lasted(max(0.0, (gone.at_ns - raised_ns) / SECOND_NS))
    together = f"All {slices} slices together do not look like a bleed." if slices else ""
    why = gone.details.get("why", "")
    words = " ".join(part for part in (together, why) if part)
    if alert.alert.acknowledged_ns is not None:
        return f"Withdrawn after {after}.", words
    ends = "Sounds until then." if alert.alert.sounds else ""
    return f"Withdrawn after {after}, nobody has seen it.", f"{words} Look yourself, then press. {ends}".strip()


def _was_review(alert: BoardAlert) -> bool:
    return any(event.happening is Happening.UPGRADED for event in alert.events)


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


def answer_words(alert: BoardAlert, moment: Moment, *, brief: bool) -> tuple[str, str]:
    """Who has answered, and who was told. `brief` says only what is out of the ordinary."""
    row = alert.alert
    if row.acknowledged_ns is not None:
        at = moment.calendar.clock(row.acknowledged_ns)
        return f"Acknowledged {at} by {row.acknowledged_by}.", "" if brief else "Sound off. Stays until the shift ends."
    if row.level is Level.REVIEW:
        return "", "On the list, no sound."
    anew = _answered_before(alert.events, moment)
    if brief:
        return anew, _channel_words(alert, moment, failures_only=True)
    told = f"{_page_words(alert)} {_channel_words(alert, moment, failures_only=False)}".strip()
    return f"Nobody has answered. {anew}".strip(), told


def _answered_before(events: Sequence[AlertEventRow], moment: Moment) -> str:
    answers = [event for event in events if event.happening is Happening.ACKNOWLEDGED]
    if not answers:
        return ""
    return f"Sounds anew: {answers[-1].by} answered {moment.calendar.clock(answers[-1].at_ns)}, then it changed."


def _page_words(alert: BoardAlert) -> str:
    """On how many screens the news stands, and how many of them have sounded."""
    shown = [event for event in _told(alert, Happening.DELIVERED) if event.by == "page"]
    pages = {event.details.get("page", "") for event in shown}
    heard = {event.details.get("page", "") for event in shown if event.details.get("sounded") == "yes"}
    if not pages:
        return ""
    return f"On {len(pages)} {'screen' if len(pages) == 1 else 'screens'}, sounded on {len(heard)}."


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
