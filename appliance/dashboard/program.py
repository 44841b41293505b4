"""The program that shows: serves the board until it is told to stop."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import uvicorn

from appliance.core.errors import CannotStart
from appliance.core.status import BEAT_S, PageSeen, ProgramStatus
from appliance.core.times import Now
from appliance.core.watching import SilenceWatch
from appliance.dashboard.app import make_app
from appliance.dashboard.config import DashboardConfig, check_address
from appliance.dashboard.console import Console, make_console
from appliance.dashboard.live.lookout import WATCHED, Lookout
from appliance.processes.notify import ServiceManager
from appliance.records.ledger import Ledger

STOP_WITHIN_S: Final = 2

Beat = Callable[[Now, tuple[PageSeen, ...]], None]
Statuses = Callable[[str], ProgramStatus | None]


def run(
    config: DashboardConfig,
    ledger: Ledger,
    store_root: Path,
    *,
    stop: threading.Event,
    clock: Callable[[], Now],
    beat: Beat,
    statuses: Statuses,
    listening: Callable[[int], None] = lambda _port: None,
    manager: ServiceManager = ServiceManager(),
) -> None:
    """Serves until `stop`; ends within 3 s, open pages or not.

    `beat` is called each second with the open pages while the loop and the ledger answer; `statuses` gives the last status
    of another program; `listening` is told the port once the board can be opened; `manager` is the service manager, by
    default nobody. CannotStart, in words, for an address that is taken or that others can reach.
    """
    check_address(config)
    with _listening_socket(config) as sock:
        served = replace(config, port=sock.getsockname()[1])
        watch = SilenceWatch(WATCHED, clock())

        def silent(now: Now) -> dict[str, float]:
            return watch.look({program: statuses(program) for program in WATCHED}, now)

        console = make_console(ledger, store_root, served, clock, silent=silent, statuses=statuses)
        asyncio.run(_serve(console, sock, stop, beat, silent, listening, manager))


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals belong to the program, which sets `stop`."""
        yield


async def _serve(
    console: Console,
    sock: socket.socket,
    stop: threading.Event,
    beat: Beat,
    silent: Callable[[Now], dict[str, float]],
    listening: Callable[[int], None],
    manager: ServiceManager,
) -> None:
    settings = uvicorn.Config(
        make_app(console),
        access_log=False,
        log_config=None,
        log_level="warning",
        lifespan="off",
        server_header=False,
        proxy_headers=False,
        ws="none",
        timeout_graceful_shutdown=STOP_WITHIN_S,
        limit_concurrency=300,
    )
    server = _Server(settings)
    hub = asyncio.create_task(console.hub.run())
    serving = asyncio.create_task(server.serve(sockets=[sock]))
    beating = asyncio.create_task(_beat_each_second(console, beat, Lookout(console, silent)))
    told = False
    looks = 0
    try:
        while not stop.is_set():
            await asyncio.sleep(0.05)
            if server.started and not told:
                told = True
                listening(sock.getsockname()[1])
            if server.started and console.hub.looks > looks:
                looks = console.hub.looks
                manager.turned(console.clock())
            for task in (hub, serving, beating):
                if task.done():
                    task.result()
                    raise RuntimeError("a part of the board has ended by itself")
    finally:
        manager.stopping()
        # Streams first: the server waits for connections that are open.
        console.hub.close()
        server.should_exit = True
        beating.cancel()
        await asyncio.gather(hub, serving, beating, return_exceptions=True)
        console.shut()


async def _beat_each_second(console: Console, beat: Beat, lookout: Lookout) -> None:
    while not console.hub.looks:
        await asyncio.sleep(0.02)  # whoever has just started it shall find it alive
    while True:
        now = console.clock()
        if console.hub.answers(now.monotonic_s):
            beat(now, tuple(console.pages.seen(now.monotonic_s)))
        await console.in_thread(console.writer, partial(lookout.look, now))
        await asyncio.sleep(BEAT_S)


@contextlib.contextmanager
def _listening_socket(config: DashboardConfig) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((config.host, config.port))
            sock.listen(128)
        except OSError as error:
            raise CannotStart(
                f"The board cannot be served on {config.host} port {config.port}: {error.strerror}. "
                "Next step: end the program that uses this port, or set another dashboard.port."
            ) from error
        yield sock
