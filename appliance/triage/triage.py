"""The loop that joins the rooms: what lands is read, placed, scored, judged and told of. One thread owns all of it."""

import logging
from typing import Final

from appliance.core.errors import Fault
from appliance.core.times import Now
from appliance.core.words import StudyState
from appliance.intake.inbox import SWEEP_BUSY_S, SWEEP_IDLE_S, Inbox
from appliance.intake.watch import Watcher
from appliance.store.shelf import Shelf
from appliance.triage.ballast import Ballast
from appliance.triage.cases import OpenCases, StudyCase
from appliance.triage.closed_folders import ClosedFolders
from appliance.triage.engine_duty import EngineDuty
from appliance.triage.judge import Judge
from appliance.triage.keeping import Keeping
from appliance.triage.landing import Landing
from appliance.triage.leaving import Leaving
from appliance.triage.placing import Placing
from appliance.triage.scoring import Scoring
from appliance.triage.technical import TechnicalAlerts

log = logging.getLogger(__name__)

STUDY_QUIET_S: Final = 30.0
STUDY_QUIET_PAGES_S: Final = 600.0  # a study of localizers, summaries and reports alone: the scan itself may follow
_PAGES: Final = frozenset({"localizer", "secondary-capture"})
STORE_FULL: Final = "store-not-writable"
STORE_TRY_EVERY_S: Final = 1.0
STUDY_OWES_S: Final = 600.0  # longest that a study stays open for slices that the engine owes


