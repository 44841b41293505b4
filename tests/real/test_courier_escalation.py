"""Steps while nobody answers, with real gateways that stall, refuse and are slow; screens that are gone; clocks that jump."""

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from appliance.core.alerts import Happening
from appliance.core.delivery import DEAD_AFTER_S
from appliance.core.escalation import EVERYBODY, NOT_TOLD_BY_CHANNEL
from appliance.core.ledger import AlertKey
from appliance.core.reasons import REASONS, Of
from appliance.core.times import NS_PER_S, Now
from appliance.core.words import Level
from appliance.courier.policy import CourierPolicy
from appliance.courier.sending import OVERDUE_S
from appliance.processes.clock import now
from appliance.records.alerts import append_event, open_alerts, raise_alert
from appliance.records.check import check
from appliance.records.deliveries import dead_letters
from appliance.records.ledger import Ledger
from tests.real.couriers import (
    PAGE,
    Box,
    answers,
    courier,
    events,
    ladder,
    messages,
    started,
    steps_taken,
    tick_for,
    tick_until,
    wait_until,
    webhook,
)
from tests.real.gateways import Gateway, open_gateway
from tests.real.scenes import Scene

S = NS_PER_S


@pytest.fixture
def ward() -> Iterator[Gateway]:
    with open_gateway() as opened:
        yield opened


@pytest.fixture
def team() -> Iterator[Gateway]:
    with open_gateway() as opened:
        yield opened


@pytest.fixture
def lead() -> Iterator[Gateway]:
    with open_gateway() as opened:
        yield opened


def three(ward: Gateway, team: Gateway, lead: Gateway, **more: object) -> CourierPolicy:
    """Ward at once, team after two minutes, lead after five, then all each four minutes."""
    steps = ((0.0, webhook(ward, "ward")), (120.0, webhook(team, "team")), (300.0, webhook(lead, "lead")))
    return ladder(*steps, repeat_s=240.0, **more)  # type: ignore[arg-type]


def got(*gateways: Gateway) -> list[int]:
    """How many messages each has had."""
    return [len(one.received) for one in gateways]


def test_nobody_answers_and_each_step_is_told_in_its_time_then_all_again(
    scene: Scene, ledger: Ledger, ward: Gateway, team: Gateway, lead: Gateway
) -> None:
    box = Box(ledger, pages=(PAGE,))
    made = box.courier(three(ward, team, lead))
    alert = box.ring(scene)
    box.settle(made)
    assert got(ward, team, lead) == [1, 0, 0]
    box.after(made, 119)
    assert steps_taken(ledger, alert.id) == []
    box.settle(made, after_s=1)
    assert got(ward, team, lead) == [1, 1, 0]
    box.settle(made, after_s=180)
    assert got(ward, team, lead) == [1, 1, 1]
    for number in (2, 3):
        box.after(made, 239)
        assert got(ward, team, lead) == [number - 1] * 3
        box.settle(made, after_s=1)
        assert got(ward, team, lead) == [number] * 3
    assert steps_taken(ledger, alert.id) == [
        ("Team", "time"),
        ("Lead", "time"),
        (EVERYBODY, "time"),
        (EVERYBODY, "time"),
    ]
    assert [len({one.key for one in of.received}) for of in (ward, team, lead)] == [3, 3, 3], (
        "each a message of its own"
    )
    first, again = team.received[0].document, team.received[1].document
    assert first["step"] == {"number": 2, "round": 1, "name": "Team", "why": "time"}
    assert again["step"] == {"number": 3, "round": 2, "name": EVERYBODY, "why": "time"}
    assert ward.received[0].document["step"] is None
    scene.acknowledge(alert, "R. Example")
    box.settle(made, after_s=10_000)
    assert got(ward, team, lead) == [3, 3, 3]
    assert check(ledger) == []
    made.close()


