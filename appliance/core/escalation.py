"""Who is told next when nobody answers: pure rules over what has happened to an alert.

An alert that rings is told on the steps of a ladder, one after the other, and after the last step everybody is told again
and again until a person answers. Each ringing event (`core.alerts.rings`) starts at the foot of the ladder anew. What has
been told stands in ESCALATED events of the courier; nothing else is remembered.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from appliance.core.alerts import Happening
from appliance.core.ledger import AlertEventRow
from appliance.core.times import NS_PER_S
from appliance.core.words import Level

EVERYBODY: Final = "Everybody"
NOT_TOLD_BY_CHANNEL: Final = frozenset({"courier-silent", "nobody-can-be-told"})
"""Technical alerts that no channel can tell: while they stand no courier or no channel works."""


class Why(StrEnum):
    """Why a step was taken."""

    TIME = "time"  # nobody has answered for as long as the step waits
    NO_SCREEN = "no-screen"  # no page could show and sound the alert
    DEAD_CHANNELS = "dead-channels"  # no channel of the step before takes messages
    START = "start"  # it fell due while no courier was running


@dataclass(frozen=True, slots=True, kw_only=True)
class EscalationStep:
    """One step: whom its channels reach, and how long after the alert rang."""

    name: str
    after_s: float
    channels: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EscalationPolicy:
    """The ladder, its steps in the order of their time. `technical`: the channels that are told faults of the box."""

    steps: tuple[EscalationStep, ...] = ()
    repeat_s: float = 300.0
    technical: tuple[str, ...] = ()

    @property
    def everybody(self) -> tuple[str, ...]:
        """The channels of all steps, each once, in order."""
        return tuple(dict.fromkeys(channel for step in self.steps for channel in step.channels))

    @property
    def channels(self) -> tuple[str, ...]:
        """All channels that are ever told anything, each once, in order."""
        return tuple(dict.fromkeys((*self.everybody, *self.technical)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """How far the telling has got. `step` counts from 1; 0: only the screens so far. `round` counts from 1."""

    step: int
    round: int
    name: str
    at_ns: int
    why: Why
    event_id: int  # on which the messages of this stage hang


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One ringing of an alert, and what has come of it. `answered`: a person has."""

    ring: AlertEventRow
    stage: Stage
    no_screen: bool  # a missing screen has already moved it on: that happens once for each ringing
    answered: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NextStep:
    """What follows if nobody answers: the earlier of the two waits. `after_ring_s` is None for a repetition."""

    step: int
    round: int
    name: str
    channels: tuple[str, ...]
    after_ring_s: float | None
    after_stage_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Upcoming:
    """What a screen says of it: "On-call lead next in 0:55". `due_ns` by the wall times of the events."""

    step: int
    round: int
    step_name: str
    due_ns: int


def run_of(policy: EscalationPolicy, events: Sequence[AlertEventRow]) -> Run | None:
    """The last ringing among the events of one alert, given in their order. None where none of them rang.

    Events before the last ringing may be missing, and so may ESCALATED events that newer ones of the same ringing
    followed.
    """
    rang = [number for number, event in enumerate(events) if event.sounds]
    if not rang:
        return None
    ring, later = events[rang[-1]], events[rang[-1] + 1 :]
    taken = [event for event in later if event.happening is Happening.ESCALATED]
    return Run(
        ring=ring,
        stage=_stage_of(taken[-1]) if taken else _foot(policy, ring),
        no_screen=any(event.details.get("why") == Why.NO_SCREEN for event in taken),
        answered=any(event.happening in (Happening.ACKNOWLEDGED, Happening.JUDGED) for event in later),
    )


def stage_of(policy: EscalationPolicy, events: Sequence[AlertEventRow]) -> Stage | None:
    """How far the last ringing has been told: `run_of`'s stage."""
    run = run_of(policy, events)
    return run.stage if run else None


def channels_of(policy: EscalationPolicy, event: AlertEventRow, *, code: str = "") -> tuple[str, ...]:
    """The channels that owe a message for this event. `code`: of a technical alert.

    A ringing alert is told at once on the first step if that does not wait; a test always is, and nowhere else; a fault
    of the box on the channels set for such. An ESCALATED event names its channels itself.
    """
    if event.happening is Happening.ESCALATED:
        known = policy.everybody
        return tuple(one for one in event.details.get("channels", "").split(",") if one in known)
    if not event.sounds:
        return ()
    if code or event.level is Level.TECHNICAL:
        return () if code in NOT_TOLD_BY_CHANNEL else policy.technical
    return policy.steps[0].channels if policy.steps and _told_at_once(policy, event) else ()


