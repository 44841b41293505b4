"""Technical alerts of this program: one open row for each code and subject, mended with a note when the cause is gone."""

import contextlib
from collections import deque
from collections.abc import Callable
from typing import Final

from appliance.core.alerts import Happening
from appliance.core.errors import Fault
from appliance.core.times import Now
from appliance.core.words import Level
from appliance.records.alerts import append_event, find_alert, open_alerts, raise_alert
from appliance.records.ledger import Connection, Ledger
from appliance.records.technical import technical_key

PROGRAM = "triage"
MOST_OWED: Final = 200
"""Of what the ledger has not taken. Beyond, the box has been blind for so long that no further word of it counts."""


class TechnicalAlerts:
    """Raises and mends. Remembers what is open, so that a healthy box writes nothing.

    What the ledger does not take is asked for again by `catch_up`, in its order: whoever sees a cause goes on.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._owed: deque[Callable[[Connection], object]] = deque()
        with ledger.reading() as read:
            self._raised = {
                (alert.key.first, alert.key.second) for alert in open_alerts(read) if alert.level is Level.TECHNICAL
            }

    def raise_once(self, code: str, subject: str, now: Now, *, study_id: int | None = None, **details: str) -> None:
        """Opens the alert unless it is open."""
        if (code, subject) in self._raised:
            return
        key = technical_key((code, subject))

        def write_it(write: Connection) -> None:
            before = find_alert(write, key)
            if before is None or not before.open:
                raise_alert(
                    write,
                    key,
                    Level.TECHNICAL,
                    study_id=study_id,
                    series_id=None,
                    reading_id=None,
                    at_ns=now.wall_ns,
                    details=details,
                    by=PROGRAM,
                )

        self._raised.add((code, subject))
        self._write(write_it)

    def make_blind(self, code: str, subject: str, now: Now) -> None:
        """The box cannot see any more: the alert sounds anew, and says so."""
        self._worse(code, subject, now, {"blind": "yes"}, lambda said: said.get("blind") != "yes")

    def count(self, code: str, subject: str, now: Now, n: int, *, folders: str) -> None:
        """Opens the alert about `n` folders, as its sentence says them; one that has told of fewer sounds anew."""
        self.raise_once(code, subject, now, n=str(n), folders=folders)
        more = {"n": str(n), "folders": folders}
        self._worse(code, subject, now, more, lambda before: int(before.get("n", "0")) < n)

    def _worse(
        self, code: str, subject: str, now: Now, details: dict[str, str], is_news: Callable[[dict[str, str]], bool]
    ) -> None:
        key = technical_key((code, subject))

        def write_it(write: Connection) -> None:
            alert = find_alert(write, key)
            if alert and alert.open and is_news(alert.details):
                append_event(
                    write,
                    alert.id,
                    Happening.UPGRADED,
                    at_ns=now.wall_ns,
                    by=PROGRAM,
                    details=details,
                    level=Level.TECHNICAL,
                )

        self._write(write_it)

    def mend(self, code: str, subject: str, now: Now, note: str) -> None:
        """Closes the alert if it is open."""
        if (code, subject) not in self._raised:
            return
        key = technical_key((code, subject))

        def write_it(write: Connection) -> None:
            alert = find_alert(write, key)
            if alert and alert.open:
                append_event(write, alert.id, Happening.MENDED, at_ns=now.wall_ns, by=PROGRAM, details={"note": note})

        self._raised.discard((code, subject))
        self._write(write_it)

    def catch_up(self) -> None:
        """Writes what the ledger has not taken. Fault if it still does not."""
        while self._owed:
            with self._ledger.writing() as write:
                self._owed[0](write)
            self._owed.popleft()

    def _write(self, write_it: Callable[[Connection], object]) -> None:
        if len(self._owed) >= MOST_OWED:
            return
        self._owed.append(write_it)
        with contextlib.suppress(Fault):
            self.catch_up()
