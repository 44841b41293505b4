"""Folders of the inbox that the service may not enter, with the real program as a user without rights.

The interpreter of a test may lie where only root can reach it. So the program stays root by name, and loses what makes
root more than another user: the right to pass over the modes of files.
"""

import errno
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import pytest

from appliance.core.alerts import Happening
from appliance.core.ledger import AlertRow
from appliance.core.words import FileVerdict
from appliance.intake.inbox import SETTLE_S
from appliance.phantoms.dicom import PhantomFile
from appliance.processes.clock import now
from appliance.records.alerts import events_of, open_alerts
from appliance.records.check import check
from appliance.records.files import verdict_sums
from appliance.records.ledger import Ledger
from appliance.settings import Settings
from appliance.triage.closed_folders import CODE, ClosedFolders
from appliance.triage.technical import TechnicalAlerts
from tests.conftest import MakeBox
from tests.phantom_exams import series_files
from tests.real.appliance import settings_of, settings_text
from tests.real.service_manager import ROOT, wait_until

NOBODY = 65534
PATIENT = "HOSTILE^NAME"
ORDINARY = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search")
pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None,
    reason="only root can make folders of another user, and util-linux takes its rights away",
)


@pytest.fixture
def box(migrated: Path, tmp_path: Path) -> Path:
    """A file under a temporary name keeps it busy, so that it sweeps each 2 s."""
    (tmp_path / "bleedwatch.toml").write_text(settings_text(tmp_path))
    shutil.copy(migrated, tmp_path / "state" / "bleedwatch.sqlite")
    (tmp_path / "inbox" / "transfer.part").write_bytes(b"x")
    return tmp_path


def as_ordinary(root: Path, program: str, log: TextIO | int) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*ORDINARY, sys.executable, "-m", "appliance.cli", program, "--config", str(root / "bleedwatch.toml")],
        text=True, cwd="/", stdout=subprocess.PIPE, stderr=log, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def closed(folder: Path, mode: int = 0o700, *files: PhantomFile) -> Path:
    """A folder of another user, with files in it."""
    folder.mkdir()
    for file in files:
        (folder / f"{file.number}.dcm").write_bytes(file.data)
    folder.chmod(mode)
    os.chown(folder, NOBODY, NOBODY)
    return folder


def open_of_code(ledger: Ledger) -> list[AlertRow]:
    with ledger.reading() as r:
        return [alert for alert in open_alerts(r) if alert.key.first == CODE]


def taken(ledger: Ledger) -> int:
    with ledger.reading() as r:
        return verdict_sums(r)[FileVerdict.TAKEN]


def is_heard(folder: Path, file: PhantomFile, ledger: Ledger) -> bool:
    """Whether a file is taken sooner than a sweep could: what no event has named must stand still for 2 s."""
    before, began_s = taken(ledger), time.monotonic()
    (folder / f"{file.number}.dcm").write_bytes(file.data)
    wait_until(lambda: taken(ledger) > before, within_s=20)
    return time.monotonic() - began_s < SETTLE_S


def test_a_folder_that_may_not_be_entered_is_told_of_and_read_when_it_can_be(box: Path) -> None:
    settings: Settings = settings_of(box)
    files = series_files("closed")
    closed(box / "inbox" / "lost+found")  # each disk has one
    first = closed(box / "inbox" / PATIENT, 0o700, files[0])
    with (box / "log").open("w") as log, Ledger.open(settings.database) as ledger:
        triage = as_ordinary(box, "triage", log)
        try:
            wait_until(lambda: bool(open_of_code(ledger)), within_s=60)
            (alert,) = open_of_code(ledger)
            assert (alert.details["folders"], alert.sounds) == ("1 folder", True)
            # Its names can be read there, and nothing behind them.
            second = closed(box / "inbox" / f"{PATIENT}^TWO", 0o744, files[1])
            wait_until(lambda: open_of_code(ledger)[0].details["folders"] == "2 folders", within_s=20)
            assert taken(ledger) == 0

            doctor = as_ordinary(box, "doctor", subprocess.DEVNULL)
            said, _ = doctor.communicate(timeout=120)
            (line,) = [line for line in said.splitlines() if "cannot be opened" in line]
            assert line.startswith("FAULT") and "2 folders" in line
            assert doctor.returncode == 1

            first.chmod(0o777)
            wait_until(lambda: taken(ledger) == 1, within_s=20)
            assert open_of_code(ledger)
            second.chmod(0o777)
            wait_until(lambda: not open_of_code(ledger), within_s=20)
            wait_until(lambda: taken(ledger) == 2, within_s=20)
            assert any(is_heard(first, file, ledger) for file in files[2:8]), "what is open now is watched"
            with ledger.reading() as r:
                lived = [event.happening for event in events_of(r, alert.id)]
                assert str(r.exec_driver_sql("SELECT * FROM alert").all()).count(PATIENT) == 0
            assert lived == [Happening.RAISED, Happening.UPGRADED, Happening.MENDED]
            assert check(ledger) == []
        finally:
            triage.kill()
            triage.communicate()
    assert PATIENT not in (box / "log").read_text() + said


def test_fewer_are_no_news_and_after_a_restart_only_more_than_were_told_of(ledger: Ledger) -> None:
    told = ClosedFolders(TechnicalAlerts(ledger))
    for count in (2, 1, 2):
        told.seen(count, now())
    again = ClosedFolders(TechnicalAlerts(ledger))
    for count in (2, 3):
        again.seen(count, now())
    (alert,) = open_of_code(ledger)
    with ledger.reading() as r:
        assert [event.happening for event in events_of(r, alert.id)] == [Happening.RAISED, Happening.UPGRADED]
    assert alert.details["folders"] == "3 folders"
    again.seen(0, now())
    assert open_of_code(ledger) == []
    assert check(ledger) == []


@pytest.mark.parametrize("restarted", [False, True])
def test_what_has_its_verdict_and_lies_in_a_folder_that_is_closed_meanwhile_is_no_duplicate(
    make_box: MakeBox, monkeypatch: pytest.MonkeyPatch, restarted: bool
) -> None:
    """Root may enter every folder, so that it is closed is said by the calls that ask."""
    box = make_box()
    (file, *_) = series_files("closed")
    box.put("patient/IM001", file.data)
    box.put("patient/notes.txt", b"no DICOM")
    box.pass_time_until(lambda: len(box.files()) == 2)
    with shut(box.inbox / "patient", monkeypatch):
        if restarted:
            box.restart()
        box.pass_time(40)
        assert sorted(one.removed for one in box.files()) == [False, False]
    box.pass_time(40)
    assert box.sums() == {"TAKEN": 1, "IGNORED": 1}
    assert box.in_inbox() == ["patient/notes.txt"]
    assert check(box.ledger) == []


@contextmanager
def shut(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """To this process the folder is one that it may neither list nor look into, until the block ends."""
    scandir, lstat, access = os.scandir, Path.lstat, os.access

    def refuse(path: object) -> None:
        if Path(str(path)) == folder or folder in Path(str(path)).parents:
            raise PermissionError(errno.EACCES, "Permission denied")

    def scan(path: str) -> object:
        refuse(path)
        return scandir(path)

    def look(path: Path) -> os.stat_result:
        if path != folder:
            refuse(path)
        return lstat(path)

    def may(path: str, mode: int) -> bool:
        return Path(path) != folder and access(path, mode)

    with monkeypatch.context() as patched:
        patched.setattr(os, "scandir", scan)
        patched.setattr(Path, "lstat", look)
        patched.setattr(os, "access", may)
        yield
