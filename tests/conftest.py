"""What tests of more than one room need."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.records.ledger import Ledger
from appliance.records.upgrade import upgrade


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger without rows, brought to today's form once a session. Copy it, never open it."""
    path = tmp_path_factory.mktemp("migrated") / "ledger.db"
    upgrade(path)
    return path


@pytest.fixture
def ledger_path(migrated: Path, tmp_path: Path) -> Path:
    """A ledger of this test's own, not opened."""
    return Path(shutil.copy(migrated, tmp_path / "ledger.db"))


@pytest.fixture
def ledger(ledger_path: Path) -> Iterator[Ledger]:
    """A ledger of this test's own, without rows."""
    with Ledger.open(ledger_path) as opened:
        yield opened


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Where every part is there, a test that did not run is a fault: BLEEDWATCH_NO_SKIPS makes it one."""
    if not os.environ.get("BLEEDWATCH_NO_SKIPS"):
        return
    unwanted = [report for report in terminalreporter.stats.get("skipped", []) if "gpu" not in report.keywords]
    for report in unwanted:
        terminalreporter.write_line(f"NOT RUN, and nothing may be skipped here: {report.nodeid}", red=True)
    if unwanted:
        terminalreporter._session.exitstatus = pytest.ExitCode.TESTS_FAILED
