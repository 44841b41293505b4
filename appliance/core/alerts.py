"""The life of an alert: a fold over its events. Nothing here knows a clock, a table or a screen.

Three rules decide all of it. A person's acknowledgement silences what was known then. No machine event silences a
CRITICAL that has sounded. REVIEW never sounds.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from appliance.core.words import Finality, Level


class Happening(StrEnum):
    """What can happen to an alert."""

    RAISED = "RAISED"
    UPGRADED = "UPGRADED"
    DOUBTED = "DOUBTED"
    WITHDRAWN = "WITHDRAWN"
    DELIVERED = "DELIVERED"
    FAILED = "FAILED"
    ESCALATED = "ESCALATED"
    ACKNOWLEDGED = "ACKNOWLEDGED"
    JUDGED = "JUDGED"
    MENDED = "MENDED"


class Judged(StrEnum):
    """What a person who looked says of a clinical alert."""

    CONFIRMED = "confirmed"
    REFUTED = "refuted"
    UNCLEAR = "unclear"


class AlertState(StrEnum):
    """Where an alert stands: who has answered, and whether the machine still holds it."""

    SOUNDING = "SOUNDING"  # CRITICAL, and no person has answered
    SOUNDING_DOUBTED = "SOUNDING_DOUBTED"
    SOUNDING_WITHDRAWN = "SOUNDING_WITHDRAWN"
    LISTED = "LISTED"  # REVIEW, silent, and no person has answered
    LISTED_WITHDRAWN = "LISTED_WITHDRAWN"
    SEEN = "SEEN"  # a person has answered
    SEEN_DOUBTED = "SEEN_DOUBTED"
    SEEN_WITHDRAWN = "SEEN_WITHDRAWN"
    FAULT_UNSEEN = "FAULT_UNSEEN"  # technical
    FAULT_SEEN = "FAULT_SEEN"
    TEST_UNSEEN = "TEST_UNSEEN"
    TEST_SEEN = "TEST_SEEN"
    MENDED = "MENDED"  # the end of a technical alert or of a test


_S: Final = AlertState
_H: Final = Happening

SOUNDS: Final = frozenset(
    {_S.SOUNDING, _S.SOUNDING_DOUBTED, _S.SOUNDING_WITHDRAWN, _S.FAULT_UNSEEN, _S.TEST_UNSEEN},
)
OPEN: Final = SOUNDS | {_S.LISTED, _S.FAULT_SEEN}
DOUBTED: Final = frozenset({_S.SOUNDING_DOUBTED, _S.SEEN_DOUBTED})
WITHDRAWN: Final = frozenset({_S.SOUNDING_WITHDRAWN, _S.LISTED_WITHDRAWN, _S.SEEN_WITHDRAWN})
ENDED: Final = frozenset({_S.MENDED, _S.TEST_SEEN})
"""The next RAISED of the same key opens a row of its own. A clinical alert never ends: one row for its key, for ever."""

HAPPENED_ONCE: Final = frozenset({"poison-file", "sop-conflict"})
"""Codes of technical alerts that nothing can mend: they have happened. Who has seen one ends it."""

FIRST: Final = {
    Level.CRITICAL: _S.SOUNDING,
    Level.REVIEW: _S.LISTED,
    Level.TECHNICAL: _S.FAULT_UNSEEN,
    Level.TEST: _S.TEST_UNSEEN,
}
"""Where a RAISED of each level begins."""

_RANK: Final = {Level.TEST: 0, Level.TECHNICAL: 0, Level.REVIEW: 1, Level.CRITICAL: 2}


class _Anew(StrEnum):
    """In the table: begins again as `FIRST` says of the event's level."""

    BY_LEVEL = "BY_LEVEL"


