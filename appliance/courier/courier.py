"""The courier as ticks: one round of messages, one look around."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from appliance.core.errors import Fault
from appliance.core.status import ProgramStatus
from appliance.core.times import NS_PER_S, Now
from appliance.courier.lookout import Lookout
from appliance.courier.policy import CourierPolicy
from appliance.courier.rounds import Rounds
from appliance.courier.webhook import Webhook
from appliance.records.ledger import Ledger

log = logging.getLogger(__name__)

REST_S: Final = 0.05
REST_WHILE_SENDING_S: Final = 0.01
REST_AFTER_FAULT_S: Final = 1.0

GATEWAY_FAULT: Final = "The gateway does not take messages."
LEDGER_FAULT: Final = "The records cannot be read or written."


class Courier:
    """Nothing that must outlive a restart lies here."""

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
        """`statuses` gives the last status of a program; `random` numbers in [0, 1) for the back-off."""
        self._webhook = Webhook(policy.webhook, wall_ns) if policy.webhook else None
        self._rounds = Rounds(ledger, self._webhook, random=random) if self._webhook else None
        self._lookout = Lookout(
            ledger,
            statuses,
            nobody_after_s=policy.nobody_after_s,
            grace_s=policy.grace_s,
            started=started,
            clock_text=_clock_text,
        )
        self._ledger_fails = False

    def tick(self, now: Now) -> None:
        """One round and one look. A ledger that fails is tried again at the next tick; the reason is logged once."""
        try:
            if self._rounds is not None:
                self._rounds.tick(now)
            self._lookout.tick(now, channel_answers=self._rounds is not None and not self._rounds.failing)
        except Fault as fault:
            if not self._ledger_fails:
                log.error("the ledger does not answer", extra={"facts": {"reason": fault.reason}})
            self._ledger_fails = True
        else:
            self._ledger_fails = False

    def record(self, now: Now) -> bool:
        """Records what has come back, starting nothing new. Returns whether messages are still under way."""
        if self._rounds is None:
            return False
        self._rounds.record(now)
        return self._rounds.busy

    @property
    def rest_s(self) -> float:
        """How long to rest before the next tick."""
        if self._ledger_fails:
            return REST_AFTER_FAULT_S
        return REST_WHILE_SENDING_S if self._rounds is not None and self._rounds.busy else REST_S

    @property
    def faults(self) -> tuple[str, ...]:
        """What does not work now, in sentences."""
        gateway = (GATEWAY_FAULT,) if self._rounds is not None and self._rounds.failing else ()
        return (*gateway, *((LEDGER_FAULT,) if self._ledger_fails else ()))

    def close(self) -> None:
        """Ends the connections. What is under way and not recorded is sent again after a restart, under the same key."""
        if self._webhook is not None:
            self._webhook.close()


def _clock_text(at_ns: int) -> str:
    """The wall time of the box, as people read it: 14:20."""
    return datetime.fromtimestamp(at_ns / NS_PER_S, tz=UTC).astimezone().strftime("%H:%M")
