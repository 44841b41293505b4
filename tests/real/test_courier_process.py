"""The courier as a process of its own: killed between commit and answer, stopped while a gateway hangs, badly set."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.core.alerts import Happening
from appliance.processes.clock import now
from appliance.processes.status_file import StatusFile, read_status
from appliance.records.alerts import events_of, open_alerts
from appliance.records.check import check
from appliance.records.deliveries import deliveries_of
from appliance.records.ledger import Ledger
from appliance.records.upgrade import upgrade
from tests.real.couriers import PAGE
from tests.real.gateways import Gateway, open_gateway
from tests.real.scenes import Scene

ROOT = Path(__file__).resolve().parents[2]
SECRET = "hush-hush-of-this-test"
NAME = "HOSTILE^NAME"


@dataclass
class Box:
    """A state folder with settings, and the courier on it as often as a test starts it."""

    root: Path
    ledger: Ledger
    scene: Scene

    @property
    def config(self) -> Path:
        return self.root / "bleedwatch.toml"

    @property
    def log(self) -> Path:
        return self.root / "courier.log"

    @contextlib.contextmanager
    def courier(self) -> Iterator[subprocess.Popen[bytes]]:
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "appliance.cli", "courier", "--config", str(self.config)],
                stdout=log, stderr=log, cwd="/", env={**os.environ, "PYTHONPATH": str(ROOT)},
            )  # fmt: skip
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def set_steps(self, steps: dict[str, tuple[Gateway, float]]) -> None:
        """A step for each gateway, after its seconds."""
        text = self.config.read_text()
        text = text[: text.index("[courier.channels.pager]")]
        for name, (gateway, _) in steps.items():
            text += f'[courier.channels.{name}]\nkind = "webhook"\nurl = "{gateway.url}"\n'
            text += f'secret_file = "{self.root}/secret"\n'
        for name, (_, after_s) in steps.items():
            text += f'[[courier.steps]]\nname = "{name}"\nafter_s = {after_s}\nchannels = ["{name}"]\n'
        self.config.write_text(text)

    @contextlib.contextmanager
    def screen(self) -> Iterator[None]:
        """A dashboard with one live page, as its status file shows it."""
        stop, file = threading.Event(), StatusFile(self.root / "run", "dashboard")

        def beat() -> None:
            while not stop.wait(0.3):
                file.beat(now(), pages=(PAGE,))

        beating = threading.Thread(target=beat)
        beating.start()
        try:
            yield
        finally:
            stop.set()
            beating.join()

    def beats(self) -> bool:
        status = read_status(self.root / "run", "courier")
        return status is not None and not status.is_silent(time.monotonic())


@pytest.fixture
def box(tmp_path: Path, gateway: Gateway) -> Iterator[Box]:
    for name in ("state", "store", "run", "inbox"):
        (tmp_path / name).mkdir()
    (tmp_path / "secret").write_text(f"  {SECRET}\n")
    (tmp_path / "bleedwatch.toml").write_text(
        f'state_folder = "{tmp_path}/state"\nstore_folder = "{tmp_path}/store"\nruntime_folder = "{tmp_path}/run"\n'
        f'[inbox]\nfolder = "{tmp_path}/inbox"\n[engine]\nfolder = "{ROOT}/engines/head-ct"\n'
        f'[courier.channels.pager]\nkind = "webhook"\nurl = "{gateway.url}"\nsecret_file = "{tmp_path}/secret"\n'
    )
    database = tmp_path / "state" / "bleedwatch.sqlite"
    upgrade(database)
    with Ledger.open(database) as ledger:
        yield Box(tmp_path, ledger, Scene(ledger=ledger, store=tmp_path / "store", now_ns=time.time_ns()))


def wait_until(done: Callable[[], bool], *, within_s: float = 20.0) -> None:
    until_s = time.monotonic() + within_s
    while not done():
        assert time.monotonic() < until_s, "it did not happen in time"
        time.sleep(0.005)


def told(ledger: Ledger, alert_id: int) -> int:
    with ledger.reading() as r:
        return sum(one.happening is Happening.DELIVERED for one in events_of(r, alert_id))


def open_codes(ledger: Ledger) -> set[str]:
    with ledger.reading() as r:
        return {alert.key.first for alert in open_alerts(r)}


def test_killed_between_commit_and_answer_it_tells_again_under_the_same_key(box: Box, gateway: Gateway) -> None:
    gateway.answer = lambda n: (204, {}, 30.0 if n == 1 else 0.0)
    alert = box.scene.critical(NAME, 1)
    with box.courier() as first:
        wait_until(lambda: len(gateway.received) == 1)
        first.send_signal(signal.SIGKILL)
        first.wait()
    assert told(box.ledger, alert.id) == 0
    other = box.scene.critical(NAME, 2)  # committed while no courier lives
    with box.courier() as second:
        wait_until(lambda: told(box.ledger, alert.id) == 1 and told(box.ledger, other.id) == 1)
        time.sleep(0.5)
        second.send_signal(signal.SIGKILL)
        second.wait()
    with box.courier():  # what still sounds is told again at once, whatever was recorded
        wait_until(lambda: len(gateway.received) == 5)
        wait_until(box.beats)
        time.sleep(0.5)
    with box.ledger.reading() as r:
        keys = [deliveries_of(r, one.id)[0].idempotency_key for one in (alert, other)]
        assert [len(deliveries_of(r, one.id)) for one in (alert, other)] == [1, 1]
    # Each under its one key: the gateway tells each person once.
    assert sorted(one.key for one in gateway.received) == sorted([*[keys[0]] * 3, *[keys[1]] * 2])
    assert len({one.payload for one in gateway.received if one.key == keys[0]}) == 1
    assert (told(box.ledger, alert.id), told(box.ledger, other.id)) == (1, 1)
    assert check(box.ledger) == []


@pytest.mark.slow
def test_killed_on_a_step_it_takes_that_step_no_second_time_and_the_next_one_in_its_time(box: Box) -> None:
    """Ward at once, team after 2 s, lead after 25 s. The team's gateway has the message, and the courier dies."""
    with open_gateway() as ward, open_gateway() as team, open_gateway() as lead, box.screen():
        team.answer = lambda n: (204, {}, 30.0 if n == 1 else 0.0)
        box.set_steps({"ward": (ward, 0), "team": (team, 2), "lead": (lead, 25)})
        with box.courier() as first:
            wait_until(box.beats)
            box.scene.now_ns = time.time_ns()
            alert = box.scene.critical(NAME, 1, before_s=0.0)
            wait_until(lambda: len(team.received) == 1)
            first.send_signal(signal.SIGKILL)
            first.wait()
        with box.courier():
            wait_until(lambda: len(team.received) == 2)
            wait_until(lambda: len(lead.received) == 1, within_s=40)
            wait_until(lambda: told(box.ledger, alert.id) == 3)
        with box.ledger.reading() as r:
            events = events_of(r, alert.id)
        ring = events[0]
        taken = [one for one in events if one.happening is Happening.ESCALATED]
        assert [(one.details["name"], one.details["why"]) for one in taken] == [("team", "time"), ("lead", "time")]
        late_s = [(one.at_ns - ring.at_ns) / 1e9 - due_s for one, due_s in zip(taken, (2, 25), strict=True)]
        assert all(0 <= late < 1 for late in late_s), late_s
        assert [len({one.key for one in of.received}) for of in (ward, team, lead)] == [1, 1, 1]
        assert len({one.payload for one in team.received}) == 1
    assert check(box.ledger) == []


