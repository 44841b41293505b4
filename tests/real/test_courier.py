"""The courier against a real gateway on loopback: signed, once, again until taken, and never with a name in it."""

import contextlib
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from appliance.core.alerts import Happening
from appliance.core.ledger import AlertEventRow
from appliance.core.status import PageSeen, ProgramStatus
from appliance.core.times import Now
from appliance.core.words import Level
from appliance.courier.policy import CourierPolicy, WebhookPolicy
from appliance.courier.program import Courier, run
from appliance.processes.clock import now
from appliance.records.alerts import append_event, events_of, open_alerts
from appliance.records.check import check
from appliance.records.deliveries import dead_letters, deliveries_of
from appliance.records.ledger import Ledger
from tests.real.scenes import Scene

SECRET = b"a shared secret of the test"
NAME = "HOSTILE^<b>NAME</b>"


@dataclass
class Gateway:
    """What the gateway has received; `answer` says what it gives back (status, headers, seconds to wait first)."""

    answer: Callable[[int], tuple[int, dict[str, str], float]] = lambda _n: (204, {}, 0.0)
    received: list[tuple[dict[str, str], bytes, float]] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/alerts"


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    state = Gateway()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            payload = self.rfile.read(int(self.headers["Content-Length"]))
            state.received.append((dict(self.headers), payload, time.monotonic()))
            status, headers, wait_s = state.answer(len(state.received))
            time.sleep(wait_s)
            with contextlib.suppress(BrokenPipeError):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        state.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield state
        server.shutdown()
        thread.join()


@pytest.fixture
def scene(ledger: Ledger, tmp_path: Path) -> Scene:
    return Scene(ledger=ledger, store=tmp_path / "store", now_ns=time.time_ns())


def alive(program: str, *, pages: tuple[PageSeen, ...] = ()) -> ProgramStatus:
    return ProgramStatus(program=program, pid=1, started_ns=0, beat_monotonic_s=time.monotonic(), pages=pages)


@contextlib.contextmanager
def courier(ledger: Ledger, gateway: Gateway | None, **more: object) -> Iterator[Courier]:
    webhook = None if gateway is None else WebhookPolicy(url=gateway.url, secret=SECRET, link="http://box.example:8642")
    made = Courier(
        CourierPolicy(webhook=webhook, **more),  # type: ignore[arg-type]
        ledger,
        statuses=alive,
        random=lambda: 0.5,
        wall_ns=time.time_ns,
        started=now(),
    )
    try:
        yield made
    finally:
        made.close(wait=True)


def tick_until(made: Courier, done: Callable[[], bool], *, within_s: float = 5.0, ahead_s: float = 0.0) -> None:
    until_s = time.monotonic() + within_s
    while time.monotonic() < until_s:
        made.tick(now().plus(ahead_s))
        if done():
            return
        time.sleep(0.01)
    raise AssertionError("it did not happen in time")


def happenings(ledger: Ledger, alert_id: int) -> list[AlertEventRow]:
    with ledger.reading() as r:
        return [
            event
            for event in events_of(r, alert_id)
            if event.happening in (Happening.DELIVERED, Happening.FAILED) and event.by == "webhook"
        ]


def test_a_critical_alert_is_told_once_signed_and_without_a_name(
    scene: Scene, ledger: Ledger, gateway: Gateway
) -> None:
    alert = scene.critical(NAME, 1)
    with courier(ledger, gateway) as made:
        tick_until(made, lambda: bool(happenings(ledger, alert.id)))
        for _ in range(20):
            made.tick(now().plus(3600))
            time.sleep(0.005)
    assert len(gateway.received) == 1
    headers, payload, _ = gateway.received[0]
    stamp = headers["X-Bleedwatch-Timestamp"]
    expected = hmac.new(SECRET, stamp.encode() + b"." + payload, hashlib.sha256).hexdigest()
    assert headers["X-Bleedwatch-Signature"] == f"sha256={expected}"
    assert abs(int(stamp) - time.time()) < 60
    document = json.loads(payload)
    with ledger.reading() as r:
        (delivery,) = deliveries_of(r, alert.id)
    assert headers["Idempotency-Key"] == delivery.idempotency_key
    assert document["alert"] == alert.id
    assert document["level"] == "CRITICAL"
    assert document["finality"] == "PROVISIONAL"
    assert document["revision"] == 1
    assert document["finding"]["key_slice"] == 16
    assert document["study"] == hashlib.sha256(b"2.25.900001").hexdigest()[:16]
    for secret in (b"HOSTILE", b"FAKE-0001", b"2.25.900001", b"1951", b"ACC-FAKE"):
        assert secret not in payload
    (event,) = happenings(ledger, alert.id)
    assert event.happening is Happening.DELIVERED
    assert check(ledger) == []


