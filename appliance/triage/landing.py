"""From a landed file to a row: read in a child, copied into the store, committed, and only then removed.

The order is fixed. A file is safe in the store before a row says so, and a row says so before the inbox lets it go.
"""

import errno
import logging
import os
from collections import deque
from dataclasses import dataclass, replace
from hashlib import sha256
from time import perf_counter

from appliance.core.errors import Fault
from appliance.core.headers import Header
from appliance.core.ledger import FileRow, SeriesChange, SliceRow
from appliance.core.reads import Hounsfield, ReadFile
from appliance.core.times import Now
from appliance.core.words import FileVerdict
from appliance.imaging.sniffing import MAX_FILE, is_temp_name
from appliance.intake.inbox import Candidate, Inbox
from appliance.intake.names import path_text
from appliance.intake.plain_file import read_regular
from appliance.intake.reader_pool import READ_AHEAD, Answer, Died, ReaderPool
from appliance.records.files import record_file
from appliance.records.ledger import Ledger
from appliance.records.series import apply_series_change
from appliance.records.slices import take_slice
from appliance.records.studies import note_landing, update_study_facts
from appliance.store.shelf import Shelf, shelf_name
from appliance.triage.ballast import Ballast
from appliance.triage.cases import SeriesCase, StudyCase
from appliance.triage.placing import Placing
from appliance.triage.technical import TechnicalAlerts

log = logging.getLogger(__name__)

POISON_AFTER = 2  # readers that one file may stop


@dataclass(slots=True)
class _Job:
    """One file in work."""

    candidate: Candidate
    data: bytes
    file_sha256: str
    deaths: int
    ms: dict[str, float]
    sent_s: float


@dataclass(frozen=True, slots=True)
class _Restore:
    """A stored slice whose Hounsfield values are gone or torn: made again from the stored file."""

    row: SliceRow


@dataclass(frozen=True, slots=True)
class Taken:
    """A slice that has just become safe, with its values still in memory."""

    study: StudyCase
    series: SeriesCase
    row: SliceRow
    hu: Hounsfield