# What the machine thinks.
_BELIEF: Final[dict[tuple[AlertState, Happening], AlertState | _Anew]] = {
    # RAISED in the same acquisition: the final reading confirms a provisional one, or a doubt is lifted. Not news.
    (_S.SOUNDING, _H.RAISED): _S.SOUNDING,
    (_S.SOUNDING_DOUBTED, _H.RAISED): _S.SOUNDING,
    (_S.LISTED, _H.RAISED): _S.LISTED,
    (_S.SEEN, _H.RAISED): _S.SEEN,
    (_S.SEEN_DOUBTED, _H.RAISED): _S.SEEN,
    # RAISED after WITHDRAWN is news. Still sounding, it goes on at its old level: a lower one must not silence it.
    (_S.SOUNDING_WITHDRAWN, _H.RAISED): _S.SOUNDING,
    (_S.LISTED_WITHDRAWN, _H.RAISED): _Anew.BY_LEVEL,
    (_S.SEEN_WITHDRAWN, _H.RAISED): _Anew.BY_LEVEL,
    (_S.LISTED, _H.UPGRADED): _S.SOUNDING,
    (_S.SEEN, _H.UPGRADED): _S.SOUNDING,
    (_S.FAULT_UNSEEN, _H.UPGRADED): _S.FAULT_UNSEEN,  # the box has become blind
    (_S.FAULT_SEEN, _H.UPGRADED): _S.FAULT_UNSEEN,
    (_S.SOUNDING, _H.DOUBTED): _S.SOUNDING_DOUBTED,
    (_S.SOUNDING_WITHDRAWN, _H.DOUBTED): _S.SOUNDING_DOUBTED,  # withdrawn, and now REVIEW after all
    (_S.SEEN, _H.DOUBTED): _S.SEEN_DOUBTED,
    (_S.SOUNDING, _H.WITHDRAWN): _S.SOUNDING_WITHDRAWN,
    (_S.SOUNDING_DOUBTED, _H.WITHDRAWN): _S.SOUNDING_WITHDRAWN,
    (_S.LISTED, _H.WITHDRAWN): _S.LISTED_WITHDRAWN,
    (_S.SEEN, _H.WITHDRAWN): _S.SEEN_WITHDRAWN,
    (_S.SEEN_DOUBTED, _H.WITHDRAWN): _S.SEEN_WITHDRAWN,
    (_S.FAULT_UNSEEN, _H.MENDED): _S.MENDED,
    (_S.FAULT_SEEN, _H.MENDED): _S.MENDED,
    (_S.TEST_UNSEEN, _H.MENDED): _S.MENDED,
    (_S.TEST_SEEN, _H.MENDED): _S.MENDED,
}

# What a person does. Two people may press at once: the second press changes nothing.
_ANSWERS: Final = {
    _S.SOUNDING: _S.SEEN,
    _S.SOUNDING_DOUBTED: _S.SEEN_DOUBTED,
    _S.SOUNDING_WITHDRAWN: _S.SEEN_WITHDRAWN,
    _S.LISTED: _S.SEEN,
    _S.LISTED_WITHDRAWN: _S.SEEN_WITHDRAWN,
    _S.SEEN: _S.SEEN,
    _S.SEEN_DOUBTED: _S.SEEN_DOUBTED,
    _S.SEEN_WITHDRAWN: _S.SEEN_WITHDRAWN,
    _S.FAULT_UNSEEN: _S.FAULT_SEEN,
    _S.FAULT_SEEN: _S.FAULT_SEEN,
    _S.TEST_UNSEEN: _S.TEST_SEEN,
    _S.TEST_SEEN: _S.TEST_SEEN,
    _S.MENDED: _S.MENDED,
}
_CLINICAL: Final = frozenset(set(FIRST.values()) | DOUBTED | WITHDRAWN | {_S.SEEN}) - {_S.FAULT_UNSEEN, _S.TEST_UNSEEN}

NEXT: Final[dict[tuple[AlertState, Happening], AlertState | _Anew]] = {
    **_BELIEF,
    **{(state, _H.ACKNOWLEDGED): seen for state, seen in _ANSWERS.items()},
    # Who judges has looked.
    **{(state, _H.JUDGED): seen for state, seen in _ANSWERS.items() if state in _CLINICAL},
    # A channel may report late, so these may come in any state and change none.
    **{(state, told): state for state in AlertState for told in (_H.DELIVERED, _H.FAILED, _H.ESCALATED)},
}
"""Every legal move. A pair that is not here cannot happen."""

NEWS: Final = frozenset(
    {(state, _H.UPGRADED) for state in (_S.LISTED, _S.SEEN, _S.FAULT_UNSEEN, _S.FAULT_SEEN)}
    | {(state, _H.RAISED) for state in WITHDRAWN},
)
"""The moves that sound again. So do the first RAISED and a RAISED of a later acquisition. None at level REVIEW."""

_CHANGES: Final = frozenset({_H.RAISED, _H.UPGRADED, _H.DOUBTED, _H.WITHDRAWN, _H.MENDED})


