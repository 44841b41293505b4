"""An alert that nobody has answered for weeks: a look at it costs what a look at a fresh one costs."""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from appliance.core.alerts import Happening
from appliance.core.escalation import EscalationPolicy, EscalationStep, stage_of
from appliance.core.ledger import AlertRow
from appliance.records.alerts import append_event
from appliance.records.board import BoardMemory, read_board
from appliance.records.deliveries import channel_standing
from appliance.records.escalations import ringing_alerts, was_told
from appliance.records.ledger import Connection, Ledger
from appliance.records.models import alert, alert_event, delivery
from tests.real.scenes import S, Scene

ROUNDS_OF_30_DAYS = 8640
CHANNELS = ("pager", "mail")
STEPS_A_CALL = 50
POLICY = EscalationPolicy(steps=(EscalationStep(name="Everyone", after_s=0.0, channels=CHANNELS),), repeat_s=300.0)


def shown_on_a_page(scene: Scene) -> AlertRow:
    """A CRITICAL that nobody has answered."""
    row = scene.critical("PHANTOM^ONE", 1)
    details = {"page": "a" * 16, "event": str(row.last_event_id), "sounded": "yes"}
    with scene.ledger.writing() as w:
        return append_event(w, row.id, Happening.DELIVERED, at_ns=row.raised_ns, by="page", details=details)


def told_for(ledger: Ledger, row: AlertRow, rounds: int) -> None:
    """So many rounds, each with the answers of all channels, as the courier writes them."""
    with ledger.writing() as w:
        number = row.last_event_id
        events: list[dict[str, Any]] = []
        messages: list[dict[str, Any]] = []
        for n in range(rounds):
            at_ns = row.raised_ns + n * 300 * S
            number += 1
            told = number
            details = {
                "step": "1", "round": str(n + 2), "name": "Everyone", "channels": ",".join(CHANNELS), "why": "time",
            }  # fmt: skip
            events.append(_event(row, number, Happening.ESCALATED, "courier", at_ns, details))
            for channel in CHANNELS:
                number += 1
                events.append(_event(row, number, Happening.DELIVERED, channel, at_ns, {"event": str(told)}))
                messages.append(
                    {
                        "alert_id": row.id, "event_id": told, "channel": channel, "idempotency_key": f"{told}-{channel}",
                        "state": "DONE", "attempts": 1, "created_ns": at_ns, "due_ns": at_ns, "ended_ns": at_ns,
                        "last_error": "",
                    }
                )  # fmt: skip
        if events:
            w.execute(sa.insert(alert_event), events)
            w.execute(sa.insert(delivery), messages)
            w.execute(sa.update(alert).where(alert.c.id == row.id).values(last_event_id=number))


def _event(row: AlertRow, number: int, kind: Happening, by: str, at_ns: int, details: dict[str, str]) -> dict[str, Any]:
    return {
        "id": number, "alert_id": row.id, "kind": kind, "at_ns": at_ns, "by": by, "new_acquisition": False,
        "sounds": False, "details": details,
    }  # fmt: skip


def steps_of(r: Connection, question: Callable[[Connection], object]) -> int:
    """How many steps SQLite takes to answer, in fifties."""
    counted = 0

    def count() -> int:
        nonlocal counted
        counted += 1
        return 0

    raw = r.connection.dbapi_connection
    assert raw is not None
    raw.set_progress_handler(count, STEPS_A_CALL)  # type: ignore[attr-defined]
    try:
        question(r)
    finally:
        raw.set_progress_handler(None, 0)  # type: ignore[attr-defined]
    return counted


def test_a_look_at_an_alert_of_weeks_costs_what_a_look_at_a_fresh_one_costs(scene: Scene, ledger: Ledger) -> None:
    row = shown_on_a_page(scene)
    memory = BoardMemory()

    def board(r: Connection) -> None:
        read_board(r, now_ns=scene.now_ns, midnight_ns=0, linger_ns=S, memory=memory)

    questions: dict[str, Callable[[Connection], object]] = {
        "board": board,
        "what rings": ringing_alerts,
        "was it told": lambda r: was_told(r, row.id, ringing_alerts(r)[0].events[-1].id, "pager"),
        "how a channel stands": lambda r: channel_standing(r, "pager"),
        "how one that is set no more stands": lambda r: channel_standing(r, "fax"),
    }
    told_for(ledger, row, 100)
    with ledger.reading() as r:
        fresh = {name: steps_of(r, question) for name, question in questions.items()}
    with ledger.writing() as w:
        w.execute(sa.delete(delivery))
        w.execute(sa.delete(alert_event).where(alert_event.c.id > row.last_event_id))
    told_for(ledger, row, ROUNDS_OF_30_DAYS)
    with ledger.reading() as r:
        old = {name: steps_of(r, question) for name, question in questions.items()}
    assert {name: steps for name, steps in old.items() if steps > fresh[name] + 20} == {}, fresh


def test_of_weeks_of_rounds_the_board_knows_the_last_one_and_every_word_of_a_person(
    scene: Scene, ledger: Ledger
) -> None:
    row = shown_on_a_page(scene)
    told_for(ledger, row, 300)
    with ledger.reading() as r:
        (shown,) = read_board(r, now_ns=scene.now_ns, midnight_ns=0, linger_ns=S).alarms
        stage = stage_of(POLICY, shown.events)
        assert stage is not None and stage == stage_of(POLICY, ringing_alerts(r)[0].events)
    assert (stage.round, shown.events[-1].by) == (301, "mail")
    assert next(one.by for one in shown.events if one.happening is Happening.DELIVERED) == "page"
    assert shown.events[0].happening is Happening.RAISED and shown.news.id == row.sounding_event_id
    assert len(shown.events) < 110
