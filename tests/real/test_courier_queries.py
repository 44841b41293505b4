"""What the courier asks at every commit of anybody stays cheap after years: no question reads a whole table."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from appliance.records.deliveries import Owed, channel_standing, not_yet_owed, waiting_deliveries
from appliance.records.escalations import ringing_alerts, was_told
from appliance.records.ledger import Connection, Ledger
from tests.real.scenes import Scene

QUESTIONS: dict[str, Callable[[Connection], object]] = {
    "what rings": ringing_alerts,
    "what waits": waiting_deliveries,
    "what is not yet owed": lambda r: not_yet_owed(r, [Owed(alert_id=1, event_id=1, channel="pager")]),
    "whether it was told": lambda r: was_told(r, 1, 1, "pager"),
    "how a channel stands": lambda r: channel_standing(r, "pager"),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_no_question_of_the_courier_reads_a_whole_table(question: str, ledger: Ledger, tmp_path: Path) -> None:
    Scene(ledger=ledger, store=tmp_path / "store", now_ns=time.time_ns()).critical("PHANTOM^ONE", 1)
    asked: list[tuple[str, Any]] = []

    def note(_c: object, _cursor: object, statement: str, parameters: Any, _context: object, _many: bool) -> None:
        asked.append((statement, parameters))

    with ledger.reading() as r:
        sa.event.listen(r.engine, "before_cursor_execute", note)
        try:
            QUESTIONS[question](r)
        finally:
            sa.event.remove(r.engine, "before_cursor_execute", note)
        selects = [one for one in asked if one[0].startswith("SELECT")]
        plans = {
            statement: [row.detail for row in r.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]
            for statement, parameters in selects
        }
    assert plans
    for statement, plan in plans.items():
        # From the newest row back to the first that answers is no whole table.
        newest_alone = "ORDER BY delivery.id DESC" in statement and "LIMIT" in statement
        assert newest_alone or not any(step.startswith("SCAN") for step in plan), (statement, plan)
