"""Who has been told by the box itself, and who is next: what the card says while nobody answers."""

from dataclasses import dataclass

from appliance.core.alerts import Happening
from appliance.core.escalation import EscalationPolicy, Stage, Why, stage_of, upcoming
from appliance.core.words import Level
from appliance.dashboard.board.views import Age, Moment
from appliance.records.board import BoardAlert


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """`said`: who was told last, empty while it was only the screens; `due_words` and `due`: who is next, and when.

    `first`: it is the first step, which every alert takes.
    """

    said: str = ""
    first: bool = True
    due_words: str = ""
    due: Age | None = None


def telling(alert: BoardAlert, policy: EscalationPolicy, moment: Moment) -> Telling:
    """What the courier has done for an alert that nobody has answered, and what it will do."""
    if alert.alert.level is not Level.CRITICAL or not alert.alert.sounds:
        return Telling()
    stage = stage_of(policy, alert.events)
    following = upcoming(policy, alert.events)
    return Telling(
        said=_said(alert, stage, moment) if stage is not None and stage.step > 0 else "",
        first=stage is None or (stage.step < 2 and stage.round == 1 and stage.why is not Why.NO_SCREEN),
        due_words=f"{_start(following.step_name)} {'again' if following.round > 1 else 'next'}" if following else "",
        due=moment.until(f"due-{alert.alert.id}", following.due_ns) if following else None,
    )


def _said(alert: BoardAlert, stage: Stage, moment: Moment) -> str:
    """Stroke team paged 14:34:02, no answer yet."""
    at = moment.calendar.clock(stage.at_ns)
    if not _is_taken(alert, stage):
        return f"{_start(stage.name)} is being paged since {at}, no answer yet."
    if stage.why is Why.NO_SCREEN:
        return f"No screen answered: {stage.name} paged at once, {at}. No answer yet."
    again = " again" if stage.round > 1 else ""
    return f"{_start(stage.name)} paged{again} {at}, no answer yet."


def _is_taken(alert: BoardAlert, stage: Stage) -> bool:
    """Whether any channel has taken a message of this stage."""
    return any(
        event.happening is Happening.DELIVERED
        and event.by != "page"
        and event.details.get("event") == str(stage.event_id)
        for event in alert.events
    )


def _start(words: str) -> str:
    return words[:1].upper() + words[1:]
