"""Judges what has been scored: the early alert while slices land, the final reading of a series, the last word on a study.

Each comes to one transaction. What is asked of the ledger is asked first: if it cannot be read, what is known counts.
"""

from collections.abc import Sequence
from dataclasses import replace

from appliance.core.alerts import Happening, Step
from appliance.core.completeness import Complete
from appliance.core.engine import EngineCard
from appliance.core.errors import Fault
from appliance.core.evidence import finding_details
from appliance.core.ledger import AlertChange, Judgement, OutcomeSaid, ReadingRow, ScoredSlice, SeriesChange
from appliance.core.outcome import SeriesStanding, study_outcome
from appliance.core.times import Now
from appliance.core.words import Finality, Level, SeriesState, SeriesVerdict
from appliance.reading.series_reader import (
    SeriesReading,
    declined_standing,
    early_level,
    has_two_thicknesses,
    read_early,
    read_whole,
)
from appliance.records.alerts import status_of
from appliance.records.ledger import Ledger
from appliance.records.slices import slices_of
from appliance.records.studies import study_by_id
from appliance.triage.cases import SeriesCase, StudyCase
from appliance.triage.engine_duty import EngineDuty
from appliance.triage.judging import EngineUsed, Standing, change_of, clinical_key, reading_of, step_of
from appliance.triage.keeping import Keeping
from appliance.triage.scoring import Scored


class Judge:
    """The rules are in `core` and `reading`; here they meet what stands in the ledger."""

    def __init__(self, *, ledger: Ledger, keeping: Keeping, duty: EngineDuty) -> None:
        self._ledger = ledger
        self._keeping = keeping
        self._duty = duty
        self._card: EngineCard = duty.card

    def early(self, batch: Sequence[Scored], now: Now) -> None:
        """After each slice: where the evidence suffices, the alert with all scores so far, in one transaction.

        The slices are judged one by one in their order: a batch comes to what each of them alone would have come to.
        """
        scores: list[ScoredSlice] = []
        try:
            for scored in batch:
                study, series = scored.study, scored.series
                standing = self._standing_alert(study)
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

    def whole(self, study: StudyCase, series: SeriesCase, complete: Complete, now: Now) -> None:
        """A series is complete: its final reading, or why its pixels decline it."""
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
        alert = self._keeping.alert(key)
        status = self._keeping.standing(key, status_of(alert) if alert else None)
        if status is None:
            return None
        series_id = self._keeping.stands_on(key) or (alert.series_id if alert else None)
        stands_on = study.by_id(series_id) if series_id is not None else None
        last = stands_on.acquired()[1] if stands_on is not None else self._last_acquired(series_id)
        all_landed = stands_on is None or not stands_on.is_open
        return Standing(series_id=series_id, status=status, last_acquired=last, all_landed=all_landed)

    def _last_acquired(self, series_id: int | None) -> str:
        """When the last slice of a series was scanned; not known where that cannot be read."""
        if series_id is None:
            return ""
        try:
            with self._ledger.reading() as read:
                return max((row.acquired for row in slices_of(read, series_id)), default="")
        except Fault:
            return ""

    @staticmethod
    def _others(study: StudyCase, series: SeriesCase) -> Level | None:
        """The highest level that the other series of the study hold now."""
        held = {
            other.standing.level
            for other in study.series.values()
            if other is not series and other.is_read and other.standing is not None
        }
        return next((level for level in (Level.CRITICAL, Level.REVIEW) if level in held), None)

    def close(self, study: StudyCase, now: Now) -> None:
        """Nothing more of a study is awaited: its last word."""
        said = replace(_outcome_said(study, self._set_aside(study)), close=True)
        changes = tuple(
            SeriesChange(series_id=series.row.id, state=SeriesState.CLOSED, closed_ns=now.wall_ns)
            for series in study.series.values()
            if series.is_open
        )
        self._keeping.commit(Judgement(at_ns=now.wall_ns, series=changes, outcome=said), now)

    def _set_aside(self, study: StudyCase) -> int:
        """How many files of a study are held back; as far as is known, where the ledger cannot be read."""
        try:
            with self._ledger.reading() as read:
                fresh = study_by_id(read, study.row.id)
        except Fault:
            return study.row.set_aside
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
