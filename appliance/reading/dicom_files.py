"""DICOM files, read and scored here and now by the code of the appliance: what `score` and `evaluate` share.

Files are read in limited children, in the order given; nothing is stored, nobody is told.
"""

import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from appliance.core.completeness import Complete
from appliance.core.errors import Fault
from appliance.core.headers import Header
from appliance.core.ledger import Reasons, SliceRow
from appliance.core.outcome import study_outcome
from appliance.core.reads import Hounsfield, ReadFile
from appliance.core.words import FileVerdict, Outcome, SeriesVerdict
from appliance.exams.registry import EXAM, EXAMS
from appliance.imaging.sniffing import MAX_FILE
from appliance.inference.loading import LoadedEngine
from appliance.intake.plain_file import read_regular
from appliance.intake.reader_pool import READ_AHEAD, Died, ReaderPool
from appliance.reading.series_reader import SeriesReading, declined_standing, read_whole
from appliance.reading.slice_reader import read_slice


@dataclass(slots=True)
class ScoredSeries:
    """One series: its slices by the number of their file, and its reading once all of them are read.

    `header` is that of its first file.
    """

    study_uid: str
    verdict: SeriesVerdict
    reasons: Reasons
    may_be_head: bool
    slices: dict[int, SliceRow] = field(default_factory=dict)
    to_ask: list[int] = field(default_factory=list)  # slices that came while the series stood DECLINED
    engine_tries: int = 0  # 1 where the engine gave no answer for a slice
    reading: SeriesReading | None = None
    header: Header | None = None


@dataclass(slots=True)
class Score:
    """All that was found: studies and series in the order in which they turned up, and a verdict for every file."""

    series: dict[tuple[str, str], ScoredSeries] = field(default_factory=dict)
    set_aside: dict[str, int] = field(default_factory=dict)
    files: list[dict[str, str]] = field(default_factory=list)

    def studies(self) -> dict[str, tuple[Outcome, Reasons]]:
        """The outcome of each study, by its UID."""
        uids = list(dict.fromkeys(series.study_uid for series in self.series.values()))
        return {uid: self._outcome(uid) for uid in uids}

    def _outcome(self, study_uid: str) -> tuple[Outcome, Reasons]:
        standings = [
            series.reading.standing
            if series.reading
            else declined_standing(series.reasons, may_be_head=series.may_be_head, slices=len(series.slices))
            for series in self.series.values()
            if series.study_uid == study_uid
        ]
        return study_outcome(standings, set_aside=self.set_aside.get(study_uid, 0))


def files_below(paths: Sequence[Path]) -> Iterator[Path]:
    """The files themselves, and those of folders by name, links among them: each gets its verdict."""
    for path in paths:
        if path.is_dir():
            yield from (one for one in sorted(path.rglob("*")) if one.is_symlink() or not one.is_dir())
        else:
            yield path


def score_files(files: Sequence[Path], engine: LoadedEngine, tell: Callable[[], None] = lambda: None) -> Score:
    """Reads every file in limited children, scores the slices of eligible series, and reads each series as a whole."""
    found = Score()
    with ReaderPool(time.monotonic()) as pool:
        for number, read in read_in_order(dict(enumerate(files)), pool):
            _place(found, files[number], read, engine, number)
            tell()
        for series in found.series.values():
            if series.verdict is SeriesVerdict.READ:
                _score_late(series, files, engine, pool)
                _read(series, engine)
    return found


def _score_late(series: ScoredSeries, files: Sequence[Path], engine: LoadedEngine, pool: ReaderPool) -> None:
    """Scores what came before a header made the series READ. The files are read again: pictures are not kept."""
    for number, read in read_in_order({number: files[number] for number in series.to_ask}, pool):
        row = series.slices[number]
        if read.hu is not None and read.pixel_sha256 == row.pixel_sha256:
            series.slices[number] = _scored(series, row, read.hu, engine)


def _read(series: ScoredSeries, engine: LoadedEngine) -> None:
    rows = list(series.slices.values())
    series.reading = read_whole(rows, engine.card, complete=Complete.QUIET, engine_tries=series.engine_tries)
    if series.reading.declined:
        series.verdict, series.reasons = SeriesVerdict.DECLINED, series.reading.declined


