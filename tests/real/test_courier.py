"""The courier against a real gateway on loopback: signed, once, again until taken, and never with a name in it."""

import contextlib
import hashlib
import hmac
import shutil
import socket
import ssl
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.core.alerts import Happening
from appliance.core.delivery import LONGEST_WAIT_S
from appliance.core.status import PageSeen
from appliance.core.times import Now
from appliance.core.words import Level, Outcome
from appliance.courier.policy import CourierPolicy
from appliance.courier.program import run
from appliance.processes.clock import now
from appliance.records.alerts import append_event, events_of, open_alerts
from appliance.records.check import check
from appliance.records.deliveries import dead_letters, deliveries_of, delivery_failed
from appliance.records.ledger import Ledger
from tests.real.couriers import (
    SECRET,
    Box,
    alive,
    all_at_once,
    answers,
    attempts,
    courier,
    notebook_of,
    started,
    tick_until,
    wait_until,
    webhook,
)
from tests.real.gateways import Gateway, open_gateway
from tests.real.scenes import Scene, step

NAME = "HOSTILE^<b>NAME</b>"


def test_a_critical_alert_is_told_once_signed_and_without_a_name(
    scene: Scene, ledger: Ledger, gateway: Gateway
) -> None:
    alert = scene.critical(NAME, 1)
    with courier(ledger, all_at_once(webhook(gateway))) as made:
        tick_until(made, lambda: bool(answers(ledger, alert.id)))
        for _ in range(20):
            made.tick(now().plus(3600))
            time.sleep(0.005)
    assert len(gateway.received) == 1
    headers, payload = gateway.received[0].headers, gateway.received[0].payload
    stamp = headers["X-Bleedwatch-Timestamp"]
    expected = hmac.new(SECRET, stamp.encode() + b"." + payload, hashlib.sha256).hexdigest()
    assert headers["X-Bleedwatch-Signature"] == f"sha256={expected}"
    assert abs(int(stamp) - time.time()) < 60
    document = gateway.received[0].document
    with ledger.reading() as r:
        (delivery,) = deliveries_of(r, alert.id)
    assert headers["Idempotency-Key"] == delivery.idempotency_key
    assert document["alert"] == alert.id
    assert document["level"] == "CRITICAL"
    assert document["finality"] == "PROVISIONAL"
    assert document["revision"] == 1
    assert document["finding"]["key_slice"] == 16
    assert document["study"] == hashlib.sha256(b"2.25.900001").hexdigest()[:16]
    for secret in (b"HOSTILE", b"FAKE-0001", b"2.25.900001", b"1951-01-01", b"ACC-FAKE"):
        assert secret not in payload
    (event,) = answers(ledger, alert.id)
    assert event.happening is Happening.DELIVERED
    assert check(ledger) == []


def test_review_and_technical_alerts_are_not_sent(scene: Scene, ledger: Ledger, gateway: Gateway) -> None:
    scene.technical("sop-conflict")
    alert = scene.critical("PHANTOM^ONE", 1)
    with courier(ledger, all_at_once(webhook(gateway))) as made:
        tick_until(made, lambda: bool(answers(ledger, alert.id)))
    assert len(gateway.received) == 1


def test_a_gateway_that_is_ill_is_asked_again_until_it_takes_the_message(
    scene: Scene, ledger: Ledger, gateway: Gateway
) -> None:
    gateway.answer = lambda n: (503, {}, 0.0) if n < 3 else (200, {}, 0.0)
    alert = scene.critical("PHANTOM^ONE", 1)
    box = Box(ledger)
    made = box.courier(all_at_once(webhook(gateway), nobody_after_s=1e9))
    asked = []
    # random() is 0.5: half of 1 s, then half of 2 s.
    for seconds in (0.0, 0.49, 0.02, 0.97, 0.04):
        box.settle(made, after_s=seconds)
        asked.append(len(gateway.received))
    made.close()
    assert asked == [1, 1, 2, 2, 3]
    assert len({one.key for one in gateway.received}) == 1
    assert [event.happening for event in answers(ledger, alert.id)] == [Happening.FAILED, Happening.DELIVERED]


