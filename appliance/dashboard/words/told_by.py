"""By what an alert was told: on how many screens it stood, and how often everybody was told again."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from appliance.core.alerts import Happening
from appliance.core.escalation import EVERYBODY, Why
from appliance.core.ledger import AlertEventRow
from appliance.core.plain_text import plain
from appliance.dashboard.words.moments import Calendar

EARLY: Final[Mapping[str, str]] = {
    Why.NO_SCREEN: "no screen answered",
    Why.DEAD_CHANNELS: "those before could not be reached",
}
"""Why a step was taken before its time."""
_MESSAGES: Final = frozenset({Happening.DELIVERED, Happening.FAILED})


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreensTold:
    """Screens that showed an alert, and those of them that sounded for it."""

    shown: int
    sounded: int

    @property
    def words(self) -> str:
        """1 screen, 2 screens"""
        return f"{self.shown} {'screen' if self.shown == 1 else 'screens'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeats:
    """What came after the last step of a ladder while nobody answered. `short`: of each channel that once failed, how
    many of how many messages it took; `taken`: any channel took any."""

    name: str
    times: int
    first_ns: int
    last_ns: int
    taken: bool
    short: tuple[tuple[str, int, int], ...]

    def words(self, calendar: Calendar, now_ns: int) -> str:
        """What follows the name: " told again 12 times, last 14:34; pager took 3 of 12 messages"."""
        often = "" if self.times == 1 else f" {self.times} times, last {calendar.spoken(self.last_ns, now_ns)}"
        short = [
            f"{channel} took {taken} of {owed} {'message' if owed == 1 else 'messages'}"
            for channel, taken, owed in self.short
        ]
        return "; ".join((f"{' told' if self.taken else '’s turn'} again{often}", *short))


def screens_told(events: Sequence[AlertEventRow]) -> ScreensTold:
    """What pages have said. A screen is a browser by its name; a page that has given no name counts for itself."""
    pages = [event for event in events if event.happening is Happening.DELIVERED and event.by == "page"]
    heard = [event for event in pages if event.details.get("sounded") == "yes"]
    return ScreensTold(shown=len(set(map(_screen, pages))), sounded=len(set(map(_screen, heard))))


def is_repeat(event: AlertEventRow) -> bool:
    """Whether this step told again whom the ladder had told before."""
    return event.happening is Happening.ESCALATED and event.details.get("round", "1") != "1"


def parted(events: Sequence[AlertEventRow]) -> tuple[list[AlertEventRow], Repeats | None]:
    """The events of one ringing without the repetitions and their messages, and those in one."""
    rounds = [event for event in events if is_repeat(event)]
    if not rounds:
        return list(events), None
    ids = {str(event.id) for event in rounds}
    messages = [event for event in events if event.happening in _MESSAGES and event.details.get("event") in ids]
    gone = {event.id for event in (*rounds, *messages)}
    return [event for event in events if event.id not in gone], _repeats(rounds, messages)


def _repeats(rounds: Sequence[AlertEventRow], messages: Sequence[AlertEventRow]) -> Repeats:
    owed = Counter(channel for event in rounds for channel in event.details.get("channels", "").split(","))
    took = Counter(by for by, _ in {(one.by, one.details["event"]) for one in _of(messages, Happening.DELIVERED)})
    failed = sorted({one.by for one in _of(messages, Happening.FAILED)})
    return Repeats(
        name=plain(rounds[-1].details.get("name", "")) or EVERYBODY,
        times=len(rounds),
        first_ns=rounds[0].at_ns,
        last_ns=rounds[-1].at_ns,
        taken=bool(took),
        short=tuple((plain(one), took[one], owed[one]) for one in failed if took[one] < owed[one]),
    )


def _of(events: Sequence[AlertEventRow], happening: Happening) -> list[AlertEventRow]:
    return [event for event in events if event.happening is happening]


def _screen(event: AlertEventRow) -> str:
    return event.details.get("screen") or event.details.get("page", "")