@pytest.mark.slow
def test_killed_again_and_again_nothing_is_dropped_and_no_step_is_taken_twice(box: Box) -> None:
    """A gateway that refuses, one that is slow, one that works; the courier dies each half second or so of its work."""
    moments = random.Random(20)
    with open_gateway() as ward, open_gateway() as team, open_gateway() as lead:
        ward.answer = lambda n: (503, {}, 0.0) if n % 2 else (204, {}, 0.0)
        team.answer = lambda _n: (204, {}, 0.3)
        box.set_steps({"ward": (ward, 0), "team": (team, 1), "lead": (lead, 2)})
        box.scene.now_ns = time.time_ns()
        alerts = [box.scene.critical(f"{NAME}^{number}", number, before_s=0.0) for number in range(1, 4)]
        for _ in range(6):
            with box.courier() as process:
                wait_until(box.beats)
                time.sleep(moments.uniform(0.0, 0.6))
                process.send_signal(signal.SIGKILL)
                process.wait()
            (box.root / "run" / "courier.status.json").unlink()
        with box.courier():
            wait_until(lambda: all(told(box.ledger, one.id) == 3 for one in alerts), within_s=30)
        for alert in alerts:
            with box.ledger.reading() as r:
                events, rows = events_of(r, alert.id), deliveries_of(r, alert.id)
            taken = [one.details["name"] for one in events if one.happening is Happening.ESCALATED]
            assert taken == ["team", "lead"]
            assert sorted((row.channel, row.state) for row in rows) == [
                ("lead", "DONE"),
                ("team", "DONE"),
                ("ward", "DONE"),
            ]
            for gateway, row in ((ward, "ward"), (team, "team"), (lead, "lead")):
                keys = {one.key for one in gateway.received if one.document["alert"] == alert.id}
                assert keys == {one.idempotency_key for one in rows if one.channel == row}
    for gateway in (ward, team, lead):
        by_key: dict[str, set[bytes]] = {}
        for one in gateway.received:
            by_key.setdefault(one.key, set()).add(one.payload)
        assert len(by_key) == 3
        assert all(len(payloads) == 1 for payloads in by_key.values()), "a key always says the same"
    assert check(box.ledger) == []