def test_retry_after_is_obeyed(scene: Scene, ledger: Ledger, gateway: Gateway) -> None:
    gateway.answer = lambda n: (429, {"Retry-After": "2"}, 0.0) if n == 1 else (200, {}, 0.0)
    alert = scene.critical("PHANTOM^ONE", 1)
    with courier(ledger, all_at_once(webhook(gateway))) as made:
        tick_until(made, lambda: len(answers(ledger, alert.id)) == 2)
    first, second = (one.at_s for one in gateway.received)
    assert second - first >= 1.9


@pytest.mark.parametrize("status", [400, 401, 404, 410, 302])
def test_a_refusal_is_tried_again_each_minute_and_no_redirect_is_followed(
    scene: Scene, ledger: Ledger, gateway: Gateway, status: int
) -> None:
    gateway.answer = lambda n: (status, {"Location": "/elsewhere"}, 0.0) if n < 3 else (204, {}, 0.0)
    alert = scene.critical("PHANTOM^ONE", 1)
    with courier(ledger, all_at_once(webhook(gateway))) as made:
        tick_until(made, lambda: bool(answers(ledger, alert.id)))
        for _ in range(10):
            made.tick(now().plus(LONGEST_WAIT_S - 5))
            time.sleep(0.005)
        assert len(gateway.received) == 1
        tick_until(made, lambda: attempts(ledger, alert.id) == 2, ahead_s=LONGEST_WAIT_S + 1)
        tick_until(made, lambda: attempts(ledger, alert.id) == 3, ahead_s=2 * LONGEST_WAIT_S + 5)
    assert [event.happening for event in answers(ledger, alert.id)] == [Happening.FAILED, Happening.DELIVERED]
    with ledger.reading() as r:
        assert ([one.state for one in deliveries_of(r, alert.id)], dead_letters(r)) == (["DONE"], [])


def test_a_gateway_that_comes_back_after_hours_gets_what_still_sounds(
    scene: Scene, ledger: Ledger, gateway: Gateway
) -> None:
    gateway.answer = lambda n: (503, {}, 0.0) if n < 3 else (204, {}, 0.0)
    alert = scene.critical("PHANTOM^ONE", 1)
    with courier(ledger, all_at_once(webhook(gateway))) as made:
        for count, ahead_s in enumerate((0, 7200, 4 * 7200), start=1):
            tick_until(made, lambda count=count: attempts(ledger, alert.id) == count, ahead_s=ahead_s)  # type: ignore[misc]
    assert answers(ledger, alert.id)[-1].happening is Happening.DELIVERED


def test_what_failed_and_sounds_no_more_is_a_dead_letter(scene: Scene, ledger: Ledger, gateway: Gateway) -> None:
    gateway.answer = lambda _n: (503, {}, 0.4)
    alert = scene.critical("PHANTOM^ONE", 1)
    with courier(ledger, all_at_once(webhook(gateway))) as made:
        tick_until(made, lambda: bool(gateway.received))
        scene.acknowledge(alert, "R. Example")
        tick_until(made, lambda: bool(answers(ledger, alert.id)))
    assert len(gateway.received) == 1
    with ledger.reading() as r:
        (dead,) = dead_letters(r)
    assert dead.last_status == 503
    (event,) = answers(ledger, alert.id)
    assert (event.happening, event.details["dead"]) == (Happening.FAILED, "yes")


def test_nobody_at_the_gateway_is_tried_again(scene: Scene, ledger: Ledger, gateway: Gateway) -> None:
    alert = scene.critical("PHANTOM^ONE", 1)
    nowhere = Gateway(port=9)  # discard: nothing listens there
    with courier(ledger, all_at_once(webhook(nowhere))) as made:
        tick_until(made, lambda: bool(answers(ledger, alert.id)))
        with ledger.reading() as r:
            (delivery,) = deliveries_of(r, alert.id)
    assert (delivery.state, delivery.attempts, delivery.last_status) == ("DUE", 1, None)
    # After a restart what is owed is told at once, whatever the back-off said.
    with courier(ledger, all_at_once(webhook(gateway))) as made:
        made.tick(Now(time.monotonic(), delivery.due_ns - 10**9))
        tick_until(made, lambda: bool(gateway.received), within_s=2)


