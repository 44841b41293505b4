"""The three programs as children of one command, for development and the demo. Under systemd each is a unit of its own.

One child's death leaves the others working: it is said, and the child is started again.
"""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from appliance.core.status import PROGRAMS
from appliance.operations.check_up import refuse_what_cannot_work
from appliance.processes.logs import start_logs
from appliance.processes.signals import stop_on_signals
from appliance.processes.tied import tied
from appliance.settings import Settings

log = logging.getLogger(__name__)

CANNOT_START = 2  # a child's exit code: a person has to mend something first
CANNOT_START_AGAIN_S = 10.0
RESTART_AFTER_S = 1.0
STOP_WITHIN_S = 4.0
LOOK_EVERY_S = 0.1


class Programs:
    """The children, and when each may be started again. Use it from one thread that stays: with it they die."""

    def __init__(self, config: Path, output: int) -> None:
        """`output`: the file descriptor that takes what the programs log."""
        self._config = config
        self._output = output
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._due_s: dict[str, float] = dict.fromkeys(PROGRAMS, 0.0)
        self.cannot_start: set[str] = set()  # programs that have said so when they last ended

    def keep_running(self) -> None:
        """Starts what is due. A program that says it cannot start keeps no other from working; it is tried more slowly."""
        for program in PROGRAMS:
            child = self._children.get(program)
            if child is not None and (code := child.poll()) is not None:
                del self._children[program]
                log.error("a program has ended and is started again", extra={"facts": {"ended": program, "code": code}})
                self.cannot_start.discard(program)
                if code == CANNOT_START:
                    self.cannot_start.add(program)
                after_s = CANNOT_START_AGAIN_S if code == CANNOT_START else RESTART_AFTER_S
                self._due_s[program] = time.monotonic() + after_s
            if program not in self._children and time.monotonic() >= self._due_s[program]:
                self._children[program] = self._start(program)

    def _start(self, program: str) -> subprocess.Popen[bytes]:
        # A session of its own: Ctrl-C in the terminal reaches this command alone, which then ends them in order.
        return subprocess.Popen(
            tied([sys.executable, "-m", "appliance.cli", program, "--config", str(self._config)]),
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
            start_new_session=True,
        )

    def pid(self, program: str) -> int | None:
        """The process of a program, None while it is down."""
        child = self._children.get(program)
        return child.pid if child and child.poll() is None else None

    def end(self) -> None:
        """Asks each to end, and ends what does not within a few seconds."""
        for child in self._children.values():
            child.send_signal(signal.SIGTERM)
        deadline_s = time.monotonic() + STOP_WITHIN_S
        for child in self._children.values():
            try:
                child.wait(timeout=max(0.0, deadline_s - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
        self._children.clear()


def run_all(settings: Settings, config: Path, stop: threading.Event | None = None) -> int:
    """Runs until SIGTERM, SIGINT or `stop`. Returns the exit code. CannotStart before anything has been started."""
    stop = stop or stop_on_signals()
    start_logs("run")
    refuse_what_cannot_work(settings)
    programs = Programs(config.resolve(), sys.stderr.fileno())
    sys.stderr.write(f"Board: http://{settings.dashboard.host}:{settings.dashboard.port}/   Ctrl-C ends.\n")
    try:
        while not stop.wait(LOOK_EVERY_S):
            programs.keep_running()
        return 0
    finally:
        programs.end()