def test_review_and_technical_alerts_are_not_sent(scene: Scene, ledger: Ledger, gateway: Gateway) -> None:
    scene.technical("sop-conflict")
    alert = scene.critical("PHANTOM^ONE", 1)
    with courier(ledger, gateway) as made:
        tick_until(made, lambda: bool(happenings(ledger, alert.id)))
    assert len(gateway.received) == 1


def test_a_gateway_that_is_ill_is_asked_again_until_it_takes_the_message(
    scene: Scene, ledger: Ledger, gateway: Gateway
) -> None:
    gateway.answer = lambda n: (503, {}, 0.0) if n < 3 else (200, {}, 0.0)
    alert = scene.critical("PHANTOM^ONE", 1)
    with courier(ledger, gateway) as made:
        tick_until(made, lambda: len(happenings(ledger, alert.id)) == 2, within_s=8)
    keys = {headers["Idempotency-Key"] for headers, _, _ in gateway.received}
    assert len(gateway.received) == 3
    assert len(keys) == 1
    assert [event.happening for event in happenings(ledger, alert.id)] == [Happening.FAILED, Happening.DELIVERED]
    # random() is 0.5: half of 1 s, then half of 2 s.
    first, second, third = (at for _, _, at in gateway.received)
    assert second - first == pytest.approx(0.5, abs=0.3)
    assert third - second == pytest.approx(1.0, abs=0.3)


def test_retry_after_is_obeyed(scene: Scene, ledger: Ledger, gateway: Gateway) -> None:
    gateway.answer = lambda n: (429, {"Retry-After": "2"}, 0.0) if n == 1 else (200, {}, 0.0)
    alert = scene.critical("PHANTOM^ONE", 1)
    with courier(ledger, gateway) as made:
        tick_until(made, lambda: len(happenings(ledger, alert.id)) == 2)
    first, second = (at for _, _, at in gateway.received)
    assert second - first >= 1.9


@pytest.mark.parametrize("status", [400, 401, 404, 410, 302])
def test_a_refusal_is_a_dead_letter_at_once_and_no_redirect_is_followed(
    scene: Scene, ledger: Ledger, gateway: Gateway, status: int
) -> None:
    gateway.answer = lambda _n: (status, {"Location": "/elsewhere"}, 0.0)
    alert = scene.critical("PHANTOM^ONE", 1)
    with courier(ledger, gateway) as made:
        tick_until(made, lambda: bool(happenings(ledger, alert.id)))
        for _ in range(10):
            made.tick(now().plus(3600))
            time.sleep(0.005)
    assert len(gateway.received) == 1
    with ledger.reading() as r:
        (dead,) = dead_letters(r)
    assert dead.last_status == status
    (event,) = happenings(ledger, alert.id)
    assert (event.happening, event.details["dead"]) == (Happening.FAILED, "yes")


def test_nobody_at_the_gateway_is_tried_again(scene: Scene, ledger: Ledger, gateway: Gateway) -> None:
    alert = scene.critical("PHANTOM^ONE", 1)
    nowhere = Gateway(port=9)  # discard: nothing listens there
    with courier(ledger, nowhere) as made:
        tick_until(made, lambda: bool(happenings(ledger, alert.id)))
        with ledger.reading() as r:
            (delivery,) = deliveries_of(r, alert.id)
    assert (delivery.state, delivery.attempts, delivery.last_status) == ("DUE", 1, None)
    # After a restart what is owed is told at once, whatever the back-off said.
    with courier(ledger, gateway) as made:
        made.tick(Now(time.monotonic(), delivery.due_ns - 10**9))
        tick_until(made, lambda: bool(gateway.received), within_s=2)


def test_an_alert_that_sounds_anew_is_told_anew(scene: Scene, ledger: Ledger, gateway: Gateway) -> None:
    alert = scene.critical("PHANTOM^ONE", 1)
    with courier(ledger, gateway) as made:
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
    keys = {headers["Idempotency-Key"] for headers, _, _ in gateway.received}
    assert len(keys) == 2


