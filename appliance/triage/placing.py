"""The study and the series of a landed file: found, opened, opened again, judged by header."""

import contextlib
from collections.abc import Iterable
from dataclasses import replace

from appliance.core.errors import Fault
from appliance.core.headers import Header
from appliance.core.ledger import Judgement, SeriesChange
from appliance.core.times import Now
from appliance.core.words import SeriesState, SeriesVerdict, StudyState
from appliance.exams.registry import EXAM, EXAMS
from appliance.records.ledger import Ledger
from appliance.records.series import apply_series_change, open_series, update_series_facts
from appliance.records.slices import forget_scores
from appliance.records.studies import open_study, reopen_study
from appliance.triage.cases import OpenCases, SeriesCase, StudyCase
from appliance.triage.engine_duty import EngineDuty
from appliance.triage.keeping import Keeping


class Placing:
    """Where a file belongs. Every change stands in the ledger before it stands in a case."""

    def __init__(self, *, ledger: Ledger, cases: OpenCases, duty: EngineDuty, keeping: Keeping) -> None:
        self._ledger = ledger
        self._keeping = keeping
        self._cases = cases
        self._duty = duty
        self._ages_years = duty.card.ages_years
        self._engine_sha256 = duty.card.sha256

    def known_study_of(self, header: Header, now: Now) -> StudyCase | None:
        """The study of a header, if anything of it ever landed."""
        return self._cases.find(header, now)

    def study_of(self, header: Header, now: Now) -> StudyCase:
        """The study of a header, opened if nothing of it has landed before."""
        case = self._cases.find(header, now)
        if case is None:
            with self._ledger.writing() as write:
                row = open_study(write, header.study, now.wall_ns)
            return self._cases.add(row, now)
        return case

    def reopen(self, study: StudyCase, series: SeriesCase | None, now: Now) -> None:
        """Something of the study has landed: what was closed is awaited again."""
        study.last_landed_s = now.monotonic_s
        closed = series if series is not None and not series.is_open else None
        if study.row.state is StudyState.OPEN and closed is None:
            return
        strange = closed is not None and self._is_strange(closed)
        with self._ledger.writing() as write:
            if study.row.state is StudyState.CLOSED:
                reopen_study(write, study.row.id, now.wall_ns)
            if closed is not None:
                apply_series_change(write, SeriesChange(series_id=closed.row.id, state=SeriesState.OPEN))
                if strange:
                    forget_scores(write, closed.row.id)
        # Not before it is committed: a full disk often says so then, and all of it is asked for again.
        study.row = replace(study.row, state=StudyState.OPEN, closed_ns=None)
        if closed is not None:
            closed.row = replace(closed.row, state=SeriesState.OPEN, closed_ns=None)
            closed.arrivals_s.clear()
            if strange:
                self._forget_in_memory(closed)

    def _is_strange(self, series: SeriesCase) -> bool:
        """A reading never mixes two engines or two backends: slices that another one scored are scored again."""
        return series.read_by not in ("", self._engine_sha256) or not self._duty.can_go_on(series.backends)

    def await_again(self, series: SeriesCase, now: Now) -> None:
        """It was judged without a slice that the engine has answered for now.

        No Fault: what the ledger does not take is kept, so that this slice holds up no other.
        """
        change = SeriesChange(series_id=series.row.id, state=SeriesState.OPEN)
        self._keeping.commit(Judgement(at_ns=now.wall_ns, series=(change,)), now)
        series.row = replace(series.row, state=SeriesState.OPEN, closed_ns=None)
        series.arrivals_s = [now.monotonic_s]
        self.read_anew_what_was_lost()

    def read_anew_what_was_lost(self) -> None:
        """What a backend has scored that answers no more is forgotten where a series is open; its alerts stand."""
        self._read_anew(
            series
            for study in self._cases
            for series in study.series.values()
            if series.is_read and series.is_open and not self._duty.can_go_on(series.backends)
        )

    def hand_over(self, series: SeriesCase) -> None:
        """The spare did not answer, and the fast backend serves: it reads the series from its beginning, once."""
        if not series.handed_over:
            series.handed_over = True
            self._read_anew([series])

    def _read_anew(self, chosen: Iterable[SeriesCase]) -> None:
        strange = list(chosen)
        for series in strange:
            self._forget_in_memory(series)
        # A ledger that fails holds nobody up: new scores are written over the old ones, and who starts after a crash and
        # finds scores of two reads all of them anew.
        with contextlib.suppress(Fault):
            if strange:
                with self._ledger.writing() as write:
                    for series in strange:
                        forget_scores(write, series.row.id)

    def series_of(self, study: StudyCase, header: Header, now: Now, *, declined_by: str) -> SeriesCase:
        """The series of a header, opened if it is new, judged anew if it was declined."""
        verdict, reasons, may_be_head = EXAMS[EXAM].header_verdict(
            header.series, header.geometry, header.study, self._ages_years, declined_by
        )
        case = study.series.get(header.series.series_uid)
        if case is None:
            with self._ledger.writing() as write:
                row = open_series(write, study.row.id, header.series, verdict, reasons, may_be_head, now.wall_ns)
            case = study.series[header.series.series_uid] = SeriesCase(row=row)
        elif case.row.verdict is SeriesVerdict.DECLINED and verdict is SeriesVerdict.READ:
            change = SeriesChange(series_id=case.row.id, verdict=verdict, reasons=reasons, may_be_head=may_be_head)
            with self._ledger.writing() as write:
                apply_series_change(write, change)
                update_series_facts(write, case.row.id, header.series)
            case.row = replace(case.row, facts=header.series, verdict=verdict, reasons=reasons, may_be_head=may_be_head)
        return case

    def _forget_in_memory(self, series: SeriesCase) -> None:
        """What was positive is noted: an alert that was about to be raised waits for no other slice."""
        positive = self._duty.card.points.early_pair
        scored = {key: row.score for key, row in series.slices.items() if row.score is not None}
        series.reread |= set(scored)
        series.suspected |= {key for key, score in scored.items() if score.probabilities[0] >= positive}
        series.slices = {key: replace(row, score=None) for key, row in series.slices.items()}
