"""What a press comes to when the clock of the box is not to be trusted."""

import pytest

from appliance.core.words import Outcome
from appliance.dashboard.desk import SETTLE_NS, acknowledge, see
from appliance.records.alerts import existing_alert
from appliance.records.ledger import Ledger
from appliance.records.studies import study_by_id
from tests.real.scenes import Scene

HOUR_NS = 3600 * 10**9


@pytest.mark.parametrize(
    ("after_ns", "status"),
    [(0, 409), (SETTLE_NS - 1, 409), (SETTLE_NS, 200), (-1, 200), (-HOUR_NS, 200), (HOUR_NS, 200)],
)
def test_an_alert_is_acknowledged_whatever_the_clock_says_but_not_in_its_first_half_second(
    scene: Scene, ledger: Ledger, after_ns: int, status: int
) -> None:
    alert = scene.critical("PHANTOM^ONE", 1)
    at_ns = alert.changed_ns + after_ns
    answer = acknowledge(
        ledger, alert_id=alert.id, shown_event=alert.last_event_id, by="R. Example", page="p", now_ns=at_ns
    )
    assert answer.status == status
    with ledger.reading() as r:
        assert existing_alert(r, alert.id).sounds == (status != 200)


@pytest.mark.parametrize(("after_ns", "status"), [(0, 409), (SETTLE_NS, 200), (-HOUR_NS, 200)])
def test_a_study_is_seen_whatever_the_clock_says(scene: Scene, ledger: Ledger, after_ns: int, status: int) -> None:
    scanned = scene.study("PHANTOM^ONE", number=1)
    scene.close(scanned, Outcome.NOT_ANALYSED, ())
    with ledger.reading() as r:
        closed_ns = study_by_id(r, scanned.study_id).closed_ns  # type: ignore[union-attr]
    assert closed_ns is not None
    answer = see(ledger, study_id=scanned.study_id, by="R. Example", page="p", now_ns=closed_ns + after_ns)
    assert answer.status == status
