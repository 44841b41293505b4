"""What a program tells the service manager: ready, working, stopping. The protocol is sd_notify(3), over a real socket.

A program that no service manager has started has no NOTIFY_SOCKET, and says nothing.
"""

import logging
import socket
from collections.abc import MutableMapping
from typing import Final, Self

from appliance.core.times import Now

log = logging.getLogger(__name__)

PING_AT_LEAST_EVERY_S: Final = 1.0
"""Without a watchdog there is no ping. With a lazy one a ping still comes as often as the sign of life."""


class ServiceManager:
    """The other end of NOTIFY_SOCKET. It can fail in any way without hurting the work.

    What is said must hold no patient: everybody on the machine reads it in `systemctl status`.
    """

    def __init__(self, address: str = "", watchdog_s: float | None = None) -> None:
        """`address`: a path, or `@name` in the abstract name space; empty: nobody listens. `watchdog_s`: its patience."""
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._ping_every_s = None if watchdog_s is None else min(watchdog_s / 3, PING_AT_LEAST_EVERY_S)
        self._pinged_s = float("-inf")
        self._status = ""
        self._is_ready = False
        self._fails = False

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str], pid: int) -> Self:
        """Takes the variables of the protocol out of `environment`, so that no child speaks in our name.

        WATCHDOG_USEC counts only if WATCHDOG_PID is absent or ours; one that is no number is no watchdog.
        """
        address = environment.pop("NOTIFY_SOCKET", "")
        patience_us = environment.pop("WATCHDOG_USEC", "")
        meant_for = environment.pop("WATCHDOG_PID", str(pid))
        ours = meant_for == str(pid) and patience_us.isdecimal() and int(patience_us) > 0
        return cls(address, int(patience_us) / 1e6 if ours else None)

    def turned(self, moment: Now) -> None:
        """One turn of the work is done. The first makes the program ready; each keeps the watchdog away.

        Call it from the loop that does the work, after the work, and from nowhere else.
        """
        if not self._is_ready:
            self._is_ready = True
            self._say("READY=1")
        if self._ping_every_s is not None and moment.monotonic_s - self._pinged_s >= self._ping_every_s:
            self._pinged_s = moment.monotonic_s
            self._say("WATCHDOG=1")

    def status(self, words: str) -> None:
        """One line on what the program is doing, said when it changes."""
        line = " ".join(words.split())
        if line != self._status:
            self._status = line
            self._say(f"STATUS={line}")

    def stopping(self) -> None:
        """The program has begun to end."""
        self._say("STOPPING=1")

    def _say(self, words: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.setblocking(False)  # a manager that does not read costs a ping, not the work
                sock.sendto(words.encode(), self._address)
        except OSError as error:
            if not self._fails:
                log.error("the service manager cannot be told", extra={"facts": {"said": error.strerror}})
            self._fails = True
        else:
            self._fails = False
