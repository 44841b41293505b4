"""The courier as ticks: one look at what rings, the steps that are due, one round of messages, one look around."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from appliance.core.errors import Fault
from appliance.core.status import ProgramStatus
from appliance.core.times import NS_PER_S, Now
from appliance.courier.channels import open_channel
from appliance.courier.ladder import Ladder
from appliance.courier.lookout import Lookout, Screens
from appliance.courier.outbox import Outbox
from appliance.courier.policy import CourierPolicy
from appliance.records.escalations import Ringing, ringing_alerts
from appliance.records.ledger import Ledger

log = logging.getLogger(__name__)

REST_S: Final = 0.05
REST_WHILE_SENDING_S: Final = 0.01
REST_AFTER_FAULT_S: Final = 1.0

CHANNEL_FAULT: Final = "The channel {name} takes no messages."
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
        self._ledger = ledger
        self._outbox = Outbox(
            ledger,
            [open_channel(one, wall_ns) for one in policy.channels],
            policy.escalation,
            random=random,
            scanner=policy.scanner,
            clock_text=_to_the_second,
        )
        self._ladder = Ladder(ledger, policy.escalation)
        self._screens = Screens(statuses, after_s=policy.screen_after_s, grace_s=policy.grace_s, started=started)
        self._lookout = Lookout(
            ledger,
            statuses,
            people=policy.escalation.everybody,
            nobody_after_s=policy.nobody_after_s,
            grace_s=policy.grace_s,
            started=started,
            clock_text=_to_the_minute,
        )
        self._ringing: list[Ringing] = []
        self._seen_version: int | None = None
        self._started = False
        self._ledger_fails = False

    def tick(self, now: Now) -> None:
        """One round and one look. A ledger that fails is tried again at the next tick; the reason is logged once."""
        try:
            self._round(now)
            self._lookout.tick(now, self._outbox.health)
        except Fault as fault:
            if not self._ledger_fails:
                log.error("the ledger does not answer", extra={"facts": {"reason": fault.reason}})
            self._ledger_fails = True
            self._seen_version = None
        else:
            self._ledger_fails = False

    def record(self, now: Now) -> bool:
        """Records what has come back, starting nothing new. Returns whether messages are still under way."""
        self._outbox.record(now)
        return self._outbox.busy

    @property
    def rest_s(self) -> float:
        """How long to rest before the next tick."""
        if self._ledger_fails:
            return REST_AFTER_FAULT_S
        return REST_WHILE_SENDING_S if self._outbox.busy else REST_S

    @property
    def faults(self) -> tuple[str, ...]:
        """What does not work now, in sentences."""
        failing = (CHANNEL_FAULT.format(name=name) for name, of in self._outbox.health.items() if of.failing)
        return (*failing, *((LEDGER_FAULT,) if self._ledger_fails else ()))

    def close(self) -> None:
        """Ends the connections. What is under way and not recorded is sent again after a restart, under the same key."""
        self._outbox.close()

    def _round(self, now: Now) -> None:
        recorded = self._outbox.record(now)
        changed = self._look() or recorded
        if not self._started:
            self._outbox.start(self._ringing, now)
            self._started = changed = True
        dead = {name for name, of in self._outbox.health.items() if of.is_dead(now.monotonic_s)}
        if self._ladder.tick(self._ringing, now, no_screen=self._screens.none_is_live(now), dead=dead):
            changed = True
        if changed or self._outbox.is_due(now):
            self._look()
            self._outbox.owe(self._ringing, now)
            self._outbox.send(self._ringing, now)

    def _look(self) -> bool:
        """Reads what rings, where anybody has written since. Returns whether it read."""
        version = self._ledger.data_version()
        if version == self._seen_version:
            return False
        with self._ledger.reading() as r:
            self._ringing = ringing_alerts(r)
        self._seen_version = version
        return True


def _to_the_minute(at_ns: int) -> str:
    """The wall time of the box, as people read it: 14:20."""
    return _local(at_ns).strftime("%H:%M")


def _to_the_second(at_ns: int) -> str:
    """The wall time of the box with its day: 2026-01-31 14:20:07."""
    return _local(at_ns).strftime("%Y-%m-%d %H:%M:%S")


def _local(at_ns: int) -> datetime:
    return datetime.fromtimestamp(at_ns / NS_PER_S, tz=UTC).astimezone()