def test_an_alert_that_sounds_anew_is_told_anew(scene: Scene, ledger: Ledger, gateway: Gateway) -> None:
    alert = scene.critical("PHANTOM^ONE", 1)
    with courier(ledger, all_at_once(webhook(gateway))) as made:
        tick_until(made, lambda: len(gateway.received) == 1)
        scene.acknowledge(alert, "R. Example")
        with ledger.writing() as w:
            append_event(w, alert.id, Happening.WITHDRAWN, at_ns=time.time_ns(), by="triage", details={})
        for _ in range(20):
            made.tick(now())
            time.sleep(0.005)
        assert len(gateway.received) == 1
        with ledger.writing() as w:
            append_event(
                w, alert.id, Happening.RAISED, at_ns=time.time_ns(), by="triage", details={}, level=Level.CRITICAL
            )
        tick_until(made, lambda: len(gateway.received) == 2)
    keys = {one.key for one in gateway.received}
    assert len(keys) == 2


def test_a_message_that_hangs_does_not_hold_up_the_next_alert(scene: Scene, ledger: Ledger, gateway: Gateway) -> None:
    gateway.answer = lambda n: (200, {}, 5.0 if n == 1 else 0.0)
    scene.critical("PHANTOM^ONE", 1)
    with courier(ledger, all_at_once(webhook(gateway))) as made:
        tick_until(made, lambda: len(gateway.received) == 1)
        second = scene.critical("PHANTOM^TWO", 2)
        began_s = time.monotonic()
        tick_until(made, lambda: bool(answers(ledger, second.id)))
        assert time.monotonic() - began_s < 3.0


def test_what_a_person_has_answered_is_not_told_any_more(scene: Scene, ledger: Ledger, gateway: Gateway) -> None:
    gateway.answer = lambda _n: (503, {}, 0.0)
    alert = scene.critical("PHANTOM^ONE", 1)
    with courier(ledger, all_at_once(webhook(gateway))) as made:
        tick_until(made, lambda: bool(answers(ledger, alert.id)))
        scene.acknowledge(alert, "R. Example")
        before = len(gateway.received)
        for _ in range(10):
            made.tick(now().plus(120))
            time.sleep(0.005)
    assert len(gateway.received) == before
    with ledger.reading() as r:
        (delivery,) = deliveries_of(r, alert.id)
        assert (delivery.state, delivery.attempts, dead_letters(r)) == ("DONE", before, [])


def test_a_second_attempt_says_the_same_though_the_alert_has_changed(
    scene: Scene, ledger: Ledger, gateway: Gateway
) -> None:
    gateway.answer = lambda n: (503, {}, 0.0) if n == 1 else (204, {}, 0.0)
    scanned = scene.study("PHANTOM^ONE", number=1)
    scene.land(scanned, [0.1, 0.95, 0.97, 0.1])
    alert = scene.read(scanned, Outcome.CRITICAL, final=False, step=step(Happening.RAISED, Level.CRITICAL, final=False))
    assert alert is not None
    with courier(ledger, all_at_once(webhook(gateway))) as made:
        tick_until(made, lambda: bool(answers(ledger, alert.id)))
        scene.read(scanned, Outcome.NO_FINDING, final=True, step=step(Happening.WITHDRAWN, Level.CRITICAL))
        tick_until(made, lambda: len(gateway.received) == 2)
    first, second = gateway.received
    assert (first.key, first.payload) == (second.key, second.payload)


def test_the_key_is_of_this_box_alone(scene: Scene, ledger: Ledger) -> None:
    alert = scene.critical("PHANTOM^ONE", 1)
    with courier(ledger, all_at_once(webhook(Gateway(port=9)))) as made:
        made.tick(now())
    with ledger.reading() as r:
        (delivery,) = deliveries_of(r, alert.id)
        (event,) = [one for one in events_of(r, alert.id) if one.sounds]
    assert str(event.at_ns) in delivery.idempotency_key


