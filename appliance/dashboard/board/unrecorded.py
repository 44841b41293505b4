"""What the programs say while the ledger cannot be written: a red band, and for a bleed that is not recorded its alarm.

Nothing of it can be acknowledged yet: there is no row that an answer could stand in. It sounds until it is recorded, and
then as the alert that it is.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from appliance.core.ledger import Finding
from appliance.core.status import Unrecorded
from appliance.core.words import Level, Side
from appliance.dashboard.board.bands import sentences
from appliance.dashboard.board.cards import name_of
from appliance.dashboard.board.views import Alarm, Band, Face, Moment
from appliance.dashboard.words import wording
from appliance.records.board import Board

NEXT: Final = (
    "Look at the scan now. The box cannot write it down yet, so it cannot be acknowledged here: it sounds on until it can. "
    "Call the administrator now."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unkept:
    """What the status files say. `code`: why the ledger cannot be written, empty where it can; `since_ns`: since when."""

    code: str = ""
    since_ns: int = 0
    unrecorded: tuple[Unrecorded, ...] = ()


def still_unrecorded(unkept: Unkept, board: Board) -> tuple[Unrecorded, ...]:
    """What the board does not show by now: a status file may be a second old."""
    rung = {(one.alert.study_id, one.alert.sounded_ns or 0) for one in board.alarms}
    return tuple(
        one
        for one in unkept.unrecorded
        if not any(study_id == one.study_id and sounded_ns >= one.at_ns for study_id, sounded_ns in rung)
    )


def unrecorded_bands(
    unkept: Unkept, board: Board, moment: Moment, face: Face, *, known: Collection[str]
) -> tuple[Band, ...]:
    """A band for each bleed that is not recorded, and one for the ledger. `known`: codes that have a band already."""
    bleeds = [
        Band(
            key=f"unrecorded-{one.study_id}",
            blind=True,
            bleed=True,
            lead=_found(one, board, face),
            words=NEXT,
            age=moment.age(f"unrecorded-{one.study_id}", one.at_ns),
        )
        for one in still_unrecorded(unkept, board)
    ]
    if not unkept.code or unkept.code in known:
        return tuple(bleeds)
    said, next_step = sentences(unkept.code, {})
    age = moment.age(unkept.code, unkept.since_ns or moment.now_ns)
    return (*bleeds, Band(key=unkept.code, blind=True, lead=said, words=next_step, age=age))


def unrecorded_alarms(unkept: Unkept, board: Board, face: Face) -> tuple[Alarm, ...]:
    """What the page sounds for them. Their numbers are below zero: no row of the ledger has them."""
    return tuple(
        Alarm(
            alert=-one.study_id,
            event=-one.study_id,
            level=Level.CRITICAL.value,
            blind=False,
            sounds=True,
            said=f"CRITICAL. {_found(one, board, face)} Look at the scan now.",
            spoken=-one.study_id,
        )
        for one in still_unrecorded(unkept, board)
    )


def _found(one: Unrecorded, board: Board, face: Face) -> str:
    found = None
    if one.label:
        side = Side(one.side) if one.side in set(Side) else Side.UNKNOWN
        found = Finding(label=one.label, side=side, key_slice_id=0, key_number=one.key_number, evidence=())
    studies = (*board.landing, *board.closed, *(alarm.study for alarm in board.alarms if alarm.study))
    facts = next((study.facts for study in studies if study.study.id == one.study_id), None)
    who = name_of(facts, face) if facts else f"Study {one.study_id} of this box"
    return f"{wording.finding(Level.CRITICAL, found)}. {who}."
