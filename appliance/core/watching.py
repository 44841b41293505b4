"""How one program tells that another has fallen silent, and whether any open page can tell a person."""

from collections.abc import Iterable, Mapping
from typing import Final

from appliance.core.status import SILENT_S, PageSeen, ProgramStatus
from appliance.core.times import Now

SILENT_CODE: Final = {
    "triage": "triage-silent",
    "courier": "courier-silent",
    "dashboard": "dashboard-silent",
}
"""The technical alert of each program that has fallen silent (`core.reasons`)."""

STARTING_S: Final = 30.0
"""How long a program may take to its first beat: triage proves its engine first."""

PAGE_ANSWERS_WITHIN_S: Final = 5.0
"""A page that has said nothing for longer is no channel."""


class SilenceWatch:
    """Which of the other programs are silent. A program that ended cleanly leaves no file, and is silent all the same."""

    def __init__(self, programs: Iterable[str], started: Now) -> None:
        self._heard_s = dict.fromkeys(programs, started.monotonic_s + STARTING_S - SILENT_S)

    @property
    def programs(self) -> tuple[str, ...]:
        """The programs that are watched."""
        return tuple(self._heard_s)

    def look(self, statuses: Mapping[str, ProgramStatus | None], now: Now) -> dict[str, float]:
        """Of each silent program, for how many seconds nothing was heard of it."""
        for program, status in statuses.items():
            if status is None or program not in self._heard_s:
                continue
            # The first beat ends the patience of the start; a file of the last run is older than our start.
            if not status.is_silent(now.monotonic_s) or status.beat_monotonic_s > self._heard_s[program]:
                self._heard_s[program] = min(status.beat_monotonic_s, now.monotonic_s)
        return {
            program: now.monotonic_s - heard_s
            for program, heard_s in self._heard_s.items()
            if now.monotonic_s - heard_s > SILENT_S
        }


def is_live(page: PageSeen, status_age_s: float) -> bool:
    """Whether this page is a channel: armed, and heard within the bound, counting the age of the status file."""
    return page.armed and page.last_word_s_ago + status_age_s <= PAGE_ANSWERS_WITHIN_S


def live_pages(dashboard: ProgramStatus | None, now: Now) -> int:
    """How many pages are channels now, by the dashboard's status file."""
    if dashboard is None:
        return 0
    age_s = dashboard.silent_s(now.monotonic_s)
    return sum(is_live(page, age_s) for page in dashboard.pages)
