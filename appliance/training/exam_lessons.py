"""Exams for the aggregator to learn from: real ones, those with a bleed pasted into them, their clean twins, synthetic ones.

All are read by the code that reads live. The slice network has met the patients of its own sources, so pastings are drawn
anew, with seeds that no slice was made with; heads are such that trained nothing. What is scored stays in files, so that a
run that was cut off goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from appliance.core.outcome import LEAST_SLICES
from appliance.inference.loading import LoadedEngine
from appliance.phantoms.exam import HELD_OUT_SEED
from appliance.phantoms.pasting.host import Host, look_at
from appliance.phantoms.pasting.paste import paste
from appliance.reading.phantom_rows import phantom_row
from appliance.reading.slice_reader import read_slice
from appliance.training.scored_exams import ScoredExam, read_scored, write_scored
from appliance.training.selfcheck import ExamScore, clean_twin, held_out_exam, score_exam, score_source_exam
from appliance.training.sources.exam import Source, SourceExam

REAL, PASTED, SYNTHETIC = "real", "pasted", "synthetic"

_PASTING = 31  # drawn with a number of its own: no slice was trained on that was pasted with these seeds
_PATIENTS = HELD_OUT_SEED * 100  # above the seed of every head

Done = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lessons:
    """What to make: the whole exams of `sources`; `pastings` into those of them that do not bleed, each with its twin;
    `heads` from `first_seed` on, each with and without its bleeds. `folder` keeps what is scored.
    """

    sources: Mapping[str, Source]
    pastings: int
    mimic_share: float
    heads: int
    first_seed: int
    seed: int
    folder: Path
    without_mimics: frozenset[str] = frozenset()

    @property
    def size(self) -> int:
        """About how many exams there are, for a bar."""
        pastings = self.pastings if self.sources else 0
        return sum(source.size for source in self.sources.values()) + pastings + self.heads


def lessons(engine: LoadedEngine, wanted: Lessons, done: Done = lambda _: None) -> list[ScoredExam]:
    """All exams, scored; what is kept from before is not scored again."""
    wanted.folder.mkdir(parents=True, exist_ok=True)
    return [*_of_people(engine, wanted, done), *_of_heads(engine, wanted, done)]


def _of_people(engine: LoadedEngine, wanted: Lessons, done: Done) -> Iterator[ScoredExam]:
    patients: dict[tuple[str, str], int] = {}
    hosts = [stem for stem, exam in _whole(wanted.sources) if _is_host(exam)]
    for stem, exam in _whole(wanted.sources):
        patient = _PATIENTS + patients.setdefault((exam.source, exam.patient), len(patients))
        real = _kept(wanted.folder / f"{stem}.npz", partial(score_source_exam, engine, exam), REAL, patient)
        yield real
        done(1)
        if stem in hosts:
            number, of = hosts.index(stem), len(hosts)
            share = range(wanted.pastings * number // of, wanted.pastings * (number + 1) // of)
            yield from _Pastings(engine, wanted, exam, real, stem).made(share, done)


class _Pastings:
    """Bleeds pasted into one exam: only what they change is scored again."""

    def __init__(self, engine: LoadedEngine, wanted: Lessons, exam: SourceExam, real: ScoredExam, stem: str) -> None:
        self._engine, self._wanted, self._exam, self._real, self._stem = engine, wanted, exam, real, stem
        self._host: Host | None = None

    def made(self, numbers: range, done: Done) -> Iterator[ScoredExam]:
        """The exams with these bleeds, and their clean twins where mimics make them other than the exam itself."""
        for number in numbers:
            paths = [self._wanted.folder / f"{self._stem}-{number:05d}-{what}.npz" for what in ("twin", "bled")]
            if not paths[1].exists():
                self._make(number, *paths)
            yield from (read_scored(path) for path in paths if path.exists())
            done(1)

    def _make(self, number: int, twin: Path, bled: Path) -> None:
        exam = self._exam
        if self._host is None:
            self._host = look_at(exam.hu, exam.pixel_mm[0], exam.positions_mm, exam.labels[:, 0] == 0)
        rng = np.random.default_rng([self._wanted.seed, _PASTING, number])
        wanted = self._wanted
        pasted = paste(rng, self._host, mimic_share=wanted.mimic_share, without=wanted.without_mimics)
        if pasted is None:
            return
        if (pasted.clean != exam.hu[pasted.indices]).any():
            write_scored(twin, self._with(pasted.indices, pasted.clean, np.zeros_like(pasted.labels)))
        write_scored(bled, self._with(pasted.indices, pasted.hu, pasted.labels))

    def _with(self, indices: NDArray[np.int64], hu: NDArray[np.int16], labels: NDArray[np.int8]) -> ScoredExam:
        rows, truth = list(self._real.rows), self._real.truth.copy()
        truth[indices] = labels
        for index, picture in zip(indices.tolist(), hu, strict=True):
            place = rows[index].geometry
            rows[index] = phantom_row(index, place, read_slice(self._engine, picture, place))
        return replace(self._real, kind=PASTED, rows=tuple(rows), truth=truth)


def _of_heads(engine: LoadedEngine, wanted: Lessons, done: Done) -> Iterator[ScoredExam]:
    for seed in range(wanted.first_seed, wanted.first_seed + wanted.heads):
        bled, clean = (wanted.folder / f"head-{seed}-{what}.npz" for what in ("bled", "clean"))
        if not (bled.exists() and clean.exists()):
            drawn = held_out_exam(seed)
            for path, exam in ((bled, drawn), (clean, clean_twin(drawn))):
                _kept(path, partial(score_exam, engine, exam), SYNTHETIC, seed)
        yield from (read_scored(bled), read_scored(clean))
        done(1)


def _kept(path: Path, score: Callable[[], ExamScore], kind: str, patient: int) -> ScoredExam:
    if not path.exists():
        made = score()
        write_scored(path, ScoredExam(kind=kind, patient=patient, rows=made.rows, truth=made.truth))
    return read_scored(path)


def _whole(sources: Mapping[str, Source]) -> Iterator[tuple[str, SourceExam]]:
    """The whole exams of all sources, one in memory at a time, each with a name that is good for a file."""
    for name, source in sources.items():
        for number, exam in enumerate(source.exams()):
            if len(exam.hu) >= LEAST_SLICES:
                yield f"{name}-{number:04d}", exam


def _is_host(exam: SourceExam) -> bool:
    """Whether it is known that nothing bleeds in it, and its pixels are square: what pasting asks for."""
    row_mm, column_mm = exam.pixel_mm
    return bool((exam.labels[:, 0] == 0).all()) and abs(row_mm - column_mm) <= 0.01 * row_mm
