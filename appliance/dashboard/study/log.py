"""What happened to a study and who was told, line by line, with the milliseconds since the slice that counted.

Each time an alert becomes news (first raised, raised anew, upgraded) the count begins again at the landing of the last
slice that made it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from appliance.core.alerts import AlertStatus, Happening, advance, is_news
from appliance.core.escalation import EscalationPolicy, Why, upcoming
from appliance.core.ledger import AlertEventRow, ReadingRow, StudyEventRow
from appliance.core.plain_text import plain
from appliance.core.studies import StudyHappening
from appliance.core.words import Finality, Level
from appliance.dashboard.board.story import screen_words
from appliance.dashboard.board.views import Moment
from appliance.dashboard.study.views import LogLine
from appliance.dashboard.words import judged_words
from appliance.dashboard.words.moments import SECOND_NS, Calendar
from appliance.dashboard.words.told_by import EARLY, is_repeat, parted, screens_told
from appliance.records.alerts import event_of
from appliance.records.whole_study import ShownSeries, WholeStudy

TENTH_NS: Final = SECOND_NS // 10


@dataclass(frozen=True, slots=True)
class _Line:
    at_ns: int
    lead: str
    words: str
    after: str = ""
    future: bool = False


def log_lines(whole: WholeStudy, policy: EscalationPolicy, moment: Moment) -> tuple[LogLine, ...]:
    """All lines in the order in which they happened, and last what follows if nobody answers."""
    lines = [_first_landed(whole), *_readings(whole)]
    if whole.alert is not None:
        lines += _alert_lines(whole.alert.events, whole.speaking, moment)
        lines += _coming(policy, whole.alert.events)
    lines += _study_lines(whole.events)
    lines.sort(key=lambda line: (line.future, line.at_ns))
    calendar = moment.calendar
    before, *days = [
        calendar.at(at_ns).strftime("%Y-%m-%d") for at_ns in (moment.now_ns, *(line.at_ns for line in lines))
    ]
    return tuple(
        LogLine(
            at=_tenths(line.at_ns, calendar),
            day=day if day != (days[number - 1] if number else before) else "",
            lead=plain(line.lead),
            words=plain(line.words),
            after=line.after,
            due=moment.until(f"study-{whole.study.id}-due", line.at_ns) if line.future else None,
        )
        for number, (line, day) in enumerate(zip(lines, days, strict=True))
    )


def since(at_ns: int, from_ns: int) -> str:
    """+61 ms, +0.8 s, +27 s, +1:39, +1 h 05: how long after."""
    ms = max(0, at_ns - from_ns) / 1e6
    if ms < 500:
        return f"+{ms:.0f} ms"
    if ms < 9_950:
        return f"+{ms / 1000:.1f} s"
    seconds = int(ms / 1000)
    if seconds < 60:
        return f"+{seconds} s"
    if seconds < 3600:
        return f"+{seconds // 60}:{seconds % 60:02d}"
    return f"+{seconds // 3600} h {seconds % 3600 // 60:02d}"


def chance(value: float) -> str:
    """0.97; never 1.00 or 0.00, which would claim certainty."""
    if value > 0.99:
        return "> 0.99"
    return "< 0.01" if value < 0.01 else f"{value:.2f}"


def numbers_words(numbers: Sequence[int]) -> str:
    """slice 9, slices 16 and 17, slices 4 to 9"""
    if not numbers:
        return ""
    if len(numbers) == 1:
        return f"slice {numbers[0]}"
    if len(numbers) == 2:
        return f"slices {numbers[0]} and {numbers[1]}"
    return f"slices {numbers[0]} to {numbers[-1]}"


def news_began(event: AlertEventRow, shown: ShownSeries | None) -> tuple[int, tuple[int, ...]]:
    """When the last slice landed that made this event, and the numbers of those slices; its own time where none is known."""
    reading = _reading_of(event, shown)
    if shown is None or reading is None or reading.finding is None:
        return event.at_ns, ()
    evidence = set(reading.finding.evidence)
    made_it = [(number, row) for number, row in enumerate(shown.rows, start=1) if row.id in evidence]
    if not made_it:
        return event.at_ns, ()
    return max(row.landed_ns for _, row in made_it), tuple(number for number, _ in made_it)


def _first_landed(whole: WholeStudy) -> _Line:
    rows = whole.speaking.rows if whole.speaking else ()
    first = min((*(one.series.first_landed_ns for one in whole.series), *(row.landed_ns for row in rows)), default=0)
    what = "First slice landed" if any(one.slices for one in whole.series) else "First file landed"
    return _Line(min(first or whole.study.opened_ns, whole.study.opened_ns), "", what)


def _study_lines(events: Sequence[StudyEventRow]) -> list[_Line]:
    lines = []
    for event in events:
        if event.happening is StudyHappening.CLOSED and event.outcome is not None:
            lines.append(_Line(event.at_ns, event.outcome.value, ": the study has ended"))
        elif event.happening is StudyHappening.REOPENED:
            lines.append(_Line(event.at_ns, "", "More landed: the study is open again"))
        elif event.happening is StudyHappening.SEEN:
            lines.append(_Line(event.at_ns, "", f"Seen by {event.by}{_where(event)}"))
        elif event.happening is StudyHappening.JUDGED and event.judged is not None:
            words = judged_words.OF_STUDY[event.judged]
            lines.append(_Line(event.at_ns, words, f", says {event.by}{_where(event)}"))
    return lines


def _where(event: StudyEventRow) -> str:
    """From which screen a person pressed, or that it was the command line."""
    if event.details.get("via") == "command":
        return ", from the command line"
    where = screen_words(event.details)
    return f", {where}" if where else ""


def _readings(whole: WholeStudy) -> list[_Line]:
    """Final readings that said nothing to the alert."""
    if whole.speaking is None:
        return []
    named = {event.reading_id for event in whole.alert.events} if whole.alert else set()
    return [
        _Line(one.made_ns, "", f"Final reading: all {one.slices} slices together {_any_words(one)}")
        for one in whole.speaking.readings
        if one.finality is Finality.FINAL and one.id not in named
    ]


def _any_words(reading: ReadingRow) -> str:
    return chance(reading.probabilities[0]) if reading.probabilities else "without an answer"


def _alert_lines(events: Sequence[AlertEventRow], shown: ShownSeries | None, moment: Moment) -> list[_Line]:
    lines: list[_Line] = []
    status: AlertStatus | None = None
    begins_ns, told = events[0].at_ns, list[AlertEventRow]()
    for event in events:
        news = is_news(status, event_of(event))
        if news:
            lines += _told_lines(told, begins_ns, moment)
            begins_ns, told = news_began(event, shown)[0], []
            lines += _landed_line(event, shown)
        status = advance(status, event_of(event))
        if event.happening in (Happening.DELIVERED, Happening.FAILED) or is_repeat(event):
            told.append(event)
        else:
            lines.append(_event_line(event, shown, begins_ns, news=news))
    return lines + _told_lines(told, begins_ns, moment)


def _landed_line(event: AlertEventRow, shown: ShownSeries | None) -> list[_Line]:
    landed_ns, numbers = news_began(event, shown)
    if not numbers or shown is None:
        return []
    last = max(numbers, key=lambda number: shown.rows[number - 1].landed_ns)
    return [_Line(landed_ns, "", f"Slice {last} landed", "0 ms")]


def _event_line(event: AlertEventRow, shown: ShownSeries | None, begins_ns: int, *, news: bool) -> _Line:
    lead, words = _event_words(event, shown, news=news)
    return _Line(event.at_ns, lead, words, since(event.at_ns, begins_ns))


def _event_words(event: AlertEventRow, shown: ShownSeries | None, *, news: bool) -> tuple[str, str]:
    """The bold word and the rest of the line."""
    reading = _reading_of(event, shown)
    whole = reading is not None and event.finality is Finality.FINAL
    figure = f"final reading {_any_words(reading)}" if reading is not None and whole else ""
    match event.happening:
        case Happening.RAISED if news:
            finality = "provisional" if event.finality is Finality.PROVISIONAL else ""
            parts = (finality, numbers_words(news_began(event, shown)[1]), figure)
            anew = " of a later scan" if event.new_acquisition else ""
            return f"{event.level or Level.CRITICAL} raised", anew + "".join(f", {part}" for part in parts if part)
        case Happening.RAISED:
            return "Confirmed", f": {figure}" if figure else ""
        case Happening.UPGRADED:
            made_it = numbers_words(news_began(event, shown)[1])
            return "Raised from REVIEW to CRITICAL", f", {made_it}" if made_it else ""
        case Happening.DOUBTED | Happening.WITHDRAWN:
            why = "; ".join(part for part in (figure, event.details.get("why", "").removesuffix(".")) if part)
            word = "Doubted" if event.happening is Happening.DOUBTED else "Withdrawn"
            return word, f": {why}" if why else ""
        case Happening.ESCALATED:
            return _escalated_words(event)
        case Happening.ACKNOWLEDGED:
            return "", f"{f'Acknowledged by {event.by} {screen_words(event.details)}'.strip()}: sound off"
        case Happening.JUDGED:
            said = judged_words.FULL[event.judged] if event.judged else ""
            where = screen_words(event.details)
            return "Judged", f" by {event.by}{f', {where}' if where else ''}. {said}"
        case _:
            return "", f"Ended: {event.details.get('note', '')}".removesuffix(": ")


def _escalated_words(event: AlertEventRow) -> tuple[str, str]:
    name = event.details.get("name", "") or "The next step"
    why = event.details.get("why", "")
    late = "nobody had answered" + (" while the sender was away" if why == Why.START else "")
    return name, f"’s turn: {EARLY.get(why, late)}"


def _told_lines(told: Sequence[AlertEventRow], begins_ns: int, moment: Moment) -> list[_Line]:
    """On how many screens it stood, what became of each other channel, and the repetitions in one line."""
    told, again = parted(told)
    pages = [event for event in told if event.by == "page" and event.happening is Happening.DELIVERED]
    lines = [_pages_line(pages, begins_ns)] if pages else []
    others = sorted((event for event in told if event.by != "page"), key=lambda event: (event.by, event.id))
    for channel, events in groupby(others, key=lambda event: event.by):
        lines += _channel_lines(channel, list(events), begins_ns)
    if again is not None:
        words = again.words(moment.calendar, moment.now_ns)
        lines.append(_Line(again.first_ns, again.name, words, since(again.first_ns, begins_ns)))
    return lines


def _pages_line(pages: Sequence[AlertEventRow], begins_ns: int) -> _Line:
    screens = screens_told(pages)
    words = f"On {screens.words}, sound played on {screens.sounded}"
    return _Line(pages[0].at_ns, "", words, since(pages[0].at_ns, begins_ns))


def _channel_lines(channel: str, events: Sequence[AlertEventRow], begins_ns: int) -> list[_Line]:
    """Each message that was taken; failed attempts in a row as one."""
    lines = []
    for happening, run in groupby(events, key=lambda event: event.happening):
        some = list(run)
        if happening is Happening.DELIVERED:
            lines += [_Line(one.at_ns, "", f"{channel} took the message", since(one.at_ns, begins_ns)) for one in some]
            continue
        times = f" {len(some)} times" if len(some) > 1 else ""
        lines.append(
            _Line(some[0].at_ns, "", f"{channel} did not take the message{times}", since(some[0].at_ns, begins_ns))
        )
    return lines


def _coming(policy: EscalationPolicy, events: Sequence[AlertEventRow]) -> list[_Line]:
    following = upcoming(policy, events)
    if following is None:
        return []
    return [_Line(following.due_ns, following.step_name, " is told if nobody answers", future=True)]


def _reading_of(event: AlertEventRow, shown: ShownSeries | None) -> ReadingRow | None:
    readings = shown.readings if shown else ()
    return next((one for one in readings if one.id == event.reading_id), None)


def _tenths(at_ns: int, calendar: Calendar) -> str:
    """14:32:02.1, cut, not rounded: no line may stand before the one that led to it."""
    return f"{calendar.clock(at_ns)}.{at_ns // TENTH_NS % 10}"