def test_a_channel_that_lacks_its_secret_does_not_keep_another_from_telling(box: Box, gateway: Gateway) -> None:
    other = f'[courier.channels.other]\nkind = "webhook"\nurl = "{gateway.url}"\nsecret_file = "{box.root}/none"\n'
    box.config.write_text(box.config.read_text() + other)
    alert = box.scene.critical(NAME, 1)
    with box.courier():
        wait_until(lambda: told(box.ledger, alert.id) == 1)
        wait_until(lambda: "dead-letters" in open_codes(box.ledger))
    assert len(gateway.received) == 1
    log = box.log.read_text()
    assert "cannot be read from" in log and "Next step:" in log


def test_a_gateway_that_hangs_does_not_hold_up_the_end_and_the_log_says_no_secret(box: Box, gateway: Gateway) -> None:
    gateway.answer = lambda n: (500, {}, 0.0) if n == 1 else (204, {}, 30.0)
    box.scene.critical(NAME, 1)
    with box.courier() as process:
        wait_until(lambda: len(gateway.received) == 2)
        wait_until(box.beats)
        began_s = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert time.monotonic() - began_s < 5
    assert read_status(box.root / "run", "courier") is None
    log = box.log.read_text()
    assert "has not taken a message" in log
    for secret in (SECRET, "HOSTILE", "FAKE-0001", "2.25.900001", gateway.url):
        assert secret not in log


@pytest.mark.parametrize("fault", ["empty", "missing", "folder"])
def test_a_secret_that_cannot_be_had_is_told_in_words(box: Box, fault: str) -> None:
    secret = box.root / "secret"
    secret.unlink()
    if fault == "empty":
        secret.write_text(" \n")
    elif fault == "folder":
        secret.mkdir()
    with box.courier() as process:
        assert process.wait(20) == 2
    log = box.log.read_text()
    assert str(secret) in log and "Next step:" in log
    assert "Traceback" not in log


def test_a_second_courier_on_the_same_ledger_does_not_start_and_the_next_one_does(box: Box, gateway: Gateway) -> None:
    with box.courier() as first:
        wait_until(box.beats)
        with box.courier() as second:
            assert second.wait(20) == 2
        assert "Another courier works on the ledger" in box.log.read_text()
        assert first.poll() is None
        alert = box.scene.critical(NAME, 1)
        wait_until(lambda: told(box.ledger, alert.id) == 1)
        first.send_signal(signal.SIGKILL)
        first.wait()
    with box.courier() as third:
        wait_until(lambda: len(gateway.received) == 2)
        assert third.poll() is None


def test_the_doctor_says_that_nobody_can_be_told(box: Box, gateway: Gateway) -> None:
    """A channel is set, and refuses; no page is open."""
    gateway.answer = lambda _n: (401, {}, 0.0)
    box.scene.critical(NAME, 1)
    with box.courier():
        wait_until(lambda: "nobody-can-be-told" in open_codes(box.ledger), within_s=40)
        doctor = subprocess.run(
            [sys.executable, "-m", "appliance.cli", "doctor", "--config", str(box.config)],
            capture_output=True, text=True, timeout=120, cwd="/", env={**os.environ, "PYTHONPATH": str(ROOT)},
            check=False,
        )  # fmt: skip
    (said,) = [line for line in doctor.stdout.splitlines() if "who can be told" in line]
    assert said.startswith("FAULT") and "nobody: no page is open and armed, and no channel takes messages" in said