def read_in_order(files: Mapping[int, Path], pool: ReaderPool) -> Iterator[tuple[int, ReadFile]]:
    """Reads files in children, some at a time; yields them as given, so that the same call gives the same answer."""
    waiting = list(files.items())[::-1]
    answers: dict[int, ReadFile] = {}
    for number in files:
        while number not in answers:
            while waiting and pool.busy < READ_AHEAD:
                _open(*waiting.pop(), pool, answers)
            for answer in pool.poll(time.monotonic()):
                answers[answer.job] = _verdict(answer.result)
            if number not in answers:
                pool.wait(0.01)
        yield number, answers.pop(number)


def _verdict(result: ReadFile | Died) -> ReadFile:
    if isinstance(result, Died):
        return ReadFile(verdict=FileVerdict.POISON, reason="killed-its-reader")
    return result


def _open(number: int, path: Path, pool: ReaderPool, answers: dict[int, ReadFile]) -> None:
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            answers[number] = ReadFile(verdict=FileVerdict.IGNORED, reason="special-file")
            return
        data, identity = read_regular(path, MAX_FILE)
    except (OSError, Fault):
        answers[number] = ReadFile(verdict=FileVerdict.SET_ASIDE, reason="not-readable")
        return
    pool.submit(number, data, path.name, identity.size, now_s=time.monotonic())


def _place(found: Score, path: Path, read: ReadFile, engine: LoadedEngine, number: int) -> None:
    verdict, reason = read.verdict, read.reason
    if read.header is not None and verdict in (FileVerdict.TAKEN, FileVerdict.DECLINED):
        series = _series_of(found, read.header, reason, engine)
        if verdict is FileVerdict.TAKEN:
            verdict, reason = _add_slice(series, read, engine, number)
    elif verdict is FileVerdict.SET_ASIDE and read.study_uid:
        found.set_aside[read.study_uid] = found.set_aside.get(read.study_uid, 0) + 1
    found.files.append({"path": os.fsencode(path).decode("utf-8", "replace"), "verdict": verdict, "reason": reason})


def _series_of(found: Score, header: Header, file_reason: str, engine: LoadedEngine) -> ScoredSeries:
    verdict, reasons, may_be_head = EXAMS[EXAM].header_verdict(
        header.series, header.geometry, header.study, engine.card.ages_years, file_reason
    )
    key = header.study.study_uid, header.series.series_uid
    series = found.series.get(key)
    if series is None:
        series = found.series[key] = ScoredSeries(header.study.study_uid, verdict, reasons, may_be_head, header=header)
    elif series.verdict is SeriesVerdict.DECLINED and verdict is SeriesVerdict.READ:
        series.verdict, series.reasons, series.may_be_head = verdict, reasons, may_be_head
    return series


def _add_slice(series: ScoredSeries, read: ReadFile, engine: LoadedEngine, number: int) -> tuple[FileVerdict, str]:
    header = read.header
    assert header is not None and header.geometry is not None and read.hu is not None
    same = (header.sop_uid, read.pixel_sha256)
    if any((row.sop_uid, row.pixel_sha256) == same for row in series.slices.values()):
        return FileVerdict.DUPLICATE, "same-pixels"
    row = SliceRow(
        id=number,
        series_id=0,
        sop_uid=header.sop_uid,
        pixel_sha256=read.pixel_sha256,
        file_sha256="",
        stored="",
        geometry=header.geometry,
        instance_number=header.instance_number,
        acquisition_number=header.acquisition_number,
        acquired=header.acquired,
        corrections=header.corrections,
        landed_ns=0,
        score=None,
        ms={},
    )
    if series.verdict is SeriesVerdict.READ:
        row = _scored(series, row, read.hu, engine)
    else:
        series.to_ask.append(number)
    series.slices[number] = row
    return FileVerdict.TAKEN, ""


def _scored(series: ScoredSeries, row: SliceRow, hu: Hounsfield, engine: LoadedEngine) -> SliceRow:
    """The slice with its score; without one where the engine gives no answer."""
    try:
        score = read_slice(engine, hu, row.geometry)
    except Fault:
        series.engine_tries = 1
        return row
    return replace(row, score=score, ms=score.ms)