class Triage:
    """Owns everything that is open."""

    def __init__(
        self,
        *,
        shelf: Shelf,
        inbox: Inbox,
        watcher: Watcher | None,
        landing: Landing,
        leaving: Leaving,
        scoring: Scoring,
        cases: OpenCases,
        placing: Placing,
        duty: EngineDuty,
        judge: Judge,
        technical: TechnicalAlerts,
        keeping: Keeping,
        ballast: Ballast,
    ) -> None:
        self._shelf = shelf
        self._inbox = inbox
        self._watcher = watcher
        self._landing = landing
        self._leaving = leaving
        self._scoring = scoring
        self._cases = cases
        self._placing = placing
        self._duty = duty
        self._judge = judge
        self._technical = technical
        self._keeping = keeping
        self._ballast = ballast
        self._store_again_s = float("-inf")
        self._closed_folders = ClosedFolders(technical)
        self._swept_s = float("-inf")

    def start(self, now: Now) -> None:
        """After a restart: what was open is open again, and what lies in the inbox is held against the ledger."""
        self._shelf.sweep_drafts()
        self._cases.rebuild(now)
        self._leaving.reconcile(now)
        self._sweep(now)

    def tick(self, now: Now) -> None:
        """One turn: hear, read, score a slice or a batch, close what is complete."""
        try:
            self._turn(now)
        except Fault as fault:
            self._keeping.failed(fault, now)

    def _turn(self, now: Now) -> None:
        self._hear(now)
        self._landing.hear(now)
        if may_write := self._keeping.may_write(now):
            self._technical.catch_up()
            self._ballast.keep(now)
            self._take(now)
        self._duty.tick(now, idle=not self._scoring.has_work())
        self._placing.read_anew_what_was_lost()
        self._judge.early(self._scoring.most_urgent(now), now)
        self._close(now)
        if may_write:
            self._leaving.let_go(now)

    def _take(self, now: Now) -> None:
        """Gives files to the readers, and takes what they have read. What the store does not take stays in the inbox."""
        if now.monotonic_s < self._store_again_s:
            return
        try:
            self._landing.send(now)
            for taken in self._landing.receive(now):
                self._scoring.keep(taken.row, taken.hu)
                self._technical.mend(STORE_FULL, "store", now, "the store takes slices again")
            self._landing.send(now)
        except Fault as fault:
            if fault.reason != STORE_FULL:
                raise
            self._store_again_s = now.monotonic_s + STORE_TRY_EVERY_S
            self._technical.raise_once(STORE_FULL, "store", now)

    def close(self) -> None:
        """Ends what runs beside the loop."""
        self._duty.close()

    def has_work(self) -> bool:
        """A slice waits for its score: do not rest."""
        return self._scoring.has_work()

    @property
    def scored(self) -> int:
        """Slices scored since the start."""
        return self._scoring.scored

    @property
    def open_studies(self) -> int:
        """Studies of which more is awaited."""
        return sum(1 for _ in self._cases)

    @property
    def waiting_files(self) -> int:
        """Files that have no verdict yet."""
        return self._inbox.waiting

    def facts(self, now: Now) -> dict[str, str | int | float]:
        """What the status file says of the work."""
        return {
            "open_studies": self.open_studies,
            "open_series": sum(series.is_open for study in self._cases for series in study.series.values()),
            "waiting_files": self.waiting_files,
            "oldest_waiting_s": round(now.monotonic_s - self._inbox.all_read_until_s(now), 1),
            "swept_s_ago": round(now.monotonic_s - self._swept_s, 1),
            "scored_slices": self.scored,
            **self._keeping.facts(now),
            **self._duty.facts(now),
        }

    @property
    def keeping(self) -> Keeping:
        """What the ledger has not taken."""
        return self._keeping

    def is_idle(self) -> bool:
        """Nothing is open and nothing waits."""
        return self.open_studies == 0 and not self._inbox.is_busy()

    # -- hearing ------------------------------------------------------------------------------------

    def _hear(self, now: Now) -> None:
        lost = False
        if self._watcher is not None:
            for hint in self._watcher.take_hints():
                self._inbox.hint(hint.path, finished=hint.finished, now=now)
            lost = self._watcher.has_lost_events()
        busy = not self.is_idle()
        if lost or now.monotonic_s - self._swept_s >= (SWEEP_BUSY_S if busy else SWEEP_IDLE_S):
            self._sweep(now)

    def _sweep(self, now: Now) -> None:
        self._swept_s = now.monotonic_s
        opened = False
        try:
            self._inbox.sweep(now)
        except OSError as error:
            log.error("the inbox cannot be listed", extra={"facts": {"error": type(error).__name__}})
        else:
            opened = self._closed_folders.seen(self._inbox.closed_folders, now)
        if self._watcher is not None and (opened or not self._watcher.is_alive()):
            self._watcher.stop()
            try:
                self._watcher.start()
                self._swept_s = float("-inf")  # what has landed meanwhile was not heard
            except OSError as error:
                log.error("the inbox cannot be watched", extra={"facts": {"error": type(error).__name__}})

    # -- closing ------------------------------------------------------------------------------------

    def _close(self, now: Now) -> None:
        read_until_s = self._inbox.all_read_until_s(now)  # what lies unread breaks the quiet
        for study in self._cases:
            if study.row.state is StudyState.CLOSED:
                self._cases.drop(study)  # a repeat had it looked up; nothing new came of it
                continue
            for series in study.series.values():
                if series.is_read and series.is_open and not self._scoring.owed_of(series):
                    complete = series.completeness(read_until_s)
                    if complete is not None:
                        self._judge.whole(study, series, complete, now)
            if self._study_is_over(study, read_until_s):
                self._judge.close(study, now)
                self._cases.drop(study)

    @staticmethod
    def _study_is_over(study: StudyCase, read_until_s: float) -> bool:
        if any(series.is_read and series.is_open for series in study.series.values()):
            return False
        quiet_for_s = read_until_s - study.last_landed_s
        if any(series.is_read and series.unscored() for series in study.series.values()) and quiet_for_s < STUDY_OWES_S:
            return False
        codes = {code for series in study.series.values() for code, _ in series.row.reasons}
        pages_alone = all(not series.is_read for series in study.series.values()) and codes <= _PAGES
        quiet_s = STUDY_QUIET_PAGES_S if pages_alone else STUDY_QUIET_S
        return quiet_for_s >= quiet_s
