"""Who reads: the fast backend on the graphics card, or the spare on the processor. A table of states and events.

The spare is always loaded. The fast one runs in a process of its own that may end at any moment: then the spare reads, and
the fast one is tried again after pauses that grow.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final


class DutyState(StrEnum):
    """Where the duty stands."""

    SPARE_ONLY = "SPARE_ONLY"  # the spare reads, and nobody wants another
    CHOOSING = "CHOOSING"  # the spare reads, and whether a fast one can serve here is being asked
    STARTING = "STARTING"  # the spare reads, the fast one is on its way up
    ON_GPU = "ON_GPU"  # the fast one reads
    DEGRADED = "DEGRADED"  # the spare reads, the fast one is tried again at `retry_s`
    REBUILDING = "REBUILDING"  # the spare reads, a new plan is being built
    STOPPED = "STOPPED"  # nobody reads: the plan was refused, and the settings allow no spare for that


SAID: Final = {
    DutyState.SPARE_ONLY: "The processor reads",
    DutyState.CHOOSING: "The processor reads; whether a graphics card can is being asked",
    DutyState.STARTING: "The graphics card is starting; the processor reads",
    DutyState.ON_GPU: "The graphics card reads",
    DutyState.DEGRADED: "The graphics card has failed; the processor reads",
    DutyState.REBUILDING: "A new plan for the graphics card is being built; the processor reads",
    DutyState.STOPPED: "Nobody reads",
}
"""What people are told of each state."""
BAD: Final = frozenset({DutyState.DEGRADED, DutyState.REBUILDING, DutyState.STOPPED})


class DutyEvent(StrEnum):
    """What can happen."""

    WANTED = "WANTED"  # the choice has come to the fast one
    NOT_WANTED = "NOT_WANTED"  # it has come to the spare alone
    SERVES = "SERVES"  # the fast one has proven itself
    LOST = "LOST"  # it has crashed, hung, answered wrongly, or did not come up
    REFUSED = "REFUSED"  # its plan may not serve
    BUILT = "BUILT"  # a new plan stands
    NOT_BUILT = "NOT_BUILT"
    DUE = "DUE"  # the time for another try has come


class OnRefused(StrEnum):
    """What follows when the plan may not serve."""

    REBUILD = "rebuild"
    FALLBACK = "fallback"
    FAIL = "fail"


AFTER_REFUSED: Final = {
    OnRefused.REBUILD: DutyState.REBUILDING,
    OnRefused.FALLBACK: DutyState.DEGRADED,
    OnRefused.FAIL: DutyState.STOPPED,
}

_S, _E = DutyState, DutyEvent
NEXT: Final = {
    (_S.CHOOSING, _E.WANTED): _S.STARTING,
    (_S.CHOOSING, _E.NOT_WANTED): _S.SPARE_ONLY,
    (_S.STARTING, _E.SERVES): _S.ON_GPU,
    (_S.STARTING, _E.LOST): _S.DEGRADED,
    (_S.ON_GPU, _E.LOST): _S.DEGRADED,
    (_S.REBUILDING, _E.BUILT): _S.STARTING,
    (_S.REBUILDING, _E.NOT_BUILT): _S.DEGRADED,
    (_S.DEGRADED, _E.DUE): _S.STARTING,
    (_S.STOPPED, _E.DUE): _S.STARTING,
}
"""Every move but REFUSED, which leaves STARTING by AFTER_REFUSED. No other pair can happen."""

FELL_BACK: Final = "backend-fell-back"
CARD_LOST: Final = "gpu-lost"
REFUSED: Final = "engine-refused"
FAULTS: Final = (FELL_BACK, CARD_LOST, REFUSED)
"""Codes of the technical alerts; the last one makes the box BLIND."""

RETRY_S: Final = (1.0, 5.0, 30.0, 300.0, 3600.0)
"""Pauses before the next try, by how often in a row it was lost; the last one for ever."""
CARD_REST_S: Final = 300.0
"""A card that is gone is left in peace: whoever asks it may hang in the driver."""
STEADY_S: Final = 600.0
"""Whoever has served so long before it was lost begins again with the shortest pause."""


class ImpossibleDuty(Exception):
    """An event that cannot happen in this state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Duty:
    """How it stands. Times are of the monotonic clock. `why`: in words; of DEGRADED and STOPPED what went wrong."""

    state: DutyState
    why: str
    since_s: float
    losses: int = 0  # in a row
    retry_s: float | None = None
    rebuilt: bool = False  # a build has ended since a plan last served: another one would end like it
    fault: str = ""  # code of the technical alert that stands until the fast one serves

    @property
    def stopped(self) -> bool:
        """Whether nobody reads: also while a refused plan is tried once more."""
        return self.state is DutyState.STOPPED or (self.state is DutyState.STARTING and self.fault == REFUSED)


def begin(*, fast_wanted: bool | None, why: str, now_s: float) -> Duty:
    """The duty of a program that has just been started; its spare is proven. `fast_wanted`: None while that is asked."""
    if fast_wanted is None:
        return Duty(state=DutyState.CHOOSING, why=why, since_s=now_s)
    return Duty(state=DutyState.STARTING if fast_wanted else DutyState.SPARE_ONLY, why=why, since_s=now_s)


def advance(
    duty: Duty, event: DutyEvent, *, now_s: float, why: str, fault: str = "", on_refused: OnRefused = OnRefused.FALLBACK
) -> Duty:
    """The duty after one more event; `fault` is the code of LOST and NOT_BUILT. ImpossibleDuty for a pair without a move."""
    if (duty.state, event) == (_S.STARTING, _E.REFUSED):
        state = _S.DEGRADED if on_refused is OnRefused.REBUILD and duty.rebuilt else AFTER_REFUSED[on_refused]
    else:
        found = NEXT.get((duty.state, event))
        if found is None:
            raise ImpossibleDuty(f"{event} in state {duty.state}")
        state = found
    moved = replace(duty, state=state, why=why, since_s=now_s, retry_s=None)
    match event:
        case _E.SERVES:
            return replace(moved, rebuilt=False, fault="")
        case _E.LOST:
            steady = duty.state is _S.ON_GPU and now_s - duty.since_s >= STEADY_S
            losses = 1 if steady else duty.losses + 1
            pause_s = RETRY_S[min(losses, len(RETRY_S)) - 1]
            if fault == CARD_LOST:
                pause_s = max(pause_s, CARD_REST_S)
            return replace(moved, losses=losses, retry_s=now_s + pause_s, fault=fault)
        case _E.REFUSED:
            # A plan that was refused does not mend within seconds.
            retry_s = None if state is _S.REBUILDING else now_s + RETRY_S[-1]
            return replace(moved, retry_s=retry_s, fault=fault)
        case _E.BUILT:
            return replace(moved, rebuilt=True)
        case _E.NOT_BUILT:
            return replace(moved, rebuilt=True, retry_s=now_s + RETRY_S[-1], fault=fault)
        case _E.DUE | _E.WANTED | _E.NOT_WANTED:
            return moved
