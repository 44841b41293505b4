"""The loop that joins the rooms: what lands is read, placed, scored, judged and told of. One thread owns all of it."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from appliance.core.alerts import Happening, Step
from appliance.core.completeness import Complete
from appliance.core.errors import Fault
from appliance.core.evidence import finding_details
from appliance.core.ledger import (
    AlertChange,
    Judgement,
    OutcomeSaid,
    ReadingRow,
    ScoredSlice,
    SeriesChange,
)
from appliance.core.outcome import SeriesStanding, study_outcome
from appliance.core.times import Now
from appliance.core.words import Finality, Level, SeriesState, SeriesVerdict, StudyState
from appliance.intake.inbox import SWEEP_BUSY_S, SWEEP_IDLE_S, Inbox
from appliance.intake.watch import Watcher
from appliance.reading.series_reader import (
    SeriesReading,
    declined_standing,
    early_level,
    has_two_thicknesses,
    read_early,
    read_whole,
)
from appliance.records.alerts import find_alert, status_of
from appliance.records.ledger import Ledger
from appliance.records.slices import slices_of
from appliance.records.studies import study_by_id
from appliance.store.shelf import Shelf
from appliance.triage.ballast import Ballast
from appliance.triage.cases import OpenCases, SeriesCase, StudyCase
from appliance.triage.closed_folders import ClosedFolders
from appliance.triage.engine_duty import EngineDuty
from appliance.triage.judging import EngineUsed, Standing, change_of, clinical_key, reading_of, step_of
from appliance.triage.keeping import Keeping
from appliance.triage.landing import Landing
from appliance.triage.leaving import Leaving
from appliance.triage.placing import Placing
from appliance.triage.scoring import Scored, Scoring
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
        ledger: Ledger,
        shelf: Shelf,
        inbox: Inbox,
        watcher: Watcher | None,
        landing: Landing,
        leaving: Leaving,
        scoring: Scoring,
        cases: OpenCases,
        placing: Placing,
        duty: EngineDuty,
        technical: TechnicalAlerts,
        keeping: Keeping,
        ballast: Ballast,
    ) -> None:
        self._ledger = ledger
        self._shelf = shelf
        self._inbox = inbox
        self._watcher = watcher
        self._landing = landing
        self._leaving = leaving
        self._scoring = scoring
        self._cases = cases
        self._placing = placing
        self._duty = duty
        self._card = duty.card
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
        self._judge_early(self._scoring.most_urgent(now), now)
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

    # -- judging ------------------------------------------------------------------------------------

    def _judge_early(self, batch: Sequence[Scored], now: Now) -> None:
        """After each slice: where the evidence suffices, the alert with all scores so far, in one transaction.

        The slices are judged one by one in their order: a batch comes to what each of them alone would have come to.
        """
        scores: list[ScoredSlice] = []
        try:
            for scored in batch:
                study, series = scored.study, scored.series
                standing = self._standing_alert(study)  # may fail: what is not yet in its case is scored again
                series.slices[scored.row.id] = scored.row
                scores.append(scored.slice)
                rows = list(series.slices.values())
                level = early_level(rows, self._card)
                step = step_of(standing, series, level, Finality.PROVISIONAL, others=self._others(study, series))
                if step is None or (step.happening is Happening.DOUBTED and series.unscored()):
                    continue  # what was told stands until all that has landed is read: the next slice may show it again
                self._commit(study, series, read_early(rows, self._card), standing, step, tuple(scores), (), None, now)
                scores.clear()
        finally:
            if scores:
                self._keeping.commit(Judgement(at_ns=now.wall_ns, scores=tuple(scores)), now)

    def _judge_whole(self, study: StudyCase, series: SeriesCase, complete: Complete, now: Now) -> None:
        """A series is complete: its final reading, or why its pixels decline it.

        What is asked of the ledger is asked first: if it cannot be read, nothing has changed.
        """
        standing, set_aside = self._standing_alert(study), self._set_aside(study)
        rows = list(series.slices.values())
        tries = max(series.failed.values(), default=0)
        whole = read_whole(rows, self._card, complete=complete, engine_tries=tries)
        corrections = series.row.corrections
        if has_two_thicknesses(rows):
            corrections = tuple(sorted({*corrections, "two-thicknesses"}))
        change = SeriesChange(
            series_id=series.row.id,
            verdict=SeriesVerdict.DECLINED if whole.declined else SeriesVerdict.READ,
            reasons=whole.declined or (),
            state=SeriesState.CLOSED,
            corrections=corrections,
            closed_ns=now.wall_ns,
        )
        series.row = replace(
            series.row,
            verdict=change.verdict or series.row.verdict,
            reasons=change.reasons or (),
            state=SeriesState.CLOSED,
            corrections=corrections,
            closed_ns=now.wall_ns,
        )
        series.standing = whole.standing
        # A reading that could not see every slice may doubt an alert, never withdraw it.
        blind = bool(whole.standing.problems) and whole.level is None
        finality = Finality.PROVISIONAL if blind else Finality.FINAL
        step = step_of(standing, series, whole.level, finality, others=self._others(study, series))
        self._commit(study, series, whole, standing, step, (), (change,), _outcome_said(study, set_aside), now)

    def _commit(
        self,
        study: StudyCase,
        series: SeriesCase,
        read: SeriesReading,
        standing: Standing | None,
        step: Step | None,
        scores: tuple[ScoredSlice, ...],
        changes: tuple[SeriesChange, ...],
        said: OutcomeSaid | None,
        now: Now,
    ) -> None:
        reading: ReadingRow | None = None
        if (step is not None or read.finality is Finality.FINAL) and not read.declined:
            reading = reading_of(
                series, read, revision=series.revisions + 1, used=self._used(series), at_ns=now.wall_ns
            )
        alert: AlertChange | None = None
        if step is not None:
            details = finding_details(read.finding) if read.finding else {}
            if step.happening in (Happening.WITHDRAWN, Happening.DOUBTED):
                details = {"why": _why_lowered(read)}
            alert = change_of(study, series, step, details)
        self._keeping.commit(
            Judgement(at_ns=now.wall_ns, scores=scores, series=changes, reading=reading, outcome=said, alert=alert),
            now,
            standing.status if standing else None,
        )
        if reading is not None and read.finality is Finality.FINAL:
            series.revisions += 1
        if step is not None and step.happening in (Happening.RAISED, Happening.UPGRADED):
            series.told = step.level
        if said is not None:
            study.row = replace(study.row, outcome=said.outcome, reasons=said.reasons)

    def _used(self, series: SeriesCase) -> EngineUsed:
        """Who has scored this series; who would have, where nobody did."""
        return EngineUsed(card=self._card, backend=next(iter(series.backends), self._duty.name))

    def _standing_alert(self, study: StudyCase) -> Standing | None:
        key = clinical_key(study)
        with self._ledger.reading() as read:
            alert = find_alert(read, key)
            status = self._keeping.standing(key, status_of(alert) if alert else None)
            if status is None:
                return None
            series_id = self._keeping.stands_on(key) or (alert.series_id if alert else None)
            stands_on = study.by_id(series_id) if series_id is not None else None
            if stands_on is not None:
                last = stands_on.acquired()[1]
            else:
                rows = slices_of(read, series_id) if series_id is not None else []
                last = max((row.acquired for row in rows), default="")
        all_landed = stands_on is None or not stands_on.is_open
        return Standing(series_id=series_id, status=status, last_acquired=last, all_landed=all_landed)

    @staticmethod
    def _others(study: StudyCase, series: SeriesCase) -> Level | None:
        """The highest level that the other series of the study hold now."""
        held = {
            other.standing.level
            for other in study.series.values()
            if other is not series and other.is_read and other.standing is not None
        }
        return next((level for level in (Level.CRITICAL, Level.REVIEW) if level in held), None)

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
                        self._judge_whole(study, series, complete, now)
            if self._study_is_over(study, read_until_s):
                self._close_study(study, now)

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

    def _close_study(self, study: StudyCase, now: Now) -> None:
        said = replace(_outcome_said(study, self._set_aside(study)), close=True)
        changes = tuple(
            SeriesChange(series_id=series.row.id, state=SeriesState.CLOSED, closed_ns=now.wall_ns)
            for series in study.series.values()
            if series.is_open
        )
        self._keeping.commit(Judgement(at_ns=now.wall_ns, series=changes, outcome=said), now)
        self._cases.drop(study)

    def _set_aside(self, study: StudyCase) -> int:
        """How many files of a study are held back."""
        with self._ledger.reading() as read:
            fresh = study_by_id(read, study.row.id)
        return fresh.set_aside if fresh else 0


def _outcome_said(study: StudyCase, set_aside: int) -> OutcomeSaid:
    outcome, reasons = study_outcome(
        [standing for series in study.series.values() if (standing := _standing_of(series))], set_aside=set_aside
    )
    return OutcomeSaid(study_id=study.row.id, outcome=outcome, reasons=reasons)


def _standing_of(series: SeriesCase) -> SeriesStanding | None:
    """A series as its study sees it; None while nothing can be said of it."""
    if series.is_read:
        return series.standing
    return declined_standing(series.row.reasons, may_be_head=series.row.may_be_head, slices=len(series.slices))


def _why_lowered(read: SeriesReading) -> str:
    if read.declined:
        return "its pixels do not look like a head with a brain"
    if read.finality is Finality.PROVISIONAL:
        return "later slices disagree"
    return f"all {read.exam.slices} slices together do not look like a bleed"
