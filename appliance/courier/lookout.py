"""What the courier sees of the others: a silent program, a channel that takes nothing, and that nobody can be told."""

from collections.abc import Callable, Collection, Mapping
from typing import Final

from appliance.core.delivery import Health
from appliance.core.status import LEDGER_FACT, ProgramStatus
from appliance.core.times import NS_PER_S, Now
from appliance.core.watching import SILENT_CODE, SilenceWatch, live_pages
from appliance.courier.books import Books
from appliance.records.alerts import open_alerts
from appliance.records.technical import Cause, keep_technical

WATCHED: Final = ("triage", "dashboard")
SUBJECT: Final = "box"
NOBODY: Final = ("nobody-can-be-told", SUBJECT)
LEDGER_CODES: Final = ("ledger-not-writable", "ledger-damaged")
"""What is said while the courier, or triage, cannot write the ledger."""
CHANNEL_CODE: Final = "dead-letters"
"""The technical alert of a channel that takes no messages; its subject is the channel's name."""
LOOK_EVERY_S: Final = 1.0
LEDGER_QUIET_S: Final = 30.0
"""A ledger that fails again and again is told of once: it is mended when it has not failed for so long."""


class Lookout:
    """Raises and mends the technical alerts that are the courier's to see."""

    def __init__(
        self,
        books: Books,
        statuses: Callable[[str], ProgramStatus | None],
        *,
        people: Collection[str],
        nobody_after_s: float,
        grace_s: float,
        started: Now,
        clock_text: Callable[[int], str],
    ) -> None:
        """`people`: the channels that reach somebody who looks after a patient; others do not count as somebody."""
        self._books = books
        self._statuses = statuses
        self._people = frozenset(people)
        self._nobody_after_s = nobody_after_s
        self._clock_text = clock_text
        self._watch = SilenceWatch(WATCHED, started)
        # Until the grace is over it counts as if somebody had been there.
        self._reachable = started.plus(max(0.0, grace_s - nobody_after_s))
        self._looked_s = float("-inf")
        self._ledger_failed_s: dict[str, float] = {}  # by its code, on the monotonic clock

    def tick(self, now: Now, health: Mapping[str, Health]) -> None:
        """One look a second. `health`: of each channel that is set."""
        if now.monotonic_s - self._looked_s < LOOK_EVERY_S:
            return
        self._looked_s = now.monotonic_s
        statuses = {program: self._statuses(program) for program in WATCHED}
        causes: dict[Cause, Mapping[str, str]] = {
            (SILENT_CODE[program], SUBJECT): {} for program in self._watch.look(statuses, now)
        }
        answers = any(name in self._people and not of.failing for name, of in health.items())
        if answers or live_pages(statuses["dashboard"], now):
            self._reachable = now
        elif now.monotonic_s - self._reachable.monotonic_s >= self._nobody_after_s:
            causes[NOBODY] = {"time": self._clock_text(self._since_ns(now))}
        for facts in (self._books.facts(now), _facts_of(statuses["triage"], now)):
            if (code := str(facts.get(LEDGER_FACT, ""))) in LEDGER_CODES:
                causes[(code, SUBJECT)] = {}
                self._ledger_failed_s[code] = now.monotonic_s
        owned = [NOBODY, *((SILENT_CODE[program], SUBJECT) for program in WATCHED)]
        owned += [(code, SUBJECT) for code in LEDGER_CODES if self._is_quiet(code, now)]
        dead = {name: of for name, of in health.items() if of.is_dead(now.monotonic_s)}
        causes |= {(CHANNEL_CODE, name): self._said(name, of) for name, of in dead.items()}
        # What fails, but not yet for long, was raised before a restart or will be soon: it is neither raised nor mended.
        unclear = {name for name, of in health.items() if of.failing}
        owned += [(CHANNEL_CODE, name) for name in self._told_channels() if name not in unclear]
        keep_technical(self._books.current, causes, owned=owned, at_ns=now.wall_ns, by="courier")

    def _is_quiet(self, code: str, now: Now) -> bool:
        return now.monotonic_s - self._ledger_failed_s.get(code, float("-inf")) >= LEDGER_QUIET_S

    def _told_channels(self) -> list[str]:
        """The channels of which an alert is open, also those that are no longer set."""
        with self._books.current.reading() as r:
            return [row.key.second for row in open_alerts(r) if row.key.first == CHANNEL_CODE]

    def _said(self, name: str, health: Health) -> dict[str, str]:
        return {"channel": name, "time": self._clock_text(health.failing_since_ns or 0)}

    def _since_ns(self, now: Now) -> int:
        """When somebody could last be told: by the monotonic clock, told in the wall time of now."""
        return now.wall_ns - round((now.monotonic_s - self._reachable.monotonic_s) * NS_PER_S)


def _facts_of(status: ProgramStatus | None, now: Now) -> Mapping[str, str | int | float]:
    """What a program that lives says."""
    return {} if status is None or status.is_silent(now.monotonic_s) else status.facts


class Screens:
    """Whether any page can show and sound an alert, with patience for a page that is just being loaded again."""

    def __init__(
        self, statuses: Callable[[str], ProgramStatus | None], *, after_s: float, grace_s: float, started: Now
    ) -> None:
        self._statuses = statuses
        self._after_s = after_s
        # While the box starts, pages are still finding their server.
        self._live_s = started.monotonic_s + max(0.0, grace_s - after_s)
        self._looked_s = float("-inf")

    def none_is_live(self, now: Now) -> bool:
        """No page has been live for so long. Looks four times a second: the file is rewritten each second."""
        if now.monotonic_s - self._looked_s >= LOOK_EVERY_S / 4:
            self._looked_s = now.monotonic_s
            if live_pages(self._statuses("dashboard"), now):
                self._live_s = max(self._live_s, now.monotonic_s)
        return now.monotonic_s - self._live_s >= self._after_s
