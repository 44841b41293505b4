"""The program that shows: serves the board until it is told to stop."""

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import uvicorn

from appliance.core.errors import CannotStart, Fault
from appliance.core.status import BEAT_S, PageSeen, ProgramStatus
from appliance.core.times import Now
from appliance.core.watching import SILENT_CODE, SilenceWatch
from appliance.dashboard.app import make_app
from appliance.dashboard.config import DashboardConfig, check_address
from appliance.dashboard.console import Console, make_console
from appliance.records.ledger import Ledger
from appliance.records.technical import keep_technical

log = logging.getLogger(__name__)

WATCHED: Final = ("triage", "courier")
STOP_WITHIN_S: Final = 2
SUBJECT: Final = "box"

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
) -> None:
    """Serves until `stop`; ends within 3 s, open pages or not.

    `beat` is called each second with the open pages while the loop and the ledger answer; `statuses` gives the last status
    of another program; `listening` is told the port once the board can be opened. CannotStart, in words, for an address
    that is taken or that others can reach.
    """
    check_address(config)
    with _listening_socket(config) as sock:
        served = replace(config, port=sock.getsockname()[1])
        watch = SilenceWatch(WATCHED, clock())

        def silent(now: Now) -> dict[str, float]:
            return watch.look({program: statuses(program) for program in WATCHED}, now)

        console = make_console(ledger, store_root, served, clock, silent=silent, statuses=statuses)
        asyncio.run(_serve(console, sock, stop, beat, silent, listening))


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
    beating = asyncio.create_task(_beat_each_second(console, beat, silent))
    told = False
    try:
        while not stop.is_set():
            await asyncio.sleep(0.05)
            if server.started and not told:
                told = True
                listening(sock.getsockname()[1])
            for task in (hub, serving, beating):
                if task.done():
                    task.result()
                    raise RuntimeError("a part of the board has ended by itself")
    finally:
        # Streams first: the server waits for connections that are open.
        console.hub.close()
        server.should_exit = True
        beating.cancel()
        await asyncio.gather(hub, serving, beating, return_exceptions=True)
        console.shut()


async def _beat_each_second(console: Console, beat: Beat, silent: Callable[[Now], dict[str, float]]) -> None:
    while True:
        now = console.clock()
        if console.hub.answers(now.monotonic_s):
            beat(now, tuple(console.pages.seen(now.monotonic_s)))
        await console.in_thread(console.writer, partial(_note_silence, console, silent, now))
        await asyncio.sleep(BEAT_S)


def _note_silence(console: Console, silent: Callable[[Now], dict[str, float]], now: Now) -> None:
    """The ledger learns which program is silent. Where it cannot be written, the band on the board says it alone."""
    causes = {(SILENT_CODE[program], SUBJECT): dict[str, str]() for program in silent(now)}
    owned = [(SILENT_CODE[program], SUBJECT) for program in WATCHED]
    try:
        keep_technical(console.ledger, causes, owned=owned, at_ns=now.wall_ns, by="dashboard")
    except Fault as fault:
        log.error("the silence of a program could not be recorded", extra={"facts": {"reason": fault.reason}})


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
