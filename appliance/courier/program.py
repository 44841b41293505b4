"""The program that tells: sends what the ledger says is owed, and looks after who can be told."""

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from appliance.core.errors import Fault
from appliance.core.status import ProgramStatus
from appliance.core.times import Now
from appliance.courier.lookout import Lookout
from appliance.courier.policy import CourierPolicy
from appliance.courier.rounds import Rounds
from appliance.courier.webhook import Webhook
from appliance.processes.loop import run_ticks
from appliance.records.ledger import Ledger

log = logging.getLogger(__name__)

REST_S: Final = 0.1
REST_WHILE_SENDING_S: Final = 0.01
REST_AFTER_FAULT_S: Final = 1.0


class Courier:
    """The courier as ticks. Nothing that must outlive a restart lies here."""

    def __init__(
        self,
        policy: CourierPolicy,
        ledger: Ledger,
        *,
        statuses: Callable[[str], ProgramStatus | None],
        random: Callable[[], float],
        wall_ns: Callable[[], int],
        started: Now,
    ) -> None:
        self._webhook = Webhook(policy.webhook) if policy.webhook else None
        self._rounds = (
            Rounds(ledger, self._webhook, policy.webhook.link, random, wall_ns)
            if policy.webhook and self._webhook
            else None
        )
        self._lookout = Lookout(
            ledger,
            statuses,
            nobody_after_s=policy.nobody_after_s,
            started=started,
            clock_text=_clock_text,
        )
        self._faulty = False

    def tick(self, now: Now) -> None:
        """One round and one look. A ledger that fails is tried again at the next tick; the reason is logged once."""
        try:
            if self._rounds is not None:
                self._rounds.tick(now)
            self._lookout.tick(now, channel_answers=self._channel_answers())
        except Fault as fault:
            if not self._faulty:
                log.error("the ledger does not answer", extra={"facts": {"reason": fault.reason}})
            self._faulty = True
        else:
            self._faulty = False

    @property
    def rest_s(self) -> float:
        """How long to rest before the next tick."""
        if self._faulty:
            return REST_AFTER_FAULT_S
        return REST_WHILE_SENDING_S if self._rounds is not None and self._rounds.busy else REST_S

    def close(self, *, wait: bool) -> None:
        """Ends threads and connections."""
        if self._rounds is not None:
            self._rounds.close(wait)
        if self._webhook is not None:
            self._webhook.close()

    def _channel_answers(self) -> bool:
        return self._rounds is not None and self._rounds.failing_since_s is None


def run(
    policy: CourierPolicy,
    ledger: Ledger,
    *,
    stop: threading.Event,
    clock: Callable[[], Now],
    random: Callable[[], float],
    beat: Callable[[Now], None],
    statuses: Callable[[str], ProgramStatus | None],
) -> None:
    """Ticks until `stop`. `random` gives numbers in [0, 1) for the back-off; `statuses` the last status of a program."""
    courier = Courier(
        policy,
        ledger,
        statuses=statuses,
        random=random,
        wall_ns=lambda: clock().wall_ns,
        started=clock(),
    )
    try:
        run_ticks(courier.tick, stop=stop, rest=lambda: _rest(stop, courier), beat=beat)
    finally:
        courier.close(wait=False)


def _rest(stop: threading.Event, courier: Courier) -> None:
    stop.wait(courier.rest_s)


def _clock_text(at_ns: int) -> str:
    """The wall time of the box, as people read it: 14:20."""
    return datetime.fromtimestamp(at_ns / 1e9, tz=UTC).astimezone().strftime("%H:%M")