def test_an_answer_in_time_goes_no_further_and_news_begins_at_the_first_step(
    scene: Scene, ledger: Ledger, ward: Gateway, team: Gateway, lead: Gateway
) -> None:
    box = Box(ledger, pages=(PAGE,))
    made = box.courier(three(ward, team, lead))
    alert = box.ring(scene)
    box.settle(made)
    box.settle(made, after_s=125)
    scene.acknowledge(alert, "R. Example")
    box.after(made, 9_000)
    assert got(ward, team, lead) == [1, 1, 0]
    with ledger.writing() as w:
        append_event(
            w, alert.id, Happening.RAISED, at_ns=box.at.wall_ns, by="triage", details={}, level=Level.CRITICAL,
            new_acquisition=True,
        )  # fmt: skip
    box.settle(made)
    assert got(ward, team, lead) == [2, 1, 0]
    box.after(made, 119)
    assert got(ward, team, lead) == [2, 1, 0]
    box.settle(made, after_s=1)
    assert got(ward, team, lead) == [2, 2, 0]
    made.close()


def test_no_live_page_takes_the_next_step_at_once_and_only_that(
    scene: Scene, ledger: Ledger, ward: Gateway, team: Gateway, lead: Gateway
) -> None:
    box = Box(ledger)
    made = box.courier(three(ward, team, lead))
    box.after(made, 10)
    alert = box.ring(scene)
    box.settle(made)
    assert steps_taken(ledger, alert.id) == [("Team", "no-screen")]
    assert got(ward, team, lead) == [1, 1, 0]
    box.after(made, 179)
    assert got(ward, team, lead) == [1, 1, 0]
    box.settle(made, after_s=1)
    assert steps_taken(ledger, alert.id) == [("Team", "no-screen"), ("Lead", "time")]
    made.close()


def test_a_page_that_is_loaded_again_calls_nobody_and_one_that_stays_away_does(
    scene: Scene, ledger: Ledger, ward: Gateway, team: Gateway, lead: Gateway
) -> None:
    box = Box(ledger, pages=(PAGE,))
    made = box.courier(three(ward, team, lead))
    alert = box.ring(scene)
    box.after(made, 1)
    box.pages = ()
    box.after(made, 2)
    box.pages = (PAGE,)
    box.after(made, 1)
    assert steps_taken(ledger, alert.id) == []
    box.pages = ()
    for _ in range(8):
        box.after(made, 0.5)
    assert steps_taken(ledger, alert.id) == [("Team", "no-screen")]
    box.settle(made)
    made.close()


def test_while_the_box_starts_its_pages_are_given_time(
    scene: Scene, ledger: Ledger, ward: Gateway, team: Gateway, lead: Gateway
) -> None:
    box = Box(ledger)
    alert = box.ring(scene)
    made = box.courier(three(ward, team, lead, grace_s=15.0))
    box.after(made, 14)
    assert steps_taken(ledger, alert.id) == []
    box.after(made, 1.5)
    assert steps_taken(ledger, alert.id) == [("Team", "no-screen")]
    box.settle(made)
    made.close()


def test_a_refusing_gateway_is_passed_at_once_and_tried_on_and_told_of(
    scene: Scene, ledger: Ledger, ward: Gateway, team: Gateway, lead: Gateway
) -> None:
    ward.answer = lambda n: (401, {}, 0.0) if n < 3 else (204, {}, 0.0)
    box = Box(ledger, pages=(PAGE,))
    made = box.courier(three(ward, team, lead))
    alert = box.ring(scene)
    box.settle(made)
    box.settle(made)
    assert steps_taken(ledger, alert.id) == [("Team", "dead-channels")]
    assert got(ward, team, lead) == [1, 1, 0]
    assert box.after(made, 1) == {"dead-letters"}
    with ledger.reading() as r:
        (fault,) = [one for one in open_alerts(r) if one.level is Level.TECHNICAL]
    assert (fault.key.second, fault.details["channel"]) == ("ward", "ward")
    assert made.faults == ("The channel ward takes no messages.",)
    for _ in range(2):  # goes on trying, each minute
        box.settle(made, after_s=61)
    assert got(ward, team, lead) == [3, 1, 0]
    assert [one.happening for one in answers(ledger, alert.id, "ward")] == [Happening.FAILED, Happening.DELIVERED]
    assert box.after(made, 1) == set()
    assert made.faults == ()
    made.close()


