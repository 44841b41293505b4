"""The program that tells: sends what the ledger says is owed, and looks after who can be told."""

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from appliance.core.errors import Fault
from appliance.core.status import ProgramStatus
from appliance.core.times import Now
from appliance.courier.courier import REST_WHILE_SENDING_S, Courier
from appliance.courier.policy import CourierPolicy
from appliance.processes.loop import run_ticks
from appliance.processes.notify import ServiceManager
from appliance.records.ledger import Ledger

FINISH_WITHIN_S: Final = 2.0
"""At the end, for messages under way: one whose answer is not recorded is sent again after the restart."""

Facts = dict[str, str | int | float]
Beat = Callable[[Now, tuple[str, ...], Facts], None]


def run(
    policy: CourierPolicy,
    ledger: Ledger,
    *,
    stop: threading.Event,
    clock: Callable[[], Now],
    random: Callable[[], float],
    beat: Beat,
    statuses: Callable[[str], ProgramStatus | None],
    notebook: Path,
    manager: ServiceManager = ServiceManager(),
) -> None:
    """Ticks until `stop`, and ends within `FINISH_WITHIN_S` of it.

    `random` gives numbers in [0, 1) for the back-off, `statuses` the last status of a program; `beat` is called each
    second with what does not work and with the facts of the status file. `notebook`: the file that stands in for a ledger
    that cannot be written, best in memory. `manager`: the service manager, by default nobody.
    """
    courier = Courier(
        policy,
        ledger,
        statuses=statuses,
        random=random,
        wall_ns=lambda: clock().wall_ns,
        started=clock(),
        notebook=notebook,
    )
    try:
        run_ticks(
            courier.tick,
            stop=stop,
            rest=lambda: _rest(stop, courier),
            beat=lambda now: beat(now, courier.faults, courier.facts(now)),
            manager=manager,
        )
        with contextlib.suppress(Fault):
            _finish(courier, clock)
    finally:
        courier.close()


def _rest(stop: threading.Event, courier: Courier) -> None:
    stop.wait(courier.rest_s)


def _finish(courier: Courier, clock: Callable[[], Now]) -> None:
    until_s = clock().monotonic_s + FINISH_WITHIN_S
    while courier.record(clock()) and clock().monotonic_s < until_s:
        time.sleep(REST_WHILE_SENDING_S)
