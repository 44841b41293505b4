"""Where labelled pictures come from: a manifest, a folder of DICOM studies, or patients that are drawn (`drawn_patients`).

All give answers, and pictures again.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from appliance.evaluation.answers import ExamAnswer, ImageAnswer, Shown
from appliance.evaluation.dicom_studies import DicomStudies
from appliance.evaluation.manifest import read_manifest
from appliance.evaluation.opened import FileReader
from appliance.evaluation.read_exams import ReadExam
from appliance.evaluation.scoring import score_unit
from appliance.evaluation.stacks import Picture, read_unit, units_of
from appliance.inference.loading import LoadedEngine

Tell = Callable[[int], None]


class Source(Protocol):
    """A set that an engine is held against. `size`: how many pictures (of drawn patients: exams) are to be read, for the bar."""

    @property
    def size(self) -> int: ...

    def answers(self, engine: LoadedEngine, tell: Tell) -> Iterator[ImageAnswer | ExamAnswer]:
        """Every picture in order, then every exam. `tell` is called with how many more have been read."""
        ...

    def exams(self, engine: LoadedEngine, tell: Tell) -> Iterator[ReadExam]:
        """Every exam of `answers` with the slices that it was read from."""
        ...

    def pictures(self, answers: Sequence[ImageAnswer]) -> Iterator[Shown]:
        """The pictures of these answers, in any order; those that can no longer be read are left out."""
        ...


class Manifest:
    """The rows of a manifest."""

    def __init__(self, path: Path) -> None:
        """CannotStart where the file is no manifest."""
        self._rows = read_manifest(path)

    @property
    def size(self) -> int:
        return len(self._rows)

    def answers(self, engine: LoadedEngine, tell: Tell) -> Iterator[ImageAnswer | ExamAnswer]:
        """A picture comes as soon as all rows before it are known."""
        waiting: dict[int, ImageAnswer] = {}
        exams: list[ExamAnswer] = []
        following = 0
        with FileReader() as files:
            for unit in units_of(self._rows):
                found = score_unit(unit, engine, files, tell)
                waiting |= {one.number: one for one in found.images}
                exams += found.exams
                while following in waiting:
                    yield waiting.pop(following)
                    following += 1
        yield from exams

    def exams(self, engine: LoadedEngine, tell: Tell) -> Iterator[ReadExam]:
        with FileReader() as files:
            for unit in units_of(self._rows):
                yield from score_unit(unit, engine, files, tell).read

    def pictures(self, answers: Sequence[ImageAnswer]) -> Iterator[Shown]:
        wanted = {one.number: one.slice_index for one in answers}
        with FileReader() as files:
            for unit in units_of(self._rows):
                if wanted.keys().isdisjoint(row.number for row in unit.rows):
                    continue
                for one in read_unit(unit, files):
                    number = one.row.number
                    if isinstance(one, Picture) and number in wanted and wanted[number] == one.row.slice_index:
                        yield Shown(one.row.number, one.hu, one.geometry)


def source_of(manifest: Path | None, data: Path | None) -> Source:
    """The source that was named. CannotStart where it is none."""
    return Manifest(manifest) if manifest is not None else DicomStudies(data or Path())