def test_a_clock_that_was_set_back_does_not_keep_a_message(scene: Scene, ledger: Ledger, gateway: Gateway) -> None:
    gateway.answer = lambda n: (503, {}, 0.0) if n == 1 else (204, {}, 0.0)
    alert = scene.critical("PHANTOM^ONE", 1)
    with courier(ledger, all_at_once(webhook(gateway))) as made:
        tick_until(made, lambda: bool(answers(ledger, alert.id)))
        with ledger.writing() as w:
            (delivery,) = deliveries_of(w, alert.id)
            tomorrow_ns = time.time_ns() + 86_400 * 10**9
            delivery_failed(w, delivery.id, due_ns=tomorrow_ns, status=503, error="HTTP 503")
        tick_until(made, lambda: len(gateway.received) == 2, within_s=2)


def test_a_clock_that_was_set_forward_gives_no_message_up(scene: Scene, ledger: Ledger, gateway: Gateway) -> None:
    gateway.answer = lambda _n: (503, {}, 0.0)
    alert = scene.critical("PHANTOM^ONE", 1)
    made = started(all_at_once(webhook(gateway)), ledger)
    began = now()
    made.tick(began)
    forward = Now(began.monotonic_s + 1, began.wall_ns + 56 * 365 * 86_400 * 10**9)
    wait_until(lambda: not made.record(forward))
    with ledger.reading() as r:
        assert [one.state for one in deliveries_of(r, alert.id)] == ["DUE"]
    made.close()


def test_an_answer_byte_by_byte_does_not_keep_a_message_for_ever(scene: Scene, ledger: Ledger) -> None:
    alert = scene.critical("PHANTOM^ONE", 1)
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def drip() -> None:
            connection, _ = listening.accept()
            with connection, contextlib.suppress(OSError):
                for byte in b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 1000:
                    connection.send(bytes([byte]))
                    if stop.wait(0.02):
                        return

        dripping = threading.Thread(target=drip)
        dripping.start()
        gateway = Gateway(port=listening.getsockname()[1])
        made = started(all_at_once(webhook(gateway, read_timeout_s=1.0)), ledger)
        made.tick(now())
        time.sleep(1.5)
        assert made.record(now()), "longer than its read timeout, and still under way"
        assert not made.record(now().plus(31))
        stop.set()
        dripping.join()
    (event,) = answers(ledger, alert.id)
    assert event.details["error"] == "Overdue"
    made.close()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate of this test")
def test_a_certificate_that_nobody_vouches_for_is_refused(scene: Scene, ledger: Ledger, tmp_path: Path) -> None:
    alert = scene.critical("PHANTOM^ONE", 1)
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=127.0.0.1"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    with open_gateway(tls=tls) as gateway, courier(ledger, all_at_once(webhook(gateway))) as made:
        tick_until(made, lambda: bool(answers(ledger, alert.id)))
        assert gateway.received == []
    (event,) = answers(ledger, alert.id)
    assert (event.happening, event.details["error"]) == (Happening.FAILED, "ConnectError")


