"""Drawn patients that trained nothing, as a source: each with its bleed and as its twin without. No file is written.

Their pictures go the way of those that a manifest names; `path` is the exam, `slice_index` counts its slices from the foot.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from appliance.core.errors import CannotStart
from appliance.core.words import LABELS
from appliance.evaluation.answers import ExamAnswer, ImageAnswer, Shown, Truth
from appliance.evaluation.manifest import Row
from appliance.evaluation.read_exams import ReadExam
from appliance.evaluation.rendering import Order, rendered, spare_processes
from appliance.evaluation.scoring import UnitAnswers, score_pictures
from appliance.evaluation.stacks import Picture, Unit
from appliance.inference.loading import LoadedEngine
from appliance.phantoms.exam import HELD_OUT_SEED, PhantomExam
from appliance.phantoms.label_map import find_label_maps, map_of
from appliance.phantoms.unseen import Unseen
from appliance.reading.phantom_rows import phantom_geometry

PAST_SEED: Final = 2 * HELD_OUT_SEED
"""From here on training draws the heads that set points and teach aggregators, so that they show nothing of an engine."""

LARGE_ML: Final = 5.0
MAP_RUN: Final = 8
"""So many patients in a row go by the same label map: to read one takes longer than to draw a patient."""

_FREE: Final[Truth] = (False,) * len(LABELS)
_UNKNOWN: Final[Truth] = (None,) * len(LABELS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """Which patients: `count` of them from `first_seed` on. `label_maps`: a file or folder of heads to go by.

    `hard`: with operations, metal, old blood and the faults of scanners. `unseen`: with something unlike training.
    `bleed_free`: their twins alone.
    """

    count: int
    first_seed: int = HELD_OUT_SEED
    label_maps: Path | None = None
    hard: bool = False
    unseen: Unseen | None = None
    bleed_free: bool = False

    def __post_init__(self) -> None:
        """CannotStart where there is none, or an engine may have been made with some."""
        if self.count < 1:
            raise CannotStart("--phantoms must be above 0: how many patients shall be drawn.")
        if self.first_seed < HELD_OUT_SEED or self.first_seed + self.count > PAST_SEED:
            raise CannotStart(
                f"Patients of seeds below {HELD_OUT_SEED} may have been trained on, and those from {PAST_SEED} on may "
                f"have set points: they show nothing. Name a --seed from {HELD_OUT_SEED} on, and end below {PAST_SEED}."
            )


class DrawnPatients:
    """The exams of drawn patients."""

    def __init__(self, drawn: Drawn, processes: int | None = None) -> None:
        """CannotStart without label maps where they are named. `processes`: how many draw; as many as have a core."""
        self._drawn = drawn
        self._maps = find_label_maps(drawn.label_maps) if drawn.label_maps is not None else ()
        self._processes = processes or spare_processes()

    @property
    def size(self) -> int:
        """How many exams there are."""
        return self._drawn.count * (1 if self._drawn.bleed_free else 2)

    @property
    def said(self) -> str:
        """Who is read here, for the report."""
        drawn = self._drawn
        heads = f"heads after label maps ({len(self._maps)})" if self._maps else "heads by formula"
        twins = "without bleeds" if drawn.bleed_free else "each with its bleed and without"
        return (
            f"{drawn.count} drawn patients, seeds {drawn.first_seed} to {drawn.first_seed + drawn.count - 1}, "
            f"{_manner(drawn)}, {heads}, {twins}. They show whether the machine works, not how it does on people."
        )

    def answers(self, engine: LoadedEngine, tell: Callable[[int], None]) -> Iterator[ImageAnswer | ExamAnswer]:
        """Every slice by seed, from the foot, of the bleeding exam before its twin; then every exam."""
        exams: list[ExamAnswer] = []
        for found in self._scored(engine, tell):
            yield from found.images
            exams += found.exams
        yield from exams

    def exams(self, engine: LoadedEngine, tell: Callable[[int], None]) -> Iterator[ReadExam]:
        """Every exam with its slices."""
        for found in self._scored(engine, tell):
            yield from found.read

    def pictures(self, answers: Sequence[ImageAnswer]) -> Iterator[Shown]:
        """These slices, drawn once more."""
        wanted: dict[int, list[ImageAnswer]] = {}
        for one in answers:
            wanted.setdefault(int(one.patient), []).append(one)
        with rendered([self._order(seed) for seed in wanted], self._processes) as drawn:
            for exam in drawn:
                for one in wanted[exam.seed]:
                    index = one.slice_index or 0
                    slices = exam.hu if one.path == _path(exam, bleeding=True) else exam.clean_hu
                    yield Shown(one.number, slices[index], phantom_geometry(exam, index))

    def _scored(self, engine: LoadedEngine, tell: Callable[[int], None]) -> Iterator[UnitAnswers]:
        first, count, number = self._drawn.first_seed, self._drawn.count, 0
        orders = [self._order(seed) for seed in range(first, first + count)]
        with rendered(orders, self._processes) as drawn:
            for exam in drawn:
                for bleeding in (False,) if self._drawn.bleed_free else (True, False):
                    yield self._read(exam, number, engine, bleeding=bleeding)
                    number += len(exam.hu)
                    tell(1)

    def _order(self, seed: int) -> Order:
        label_map = map_of(self._maps, seed, run=MAP_RUN) if self._maps else None
        drawn = self._drawn
        return Order(
            seed=seed, label_map=label_map, hard=drawn.hard, unseen=drawn.unseen, bleeding=not drawn.bleed_free
        )

    def _read(self, exam: PhantomExam, number: int, engine: LoadedEngine, *, bleeding: bool) -> UnitAnswers:
        """The bleeding exam or its twin; its rows are counted from `number` on."""
        pictures = self._pictures(exam, number, bleeding=bleeding)

        def marked(row: Row, _: tuple[int, ...]) -> NDArray[np.bool_] | None:
            mask = exam.lesions[row.slice_index or 0] > 0
            return mask if bleeding and mask.any() else None

        unit = Unit(rows=tuple(one.row for one in pictures), is_exam=True)
        return score_pictures(unit, pictures, marked, engine)

    def _pictures(self, exam: PhantomExam, number: int, *, bleeding: bool) -> list[Picture]:
        path, groups = _path(exam, bleeding=bleeding), self._groups(exam)
        return [
            Picture(
                row=Row(
                    number=number + index,
                    path=path,
                    file=Path(path),
                    patient=str(exam.seed),
                    stack=path,
                    truth=_truth(exam, index) if bleeding else _FREE,
                    slice_index=index,
                    groups=groups,
                ),
                hu=hu,
                geometry=phantom_geometry(exam, index),
                stored=_as_it_is,
                header=None,
            )
            for index, hu in enumerate(exam.hu if bleeding else exam.clean_hu)
        ]

    def _groups(self, exam: PhantomExam) -> dict[str, str]:
        """What parts of the set the exam falls into. A twin falls into those of the bleed that it lacks."""
        scan = {
            "thickness_mm": f"{exam.scanner.thickness_mm:g}",
            "head": "after a label map" if self._maps else "by formula",
            "drawn": _manner(self._drawn),
        }
        if not exam.volumes_ml:
            return scan
        volume_ml = sum(exam.volumes_ml.values())
        return {
            "bleed": max(exam.volumes_ml, key=exam.volumes_ml.__getitem__),
            "volume_ml": f"{volume_ml:.2f}",
            "volume": f"{LARGE_ML:g} mL and more" if volume_ml >= LARGE_ML else f"below {LARGE_ML:g} mL",
            **scan,
        }


def _manner(drawn: Drawn) -> str:
    """How they are drawn."""
    return ("hard" if drawn.hard else "plain") + (f", unseen {drawn.unseen}" if drawn.unseen else "")


def _path(exam: PhantomExam, *, bleeding: bool) -> str:
    return f"phantom-{exam.seed}" if bleeding else f"phantom-{exam.seed}-twin"


def _truth(exam: PhantomExam, index: int) -> Truth:
    """What the slice shows; nothing is known of one that shows too little for an eye."""
    return _UNKNOWN if exam.faint[index] else tuple(bool(label) for label in exam.labels[index])


def _as_it_is(place: tuple[float, float]) -> tuple[float, float]:
    return place[1], place[0]