def test_a_stalled_gateway_holds_up_neither_the_next_step_nor_another_channel(
    scene: Scene, ledger: Ledger, ward: Gateway, team: Gateway, lead: Gateway
) -> None:
    """On the real clock: the steps fall within a second of their times, whatever hangs."""
    ward.answer = lambda _n: (204, {}, 20.0)
    team.answer = lambda _n: (204, {}, 1.2)  # slow
    policy = ladder(
        (0.0, webhook(ward, "ward", read_timeout_s=10.0)),
        (1.5, webhook(team, "team")),
        (3.0, webhook(lead, "lead")),
    )
    made = started(policy, ledger)
    scene.now_ns = time.time_ns()
    alert = scene.critical("PHANTOM^ONE", 1, before_s=0.0)
    (ring,) = events(ledger, alert.id, Happening.RAISED)
    tick_until(made, lambda: len(lead.received) == 1, within_s=10)
    tick_until(made, lambda: bool(answers(ledger, alert.id, "team")))
    taken = events(ledger, alert.id, Happening.ESCALATED)
    assert [one.details["why"] for one in taken] == ["time", "time"]
    late_s = [(one.at_ns - ring.at_ns) / S - due_s for one, due_s in zip(taken, (1.5, 3.0), strict=True)]
    assert all(0 <= late < 1 for late in late_s), late_s
    assert got(ward, team, lead) == [1, 1, 1]
    assert answers(ledger, alert.id, "ward") == []
    made.close()


def test_a_stalled_gateway_is_dead_when_it_has_not_answered_and_its_step_is_passed(
    scene: Scene, ledger: Ledger, ward: Gateway, team: Gateway, lead: Gateway
) -> None:
    ward.answer = lambda _n: (204, {}, 30.0)
    policy = ladder((0.0, webhook(ward, "ward", read_timeout_s=0.5)), (600.0, webhook(team, "team")))
    made = started(policy, ledger)
    alert = scene.critical("PHANTOM^ONE", 1, before_s=0.0)
    began_s = time.monotonic()
    tick_until(made, lambda: bool(steps_taken(ledger, alert.id)), within_s=DEAD_AFTER_S + 6)
    assert steps_taken(ledger, alert.id) == [("Team", "dead-channels")]
    assert time.monotonic() - began_s >= DEAD_AFTER_S - 0.5
    tick_until(made, lambda: bool(team.received))
    made.close()


def test_a_wall_clock_that_jumps_back_delays_no_step_and_one_that_jumps_forward_takes_them(
    scene: Scene, ledger: Ledger, ward: Gateway, team: Gateway, lead: Gateway
) -> None:
    box = Box(ledger, pages=(PAGE,))
    made = box.courier(three(ward, team, lead))
    alert = box.ring(scene)
    box.settle(made)
    box.at = Now(box.at.monotonic_s, box.at.wall_ns - 3600 * S)
    box.after(made, 119)
    assert steps_taken(ledger, alert.id) == []
    box.after(made, 1)
    assert steps_taken(ledger, alert.id) == [("Team", "time")]
    box.at = Now(box.at.monotonic_s, box.at.wall_ns + 2 * 3600 * S)
    box.after(made, 0.1)
    assert steps_taken(ledger, alert.id) == [("Team", "time"), ("Lead", "time")]
    box.after(made, 239)
    assert len(steps_taken(ledger, alert.id)) == 2, "one jump does not repeat everything"
    box.settle(made)
    made.close()


