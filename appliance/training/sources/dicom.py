"""A site's own DICOM studies with labels.csv, as `evaluate --data` takes them: header rules decide which series are read.

The files are read twice, in limited children: once to find what belongs together, once for the pixels of a series at a
time. So memory does not grow with the folder.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from appliance.core.headers import Header
from appliance.core.reads import ReadFile
from appliance.core.words import FileVerdict, SeriesVerdict
from appliance.evaluation.dicom_studies import TABLE, Labels, read_labels
from appliance.exams.registry import EXAM, EXAMS
from appliance.intake.reader_pool import ReaderPool
from appliance.reading.dicom_files import files_below, read_in_order
from appliance.training.sources.assemble import Losses, Piece, assembled, labels_of
from appliance.training.sources.exam import SourceExam, Tell
from appliance.training.sources.marks import mark_of

ANY_AGE: Final = (0.0, math.inf)
"""An engine's card says for whom it is meant; what it learns from may be younger."""


@dataclass(slots=True)
class _Series:
    """Files of one series, by number, in the order of their paths. `read`: a header of it says head without contrast."""

    header: Header
    read: bool = False
    files: list[int] = field(default_factory=list)
    seen: set[tuple[str, str]] = field(default_factory=set)  # SOP UID and pixels: the same again is a copy


class DicomFolder:
    """A folder of studies."""

    def __init__(self, name: str, place: Path) -> None:
        """CannotStart without labels.csv."""
        self._name = name
        self._folder = place
        self._labels = read_labels(place)
        self._files = [path for path in files_below([place]) if path != place / TABLE]

    @property
    def size(self) -> int:
        """About how many exams there are: scanners and archives keep a series in a folder of its own."""
        return len({path.parent for path in self._files})

    @property
    def mark(self) -> str:
        """Of the table and every file below the folder."""
        return mark_of(self._files, self._folder / TABLE)

    def exams(self, tell: Tell = lambda _: None) -> Iterator[SourceExam]:
        """Every series that is read, by path. CannotStart where too many files cannot be read, or nothing is labelled."""
        losses = Losses(self._name, len(self._files), tell)
        with ReaderPool(time.monotonic()) as pool:
            found = self._looked_through(pool, losses)
            _tell_unmatched(self._labels, found, losses)
            for series in found:
                yield from losses.counted(self._exams_of(series, pool, losses))
        losses.end()

    def _looked_through(self, pool: ReaderPool, losses: Losses) -> list[_Series]:
        found: dict[tuple[str, str, str], _Series] = {}
        for number, read in read_in_order(dict(enumerate(self._files)), pool):
            if read.verdict in (FileVerdict.SET_ASIDE, FileVerdict.POISON):
                losses.lost(self._path(number), read.reason)
            elif read.header is not None:
                _place(found, number, read.header, read)
        return [series for series in found.values() if series.read and series.files]

    def _exams_of(self, series: _Series, pool: ReaderPool, losses: Losses) -> list[SourceExam]:
        pieces = []
        for number, read in read_in_order({number: self._files[number] for number in series.files}, pool):
            if read.header is None or read.header.geometry is None or read.hu is None:
                losses.lost(self._path(number), read.reason)
                continue
            try:
                labels = labels_of(_truth(self._labels, read.header))
            except ValueError as error:
                losses.lost(self._path(number), str(error))
                continue
            pieces.append(Piece(hu=read.hu, geometry=read.header.geometry, labels=labels))
        if not any((piece.labels == 1).any() for piece in pieces) and _bleeds(self._labels, series.header):
            losses.nowhere()
        return assembled(self._name, _patient(series.header), self._path(series.files[0]), pieces)

    def _path(self, number: int) -> str:
        return str(self._files[number].relative_to(self._folder))


def _place(found: dict[tuple[str, str, str], _Series], number: int, header: Header, read: ReadFile) -> None:
    key = header.study.patient.identity, header.study.study_uid, header.series.series_uid
    series = found.setdefault(key, _Series(header))
    verdict = EXAMS[EXAM].header_verdict(header.series, header.geometry, header.study, ANY_AGE, read.reason).verdict
    series.read = series.read or verdict is SeriesVerdict.READ
    same = header.sop_uid, read.pixel_sha256
    if read.verdict is FileVerdict.TAKEN and same not in series.seen:
        series.seen.add(same)
        series.files.append(number)


def _truth(labels: Labels, header: Header) -> tuple[bool | None, ...]:
    return labels.of_slice(header.study.study_uid, header.series.series_uid, header.sop_uid)


def _bleeds(labels: Labels, header: Header) -> bool:
    """Whether the table says so of the series, or of its study where it says nothing of the series."""
    said = labels.truth["series"].get(header.series.series_uid) or labels.truth["study"].get(header.study.study_uid)
    return bool(said) and True in (said or ())


def _patient(header: Header) -> str:
    """Without a patient ID, as in some anonymised copies, a study stands for a patient."""
    return header.study.patient.identity or f"study {header.study.study_uid}"


def _tell_unmatched(labels: Labels, found: list[_Series], losses: Losses) -> None:
    sops = {sop for series in found for sop, _ in series.seen}
    known = {
        "study": {series.header.study.study_uid for series in found},
        "series": {series.header.series.series_uid for series in found},
        "sop": sops,
    }
    missing = {level: len(labels.truth[level].keys() - uids) for level, uids in known.items()}
    if said := ", ".join(f"{count} under {level}" for level, count in missing.items() if count):
        losses.told(f"UIDs of {TABLE} that no series which is read has: {said}.")