def test_a_message_that_hangs_does_not_hold_up_the_next_alert(scene: Scene, ledger: Ledger, gateway: Gateway) -> None:
    gateway.answer = lambda n: (200, {}, 1.5 if n == 1 else 0.0)
    scene.critical("PHANTOM^ONE", 1)
    with courier(ledger, gateway) as made:
        tick_until(made, lambda: len(gateway.received) == 1)
        second = scene.critical("PHANTOM^TWO", 2)
        began_s = time.monotonic()
        tick_until(made, lambda: bool(happenings(ledger, second.id)))
        assert time.monotonic() - began_s < 1.0


def test_the_running_program_tells_within_300_ms_of_the_commit(
    scene: Scene, ledger_path: Path, ledger: Ledger, gateway: Gateway
) -> None:
    stop = threading.Event()
    beats: list[Now] = []

    def serve() -> None:
        with Ledger.open(ledger_path) as own:
            run(
                CourierPolicy(webhook=WebhookPolicy(url=gateway.url, secret=SECRET)),
                own,
                stop=stop,
                clock=now,
                random=lambda: 0.5,
                beat=beats.append,
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
            waits.append(gateway.received[number - 1][2] - committed_s)
        assert sorted(waits)[len(waits) // 2] < 0.3
    finally:
        stop.set()
        thread.join(5)
    assert not thread.is_alive()
    assert beats


def technical_codes(ledger: Ledger) -> set[str]:
    with ledger.reading() as r:
        return {alert.key.first for alert in open_alerts(r) if alert.level is Level.TECHNICAL}


@dataclass
class Box:
    """The other programs as their status files show them, on a clock that the test moves."""

    ledger: Ledger
    at: Now = field(default_factory=now)
    down: set[str] = field(default_factory=set)
    pages: tuple[PageSeen, ...] = ()

    def status(self, program: str) -> ProgramStatus | None:
        if program in self.down:
            return None
        pages = self.pages if program == "dashboard" else ()
        return ProgramStatus(program=program, pid=1, started_ns=0, beat_monotonic_s=self.at.monotonic_s, pages=pages)

    def courier(self, *, nobody_after_s: float = 1e9) -> Courier:
        return Courier(
            CourierPolicy(nobody_after_s=nobody_after_s),
            self.ledger,
            statuses=self.status,
            random=lambda: 0.5,
            wall_ns=lambda: self.at.wall_ns,
            started=self.at,
        )

    def after(self, made: Courier, seconds: float) -> set[str]:
        """Ticks `seconds` later; the codes of the technical alerts that are open then."""
        self.at = self.at.plus(seconds)
        made.tick(self.at)
        with self.ledger.reading() as r:
            return {alert.key.first for alert in open_alerts(r) if alert.level is Level.TECHNICAL}


def test_nobody_can_be_told_is_raised_once_and_mended(ledger: Ledger) -> None:
    box = Box(ledger, pages=(PageSeen(page_id="a" * 16, armed=False, last_word_s_ago=0.5),))
    made = box.courier(nobody_after_s=20)
    assert box.after(made, 19) == set()
    assert box.after(made, 2) == {"nobody-can-be-told"}
    assert box.after(made, 5) == {"nobody-can-be-told"}
    with ledger.reading() as r:
        (alert,) = open_alerts(r)
        assert alert.details["time"]
        assert len(events_of(r, alert.id)) == 1
    box.pages = (PageSeen(page_id="a" * 16, armed=True, last_word_s_ago=6.0),)
    assert box.after(made, 2) == {"nobody-can-be-told"}, "armed, but it has not spoken for 6 s"
    box.pages = (PageSeen(page_id="a" * 16, armed=True, last_word_s_ago=0.5),)
    assert box.after(made, 2) == set()
    assert check(ledger) == []
    made.close(wait=True)


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
    made.close(wait=True)


def test_a_program_that_has_not_yet_begun_is_given_time(ledger: Ledger) -> None:
    box = Box(ledger, down={"triage", "dashboard"})
    made = box.courier()
    assert box.after(made, 25) == set()
    assert box.after(made, 6) == {"triage-silent", "dashboard-silent"}
    made.close(wait=True)