def next_step(policy: EscalationPolicy, run: Run) -> NextStep | None:
    """What follows on the stage that has been reached. None: nothing ever does.

    A step that was taken early pulls the following ones with it: between two steps it is never longer than between
    their times. After the last step everybody is told again each `repeat_s`.
    """
    if run.answered or not policy.steps or run.ring.level in (Level.TEST, Level.TECHNICAL):
        return None
    at = run.stage.step
    if at < len(policy.steps) and run.stage.round == 1:
        step = policy.steps[at]
        gap_s = step.after_s - (policy.steps[at - 1].after_s if at else 0.0)
        return NextStep(
            step=at + 1,
            round=1,
            name=step.name,
            channels=step.channels,
            after_ring_s=step.after_s,
            after_stage_s=gap_s,
        )
    return NextStep(
        step=len(policy.steps),
        round=run.stage.round + 1,
        name=policy.steps[0].name if len(policy.steps) == 1 else EVERYBODY,
        channels=policy.everybody,
        after_ring_s=None,
        after_stage_s=policy.repeat_s,
    )


def why_now(
    policy: EscalationPolicy,
    run: Run,
    *,
    since_ring_s: float,
    since_stage_s: float,
    no_screen: bool,
    dead: Collection[str],
    starting: bool = False,
) -> Why | None:
    """Why the next step is to be taken now; None: it is not.

    The seconds are the larger of what the wall clock and a steady count say, so that no jumping clock delays a step.
    `no_screen`: no page can tell anybody; `dead`: channels that take no messages; `starting`: the courier looks for the
    first time. Nothing but time leads to a repetition: what tells everybody cannot tell more.
    """
    following = next_step(policy, run)
    if following is None:
        return None
    after_ring_s = following.after_ring_s
    if since_stage_s >= following.after_stage_s or (after_ring_s is not None and since_ring_s >= after_ring_s):
        return Why.START if starting else Why.TIME
    if after_ring_s is None:
        return None
    if no_screen and not run.no_screen:
        return Why.NO_SCREEN
    told = policy.steps[run.stage.step - 1].channels if run.stage.step else ()
    return Why.DEAD_CHANNELS if told and all(channel in dead for channel in told) else None


def upcoming(policy: EscalationPolicy, events: Sequence[AlertEventRow]) -> Upcoming | None:
    """What follows if nobody answers, for a screen, from the events of one alert. None: nothing ever does."""
    run = run_of(policy, events)
    following = next_step(policy, run) if run else None
    if run is None or following is None:
        return None
    due_ns = run.stage.at_ns + round(following.after_stage_s * NS_PER_S)
    if following.after_ring_s is not None:
        due_ns = min(due_ns, run.ring.at_ns + round(following.after_ring_s * NS_PER_S))
    return Upcoming(step=following.step, round=following.round, step_name=following.name, due_ns=due_ns)


def details_of(step: NextStep, why: Why) -> dict[str, str]:
    """The details of the ESCALATED event that takes a step."""
    return {
        "step": str(step.step),
        "round": str(step.round),
        "name": step.name,
        "channels": ",".join(step.channels),
        "why": why,
    }


def owed(policy: EscalationPolicy, events: Sequence[AlertEventRow], *, code: str = "") -> dict[str, int]:
    """What each channel must have told of an alert that rings, by channel: the id of the newest event that names it.

    Events as for `run_of`; those before the last ringing owe nothing any more.
    """
    rang = [number for number, event in enumerate(events) if event.sounds]
    since = events[rang[-1] :] if rang else ()
    return {channel: event.id for event in since for channel in channels_of(policy, event, code=code)}


def _told_at_once(policy: EscalationPolicy, ring: AlertEventRow) -> bool:
    return ring.level is Level.TEST or policy.steps[0].after_s <= 0


def _foot(policy: EscalationPolicy, ring: AlertEventRow) -> Stage:
    told = bool(policy.steps) and ring.level is not Level.TECHNICAL and _told_at_once(policy, ring)
    name = policy.steps[0].name if told else ""
    return Stage(step=int(told), round=1, name=name, at_ns=ring.at_ns, why=Why.TIME, event_id=ring.id)


def _stage_of(event: AlertEventRow) -> Stage:
    said = event.details
    return Stage(
        step=int(said["step"]),
        round=int(said["round"]),
        name=said["name"],
        at_ns=event.at_ns,
        why=Why(said["why"]),
        event_id=event.id,
    )
