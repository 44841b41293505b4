"""Starts a program of the appliance from the settings: its ledger, its status file, its stop.

Each function loads the room of its program itself, so that no program carries what another one imports.
"""

import logging
import random
from collections.abc import Callable
from pathlib import Path

from appliance.core.errors import CannotStart
from appliance.core.status import ProgramStatus
from appliance.processes.clock import now
from appliance.processes.logs import start_logs
from appliance.processes.signals import stop_on_signals
from appliance.processes.status_file import StatusFile, read_status, remove_status
from appliance.records.ledger import Ledger
from appliance.settings import Settings

log = logging.getLogger(__name__)


def run_dashboard(settings: Settings) -> None:
    """Serves the board until SIGTERM or SIGINT. CannotStart in words."""
    from appliance.dashboard.config import DashboardConfig
    from appliance.dashboard.program import run

    program = "dashboard"
    stop = stop_on_signals()
    start_logs(program)
    said = settings.dashboard
    config = DashboardConfig(
        name=said.scanner, people=said.people, host=said.host, port=said.port, linger_h=said.keep_acknowledged_h
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
                beat=lambda moment, pages: status.beat(moment, pages=pages),
                statuses=_statuses(settings),
            )
        finally:
            remove_status(settings.runtime_folder, program)


def run_courier(settings: Settings) -> None:
    """Tells the gateway, and looks after who can be told, until SIGTERM or SIGINT. CannotStart in words."""
    from appliance.courier.policy import CourierPolicy, WebhookPolicy
    from appliance.courier.program import run

    program = "courier"
    stop = stop_on_signals()
    start_logs(program)
    said = settings.courier.webhook
    webhook = WebhookPolicy(url=said.url, secret=read_secret(said.secret_file)) if said else None
    status = StatusFile(settings.runtime_folder, program)
    with Ledger.open(settings.database) as ledger:
        try:
            run(
                CourierPolicy(webhook=webhook),
                ledger,
                stop=stop,
                clock=now,
                random=random.SystemRandom().random,
                beat=lambda moment, faults: status.beat(moment, faults=faults),
                statuses=_statuses(settings),
            )
        finally:
            remove_status(settings.runtime_folder, program)


def read_secret(path: Path) -> bytes:
    """The secret that a gateway shares with us, without white space around it. CannotStart if there is none."""
    try:
        secret = path.read_bytes().strip()
    except OSError as error:
        raise CannotStart(
            f"The secret of the gateway cannot be read from {path}: {error.strerror}. "
            "Next step: write it there, and let the courier's user read it."
        ) from None
    if not secret:
        raise CannotStart(f"{path} is empty. Next step: write the secret there that the gateway checks.")
    return secret


def _statuses(settings: Settings) -> Callable[[str], ProgramStatus | None]:
    return lambda program: read_status(settings.runtime_folder, program)