def test_a_step_that_fell_due_while_no_courier_ran_is_taken_at_the_start(
    scene: Scene, ledger: Ledger, ward: Gateway, team: Gateway, lead: Gateway
) -> None:
    scene.now_ns = time.time_ns()
    alert = scene.critical("PHANTOM^ONE", 1, before_s=400.0)
    with courier(ledger, three(ward, team, lead, grace_s=15.0)) as made:
        tick_until(made, lambda: got(ward, team, lead) == [1, 1, 1])
    assert steps_taken(ledger, alert.id) == [("Team", "start"), ("Lead", "start")]


def test_a_restart_goes_on_where_it_was_and_tells_the_last_step_again_under_the_same_key(
    scene: Scene, ledger: Ledger, ward: Gateway, team: Gateway, lead: Gateway
) -> None:
    box = Box(ledger, pages=(PAGE,))
    made = box.courier(three(ward, team, lead))
    alert = box.ring(scene)
    box.settle(made)
    box.settle(made, after_s=120)
    made.close()
    assert got(ward, team, lead) == [1, 1, 0]
    again = box.courier(three(ward, team, lead))
    box.settle(again)
    assert got(ward, team, lead) == [1, 2, 0], "the last step at once, the one before not"
    one, two = team.received
    assert (one.key, one.payload) == (two.key, two.payload)
    assert [event.happening for event in answers(ledger, alert.id, "team")] == [Happening.DELIVERED]
    assert [row.state for row in messages(ledger, alert.id)] == ["DONE", "DONE"]
    box.after(again, 179)
    assert steps_taken(ledger, alert.id) == [("Team", "time")]
    box.settle(again, after_s=1)
    assert got(ward, team, lead) == [1, 2, 1]
    assert check(ledger) == []
    again.close()


def test_what_a_person_has_answered_is_not_told_again_after_a_restart(
    scene: Scene, ledger: Ledger, ward: Gateway, team: Gateway, lead: Gateway
) -> None:
    box = Box(ledger, pages=(PAGE,))
    made = box.courier(three(ward, team, lead))
    alert = scene.critical("PHANTOM^ONE", 1, before_s=0.0)
    box.settle(made)
    made.close()
    scene.acknowledge(alert, "R. Example")
    again = box.courier(three(ward, team, lead))
    box.settle(again)
    assert got(ward, team, lead) == [1, 0, 0]
    again.close()


def test_a_test_alarm_goes_the_whole_road_of_the_first_step_and_no_further(
    scene: Scene, ledger: Ledger, ward: Gateway, team: Gateway, lead: Gateway
) -> None:
    box = Box(ledger)
    made = box.courier(three(ward, team, lead))
    box.after(made, 10)
    with ledger.writing() as w:
        test = raise_alert(
            w, AlertKey(kind="test", first="box", second="1"), Level.TEST, study_id=None, series_id=None,
            reading_id=None, at_ns=box.at.wall_ns, details={}, by="R. Example",
        )  # fmt: skip
    box.settle(made)
    for _ in range(5):
        box.settle(made, after_s=200)
    assert got(ward, team, lead) == [1, 0, 0]
    assert ward.received[0].document["test"] is True
    assert ward.received[0].document["study"] is None
    assert steps_taken(ledger, test.id) == []
    made.close()


def test_faults_of_the_box_go_to_the_channels_that_are_set_for_them(
    scene: Scene, ledger: Ledger, ward: Gateway, team: Gateway, lead: Gateway
) -> None:
    policy = three(ward, team, lead)
    policy = replace(policy, escalation=replace(policy.escalation, technical=("team",)))
    box = Box(ledger, pages=(PAGE,))
    made = box.courier(policy)
    fault = scene.technical("disk-low", percent="4")
    scene.technical("courier-silent")
    box.settle(made)
    assert got(ward, team, lead) == [0, 1, 0]
    document = team.received[0].document
    assert (document["level"], document["code"], document["study"]) == ("TECHNICAL", "disk-low", None)
    team.answer = lambda _n: (503, {}, 0.0)
    other = scene.technical("backlog", s="40")
    box.settle(made)
    with ledger.writing() as w:
        for alert in (fault, other):
            append_event(w, alert.id, Happening.MENDED, at_ns=box.at.wall_ns, by="scene", details={})
    box.settle(made, after_s=30)
    assert got(ward, team, lead) == [0, 2, 0], "what is mended needs no telling"
    with ledger.reading() as r:
        assert dead_letters(r) == []
    made.close()


