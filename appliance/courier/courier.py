"""The courier as ticks: one look at what rings, the steps that are due, one round of messages, one look around."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from appliance.core.errors import Fault
from appliance.core.status import ProgramStatus, Unrecorded
from appliance.core.times import NS_PER_S, Now
from appliance.courier.books import Books
from appliance.courier.channels import open_channel
from appliance.courier.ladder import Ladder
from appliance.courier.lookout import Lookout, Screens
from appliance.courier.outbox import Outbox
from appliance.courier.policy import CourierPolicy
from appliance.records.escalations import Ringing, ringing_alerts
from appliance.records.ledger import Ledger

REST_S: Final = 0.05
REST_WHILE_SENDING_S: Final = 0.01
REST_AFTER_FAULT_S: Final = 1.0

CHANNEL_FAULT: Final = "The channel {name} takes no messages."
LEDGER_FAULT: Final = "The records cannot be written: what is told is kept in memory until they can."
NOT_WRITABLE: Final = "ledger-not-writable"


class Courier:
    """Nothing that must outlive a restart lies here: it lies in the ledger, or in the notebook while that cannot be written."""

    def __init__(
        self,
        policy: CourierPolicy,
        ledger: Ledger,
        *,
        statuses: Callable[[str], ProgramStatus | None],
        random: Callable[[], float],
        wall_ns: Callable[[], int],
        started: Now,
        notebook: Path,
    ) -> None:
        """`statuses` gives the last status of a program; `random` numbers in [0, 1) for the back-off; `notebook` is the file
        that stands in for a ledger that cannot be written, best in memory."""
        self._statuses = statuses
        self._books = Books(ledger, notebook, started)
        self._outbox = Outbox(
            self._books,
            [open_channel(one, wall_ns) for one in policy.channels],
            policy.escalation,
            random=random,
            scanner=policy.scanner,
            clock_text=_to_the_second,
        )
        self._ladder = Ladder(self._books, policy.escalation)
        self._screens = Screens(statuses, after_s=policy.screen_after_s, grace_s=policy.grace_s, started=started)
        self._lookout = Lookout(
            self._books,
            statuses,
            people=policy.escalation.everybody,
            nobody_after_s=policy.nobody_after_s,
            grace_s=policy.grace_s,
            started=started,
            clock_text=_to_the_minute,
        )
        self._ringing: list[Ringing] = []
        self._seen: tuple[Ledger, int] | None = None
        self._started = False
        self._fails = False

    def tick(self, now: Now) -> None:
        """One round and one look; from the notebook as soon as the ledger fails, and until it can be written again."""
        unrecorded = self._unrecorded()
        if (moved := self._books.try_ledger(now, unrecorded)) is not None:
            self._outbox.moved(moved)
            self._seen = None
        self._fails = False
        if not self._books.in_notebook and self._books.missing(unrecorded):
            self._fails = not self._books.open_notebook(NOT_WRITABLE, now)
        try:
            self._work(now, unrecorded)
        except Fault as fault:
            self._fails = True
            self._seen = None
            if not self._books.in_notebook and self._books.open_notebook(fault.reason, now):
                self._fails = not self._works(now, unrecorded)

    def record(self, now: Now) -> bool:
        """Records what has come back, starting nothing new. Returns whether messages are still under way."""
        try:
            self._outbox.record(now)
        except Fault as fault:
            if self._books.in_notebook or not self._books.open_notebook(fault.reason, now):
                raise
            self._books.look(self._unrecorded())
            self._outbox.record(now)
        return self._outbox.busy

    @property
    def rest_s(self) -> float:
        """How long to rest before the next tick."""
        if self._fails:
            return REST_AFTER_FAULT_S
        return REST_WHILE_SENDING_S if self._outbox.busy else REST_S

    @property
    def faults(self) -> tuple[str, ...]:
        """What does not work now, in sentences."""
        failing = (CHANNEL_FAULT.format(name=name) for name, of in self._outbox.health.items() if of.failing)
        return (*failing, *((LEDGER_FAULT,) if self._fails or self._books.in_notebook else ()))

    def facts(self, now: Now) -> dict[str, str | int | float]:
        """What the status file says besides."""
        return self._books.facts(now)

    def close(self) -> None:
        """Ends the connections. What is under way and not recorded is sent again after a restart, under the same key."""
        self._outbox.close()
        self._books.close()

    def _unrecorded(self) -> tuple[Unrecorded, ...]:
        """What triage could not write, by its last word: a triage that has died since said no other."""
        status = self._statuses("triage")
        return status.unrecorded if status else ()

    def _works(self, now: Now, unrecorded: Sequence[Unrecorded]) -> bool:
        try:
            self._work(now, unrecorded)
        except Fault:
            return False
        return True

    def _work(self, now: Now, unrecorded: Sequence[Unrecorded]) -> None:
        if self._books.in_notebook:
            self._books.look(unrecorded)
        self._round(now)
        self._lookout.tick(now, self._outbox.health)

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
        seen = (self._books.current, self._books.current.data_version())
        if seen == self._seen:
            return False
        with self._books.current.reading() as r:
            self._ringing = ringing_alerts(r)
        self._seen = seen
        return True


def _to_the_minute(at_ns: int) -> str:
    """The wall time of the box, as people read it: 14:20."""
    return _local(at_ns).strftime("%H:%M")


def _to_the_second(at_ns: int) -> str:
    """The wall time of the box with its day: 2026-01-31 14:20:07."""
    return _local(at_ns).strftime("%Y-%m-%d %H:%M:%S")


def _local(at_ns: int) -> datetime:
    return datetime.fromtimestamp(at_ns / NS_PER_S, tz=UTC).astimezone()
