"""`bleedwatch test-alarm`: raises a test alarm, so that a timer can try the road to every screen and channel each day."""

import time
from collections.abc import Callable
from typing import Final

from appliance.core.alerts import AlertState
from appliance.core.times import Now
from appliance.records.alerts import existing_alert
from appliance.records.ledger import Ledger
from appliance.records.test_alarms import raise_test, running_test
from appliance.settings import Settings

LOOK_EVERY_S: Final = 0.5
WAIT_AT_MOST_S: Final = 300.0
"""Longer than the dashboard lets a test run."""
ANSWERED, NOT_ANSWERED = 0, 1


def run_test_alarm(
    settings: Settings, *, by: str, wait: bool, clock: Callable[[], Now], say: Callable[[str], None]
) -> int:
    """Raises it. With `wait` returns only when it has ended: 0 if a person has answered, else 1."""
    with Ledger.open(settings.database) as ledger:
        with ledger.writing() as w:
            runs_already = running_test(w) is not None
            test = raise_test(w, by=by, at_ns=clock().wall_ns, details={"place": "command"})
        say("A test alarm is running already." if runs_already else "The test alarm has started.")
        if not wait:
            return ANSWERED
        state = _wait_for_end(ledger, test.id, clock)
        if state is AlertState.TEST_SEEN:
            with ledger.reading() as r:
                say(f"Seen and heard by {existing_alert(r, test.id).acknowledged_by}.")
            return ANSWERED
    say("Nobody has answered. Next step: look whether a board is open and armed (page System, who can hear and see).")
    return NOT_ANSWERED


def _wait_for_end(ledger: Ledger, alert_id: int, clock: Callable[[], Now]) -> AlertState:
    until_s = clock().monotonic_s + WAIT_AT_MOST_S
    while True:
        with ledger.reading() as r:
            state = existing_alert(r, alert_id).state
        if state is not AlertState.TEST_UNSEEN or clock().monotonic_s > until_s:
            return state
        time.sleep(LOOK_EVERY_S)
