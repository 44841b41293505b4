"""Starts a program of the appliance from the settings: its ledger, its status file, its stop.

Each function loads the room of its program itself, so that no program carries what another one imports.
"""

import logging
import os
import random
from collections.abc import Callable
from typing import Final

from appliance.core.quiet import WorkingTime
from appliance.core.status import PageSeen, ProgramStatus
from appliance.core.times import Now
from appliance.processes.alone import alone
from appliance.processes.clock import now
from appliance.processes.logs import start_logs
from appliance.processes.notify import ServiceManager
from appliance.processes.signals import stop_on_signals
from appliance.processes.status_file import StatusFile, read_status, remove_status
from appliance.records.ledger import Ledger
from appliance.settings import Settings

log = logging.getLogger(__name__)

COURIER_NOTEBOOK: Final = "courier.notebook"
"""Where the courier writes while the ledger cannot be written; in the runtime folder, which lies in memory."""


def run_dashboard(settings: Settings) -> None:
    """Serves the board until SIGTERM or SIGINT. CannotStart in words."""
    from appliance.dashboard.config import DashboardConfig
    from appliance.dashboard.program import run

    program = "dashboard"
    stop = stop_on_signals()
    manager = ServiceManager.from_environment(os.environ, os.getpid())
    start_logs(program)
    said = settings.dashboard
    config = DashboardConfig(
        name=said.scanner,
        people=said.people,
        host=said.host,
        port=said.port,
        linger_h=said.keep_acknowledged_h,
        escalation=settings.courier.escalation,
        inbox=settings.inbox.folder,
        kiosk_names=said.kiosk_names,
        working_time=WorkingTime(from_hour=said.working_hours[0], to_hour=said.working_hours[1], quiet_h=said.quiet_h),
    )
    status = StatusFile(settings.runtime_folder, program)
    with Ledger.open(settings.database) as ledger:
        try:
            run(
                config,
                ledger,
                settings.store_folder,
                stop=stop,
                clock=now,
                beat=_dashboard_beat(status, manager),
                statuses=_statuses(settings),
                manager=manager,
            )
        finally:
            remove_status(settings.runtime_folder, program)


def run_courier(settings: Settings) -> None:
    """Tells the channels, and looks after who can be told, until SIGTERM or SIGINT. CannotStart in words."""
    from appliance.courier.program import run
    from appliance.operations.channel_policies import courier_policy

    program = "courier"
    stop = stop_on_signals()
    manager = ServiceManager.from_environment(os.environ, os.getpid())
    start_logs(program)
    policy = courier_policy(settings)
    status = StatusFile(settings.runtime_folder, program)
    with Ledger.open(settings.database) as ledger, alone(settings.state_folder, program):
        try:
            run(
                policy,
                ledger,
                stop=stop,
                clock=now,
                random=random.SystemRandom().random,
                beat=_courier_beat(status, manager),
                statuses=_statuses(settings),
                notebook=settings.runtime_folder / COURIER_NOTEBOOK,
                manager=manager,
            )
        finally:
            remove_status(settings.runtime_folder, program)


def _dashboard_beat(status: StatusFile, manager: ServiceManager) -> Callable[[Now, tuple[PageSeen, ...]], None]:
    def beat(moment: Now, pages: tuple[PageSeen, ...]) -> None:
        status.beat(moment, pages=pages)
        manager.status(f"Serving the board. Pages open: {len(pages)}, armed: {sum(page.armed for page in pages)}.")

    return beat


def _courier_beat(
    status: StatusFile, manager: ServiceManager
) -> Callable[[Now, tuple[str, ...], dict[str, str | int | float]], None]:
    def beat(moment: Now, faults: tuple[str, ...], facts: dict[str, str | int | float]) -> None:
        status.beat(moment, faults=faults, facts=facts)
        manager.status(" ".join(faults) or "Watching the ledger. Nothing stands in the way of telling.")

    return beat


def _statuses(settings: Settings) -> Callable[[str], ProgramStatus | None]:
    return lambda program: read_status(settings.runtime_folder, program)