class ImpossibleEvent(Exception):
    """An event that cannot happen in this state. Nothing is written; the caller is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertEvent:
    """One event as the fold sees it.

    `level` and `finality` belong to RAISED and UPGRADED, `new_acquisition` to RAISED, `judged` to JUDGED.
    """

    happening: Happening
    at_ns: int
    by: str = ""
    level: Level | None = None
    finality: Finality | None = None
    new_acquisition: bool = False
    judged: Judged | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertStatus:
    """What the events so far come to."""

    state: AlertState
    level: Level
    finality: Finality
    raised_ns: int
    changed_ns: int  # when the machine last said something new of it
    sounded_ns: int | None  # when it last began to sound, or began anew; None if it never has
    acknowledged_by: str = ""  # of what is known now
    acknowledged_ns: int | None = None
    judged: Judged | None = None

    @property
    def open(self) -> bool:
        """No person has answered to what is known now, or a fault is not mended."""
        return self.state in OPEN

    @property
    def sounds(self) -> bool:
        """It sounds now."""
        return self.state in SOUNDS

    @property
    def doubted(self) -> bool:
        """Later slices disagree."""
        return self.state in DOUBTED

    @property
    def withdrawn(self) -> bool:
        """The final reading says no."""
        return self.state in WITHDRAWN

    @property
    def ended(self) -> bool:
        """The next RAISED of its key opens another row."""
        return self.state in ENDED


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What a new reading does to the alert: the event that is to be appended."""

    happening: Happening
    level: Level
    finality: Finality
    new_acquisition: bool = False


def advance(status: AlertStatus | None, event: AlertEvent) -> AlertStatus:
    """The status after one more event. ImpossibleEvent if the table does not know the move."""
    if status is None:
        return _opened(event)
    if event.happening is Happening.JUDGED and event.judged is None:
        raise ImpossibleEvent("JUDGED without a word")
    state, level = _moved(status, event)
    after = replace(status, state=state, level=level)
    if event.happening in _CHANGES:
        after = replace(after, changed_ns=event.at_ns, finality=event.finality or status.finality)
    if is_news(status, event):
        # The answer was given to what was known then.
        after = replace(after, acknowledged_by="", acknowledged_ns=None, judged=None)
        if after.sounds:
            after = replace(after, sounded_ns=event.at_ns)
    if event.happening in (Happening.ACKNOWLEDGED, Happening.JUDGED) and after.acknowledged_ns is None:
        after = replace(after, acknowledged_by=event.by, acknowledged_ns=event.at_ns)
    if event.happening is Happening.JUDGED:
        after = replace(after, judged=event.judged)
    return after


def fold(events: Iterable[AlertEvent]) -> AlertStatus | None:
    """The status of a whole life. None for no event."""
    status = None
    for event in events:
        status = advance(status, event)
    return status


def is_news(before: AlertStatus | None, event: AlertEvent) -> bool:
    """Whether the event opens the alert anew: what a person answered before does not cover it."""
    if event.happening is Happening.RAISED and (before is None or event.new_acquisition):
        return True
    return before is not None and (before.state, event.happening) in NEWS


def rings(before: AlertStatus | None, event: AlertEvent) -> bool:
    """Whether the event starts the sound, or starts it anew. Such an event is told once on every channel."""
    return is_news(before, event) and advance(before, event).sounds


def _opened(event: AlertEvent) -> AlertStatus:
    if event.happening is not Happening.RAISED or event.level is None:
        raise ImpossibleEvent(f"{event.happening} before RAISED")
    state = FIRST[event.level]
    return AlertStatus(
        state=state,
        level=event.level,
        finality=event.finality or Finality.FINAL,
        raised_ns=event.at_ns,
        changed_ns=event.at_ns,
        sounded_ns=event.at_ns if state in SOUNDS else None,
    )