def test_a_channel_that_is_set_no_more_leaves_no_message_and_no_alert_behind(
    scene: Scene, ledger: Ledger, ward: Gateway, team: Gateway, lead: Gateway
) -> None:
    ward.answer = lambda _n: (401, {}, 0.0)
    box = Box(ledger, pages=(PAGE,))
    made = box.courier(three(ward, team, lead))
    alert = scene.critical("PHANTOM^ONE", 1, before_s=0.0)
    box.settle(made)
    assert box.after(made, 2) == {"dead-letters"}
    box.settle(made)
    made.close()
    without = box.courier(ladder((0.0, webhook(team, "team"))))
    box.settle(without)
    assert box.after(without, 2) == set()
    of = {row.channel: row for row in messages(ledger, alert.id) if row.channel == "ward"}
    assert (of["ward"].state, of["ward"].last_error) == ("DONE", "not needed any more")
    without.close()


def test_nobody_can_be_told_when_every_channel_fails_and_no_page_is_live(
    scene: Scene, ledger: Ledger, ward: Gateway, team: Gateway, lead: Gateway
) -> None:
    for gateway in (ward, team, lead):
        gateway.answer = lambda _n: (401, {}, 0.0)
    box = Box(ledger)
    made = box.courier(three(ward, team, lead))
    box.after(made, 20)
    assert box.technical() == set()
    alert = scene.critical("PHANTOM^ONE", 1, before_s=0.0)
    for _ in range(4):
        box.settle(made)
    assert [name for name, _ in steps_taken(ledger, alert.id)] == ["Team", "Lead"]
    assert box.after(made, 6) == {"nobody-can-be-told", "dead-letters"}
    team.answer = lambda _n: (204, {}, 0.0)
    box.settle(made, after_s=61)
    assert box.after(made, 2) == {"dead-letters"}
    made.close()


def test_many_alerts_at_once_through_one_slow_gateway_are_all_told_once(
    scene: Scene, ledger: Ledger, ward: Gateway, team: Gateway, lead: Gateway
) -> None:
    ward.answer = lambda _n: (204, {}, 0.2)
    made = started(ladder((0.0, webhook(ward, "ward"))), ledger)
    alerts = [scene.critical(f"PHANTOM^{number}", number, before_s=0.0) for number in range(1, 16)]
    tick_until(made, lambda: len(ward.received) >= 15, within_s=15)
    wait_until(lambda: not made.record(now()))
    tick_for(made, 0.5)
    assert len({one.key for one in ward.received}) == len(ward.received) == 15
    assert all(len(answers(ledger, alert.id, "ward")) == 1 for alert in alerts)
    made.close()


def test_twenty_alerts_at_once_and_a_gateway_that_hangs_on_each_delay_no_step(
    scene: Scene, ledger: Ledger, ward: Gateway, team: Gateway
) -> None:
    """On the real clock. The ward's gateway lets every message hang; the team's answers."""
    ward.answer = lambda _n: (204, {}, 30.0)
    scene.now_ns = time.time_ns()
    alerts = [scene.critical(f"PHANTOM^{number}", number, before_s=0.0) for number in range(1, 21)]
    due_s = (time.time_ns() - scene.now_ns) / S + 2.0  # a slow disk has taken its time for twenty
    made = started(ladder((0.0, webhook(ward, "ward")), (due_s, webhook(team, "team"))), ledger)
    tick_until(made, lambda: len(team.received) == len(alerts), within_s=10)
    late_s = []
    for alert in alerts:
        (ring,) = events(ledger, alert.id, Happening.RAISED)
        (taken,) = events(ledger, alert.id, Happening.ESCALATED)
        late_s.append((taken.at_ns - ring.at_ns) / S - due_s)
    assert all(0 <= late < 1 for late in late_s), late_s
    made.close()


