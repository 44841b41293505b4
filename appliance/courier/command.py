"""The channel that starts a program of the site: a siren, a modem, a script that speaks to the telephone system.

docs/schemas/command.md tells it.
"""

import contextlib
import os
import signal
import subprocess
import threading
import time
from typing import Final

from appliance.core.delivery import Answer
from appliance.courier.channel import Message
from appliance.courier.policy import CommandPolicy
from appliance.processes.tied import tied

KEY_VARIABLE: Final = "BLEEDWATCH_IDEMPOTENCY_KEY"
NOT_HANDED_ON: Final = frozenset({"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"})
LOOK_EVERY_S: Final = 0.02
CANNOT_RUN: Final = frozenset({126, 127})
"""Exit codes by which a shell says that there is no such program, or that it may not be started."""


class Command:
    """The program. Several may run at once. Each has a process group of its own, which ends with its deadline.

    It is started without a shell, and dies with the courier, however that dies. What it prints is not read: nobody knows
    what stands in it.
    """

    ready = True
    drops_by_key = False

    def __init__(self, policy: CommandPolicy) -> None:
        self.name = policy.name
        self._policy = policy
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._closed = False

    def send(self, message: Message) -> Answer:
        """One attempt: the message on standard input, its key in the environment. Exit code 0 means told."""
        if not os.access(self._policy.argv[0], os.X_OK):
            return Answer(taken=False, error="NotExecutable", lasting=True)
        try:
            child = self._start(message)
        except OSError as error:
            return Answer(taken=False, error=type(error).__name__)
        if child is None:
            return Answer(taken=False, error="Stopping")
        try:
            _hand_over(child, message.payload)
            ended = _ends_within(child, self._policy.timeout_s)
        finally:
            # Before it is waited for, its number is surely its own.
            _kill_group(child)
            child.wait()
            with self._lock:
                self._running.discard(child)
        # What hung may have told somebody before.
        return exit_answer(child.returncode) if ended else Answer(taken=False, error="Deadline", unsure=True)

    def close(self) -> None:
        """Ends what runs, and starts nothing more."""
        with self._lock:
            self._closed = True
            running = list(self._running)
        for child in running:
            _kill_group(child)

    def _start(self, message: Message) -> subprocess.Popen[bytes] | None:
        with self._lock:
            if self._closed:
                return None
            child = subprocess.Popen(
                tied(self._policy.argv),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=_environment(message.idempotency_key),
                start_new_session=True,
            )
            self._running.add(child)
            return child


def exit_answer(code: int) -> Answer:
    """What an exit code says: 0 is told, anything else is tried again; a program that cannot be started, each minute."""
    if code == 0:
        return Answer(taken=True, status=0)
    error = f"exit code {code}" if code > 0 else f"signal {-code}"
    return Answer(taken=False, status=code, error=error, lasting=code in CANNOT_RUN)


def _environment(idempotency_key: str) -> dict[str, str]:
    """Ours, without the ways to speak to the service manager in our name."""
    ours = {name: value for name, value in os.environ.items() if name not in NOT_HANDED_ON}
    return {**ours, KEY_VARIABLE: idempotency_key}


def _hand_over(child: subprocess.Popen[bytes], payload: bytes) -> None:
    """The message is far shorter than what a pipe keeps, so this waits for nobody."""
    assert child.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # it need not read what it is told
        child.stdin.write(payload)
        child.stdin.flush()
    with contextlib.suppress(BrokenPipeError):
        child.stdin.close()


def _ends_within(child: subprocess.Popen[bytes], timeout_s: float) -> bool:
    """Whether it ends in time. It is not waited for: its number stays its own until `wait`."""
    until_s = time.monotonic() + timeout_s
    while time.monotonic() < until_s:
        if os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None:
            return True
        time.sleep(LOOK_EVERY_S)
    return False


def _kill_group(child: subprocess.Popen[bytes]) -> None:
    """What it has started and left behind ends with it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
