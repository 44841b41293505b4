"""What triage has come to is committed in its order. What cannot be committed is kept, told of, and tried again.

Meanwhile the loop goes on with the slices that it has: the bleed may lie in the next one. Nothing new is taken from the
inbox, so no more is ever kept than what these come to.
"""

import contextlib
import logging
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from appliance.core.alerts import AlertEvent, AlertStatus, ImpossibleEvent, advance, is_news
from appliance.core.errors import Fault
from appliance.core.ledger import AlertChange, AlertKey, AlertRow, Judgement
from appliance.core.status import Unrecorded, ledger_facts
from appliance.core.times import Now
from appliance.core.words import Level
from appliance.records.alerts import find_alert
from appliance.records.judgement import commit_judgement
from appliance.records.ledger import Ledger
from appliance.triage.ballast import Ballast

log = logging.getLogger(__name__)

PATIENCE_MS: Final = 500
"""How long triage waits for others who write: who is kept waiting for an alert waits with it."""
TRY_EVERY_S: Final = 0.5
TRY_PATIENCE_MS: Final = 100
ALERTS_REMEMBERED: Final = 64
LEDGER_FAULTS: Final = frozenset({"ledger-not-writable", "ledger-damaged"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """`tells`: it raises a CRITICAL that nobody has been told of."""

    judgement: Judgement
    tells: bool


class Keeping:
    """Commits, or keeps until that can be done."""

    def __init__(self, ledger: Ledger, ballast: Ballast) -> None:
        ledger.patience_ms = PATIENCE_MS
        self._ledger = ledger
        self._ballast = ballast
        self._kept: deque[_Kept] = deque()
        self._owed: deque[Callable[[], object]] = deque()
        self._seen: OrderedDict[AlertKey, AlertRow | None] = OrderedDict()
        self._tried_s = float("-inf")
        self.fault = ""
        """The reason code of why the ledger cannot be written; empty while it can."""
        self._since: Now | None = None
        self.news = False
        """Something has changed that others should read from the status file at once. Whoever tells it clears it."""

    def facts(self, now: Now) -> dict[str, str | int | float]:
        """For the status file."""
        return ledger_facts(self.fault, self._since or now, now)

    @property
    def unrecorded(self) -> tuple[Unrecorded, ...]:
        """The alerts that are kept and that nobody has been told of."""
        return tuple(_unrecorded(one.judgement, one.judgement.alert) for one in self._kept if one.tells)

    def alert(self, key: AlertKey) -> AlertRow | None:
        """The alert of this key in the ledger; where that cannot even be read, as it was seen last."""
        try:
            with self._ledger.reading() as read:
                self._remember(key, find_alert(read, key))
        except Fault as fault:
            if fault.reason not in LEDGER_FAULTS:
                raise
        return self._seen.get(key)

    def _remember(self, key: AlertKey, row: AlertRow | None) -> None:
        self._seen[key] = row
        self._seen.move_to_end(key)
        while len(self._seen) > ALERTS_REMEMBERED:
            self._seen.popitem(last=False)

    def standing(self, key: AlertKey, status: AlertStatus | None) -> AlertStatus | None:
        """The status of an alert with what is kept of it, from its status in the ledger."""
        for change, at_ns in self._changes(key):
            with contextlib.suppress(ImpossibleEvent):  # a person has pressed meanwhile
                status = advance(status, _event(change, at_ns))
        return status

    def stands_on(self, key: AlertKey) -> int | None:
        """The series that the alert of this key will stand on; None where nothing kept says so."""
        return next((change.series_id for change, _ in reversed(self._changes(key))), None)

    def commit(self, judgement: Judgement, now: Now, before: AlertStatus | None = None) -> None:
        """One transaction now, or as soon as the ledger can be written. `before`: the status of its alert."""
        if not self._kept:
            try:
                self._write(judgement)
                return
            except Fault as fault:
                self.failed(fault, now)
        change = judgement.alert
        tells = (
            change is not None
            and change.step.level is Level.CRITICAL
            and is_news(before, _event(change, judgement.at_ns))
        )
        self._kept.append(_Kept(judgement=judgement, tells=tells))
        self.news = self.news or tells

    def owe(self, write: Callable[[], object], now: Now) -> None:
        """Has something else written before all that is kept, once the ledger can be written. It may raise a Fault."""
        self._owed.append(write)
        self.failed(Fault("ledger-not-writable", "at the start"), now)

    def _write(self, judgement: Judgement) -> None:
        try:
            self._commit(judgement)
        except Fault as fault:
            if fault.reason not in LEDGER_FAULTS or not self._ballast.give_up_if_full():
                raise
            self._commit(judgement)

    def _commit(self, judgement: Judgement) -> None:
        after = commit_judgement(self._ledger, judgement).alert
        if judgement.alert is not None:
            self._remember(judgement.alert.key, after)

    def failed(self, fault: Fault, now: Now) -> None:
        """The ledger has not taken something. Raises any other fault."""
        if fault.reason not in LEDGER_FAULTS:
            raise fault
        self._ballast.give_up_if_full()
        if not self.fault:
            log.error("the ledger cannot be written", extra={"facts": {"reason": fault.reason, "said": fault.message}})
            self._since = now
        self.fault, self._tried_s = fault.reason, now.monotonic_s

    def may_write(self, now: Now) -> bool:
        """Whether the ledger can be written. After a fault it is tried now and then, with what is kept first."""
        if not self.fault:
            return True
        if now.monotonic_s - self._tried_s < TRY_EVERY_S:
            return False
        self._tried_s = now.monotonic_s
        self._ballast.give_up_if_full()
        try:
            self._write_all()
        except Fault as fault:
            self.failed(fault, now)
            return False
        log.warning("the ledger can be written again")
        self.fault, self.news = "", True
        return True

    def _write_all(self) -> None:
        self._ledger.prove_writable(patience_ms=TRY_PATIENCE_MS)
        while self._owed:
            self._owed[0]()
            self._owed.popleft()
        while self._kept:
            judgement = self._kept[0].judgement
            try:
                self._commit(judgement)
            except ImpossibleEvent as impossible:
                # A person has pressed meanwhile: what was to happen to the alert cannot any more. All else stands.
                log.error("what was kept does not fit any more", extra={"facts": {"said": str(impossible)}})
                self._commit(replace(judgement, alert=None))
            self._kept.popleft()

    def _changes(self, key: AlertKey) -> list[tuple[AlertChange, int]]:
        judgements = [one.judgement for one in self._kept]
        return [(one.alert, one.at_ns) for one in judgements if one.alert is not None and one.alert.key == key]


def _event(change: AlertChange, at_ns: int) -> AlertEvent:
    step = change.step
    return AlertEvent(
        happening=step.happening,
        at_ns=at_ns,
        level=step.level,
        finality=step.finality,
        new_acquisition=step.new_acquisition,
    )


def _unrecorded(judgement: Judgement, change: AlertChange | None) -> Unrecorded:
    assert change is not None
    found = judgement.reading.finding if judgement.reading else None
    return Unrecorded(
        study_id=change.study_id,
        happening=change.step.happening,
        level=change.step.level,
        finality=change.step.finality,
        at_ns=judgement.at_ns,
        label=found.label if found else "",
        side=str(found.side) if found else "",
        key_number=found.key_number if found else 0,
    )
