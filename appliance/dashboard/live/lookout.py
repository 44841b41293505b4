"""What the dashboard sees of the others and of its own screens, written into the ledger once a second."""

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from appliance.core.errors import Fault
from appliance.core.quiet import oddly_quiet_s
from appliance.core.times import Now
from appliance.core.watching import SILENT_CODE
from appliance.dashboard.board.bands import NOTHING_LANDED, SCREEN_SILENT
from appliance.dashboard.board.cards import TEST_ENDS_AFTER_S
from appliance.dashboard.console import Console
from appliance.dashboard.live.screens import Screens
from appliance.dashboard.words.moments import SECOND_NS, lasted
from appliance.records.counts import last_landing_ns
from appliance.records.technical import Cause, keep_technical
from appliance.records.test_alarms import end_unanswered_test

log = logging.getLogger(__name__)

WATCHED: Final = ("triage", "courier")
PROGRAM: Final = "dashboard"
SUBJECT: Final = "box"

Causes = dict[Cause, Mapping[str, str]]


class Lookout:
    """Raises and mends the technical alerts that are the dashboard's to see, and ends tests that nobody has answered."""

    def __init__(self, console: Console, silent: Callable[[Now], dict[str, float]]) -> None:
        """`silent`: of each program that has fallen silent, for how many seconds."""
        self._console = console
        self._silent = silent
        self._screens = Screens()

    def look(self, now: Now) -> None:
        """One look. Where the ledger cannot be written, the bands of the board say it alone."""
        try:
            causes = self._programs(now) | self._silent_screens(now) | self._nothing_landed(now)
            owned = [(SILENT_CODE[program], SUBJECT) for program in WATCHED] + [(NOTHING_LANDED, SUBJECT)]
            keep_technical(
                self._console.ledger,
                causes,
                owned=owned,
                owned_codes=(SCREEN_SILENT,),
                at_ns=now.wall_ns,
                by=PROGRAM,
            )
            before_ns = now.wall_ns - TEST_ENDS_AFTER_S * SECOND_NS
            end_unanswered_test(self._console.ledger, raised_before_ns=before_ns, at_ns=now.wall_ns, by=PROGRAM)
        except Fault as fault:
            log.error("what the dashboard sees could not be recorded", extra={"facts": {"reason": fault.reason}})

    def _programs(self, now: Now) -> Causes:
        return {(SILENT_CODE[program], SUBJECT): {} for program in self._silent(now)}

    def _silent_screens(self, now: Now) -> Causes:
        silent = self._screens.look(self._console.pages.open(now.monotonic_s), now.monotonic_s)
        return {
            (SCREEN_SILENT, one.screen): {
                "screen": f"{one.screen} ({one.place})",
                "time": self._calendar_time(now.wall_ns - round((now.monotonic_s - one.since_s) * SECOND_NS)),
            }
            for one in silent
        }

    def _nothing_landed(self, now: Now) -> Causes:
        with self._console.ledger.reading() as r:
            landed_ns = last_landing_ns(r)
        if landed_ns is None:
            return {}
        quiet_s = oddly_quiet_s(
            self._console.config.working_time, last_landed=self._local(landed_ns), now=self._local(now.wall_ns)
        )
        return {} if quiet_s is None else {(NOTHING_LANDED, SUBJECT): {"time": lasted(quiet_s)}}

    def _local(self, at_ns: int) -> datetime:
        return self._console.renderer.calendar.at(at_ns)

    def _calendar_time(self, at_ns: int) -> str:
        return self._console.renderer.calendar.short(at_ns)