def test_faults_of_the_box_that_hang_in_a_channel_leave_room_for_a_bleed(
    scene: Scene, ledger: Ledger, ward: Gateway
) -> None:
    ward.answer = lambda _n: (204, {}, 30.0)
    policy = ladder((0.0, webhook(ward, "ward")))
    made = started(replace(policy, escalation=replace(policy.escalation, technical=("ward",))), ledger)
    for of, code in REASONS:
        if of is Of.TECHNICAL and code not in NOT_TOLD_BY_CHANNEL:
            scene.technical(code)
    tick_until(made, lambda: len(ward.received) >= 6)
    tick_for(made, 0.3)
    alert = scene.critical("PHANTOM^ONE", 1, before_s=0.0)
    tick_until(made, lambda: any(one.document["alert"] == alert.id for one in ward.received), within_s=2)
    made.close()


def test_a_clock_that_is_set_back_by_minutes_keeps_no_message_for_minutes(
    scene: Scene, ledger: Ledger, ward: Gateway
) -> None:
    ward.answer = lambda n: (503, {}, 0.0) if n == 1 else (204, {}, 0.0)
    box = Box(ledger, pages=(PAGE,))
    made = box.courier(ladder((0.0, webhook(ward, "ward"))))
    scene.critical("PHANTOM^ONE", 1, before_s=0.0)
    box.settle(made)
    box.at = Now(box.at.monotonic_s, box.at.wall_ns - 300 * S)
    box.settle(made, after_s=0.3)
    assert got(ward) == [1], "the wait is half a second"
    box.settle(made, after_s=0.3)
    assert got(ward) == [2]
    made.close()


def test_what_was_taken_after_it_was_not_waited_for_any_more_is_not_told_once_more(
    scene: Scene, ledger: Ledger, ward: Gateway
) -> None:
    ward.answer = lambda _n: (204, {}, 1.0)
    box = Box(ledger, pages=(PAGE,))
    made = box.courier(ladder((0.0, webhook(ward, "ward"))))
    alert = scene.critical("PHANTOM^ONE", 1, before_s=0.0)
    made.tick(box.at)
    wait_until(lambda: got(ward) == [1])
    box.after(made, OVERDUE_S + 1)
    assert [one.details["error"] for one in answers(ledger, alert.id, "ward")] == ["Overdue"]
    wait_until(lambda: made.record(box.at) or bool(answers(ledger, alert.id, "ward")[1:]))
    assert [one.happening for one in answers(ledger, alert.id, "ward")] == [Happening.FAILED, Happening.DELIVERED]
    assert [one.state for one in messages(ledger, alert.id)] == ["DONE"]
    for _ in range(3):
        box.settle(made, after_s=61)
    assert got(ward) == [1]
    assert made.faults == ()
    assert check(ledger) == []
    made.close()


def test_a_fault_without_words_keeps_no_bleed_from_being_told(scene: Scene, ledger: Ledger, ward: Gateway) -> None:
    policy = ladder((0.0, webhook(ward, "ward")))
    policy = replace(policy, escalation=replace(policy.escalation, technical=("ward",)))
    scene.technical("of-a-newer-version")
    with courier(ledger, policy) as made:
        scene.critical("PHANTOM^ONE", 1, before_s=0.0)
        tick_until(made, lambda: got(ward) == [2])
    assert {one.document["level"] for one in ward.received} == {"CRITICAL", "TECHNICAL"}
