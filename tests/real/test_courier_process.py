"""The courier as a process of its own: killed between commit and answer, stopped while a gateway hangs, badly set."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.core.alerts import Happening
from appliance.processes.status_file import read_status
from appliance.records.alerts import events_of
from appliance.records.check import check
from appliance.records.deliveries import deliveries_of
from appliance.records.ledger import Ledger
from appliance.records.upgrade import upgrade
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

    def beats(self) -> bool:
        status = read_status(self.root / "run", "courier")
        return status is not None and not status.is_silent(time.monotonic())


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with open_gateway() as opened:
        yield opened


@pytest.fixture
def box(tmp_path: Path, gateway: Gateway) -> Iterator[Box]:
    for name in ("state", "store", "run", "inbox"):
        (tmp_path / name).mkdir()
    (tmp_path / "secret").write_text(f"  {SECRET}\n")
    (tmp_path / "bleedwatch.toml").write_text(
        f'state_folder = "{tmp_path}/state"\nstore_folder = "{tmp_path}/store"\nruntime_folder = "{tmp_path}/run"\n'
        f'[inbox]\nfolder = "{tmp_path}/inbox"\n[engine]\nfolder = "{ROOT}/engines/head-ct"\n'
        f'[courier.webhook]\nurl = "{gateway.url}"\nsecret_file = "{tmp_path}/secret"\n'
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
    with box.courier():
        wait_until(box.beats)
        time.sleep(0.5)
    with box.ledger.reading() as r:
        keys = [deliveries_of(r, one.id)[0].idempotency_key for one in (alert, other)]
        assert [len(deliveries_of(r, one.id)) for one in (alert, other)] == [1, 1]
    # The gateway has had the first message twice under one key, and the other once: it tells each person once.
    assert sorted(one.key for one in gateway.received) == sorted([keys[0], keys[0], keys[1]])
    assert len({one.payload for one in gateway.received if one.key == keys[0]}) == 1
    assert (told(box.ledger, alert.id), told(box.ledger, other.id)) == (1, 1)
    assert check(box.ledger) == []


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