def _moved(status: AlertStatus, event: AlertEvent) -> tuple[AlertState, Level]:
    if event.happening is Happening.RAISED and event.new_acquisition and status.state in _CLINICAL:
        # A later scan begins the life of the row again; at its own level only where the earlier one was withdrawn and
        # nobody is left waiting for an answer.
        quiet = status.withdrawn and not status.sounds
        anew = _level_of(event) if quiet else _higher(status.level, event.level)
        return FIRST[anew], anew
    move = NEXT.get((status.state, event.happening))
    if move is None:
        raise ImpossibleEvent(f"{event.happening} in state {status.state}")
    if not isinstance(move, AlertState):
        return FIRST[_level_of(event)], _level_of(event)
    if event.happening is Happening.UPGRADED and status.state in _CLINICAL:
        return move, Level.CRITICAL
    if event.happening is Happening.RAISED and _higher(status.level, event.level) is not status.level:
        raise ImpossibleEvent(f"RAISED from {status.level} to {event.level} is UPGRADED")
    return move, status.level


def _level_of(event: AlertEvent) -> Level:
    if event.level not in (Level.CRITICAL, Level.REVIEW):
        raise ImpossibleEvent(f"{event.happening} of a clinical alert at level {event.level}")
    return event.level


def _higher(one: Level, other: Level | None) -> Level:
    return other if other is not None and _RANK[other] > _RANK[one] else one


def alert_step(
    status: AlertStatus | None,
    level: Level | None,
    finality: Finality,
    *,
    new_acquisition: bool,
    same_series: bool = True,
    others: Level | None = None,
) -> Step | None:
    """What a new reading does to its exam's alert. None: nothing.

    `level` is what the reading alone comes to: CRITICAL, REVIEW or None. A reading that could not see everything
    (engine fault, slices missing) is given as PROVISIONAL where it is negative: it may doubt, not withdraw.
    `new_acquisition`: the series' earliest acquisition time lies after the alerted series' last one; absent times mean
    the same acquisition. `same_series`: it reads the series that the alert stands on; another one may raise, never
    lower. `others`: the highest level that the other series of this exam hold now; what they hold is not lowered.
    """
    if status is None or status.withdrawn:
        return _raise_or_raise_again(status, level, finality, new_acquisition=new_acquisition, same_series=same_series)
    if level is Level.CRITICAL:
        return _positive(status, finality, new_acquisition=new_acquisition)
    if new_acquisition:
        # A later scan says nothing of an earlier one. REVIEW below a CRITICAL stays in the reading: it is known.
        if level is Level.REVIEW and status.level is Level.REVIEW and finality is Finality.FINAL:
            return Step(happening=Happening.RAISED, level=level, finality=finality, new_acquisition=True)
        return None
    if not same_series:
        return None
    return _lowered(status, _higher(level, others) if level else others, finality)


def _raise_or_raise_again(
    status: AlertStatus | None,
    level: Level | None,
    finality: Finality,
    *,
    new_acquisition: bool,
    same_series: bool,
) -> Step | None:
    # Before the last slice only CRITICAL is told: REVIEW can wait for all of them.
    if level is None or (level is Level.REVIEW and finality is Finality.PROVISIONAL):
        return None
    # All slices of this series together said no. Early evidence that was outvoted then would toggle the alert with each
    # late slice; the next final reading decides.
    if status is not None and finality is Finality.PROVISIONAL and same_series and not new_acquisition:
        return None
    if status is not None and status.sounds and level is Level.REVIEW:
        return Step(happening=Happening.DOUBTED, level=status.level, finality=finality)
    again = new_acquisition and status is not None
    return Step(happening=Happening.RAISED, level=level, finality=finality, new_acquisition=again)


def _positive(status: AlertStatus, finality: Finality, *, new_acquisition: bool) -> Step | None:
    critical = Level.CRITICAL
    if status.level is Level.REVIEW:
        return Step(happening=Happening.UPGRADED, level=critical, finality=finality)
    if new_acquisition:
        return Step(happening=Happening.RAISED, level=critical, finality=finality, new_acquisition=True)
    confirms = finality is Finality.FINAL and status.finality is Finality.PROVISIONAL
    if confirms or status.doubted:
        return Step(happening=Happening.RAISED, level=critical, finality=finality)
    return None


def _lowered(status: AlertStatus, level: Level | None, finality: Finality) -> Step | None:
    if level is status.level:
        return None
    provisional = finality is Finality.PROVISIONAL
    if provisional and status.finality is Finality.FINAL:
        return None  # what all slices said is not lowered before all slices have been read again
    if level is None and not provisional:
        return Step(happening=Happening.WITHDRAWN, level=status.level, finality=finality)
    if status.level is Level.CRITICAL and not status.doubted:
        return Step(happening=Happening.DOUBTED, level=Level.CRITICAL, finality=finality)
    return None
