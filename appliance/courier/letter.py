"""The same message in words, for a mail: what happened, what it means, the next step. Never a name, an ID or a UID."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from appliance.core.alerts import Happening
from appliance.core.escalation import Why
from appliance.core.reasons import REASONS, Of, reason, sentence
from appliance.core.words import PLACE, Finality, Label, Level
from appliance.courier.message import Told

TEST_MARK: Final = "[TEST] "
FOOTER: Final = (
    "This letter names no patient on purpose: the board does. Bleedwatch raises priority and never lowers it. "
    "Every scan still needs its reader. Not a cleared medical device."
)
UNRECORDED: Final = "The box cannot write its records at this moment: the board shows a red band, and no name yet."
_WHY: Final = {
    Why.TIME: "nobody has answered the step before",
    Why.NO_SCREEN: "no screen answered",
    Why.DEAD_CHANNELS: "no channel of the step before takes messages",
    Why.START: "nobody has answered, and the courier had stopped for a while",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """Subject and text. The same for every attempt of one message."""

    subject: str
    text: str


def letter(told: Told, scanner: str, clock_text: Callable[[int], str]) -> Letter:
    """The letter of a message. `clock_text` gives the wall time of the box, as people read it."""
    facts = [
        f"Scanner: {scanner}",
        f"{f'Alert {told.alert.id}' if told.recorded else 'Not recorded yet'}, since {clock_text(told.ring.at_ns)}",
        *_step(told, clock_text),
    ]
    return Letter(
        subject=f"{TEST_MARK if told.test else ''}{_headline(told)}, {scanner}",
        text="\n\n".join((_happened(told), _next_step(told), "\n".join(facts), FOOTER)) + "\n",
    )


def _headline(told: Told) -> str:
    if told.test:
        return "Practice alert, this is not a patient"
    if told.level is Level.TECHNICAL:
        blind = _is_known(told.code) and reason(Of.TECHNICAL, told.code).leads_to == "BLIND"
        return "BLIND: the box cannot see or cannot tell" if blind else "TECHNICAL: a fault of the box"
    return "CRITICAL: suspected bleed"


def _happened(told: Told) -> str:
    if told.test:
        return "TEST. Practice alert. This is not a patient."
    if told.level is Level.TECHNICAL:
        if not _is_known(told.code):
            return f"A fault that this version of Bleedwatch has no words for: {told.code}."
        return sentence(Of.TECHNICAL, told.code, **told.ring.details)
    provisional = " Provisional: the scan was still running." if told.finality is Finality.PROVISIONAL else ""
    unrecorded = "" if told.recorded else f" {UNRECORDED}"
    return f"CRITICAL. {_finding(told)}{provisional}{unrecorded}"


def _finding(told: Told) -> str:
    found = told.found
    if found is None:
        return f"Suspected bleed {PLACE[Label.ANY]}."
    label = Label(found.label)
    kind = "" if label is Label.ANY else f" ({label.upper()})"
    return f"Suspected bleed {PLACE[label]}{kind}, {found.side}."


def _next_step(told: Told) -> str:
    if told.test:
        return "Next step: on the board, press “I see and hear the test”."
    if told.level is Level.TECHNICAL:
        known = reason(Of.TECHNICAL, told.code).next_step if _is_known(told.code) else "Call the administrator."
        return f"Next step: {known}"
    if not told.recorded:
        return "Next step: look at the scan now. It can be acknowledged once the box can write again; until then it tells on."
    return "Next step: look at the scan now, and press Acknowledge on the board. Until somebody does, the box tells on."


def _is_known(code: str) -> bool:
    """An older version may have been put back on the records of a newer one."""
    return (Of.TECHNICAL, code) in REASONS


def _step(told: Told, clock_text: Callable[[int], str]) -> list[str]:
    if told.event.happening is not Happening.ESCALATED:
        return []
    said = told.event.details
    times = "" if said["round"] == "1" else f", told for the {said['round']}. time"
    return [f"Step {said['step']}: {said['name']}, {clock_text(told.event.at_ns)}{times}: {_WHY[Why(said['why'])]}."]