class Landing:
    """Owns the way of a file until it has a verdict."""

    def __init__(
        self,
        *,
        inbox: Inbox,
        pool: ReaderPool,
        shelf: Shelf,
        ledger: Ledger,
        placing: Placing,
        technical: TechnicalAlerts,
        ballast: Ballast,
    ) -> None:
        self._inbox = inbox
        self._pool = pool
        self._shelf = shelf
        self._ledger = ledger
        self._placing = placing
        self._technical = technical
        self._ballast = ballast
        self._again: deque[_Job] = deque()
        self._answers: deque[Answer] = deque()
        self._restoring: set[int] = set()

    # -- to the readers ----------------------------------------------------------------------------

    def send(self, now: Now) -> None:
        """Gives ready files to readers that are free. What needs no reader is answered at once."""
        while self._again:
            self._submit(self._again.popleft(), now)
        ready = self._inbox.ready(now, READ_AHEAD - self._pool.busy - len(self._answers))
        for number, candidate in enumerate(ready):
            try:
                self._open(candidate, now)
            except Fault:
                for unanswered in ready[number:]:
                    self._inbox.not_yet(unanswered, now)
                raise

    def _open(self, candidate: Candidate, now: Now) -> None:
        if not candidate.regular:
            self._refuse(candidate, FileVerdict.IGNORED, "special-file", now)
        elif is_temp_name(candidate.path.name):
            self._refuse_settled(candidate, FileVerdict.IGNORED, "temp-name", now)
        elif candidate.identity.size == 0:
            self._refuse_settled(candidate, FileVerdict.IGNORED, "empty-file", now)
        else:
            self._read(candidate, now)

    def _read(self, candidate: Candidate, now: Now) -> None:
        begin_s = perf_counter()
        try:
            data, identity = read_regular(candidate.path, MAX_FILE)
        except Fault as fault:
            self._refuse_settled(candidate, FileVerdict.SET_ASIDE, fault.reason, now)
            return
        if identity != candidate.identity:
            self._inbox.not_yet(candidate, now)
            self._inbox.hint(candidate.path, finished=not candidate.settled, now=now)
            return
        job = _Job(candidate, data, sha256(data).hexdigest(), 0, {"open": _ms_since(begin_s)}, perf_counter())
        self._submit(job, now)

    def _submit(self, job: _Job, now: Now) -> None:
        job.sent_s = perf_counter()
        self._pool.submit(job, job.data, job.candidate.path.name, job.candidate.identity.size, now_s=now.monotonic_s)

    # -- from the readers --------------------------------------------------------------------------

    def hear(self, now: Now) -> None:
        """Takes from the readers what they have read. It waits here until it can be recorded."""
        self._answers.extend(self._pool.poll(now.monotonic_s))

    def receive(self, now: Now) -> list[Taken]:
        """Records every answer that has come. Returns the slices that the engine may now score.

        An answer that cannot be recorded stays the next one. Fault: nothing could be recorded; `store-not-writable` where
        it is the store that takes nothing.
        """
        self.hear(now)
        taken: list[Taken] = []
        while self._answers:
            try:
                slice_taken = self._receive(self._answers[0], now)
            except Fault:
                if taken:
                    break  # it comes again at the next call
                raise
            self._answers.popleft()
            if slice_taken is not None:
                taken.append(slice_taken)
        return taken

    def _receive(self, answer: Answer, now: Now) -> Taken | None:
        job = answer.job
        if isinstance(job, _Restore):
            self._restored(job, answer.result)
            return None
        job.ms.setdefault("read", _ms_since(job.sent_s))
        if isinstance(answer.result, Died):
            self._died(job, now)
            return None
        return self._answered(job, answer.result, now)

    def restore(self, row: SliceRow, now: Now) -> None:
        """Asks a reader for the Hounsfield values of a stored slice once more. OSError if the stored file is gone."""
        data = (self._shelf.root / row.stored).read_bytes()
        self._restoring.add(row.id)
        self._pool.submit(_Restore(row), data, now_s=now.monotonic_s)

    def is_restoring(self, row: SliceRow) -> bool:
        """A reader has been asked for its values, and has not answered."""
        return row.id in self._restoring

    def _restored(self, job: _Restore, result: ReadFile | Died) -> None:
        self._restoring.discard(job.row.id)
        if isinstance(result, ReadFile) and result.hu is not None:
            self._put_hounsfield(result.hu, job.row.stored)

    def _died(self, job: _Job, now: Now) -> None:
        deaths = job.deaths + 1
        if deaths < POISON_AFTER:
            job.deaths = deaths
            self._again.append(job)
            return
        file_id = self._refuse(
            job.candidate, FileVerdict.POISON, "killed-its-reader", now,
            file_sha256=job.file_sha256, attempts=deaths,
        )  # fmt: skip
        self._technical.raise_once("poison-file", f"file {file_id}", now)

    def _answered(self, job: _Job, read: ReadFile, now: Now) -> Taken | None:
        if read.verdict is FileVerdict.TAKEN:
            return self._take(job, read, now)
        if read.verdict is FileVerdict.SET_ASIDE and not job.candidate.settled:
            self._inbox.not_yet(job.candidate, now)  # closed is no proof: its writer may go on
            return None
        if read.verdict is FileVerdict.IGNORED and not job.candidate.settled:
            self._inbox.not_yet(job.candidate, now)
            return None
        self._record_refusal(job, read, now)
        return None

    def _record_refusal(self, job: _Job, read: ReadFile, now: Now) -> None:
        """DECLINED, IGNORED, SET_ASIDE. A declined file of CT kind opens its series; a set-aside one marks its study."""
        header, study, series = read.header, None, None
        if header and read.verdict is FileVerdict.DECLINED:
            study = self._placing.study_of(header, now)
            series = self._placing.series_of(study, header, now, declined_by=read.reason)
        elif header and read.verdict is FileVerdict.SET_ASIDE:
            study = self._placing.known_study_of(header, now)
        if study is not None:
            self._placing.reopen(study, None, now)  # no slice has come: a series that was read stays read
        row = self._file_row(job.candidate, job.file_sha256, read.verdict, read.reason, read.study_uid, now)
        with self._ledger.writing() as write:
            file_id = record_file(write, replace(row, details=dict(read.details)))
            if study is not None:
                note_landing(write, study.row.id, series.row.id if series else None, job.candidate.landed_ns)
        self._inbox.answer(job.candidate, file_id=file_id, leaves=False, now=now)

    # -- a slice -----------------------------------------------------------------------------------

    def _take(self, job: _Job, read: ReadFile, now: Now) -> Taken | None:
        assert read.header is not None and read.hu is not None and read.header.geometry is not None
        study = self._placing.study_of(read.header, now)
        known = study.series.get(read.header.series.series_uid)
        same_sop = [row for row in known.slices.values() if row.sop_uid == read.header.sop_uid] if known else []
        if any(row.pixel_sha256 == read.pixel_sha256 for row in same_sop):
            self._duplicate(job, study, read.header, now)
            return None
        series = self._placing.series_of(study, read.header, now, declined_by="")
        self._placing.reopen(study, series, now)
        begin_s = perf_counter()
        name = shelf_name(
            study_uid=read.header.study.study_uid,
            series_uid=read.header.series.series_uid,
            sop_uid=read.header.sop_uid,
            file_sha256=job.file_sha256,
        )
        self._put(job.data, name)
        self._put_hounsfield(read.hu, name)
        job.ms["store"] = _ms_since(begin_s)
        row = self._commit_slice(job, read, series, name, now)
        if same_sop:
            self._technical.raise_once("sop-conflict", f"series {series.row.id}", now, study_id=study.row.id)
        return Taken(study, series, row, read.hu)

    def _put(self, data: bytes, name: str) -> None:
        try:
            if self._ballast.holds_back(self._shelf.root, len(data)):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._shelf.put(data, name)
        except OSError as error:
            if error.errno != errno.ENOSPC or not self._ballast.give_up_if_full(len(data)):
                raise Fault("store-not-writable", error.strerror or type(error).__name__) from error
            self._put(data, name)

    def _put_hounsfield(self, hu: Hounsfield, name: str) -> None:
        """They can be made again from the stored file, and the engine reads these from memory."""
        try:
            self._shelf.put_hounsfield(hu, name)
        except OSError as error:
            log.error("the values of a slice could not be stored", extra={"facts": {"said": error.strerror}})

    def _commit_slice(self, job: _Job, read: ReadFile, series: SeriesCase, name: str, now: Now) -> SliceRow:
        assert read.header is not None
        candidate = job.candidate
        corrections = tuple(sorted({*series.row.corrections, *read.header.corrections}))
        begin_s = perf_counter()
        with self._ledger.writing() as write:
            file_id = record_file(
                write,
                self._file_row(candidate, job.file_sha256, FileVerdict.TAKEN, "", read.header.study.study_uid, now),
            )
            row = take_slice(
                write, series.row.id, read.header, pixel_sha256=read.pixel_sha256, file_sha256=job.file_sha256,
                stored=name, landed_ns=candidate.landed_ns, ms=job.ms,
            )  # fmt: skip
            if corrections != series.row.corrections:
                apply_series_change(write, SeriesChange(series_id=series.row.id, corrections=corrections))
            note_landing(write, series.row.study_id, series.row.id, candidate.landed_ns)
        row.ms["take"] = _ms_since(begin_s)
        series.row = replace(series.row, corrections=corrections)
        series.slices[row.id] = row
        series.arrivals_s.append(now.monotonic_s)
        self._inbox.answer(candidate, file_id=file_id, leaves=True, now=now)
        return row

    def _duplicate(self, job: _Job, study: StudyCase, header: Header, now: Now) -> None:
        """Nothing new to see. A corrected header changes what is shown, and raises nothing."""
        with self._ledger.writing() as write:
            file_id = record_file(
                write,
                self._file_row(
                    job.candidate, job.file_sha256, FileVerdict.DUPLICATE, "same-pixels", header.study.study_uid, now
                ),
            )
            if header.study != study.row.facts:
                update_study_facts(write, study.row.id, header.study)
        study.row = replace(study.row, facts=header.study)
        self._inbox.answer(job.candidate, file_id=file_id, leaves=True, now=now)

    # -- rows --------------------------------------------------------------------------

    def _refuse_settled(self, candidate: Candidate, verdict: FileVerdict, reason: str, now: Now) -> None:
        """For what may still change in the next moment: names of transfers, empty files, missing permissions."""
        if candidate.settled:
            self._refuse(candidate, verdict, reason, now)
        else:
            self._inbox.not_yet(candidate, now)

    def _refuse(
        self,
        candidate: Candidate,
        verdict: FileVerdict,
        reason: str,
        now: Now,
        *,
        file_sha256: str = "",
        attempts: int = 1,
    ) -> int:
        row = replace(self._file_row(candidate, file_sha256, verdict, reason, "", now), attempts=attempts)
        with self._ledger.writing() as write:
            file_id = record_file(write, row)
        self._inbox.answer(candidate, file_id=file_id, leaves=False, now=now)
        return file_id

    @staticmethod
    def _file_row(
        candidate: Candidate, file_sha256: str, verdict: FileVerdict, reason: str, study_uid: str, now: Now
    ) -> FileRow:
        return FileRow(
            path=path_text(candidate.name),
            identity=candidate.identity,
            sha256=file_sha256,
            verdict=verdict,
            reason=reason,
            landed_ns=candidate.landed_ns,
            study_uid=study_uid,
        )


def _ms_since(begin_s: float) -> float:
    return (perf_counter() - begin_s) * 1000
