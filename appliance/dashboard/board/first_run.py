"""What a box that has never seen a scan says: the steps before the first patient, and which of them are done."""

from dataclasses import dataclass
from typing import Final

from appliance.core.alerts import AlertState
from appliance.dashboard.board.views import FirstRun, Moment, Step
from appliance.dashboard.words import wording
from appliance.records.board import Board

INBOX_FAULTS: Final = frozenset({"inbox-unreachable", "inbox-covered"})
GIB: Final = 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxFacts:
    """What the ledger does not say: whether triage lives and is ready, and how much room the store has (bytes)."""

    triage_ready: bool = False
    free_bytes: int | None = None


def first_run(board: Board, facts: BoxFacts, moment: Moment) -> FirstRun:
    """The steps. The third is this screen's own: only the page knows whether it is armed."""
    steps = (_box(board, facts, moment), _inbox(board, facts), _arm(), _send(), _test(board, moment))
    done = sum(bool(step.done) for step in steps)
    return FirstRun(
        words=(_words(done), _words(done + 1)),
        steps_done=(f"{done} of {len(steps)}", f"{done + 1} of {len(steps)}"),
        files=0,
        steps=steps,
    )


def _words(done: int) -> str:
    said = wording.count(done, "is done", "are done")
    return f"This box has never seen a scan. Five steps, {said[0].lower()}{said[1:]}."


def _box(board: Board, facts: BoxFacts, moment: Moment) -> Step:
    if not facts.triage_ready or board.engine is None:
        return Step(
            words="The engine is passing its self-test", small="If this lasts longer than a minute: bleedwatch doctor"
        )
    at = moment.calendar.spoken(board.engine.at_ns, moment.now_ns)
    return Step(words="The box is running, the engine has passed its self-test", done=f"done {at}")


def _inbox(board: Board, facts: BoxFacts) -> Step:
    codes = {one.alert.key.first for one in board.technical}
    if not facts.triage_ready or codes & INBOX_FAULTS:
        return Step(words="The landing folder is not watched yet", small="Next step: bleedwatch doctor")
    free = "" if facts.free_bytes is None else f", and the store has {_room(facts.free_bytes)} free"
    return Step(words=f"The landing folder is watched{free}", done="done")


def _room(free_bytes: int) -> str:
    gib = free_bytes / GIB
    return f"{gib / 1024:.1f} TB" if gib >= 1024 else f"{gib:.0f} GB"


def _arm() -> Step:
    return Step(
        words="Arm the sound on this screen",
        small="The browser plays nothing until a person has pressed once.",
        act="arm",
    )


def _send() -> Step:
    return Step(
        words="Send one head CT from the scanner",
        small="Choose the destination that your administrator has set up for this box. "
        "The scan appears here within a second of its first slice.",
    )


def _test(board: Board, moment: Moment) -> Step:
    test = board.last_test
    small = "Marked TEST everywhere. It tries records, screens, sound and the other channels."
    if test is not None and test.state is AlertState.TEST_SEEN and test.acknowledged_ns is not None:
        done = f"done {moment.calendar.spoken(test.acknowledged_ns, moment.now_ns)}"
        return Step(words="Run a test alarm", small=small, done=done)
    return Step(words="Run a test alarm", small=small, act="test")
