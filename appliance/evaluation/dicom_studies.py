"""A folder of DICOM studies with labels.csv: labels of studies, series or slices, by UID. An exam is a study, as live.

The files are read by the code of `bleedwatch score`: header rules decide which series are read.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from appliance.core.errors import CannotStart
from appliance.core.ledger import SliceRow
from appliance.core.words import LABELS, FileVerdict, Level, Outcome
from appliance.evaluation.answers import ExamAnswer, ImageAnswer, Shown, Truth
from appliance.evaluation.manifest import MOST_BYTES, groups_of, table_of, truth_of
from appliance.evaluation.read_exams import ReadExam, ReadSeries, read_series
from appliance.evaluation.whole_exam import best_right, common_groups, early_after, exam_truth
from appliance.inference.loading import LoadedEngine
from appliance.intake.reader_pool import ReaderPool
from appliance.reading.dicom_files import Score, ScoredSeries, files_below, read_in_order, score_files

TABLE: Final = "labels.csv"
UIDS: Final = ("study", "series", "sop")
_UNKNOWN: Final[Truth] = (None,) * len(LABELS)
_TOLD: Final = (FileVerdict.TAKEN, FileVerdict.SET_ASIDE, FileVerdict.POISON)


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """What labels.csv says: truth by UID of slice, series and study; `groups` of further columns, by UID."""

    truth: dict[str, dict[str, Truth]]
    groups: dict[str, dict[str, str]] = field(default_factory=dict)

    def of_slice(self, study: str, series: str, sop: str) -> Truth:
        """Its own label. What a series or study lacks, each slice lacks; what it has, some slice has."""
        own = self.truth["sop"].get(sop)
        if own is not None:
            return own
        said = self.truth["series"].get(series) or self.truth["study"].get(study) or _UNKNOWN
        return tuple(False if value is False else None for value in said)

    def of_study(self, study: str, series: Sequence[str], slices: Sequence[Truth]) -> Truth:
        """Its own label, else what its series say, else what its slices say."""
        own = self.truth["study"].get(study)
        if own is not None:
            return own
        said = [self.truth["series"][uid] for uid in series if uid in self.truth["series"]]
        return exam_truth(said) if said else exam_truth(slices) if slices else _UNKNOWN


def read_labels(folder: Path) -> Labels:
    """CannotStart where there is no table, or a row of it cannot be meant."""
    path = folder / TABLE
    try:
        data = path.read_bytes() if path.stat().st_size <= MOST_BYTES else b""
    except OSError as error:
        said = f"{path} cannot be read ({error.strerror}). Write one: columns {', '.join((*UIDS, *LABELS))}."
        raise CannotStart(said) from None
    rows = table_of(data, path, ("any",))
    found = Labels(truth={name: {} for name in UIDS})
    for number, fields in enumerate(rows, start=2):
        named = [(name, fields[name]) for name in UIDS if fields.get(name)]
        if not named:
            raise CannotStart(f"{path}, line {number}: none of {', '.join(UIDS)} is named.")
        level, uid = named[-1]
        try:
            found.truth[level][uid] = truth_of(fields)
        except ValueError as error:
            raise CannotStart(f"{path}, line {number}: {error}.") from None
        found.groups[uid] = groups_of(fields, (*UIDS, *LABELS))
    return found


class DicomStudies:
    """A folder of studies."""

    def __init__(self, folder: Path) -> None:
        """CannotStart without labels."""
        self._folder = folder
        self._labels = read_labels(folder)
        self._files = [path for path in files_below([folder]) if path != folder / TABLE]

    @property
    def size(self) -> int:
        """How many files there are."""
        return len(self._files)

    def answers(self, engine: LoadedEngine, tell: Callable[[int], None]) -> Iterator[ImageAnswer | ExamAnswer]:
        """Every slice and every file that was set aside, by path; then every study."""
        found = score_files(self._files, engine, lambda: tell(1))
        images = self._images(found)
        yield from (images[number] for number in sorted(images))
        for study in found.studies():
            yield self._exam(study, found, images, engine)

    def exams(self, engine: LoadedEngine, tell: Callable[[int], None]) -> Iterator[ReadExam]:
        """Every study with the slices of its series that were read."""
        found = score_files(self._files, engine, lambda: tell(1))
        images = self._images(found)
        for study in found.studies():
            series = [one for (owner, _), one in found.series.items() if owner == study and one.reading]
            read = tuple(each for one in series for each in _read(one, images))
            yield ReadExam(answer=self._exam(study, found, images, engine), series=read)

    def pictures(self, answers: Sequence[ImageAnswer]) -> Iterator[Shown]:
        """The slices of these files."""
        numbers = [one.number for one in answers]
        with ReaderPool(time.monotonic()) as pool:
            for number, read in read_in_order({number: self._files[number] for number in numbers}, pool):
                if read.hu is not None and read.header is not None and read.header.geometry is not None:
                    yield Shown(number, read.hu, read.header.geometry)

    def _images(self, found: Score) -> dict[int, ImageAnswer]:
        images = {
            number: self._refused(number, file["verdict"], file["reason"])
            for number, file in enumerate(found.files)
            if file["verdict"] in _TOLD
        }
        for (study, uid), series in found.series.items():
            for number, row in series.slices.items():
                images[number] = self._image(number, row, study, uid, series)
        return images

    def _refused(self, number: int, verdict: str, reason: str) -> ImageAnswer:
        why = f"{reason}: the box would say {verdict} of this file"
        return ImageAnswer(number=number, path=self._path(number), patient="", stack="", truth=_UNKNOWN, error=why)

    def _path(self, number: int) -> str:
        return str(self._files[number].relative_to(self._folder))

    def _image(self, number: int, row: SliceRow, study: str, uid: str, series: ScoredSeries) -> ImageAnswer:
        score = row.score
        peak = score.peak_rc if score else None
        why = "" if score else f"{series.reasons[0][0] if series.reasons else 'engine-fault'}: its series is not read"
        return ImageAnswer(
            number=number,
            path=self._path(number),
            patient=_patient(series),
            stack=uid,
            truth=self._labels.of_slice(study, uid, row.sop_uid),
            groups=self._groups(study, uid, series, row),
            error=why,
            probabilities=score.probabilities if score else None,
            peak_xy=None if peak is None else (peak[1], peak[0]),
            has_brain=bool(score and score.has_brain),
        )

    def _groups(self, study: str, uid: str, series: ScoredSeries, row: SliceRow) -> dict[str, str]:
        """What the header says, and above it what the table says."""
        header = series.header
        age = header.study.age_years if header else None
        said = {
            "vendor": header.study.scanner if header else "",
            "kernel": " ".join(header.series.kernel) if header else "",
            "thickness_mm": "" if row.geometry.thickness_mm is None else f"{row.geometry.thickness_mm:g}",
            "age": "" if age is None else f"{age:g}",
            "sex": header.study.patient.sex if header else "",
        }
        own = [self._labels.groups.get(name, {}) for name in (study, uid, row.sop_uid)]
        return {name: value for name, value in said.items() if value} | own[0] | own[1] | own[2]

    def _exam(self, study: str, found: Score, images: dict[int, ImageAnswer], engine: LoadedEngine) -> ExamAnswer:
        """What stands for a study: of its read series the strongest answer for each label."""
        own = {uid: series for (owner, uid), series in found.series.items() if owner == study}
        read = [series for series in own.values() if series.reading]
        slices = [images[number] for series in own.values() for number in series.slices]
        outcome, reasons = found.studies()[study]
        levels = [series.reading.level for series in read if series.reading]
        early = [(after, len(series.slices)) for series in read if (after := _early(series, engine)) is not None]
        after, of = min(early, key=lambda one: one[0] / one[1], default=(None, 0))
        chances = [series.reading.exam.probabilities for series in read if series.reading]
        return ExamAnswer(
            stack=study,
            patient=_patient(next(iter(own.values()))),
            truth=self._labels.of_study(study, list(own), [one.truth for one in slices]),
            groups=common_groups([one.groups for one in slices]),
            outcome=Outcome(outcome),
            reasons=tuple(code for code, _ in reasons),
            level=next((level for level in (Level.CRITICAL, Level.REVIEW) if level in levels), None),
            probabilities=tuple(max(values) for values in zip(*chances, strict=True)) if chances else None,
            slices=len(slices),
            early_after=after,
            early_of=of,
            best_right=best_right([(one.probabilities[0], one.truth[0]) for one in slices if one.probabilities]),
        )


def _early(series: ScoredSeries, engine: LoadedEngine) -> int | None:
    """In the order of acquisition, as far as the header tells it."""
    scored = [row for row in series.slices.values() if row.score is not None]
    scored.sort(key=lambda row: (row.acquired, row.acquisition_number or 0, row.instance_number or 0, row.sop_uid))
    return None if series.reading and series.reading.declined else early_after(scored, engine)


def _read(series: ScoredSeries, images: dict[int, ImageAnswer]) -> tuple[ReadSeries, ...]:
    slices = [(row, images[number].truth) for number, row in series.slices.items()]
    return read_series(slices, declined=bool(series.reading and series.reading.declined))


def _patient(series: ScoredSeries) -> str:
    return series.header.study.patient.identity if series.header else ""
