"""The sources of a recipe, opened at the places that `--data` names, each without the patients of its held-out fold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from appliance.core.errors import CannotStart
from appliance.phantoms.label_map import find_label_maps
from appliance.training.plans import PIXEL_KINDS, PLACED_KINDS, Recipe, SourcePlan
from appliance.training.sources.exam import Source, SourceExam, Tell
from appliance.training.sources.marks import mark_of
from appliance.training.sources.table import open_source
from appliance.training.splits import Trace, folds_of, pictures_of, refuse_leakage


class Kept:
    """The exams of a source of some of its patients, in the same order."""

    def __init__(self, source: Source, patients: frozenset[str], size: int) -> None:
        self._source = source
        self._patients = patients
        self._size = size

    @property
    def patients(self) -> frozenset[str]:
        """Whose exams they are."""
        return self._patients

    @property
    def size(self) -> int:
        """How many exams there are."""
        return self._size

    @property
    def mark(self) -> str:
        """That of the whole source."""
        return self._source.mark

    def exams(self, tell: Tell = lambda _: None) -> Iterator[SourceExam]:
        """Every exam of these patients."""
        return (exam for exam in self._source.exams(tell) if exam.patient in self._patients)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """Sources by name: what trains, what is held out of those that have folds, and the files of label maps.

    `marks`: what tells the present state of each from another.
    """

    trains: Mapping[str, Source]
    held_out: Mapping[str, Kept]
    maps: Mapping[str, tuple[Path, ...]]
    marks: Mapping[str, str]


def open_sources(recipe: Recipe, places: Mapping[str, Path], tell: Tell = lambda _: None) -> Opening:
    """The sources that lie somewhere. CannotStart in words; Leakage where a patient is on both sides of a split."""
    plans = recipe.of_kind(*PIXEL_KINDS)
    _refuse_other_names([plan.name for plan in recipe.of_kind(*PLACED_KINDS)], places)
    maps = {plan.name: find_label_maps(places[plan.name]) for plan in recipe.of_kind("mapped")}
    opened = {plan.name: open_source(plan, places[plan.name]) for plan in plans}
    marks = {name: source.mark for name, source in opened.items()}
    marks |= {name: mark_of(files) for name, files in maps.items()}
    if not any(plan.folds for plan in plans):
        return Opening(trains=opened, held_out={}, maps=maps, marks=marks)
    trains: dict[str, Source] = dict(opened)
    held_out: dict[str, Kept] = {}
    traces = []
    for plan in plans:
        seen = [_Seen.of(exam) for exam in opened[plan.name].exams(tell)]
        out = _held_out(plan, seen, recipe.seed)
        traces += [one.trace(plan.name, one.patient in out) for one in seen]
        if plan.folds:
            others = frozenset(one.patient for one in seen) - out
            trains[plan.name] = Kept(opened[plan.name], others, sum(one.patient in others for one in seen))
            held_out[plan.name] = Kept(opened[plan.name], out, sum(one.patient in out for one in seen))
    refuse_leakage(traces)
    return Opening(trains=trains, held_out=held_out, maps=maps, marks=marks)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What is kept of an exam to split by."""

    exam: str
    patient: str
    bleeds: bool
    pictures: frozenset[str]

    @classmethod
    def of(cls, exam: SourceExam) -> _Seen:
        bleeds = bool((exam.labels[:, 0] == 1).any())
        return cls(exam=exam.exam, patient=exam.patient, bleeds=bleeds, pictures=pictures_of(exam.hu))

    def trace(self, source: str, held_out: bool) -> Trace:
        return Trace(source=source, exam=self.exam, patient=self.patient, held_out=held_out, pictures=self.pictures)


def _held_out(plan: SourcePlan, seen: Sequence[_Seen], seed: int) -> frozenset[str]:
    """The patients of the fold that trains nothing."""
    if not plan.folds:
        return frozenset()
    bleeds: dict[str, bool] = {}
    for one in seen:
        bleeds[one.patient] = bleeds.get(one.patient, False) or one.bleeds
    folds = folds_of(plan.name, bleeds, plan.folds, seed)
    return frozenset(patient for patient, fold in folds.items() if fold == plan.hold_out)


def _refuse_other_names(names: Sequence[str], places: Mapping[str, Path]) -> None:
    missing = [name for name in names if name not in places]
    strangers = sorted(set(places) - set(names))
    if missing:
        raise CannotStart(f"The recipe's source {missing[0]} needs a place: --data {missing[0]}=FOLDER")
    if strangers:
        raise CannotStart(f"--data {strangers[0]}: the recipe has no source of this name that takes a place")
