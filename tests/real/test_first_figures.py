"""How much the box takes: 30-slice studies back to back, for a minute, through the whole appliance."""

import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from appliance.operations.observer import Observer
from appliance.phantoms.dicom import Study, exam_files
from appliance.phantoms.exam import HELD_OUT_SEED, Scanner, render
from appliance.phantoms.scanner import Landing, send
from appliance.processes.status_file import read_status
from appliance.records.ledger import Ledger
from appliance.records.upgrade import upgrade
from tests.real.appliance import settings_of, settings_text

ROOT = Path(__file__).resolve().parents[2]
RATE_HZ = 20.0
FOR_S = 60.0
SLICES = 30
GROWTH_LEAST = 0.05
"""Of the rate: a backlog that grows more slowly than this is noise of one second; one that grows faster never ends."""
PROGRAMS = ("triage", "courier", "dashboard")
HEADER_BYTES = 4096


@pytest.fixture
def root() -> Iterator[Path]:
    """A folder that goes at once: a minute of slices is more than a gigabyte."""
    with tempfile.TemporaryDirectory(prefix="bleedwatch-figures-") as folder:
        yield Path(folder)


def studies() -> Callable[[int], tuple[list[bytes], list[str]]]:
    """The n-th study: the same head under UIDs of its own, as bytes and SOP UIDs."""
    scanner = Scanner(
        pixel_mm=0.47, size=512, slices=SLICES, thickness_mm=5.0, spacing_mm=5.0, tilt_deg=0.0, lowest_mm=-64.0
    )
    study = Study(seed=HELD_OUT_SEED + 77, token="figures")
    files = exam_files(render(HELD_OUT_SEED + 77, scanner, paint_mm=2.5), study)

    def nth(number: int) -> tuple[list[bytes], list[str]]:
        # The last four digits of every UID are the study's own; nothing else in a file changes.
        def renamed(file_bytes: bytes, uids: Sequence[str]) -> bytes:
            head, rest = file_bytes[:HEADER_BYTES], file_bytes[HEADER_BYTES:]
            for uid in uids:
                head = head.replace(uid.encode(), _own(uid, number).encode())
            return head + rest

        series_uid = _series_uid(files[0].data)
        made = [renamed(file.data, (study.uid, series_uid, file.sop_uid)) for file in files]
        return made, [_own(file.sop_uid, number) for file in files]

    return nth


def _own(uid: str, number: int) -> str:
    return f"{uid[:-4]}{number:04d}"


def _series_uid(file_bytes: bytes) -> str:
    return str(dcmread(BytesIO(file_bytes), stop_before_pixels=True).SeriesInstanceUID)


@pytest.mark.slow
def test_twenty_slices_a_second_for_a_minute_leave_no_growing_backlog(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = settings_of(root)
    config = root / "bleedwatch.toml"
    config.write_text(settings_text(root) + "[dashboard]\nport = 0\n")
    upgrade(settings.database)
    nth = studies()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen(
        [sys.executable, "-m", "appliance.cli", "run", "--config", str(config)],
        stdout=subprocess.DEVNULL, stderr=(root / "log").open("wb"), cwd="/",
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    try:
        wait_until(lambda: all(read_status(settings.runtime_folder, program) for program in PROGRAMS), within_s=60)
        with Ledger.open(settings.database) as ledger, Observer(ledger) as observer:
            scored = observer.seen.scored_ns
            landed: dict[str, int] = {}
            backlog = scan(nth, settings.inbox.folder, landed, lambda: len(scored))
            drained_s = wait_until(lambda: len(scored) >= len(landed), within_s=60)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
    thirds = np.array_split(np.asarray(backlog, dtype=float), 3)
    second, third = float(thirds[1].mean()), float(thirds[2].mean())
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    used_ms = 1000 * (used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime) / len(landed)
    rate_hz = len(landed) / ((max(landed.values()) - min(landed.values())) / 1e9)
    with capsys.disabled():
        print(f"\n{len(landed)} slices of 512 x 512 at {rate_hz:.1f} a second, {os.cpu_count()} cores:")
        print(f"  backlog {second:.1f} slices in the second third, {third:.1f} in the last, at most {max(backlog)}")
        print(
            f"  the last score came {drained_s:.1f} s after the last slice; {used_ms:.0f} ms of processor time a slice"
        )
    assert rate_hz >= RATE_HZ
    assert third - second < GROWTH_LEAST * RATE_HZ * FOR_S / 3
    assert len(scored) == len(landed)


def scan(
    nth: Callable[[int], tuple[list[bytes], list[str]]],
    inbox: Path,
    landed: dict[str, int],
    scored: Callable[[], int],
) -> list[int]:
    """Sends studies for a minute. Returns how many slices were not yet scored, looked at five times a second."""
    backlog: list[int] = []
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(0.2):
            backlog.append(len(landed) - scored())

    looking = threading.Thread(target=look)
    looking.start()
    until_s = time.monotonic() + FOR_S
    number = 0
    while time.monotonic() < until_s:
        number += 1
        files, sop_uids = nth(number)
        for sent in send(
            files, inbox, rate_hz=RATE_HZ, landing=Landing.TEMP_RENAME, clock_ns=time.time_ns, sleep=time.sleep,
            prefix=f"FAKE-{number:04d}",
        ):  # fmt: skip
            landed[sop_uids[sent.sop_index]] = sent.closed_ns
    ended.set()
    looking.join()
    return backlog


def wait_until(happened: Callable[[], bool], *, within_s: float) -> float:
    """Returns the seconds that it took."""
    began_s = time.monotonic()
    while not happened():
        assert time.monotonic() - began_s < within_s, "it did not happen in time"
        time.sleep(0.02)
    return time.monotonic() - began_s