def test_the_running_program_tells_within_200_ms_of_the_commit(
    scene: Scene, ledger_path: Path, ledger: Ledger, gateway: Gateway
) -> None:
    stop = threading.Event()
    beats: list[Now] = []

    def serve() -> None:
        with Ledger.open(ledger_path) as own:
            run(
                all_at_once(webhook(gateway)),
                own,
                stop=stop,
                clock=now,
                random=lambda: 0.5,
                beat=lambda moment, _faults, _facts: beats.append(moment),
                notebook=notebook_of(ledger),
                statuses=alive,
            )

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        time.sleep(0.5)
        waits = []
        for number in range(1, 6):
            scene.critical(f"PHANTOM^{number}", number)
            committed_s = time.monotonic()
            until_s = committed_s + 3
            while len(gateway.received) < number and time.monotonic() < until_s:
                time.sleep(0.002)
            waits.append(gateway.received[number - 1].at_s - committed_s)
        assert sorted(waits)[len(waits) // 2] <= 0.2, waits
    finally:
        stop.set()
        thread.join(5)
    assert not thread.is_alive()
    assert beats


def test_nobody_can_be_told_is_raised_once_after_the_grace_and_mended(ledger: Ledger) -> None:
    page = PageSeen(page_id="a" * 16, armed=False, last_word_s_ago=0.5)
    box = Box(ledger, pages=(page,))
    made = box.courier(CourierPolicy())
    assert box.after(made, 14.5) == set()
    assert box.after(made, 1) == {"nobody-can-be-told"}
    assert box.after(made, 5) == {"nobody-can-be-told"}
    with ledger.reading() as r:
        (alert,) = open_alerts(r)
        assert alert.details["time"]
        assert len(events_of(r, alert.id)) == 1
    box.pages = (replace(page, armed=True, last_word_s_ago=6.0),)
    assert box.after(made, 2) == {"nobody-can-be-told"}, "armed, but it has not spoken for 6 s"
    box.pages = (replace(page, armed=True),)
    assert box.after(made, 2) == set()
    box.pages = ()
    assert box.after(made, 4) == set()
    assert box.after(made, 2) == {"nobody-can-be-told"}
    assert check(ledger) == []
    made.close()


def test_a_gateway_that_answers_is_somebody_and_one_that_fails_is_nobody(
    scene: Scene, ledger: Ledger, gateway: Gateway
) -> None:
    gateway.answer = lambda n: (503, {}, 0.0) if n == 1 else (204, {}, 0.0)
    box = Box(ledger)
    made = box.courier(all_at_once(webhook(gateway)))
    assert box.after(made, 60) == set()
    scene.critical("PHANTOM^ONE", 1)
    box.after(made, 1)
    wait_until(lambda: not made.record(box.at))
    assert made.faults
    assert box.after(made, 0.2) == set()
    made_again = box.after(made, 60)  # the message is due again; until it is answered nobody can be told
    assert made_again == {"nobody-can-be-told", "dead-letters"}
    wait_until(lambda: not made.record(box.at))
    assert box.after(made, 2) == set()
    assert made.faults == ()
    made.close()


@pytest.mark.parametrize("works", [False, True])
def test_after_a_restart_a_gateway_counts_as_what_it_last_was(
    scene: Scene, ledger: Ledger, gateway: Gateway, works: bool
) -> None:
    gateway.answer = lambda _n: (204 if works else 503, {}, 0.0)
    alert = scene.critical("PHANTOM^ONE", 1)
    with courier(ledger, all_at_once(webhook(gateway))) as made:
        tick_until(made, lambda: bool(answers(ledger, alert.id)))
    scene.acknowledge(alert, "R. Example")  # nothing is owed any more, so nothing proves it anew
    box = Box(ledger)
    again = box.courier(all_at_once(webhook(gateway)))
    assert box.after(again, 16) == (set() if works else {"nobody-can-be-told"})
    assert bool(again.faults) is not works
    assert box.after(again, 5) == (set() if works else {"nobody-can-be-told", "dead-letters"})
    assert len(gateway.received) == 1
    again.close()


def test_a_silent_program_is_told_within_6_s_and_mended(ledger: Ledger) -> None:
    box = Box(ledger)
    made = box.courier()
    assert box.after(made, 1) == set()
    box.down = {"triage"}
    assert box.after(made, 4) == set()
    assert box.after(made, 1.5) == {"triage-silent"}
    box.down = set()
    assert box.after(made, 1) == set()
    assert check(ledger) == []
    made.close()


def test_a_program_that_has_not_yet_begun_is_given_time(ledger: Ledger) -> None:
    box = Box(ledger, down={"triage", "dashboard"})
    made = box.courier()
    assert box.after(made, 25) == set()
    assert box.after(made, 6) == {"triage-silent", "dashboard-silent"}
    made.close()
