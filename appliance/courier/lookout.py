"""What the courier sees of the others: a silent program, and that nobody can be told."""

from collections.abc import Callable, Mapping
from typing import Final

from appliance.core.status import ProgramStatus
from appliance.core.times import NS_PER_S, Now
from appliance.core.watching import SILENT_CODE, SilenceWatch, live_pages
from appliance.records.ledger import Ledger
from appliance.records.technical import Cause, keep_technical

WATCHED: Final = ("triage", "dashboard")
SUBJECT: Final = "box"
NOBODY: Final = ("nobody-can-be-told", SUBJECT)
LOOK_EVERY_S: Final = 1.0


class Lookout:
    """Raises and mends the technical alerts that are the courier's to see."""

    def __init__(
        self,
        ledger: Ledger,
        statuses: Callable[[str], ProgramStatus | None],
        *,
        nobody_after_s: float,
        grace_s: float,
        started: Now,
        clock_text: Callable[[int], str],
    ) -> None:
        self._ledger = ledger
        self._statuses = statuses
        self._nobody_after_s = nobody_after_s
        self._clock_text = clock_text
        self._watch = SilenceWatch(WATCHED, started)
        # Until the grace is over it counts as if somebody had been there.
        self._reachable = started.plus(max(0.0, grace_s - nobody_after_s))
        self._looked_s = float("-inf")

    def tick(self, now: Now, *, channel_answers: bool) -> None:
        """One look a second. `channel_answers`: whether another channel is set and does not fail."""
        if now.monotonic_s - self._looked_s < LOOK_EVERY_S:
            return
        self._looked_s = now.monotonic_s
        statuses = {program: self._statuses(program) for program in WATCHED}
        causes: dict[Cause, Mapping[str, str]] = {
            (SILENT_CODE[program], SUBJECT): {} for program in self._watch.look(statuses, now)
        }
        if channel_answers or live_pages(statuses["dashboard"], now):
            self._reachable = now
        elif now.monotonic_s - self._reachable.monotonic_s >= self._nobody_after_s:
            causes[NOBODY] = {"time": self._clock_text(self._since_ns(now))}
        owned = [NOBODY, *((SILENT_CODE[program], SUBJECT) for program in WATCHED)]
        keep_technical(self._ledger, causes, owned=owned, at_ns=now.wall_ns, by="courier")

    def _since_ns(self, now: Now) -> int:
        """When somebody could last be told: by the monotonic clock, told in the wall time of now."""
        return now.wall_ns - round((now.monotonic_s - self._reachable.monotonic_s) * NS_PER_S)
