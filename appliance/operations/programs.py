"""Starts a program of the appliance from the settings: its ledger, its status file, its stop."""

import os
from collections.abc import Callable

from appliance.core.status import PageSeen, ProgramStatus
from appliance.core.times import Now
from appliance.dashboard.config import DashboardConfig
from appliance.dashboard.program import run as serve_dashboard
from appliance.processes.clock import now
from appliance.processes.logs import start_logs
from appliance.processes.signals import stop_on_signals
from appliance.processes.status_file import read_status, remove_status, write_status
from appliance.records.ledger import Ledger
from appliance.settings import Settings


def _statuses(settings: Settings) -> Callable[[str], ProgramStatus | None]:
    return lambda program: read_status(settings.runtime_folder, program)


def _beat(settings: Settings, program: str) -> Callable[[Now, tuple[PageSeen, ...]], None]:
    started = now()

    def beat(moment: Now, pages: tuple[PageSeen, ...] = ()) -> None:
        status = ProgramStatus(
            program=program,
            pid=os.getpid(),
            started_ns=started.wall_ns,
            beat_monotonic_s=moment.monotonic_s,
            ready=True,
            pages=pages,
        )
        write_status(settings.runtime_folder, status)

    return beat


def run_dashboard(settings: Settings) -> None:
    """Serves the board until SIGTERM or SIGINT. CannotStart in words."""
    program = "dashboard"
    stop = stop_on_signals()
    start_logs(program)
    said = settings.dashboard
    config = DashboardConfig(
        name=said.scanner, people=said.people, host=said.host, port=said.port, linger_h=said.keep_acknowledged_h
    )
    ledger = Ledger.open(settings.database)
    try:
        serve_dashboard(
            config,
            ledger,
            settings.store_folder,
            stop=stop,
            clock=now,
            beat=_beat(settings, program),
            statuses=_statuses(settings),
        )
    finally:
        remove_status(settings.runtime_folder, program)
        ledger.close()
