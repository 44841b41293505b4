"""Test alarms: raised like any other alert, so that the road to every screen and channel is tried."""

from typing import Final

import sqlalchemy as sa

from appliance.core.alerts import Happening
from appliance.core.ledger import AlertKey, AlertRow
from appliance.core.words import Level
from appliance.records.alerts import alerts_where, append_event, find_alert, raise_alert
from appliance.records.ledger import Connection, Ledger
from appliance.records.models import alert

KEY: Final = AlertKey(kind="test", first="test-alarm", second="box")
NOBODY: Final = "nobody answered"


def raise_test(w: Connection, *, by: str, at_ns: int, details: dict[str, str]) -> AlertRow:
    """Raises a test alarm, or gives the one that is running. `details`: from which screen."""
    return raise_alert(
        w,
        KEY,
        Level.TEST,
        study_id=None,
        series_id=None,
        reading_id=None,
        at_ns=at_ns,
        details=details,
        by=by,
    )


def running_test(r: Connection) -> AlertRow | None:
    """The test alarm that nobody has answered yet."""
    return find_alert(r, KEY)


def last_test(r: Connection) -> AlertRow | None:
    """The last test alarm, running or ended."""
    newest = sa.select(alert).where(alert.c.kind == KEY.kind).order_by(alert.c.id.desc()).limit(1)
    return next(iter(alerts_where(r, newest)), None)


def end_unanswered_test(ledger: Ledger, *, raised_before_ns: int, at_ns: int, by: str) -> bool:
    """Ends a test alarm that was raised before then and nobody has answered (MENDED). Returns whether there was one."""
    with ledger.reading() as r:
        running = running_test(r)
    if running is None or running.raised_ns > raised_before_ns:
        return False
    with ledger.writing() as w:
        running = running_test(w)
        if running is None or running.raised_ns > raised_before_ns:
            return False
        append_event(w, running.id, Happening.MENDED, at_ns=at_ns, by=by, details={"note": NOBODY})
    return True
