"""What tests of more than one room need."""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from appliance.inference.loading import LoadedEngine, load_engine
from appliance.intake.reader_pool import ReaderPool
from appliance.records.ledger import Ledger
from appliance.records.upgrade import upgrade
from tests.real.appliance import BALLAST_MIB, ENGINE, Box, Clock, settings_of
from tests.real.browsing import Browsers, browsers
from tests.real.gateways import Gateway, open_gateway
from tests.real.programs import Programs
from tests.real.scenes import Scene


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


@pytest.fixture
def scene(ledger: Ledger, tmp_path: Path) -> Scene:
    """What a test writes into its ledger, told from now back."""
    return Scene(ledger=ledger, store=tmp_path / "store", now_ns=time.time_ns())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Where every part is there, a test that did not run is a fault: BLEEDWATCH_NO_SKIPS makes it one."""
    if not os.environ.get("BLEEDWATCH_NO_SKIPS"):
        return
    unwanted = [report for report in terminalreporter.stats.get("skipped", []) if "gpu" not in report.keywords]
    for report in unwanted:
        terminalreporter.write_line(f"NOT RUN, and nothing may be skipped here: {report.nodeid}", red=True)
    if unwanted:
        terminalreporter._session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def readers(clock: Clock) -> Iterator[ReaderPool]:
    """Two warm readers for all boxes, one box at a time."""
    with ReaderPool(clock.now().monotonic_s) as pool:
        end_s = time.monotonic() + 60
        while pool.ready < 2:
            assert time.monotonic() < end_s, "the readers do not start"
            pool.wait(0.1)
            pool.poll(clock.now().monotonic_s)
        yield pool


@pytest.fixture(scope="session")
def head_engine() -> Iterator[LoadedEngine]:
    """The engine that comes with the product, proven once."""
    engine = load_engine(ENGINE)
    yield engine
    engine.backend.close()


class MakeBox(Protocol):
    """Makes a box of this test's own. The same `name` is the same box again."""

    def __call__(
        self,
        name: str = "box",
        *,
        engine: LoadedEngine | None = None,
        watched: bool = False,
        start: bool = True,
        ballast_mib: int = BALLAST_MIB,
    ) -> Box: ...


@pytest.fixture
def make_box(
    tmp_path: Path, migrated: Path, head_engine: LoadedEngine, readers: ReaderPool, clock: Clock
) -> Iterator[MakeBox]:
    made: list[Box] = []

    def make(
        name: str = "box",
        *,
        engine: LoadedEngine | None = None,
        watched: bool = False,
        start: bool = True,
        ballast_mib: int = BALLAST_MIB,
    ) -> Box:
        box = Box(
            tmp_path / name,
            migrated=migrated,
            engine=engine or head_engine,
            readers=readers,
            clock=clock,
            watched=watched,
            start=start,
            ballast_mib=ballast_mib,
        )
        made.append(box)
        return box

    yield make
    for box in made:
        box.close()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browsers]:
    """The browsers of the session."""
    with browsers() as started:
        yield started


@pytest.fixture(scope="session")
def browser(chromium: Browsers) -> Any:
    """A browser that lets pages sound by themselves."""
    return chromium.get()


@pytest.fixture(scope="session")
def silent_browser(chromium: Browsers) -> Any:
    """A browser that asks for a press before a page may sound."""
    return chromium.get(may_sound=False)


class MakePrograms(Protocol):
    """Starts programs of the appliance on a folder of this test's own."""

    def __call__(self, *programs: str) -> Programs: ...


@pytest.fixture
def make_programs(tmp_path: Path, migrated: Path) -> Iterator[MakePrograms]:
    started: list[Programs] = []

    def make(*programs: str) -> Programs:
        shutil.copy(migrated, settings_of(tmp_path).database)
        started.append(Programs(tmp_path, *programs))
        return started[-1]

    yield make
    for one in started:
        one.end()


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    """A gateway on loopback that takes every message."""
    with open_gateway() as opened:
        yield opened
