"""The life of a study: a fold over its events."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from appliance.core.alerts import ImpossibleEvent
from appliance.core.words import Outcome, StudyState


class StudyHappening(StrEnum):
    """What can happen to a study."""

    OPENED = "OPENED"
    CLOSED = "CLOSED"
    REOPENED = "REOPENED"
    SEEN = "SEEN"
    JUDGED = "JUDGED"


class StudyJudged(StrEnum):
    """What a person who looked says of a study that no alert was raised for."""

    BLEED = "bleed"  # it shows one, and the box has missed it
    NO_BLEED = "no-bleed"
    UNCLEAR = "unclear"


NEXT: Final = {
    (None, StudyHappening.OPENED): StudyState.OPEN,
    (StudyState.OPEN, StudyHappening.CLOSED): StudyState.CLOSED,
    (StudyState.CLOSED, StudyHappening.REOPENED): StudyState.OPEN,
    (StudyState.CLOSED, StudyHappening.SEEN): StudyState.CLOSED,
    # A press may come in the moment in which the study opens again. It is kept; the next CLOSED asks anew.
    (StudyState.OPEN, StudyHappening.SEEN): StudyState.OPEN,
    # What a person has seen on a scan holds whatever lands later.
    (StudyState.CLOSED, StudyHappening.JUDGED): StudyState.CLOSED,
    (StudyState.OPEN, StudyHappening.JUDGED): StudyState.OPEN,
}
"""Every legal move; None is the state before the first event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyEvent:
    """One event as the fold sees it. `outcome` belongs to CLOSED, `by` to SEEN and JUDGED, `judged` to JUDGED."""

    happening: StudyHappening
    at_ns: int
    by: str = ""
    outcome: Outcome | None = None
    judged: StudyJudged | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyStatus:
    """What the events so far come to. `outcome` is that of the last CLOSED, `judged` of the last JUDGED."""

    state: StudyState
    opened_ns: int
    closed_ns: int | None = None
    outcome: Outcome | None = None
    seen_by: str = ""  # since it last closed
    judged: StudyJudged | None = None


def advance(status: StudyStatus | None, event: StudyEvent) -> StudyStatus:
    """The status after one more event. ImpossibleEvent if the table does not know the move."""
    before = None if status is None else status.state
    state = NEXT.get((before, event.happening))
    if state is None:
        raise ImpossibleEvent(f"{event.happening} in state {before}")
    if status is None:
        return StudyStatus(state=state, opened_ns=event.at_ns)
    match event.happening:
        case StudyHappening.CLOSED:
            if event.outcome is None:
                raise ImpossibleEvent("CLOSED without an outcome")
            return replace(status, state=state, closed_ns=event.at_ns, outcome=event.outcome, seen_by="")
        case StudyHappening.REOPENED:
            return replace(status, state=state, closed_ns=None)
        case StudyHappening.SEEN:
            return replace(status, state=state, seen_by=status.seen_by or event.by)
        case StudyHappening.JUDGED:
            if event.judged is None:
                raise ImpossibleEvent("JUDGED without a word")
            return replace(status, state=state, judged=event.judged)
        case _:
            return replace(status, state=state)


def fold(events: Iterable[StudyEvent]) -> StudyStatus | None:
    """The status of a whole life. None for no event."""
    status = None
    for event in events:
        status = advance(status, event)
    return status
