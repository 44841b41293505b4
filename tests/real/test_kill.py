"""`kill -9` of the real triage process, again and again, while a series of 30 slices lands."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from appliance.core.words import FileVerdict, Finality, Level, Outcome
from appliance.processes.status_file import read_status
from tests.conftest import MakeBox
from tests.phantom_exams import SLICES, series_files
from tests.real.appliance import ENGINE, Box, settings_text

KILLS = 10
START_S = 60.0
ROOT = Path(__file__).resolve().parents[2]


def keen_engine(folder: Path) -> Path:
    """The engine with points that any bleed reaches: this test is of processes, not of accuracy."""
    shutil.copytree(ENGINE, folder)
    manifest = folder / "manifest.toml"
    text = manifest.read_text()
    for point, value in {"critical": 0.02, "review": 0.01, "early_pair": 0.02, "overlap": 0.01}.items():
        text, changed = re.subn(rf"(?m)^{point} = .*$", f"{point} = {value}", text)
        assert changed == 1
    manifest.write_text(text)
    return folder


@contextmanager
def triage_running(config: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`bleedwatch triage`, killed at the end unless it has ended."""
    with subprocess.Popen(
        [sys.executable, "-m", "appliance.cli", "triage", "--config", config],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=(config.parent / "triage.log").open("ab"),
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(happened: Callable[[], bool], process: subprocess.Popen[bytes], config: Path) -> None:
    end_s = time.monotonic() + START_S
    while not happened():
        assert process.poll() is None, (config.parent / "triage.log").read_text()[-2000:]
        assert time.monotonic() < end_s, "it does not come"
        time.sleep(0.02)


@pytest.mark.slow
def test_killed_ten_times_while_a_series_lands(make_box: MakeBox, tmp_path: Path) -> None:
    random = np.random.default_rng(20260101)
    files = series_files("killed")
    box = make_box("box", start=False)  # its folders and its ledger; the program is another process
    root = box.inbox.parent
    config = root / "bleedwatch.toml"
    config.write_text(settings_text(root, keen_engine(tmp_path / "engine")))
    runtime = box.settings.runtime_folder

    unsent = iter(files)
    for _ in range(KILLS):
        with triage_running(config) as process:
            wait_for(lambda process=process: is_ready(runtime, process.pid), process, config)
            kill_after_s = float(random.uniform(0.0, 0.25))
            begin_s = time.monotonic()
            for _ in range(SLICES // KILLS):
                file = next(unsent)
                box.put(f"IM{file.number:03}", file.data)
                time.sleep(float(random.uniform(0.0, 0.05)))
            time.sleep(max(0.0, begin_s + kill_after_s - time.monotonic()))
            process.send_signal(signal.SIGKILL)

    with triage_running(config) as process:
        wait_for(lambda: is_whole(box), process, config)
        wait_for(lambda: box.in_inbox() == [], process, config)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0

    assert len(box.slices()) == SLICES
    assert Counter(row.sop_uid for row in box.slices()) == Counter(file.sop_uid for file in files)
    assert box.alert().level is Level.CRITICAL
    assert box.study().outcome is Outcome.CRITICAL
    (last,) = (one for one in box.readings(box.series()[0]) if one.finality is Finality.FINAL)
    assert last.slices == SLICES
    assert box.sums() == {FileVerdict.TAKEN.value: SLICES}
    assert {one.sha256 for one in box.files()} == {sha256(file.data).hexdigest() for file in files}
    box.assert_sound(*[file.data for file in files])


def is_ready(runtime: Path, pid: int) -> bool:
    """It has told of itself: what lay in the inbox has been found."""
    status = read_status(runtime, "triage")
    return status is not None and status.pid == pid and status.ready


def is_whole(box: Box) -> bool:
    """Every slice is scored, and the series has been read to its end."""
    series = [one for study in box.studies() for one in box.series(study)]
    finals = [one for each in series for one in box.readings(each) if one.finality is Finality.FINAL]
    return any(one.slices == SLICES for one in finals)
