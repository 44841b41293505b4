"""A real board, served by the real program on a port of its own."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from appliance.core.status import PageSeen, ProgramStatus, Unrecorded
from appliance.core.times import Now
from appliance.dashboard.config import DashboardConfig
from appliance.dashboard.program import run
from appliance.processes.clock import now
from appliance.records.ledger import Ledger

CONFIG = DashboardConfig(name="CT 2, Emergency", people=("R. Example", "S. Sample"), port=0)


@dataclass
class Served:
    """What a test knows of the running board. `silent` programs give no status."""

    port: int = 0
    pages: tuple[PageSeen, ...] = ()
    beats: int = 0
    silent: set[str] = field(default_factory=set)
    facts: dict[str, str | int | float] = field(default_factory=dict)  # of triage
    unrecorded: tuple[Unrecorded, ...] = ()
    triage_quiet_s: float = 0.0  # since triage has written its status file
    began_ns: int = field(default_factory=time.time_ns)
    stop: threading.Event = field(default_factory=threading.Event)
    started: threading.Event = field(default_factory=threading.Event)
    errors: list[BaseException] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def status(self, program: str) -> ProgramStatus | None:
        if program in self.silent:
            return None
        return ProgramStatus(
            program=program,
            pid=1,
            started_ns=self.began_ns,
            beat_monotonic_s=time.monotonic() - (self.triage_quiet_s if program == "triage" else 0.0),
            ready=True,
            facts=self.facts if program == "triage" else {},
            pages=self.pages if program == "dashboard" else (),
            unrecorded=self.unrecorded if program == "triage" else (),
        )


@contextmanager
def served(
    path: Path, store: Path, *, port: int = 0, config: DashboardConfig = CONFIG, clock: Callable[[], Now] = now
) -> Iterator[Served]:
    """Runs the board on a ledger until the block ends."""
    state = Served()

    def beat(_now: Now, pages: tuple[PageSeen, ...]) -> None:
        state.pages = pages
        state.beats += 1

    def listening(bound: int) -> None:
        state.port = bound
        state.started.set()

    def serve() -> None:
        try:
            with Ledger.open(path) as ledger:
                run(
                    replace(config, port=port),
                    ledger,
                    store,
                    stop=state.stop,
                    clock=clock,
                    beat=beat,
                    statuses=state.status,
                    listening=listening,
                )
        except BaseException as error:  # noqa: BLE001 - told to the test
            state.errors.append(error)
            state.started.set()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        assert state.started.wait(10)
        if state.errors:
            raise state.errors[0]
        yield state
    finally:
        state.stop.set()
        thread.join(10)
        assert not thread.is_alive()
