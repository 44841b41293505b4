"""From sources to the cache: each part made once, those that stand are kept, so that a run that was cut off goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np

from appliance.phantoms.exam import HELD_OUT_SEED
from appliance.phantoms.label_map import map_of
from appliance.phantoms.pasting.host import look_at
from appliance.phantoms.pasting.paste import Pasted, paste
from appliance.phantoms.pasting.report import report
from appliance.phantoms.patients import render_patient
from appliance.training.cache import PartWriter, Slices, open_part
from appliance.training.crops import pasted_slices, phantom_slices, source_slices
from appliance.training.opening import Opening
from appliance.training.plans import HEAD_KINDS, PIXEL_KINDS, Recipe, SourcePlan
from appliance.training.sources.exam import Source, SourceExam, Tell

RENDER_MM = 1.0
RENDER_SIZE = 240
HEADS_A_PART = 16
HEADS_A_MAP = 4

Opened = Mapping[str, Source]
"""The sources that bring pictures, by name."""

Made = Callable[[int], None]
"""Called with how many exams were made since the last call."""


class HeldOutSeed(ValueError):
    """A seed kept for demo, tests and golden answers was asked for in training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pools:
    """What batches are drawn from."""

    real: Slices
    pasted: Slices
    synthetic: Slices


def fill(recipe: Recipe, opening: Opening, folder: Path, made: Made, tell: Tell = lambda _: None) -> Pools:
    """Make what is missing of the parts of a recipe, pasted exams of the first round, and open all."""
    trains = opening.trains
    real = [real_part(recipe, plan, trains[plan.name], folder, made, tell) for plan in recipe.of_kind(*PIXEL_KINDS)]
    synthetic = [
        part
        for plan in recipe.of_kind(*HEAD_KINDS)
        for part in synthetic_parts(plan, opening.maps.get(plan.name, ()), folder, made)
    ]
    pasted = [pasted_part(recipe, plan, trains, 0, folder, made, tell) for plan in recipe.of_kind("pasted")]
    return Pools(
        real=Slices([open_part(part) for part in real]),
        pasted=Slices([open_part(part) for part in pasted]),
        synthetic=Slices([open_part(part) for part in synthetic]),
    )


def size_of(recipe: Recipe, opened: Opened) -> int:
    """About how many exams `fill` makes, for a bar."""
    return sum(plan.heads + plan.exams for plan in recipe.sources) + sum(source.size for source in opened.values())


def real_part(recipe: Recipe, plan: SourcePlan, source: Source, folder: Path, made: Made, tell: Tell) -> Path:
    """The part of one source of exams of people."""
    part = folder / f"real-{plan.name}-{_print_of(recipe, [plan])}"
    if part.exists():
        made(source.size)
        return part
    numbers = Numbers(recipe)
    with PartWriter(part) as writer:
        for exam in source.exams(tell):
            writer.add(source_slices(exam, numbers.of(exam), cut_boxes=plan.cut_boxes))
            made(1)
    return part


class Numbers:
    """A number for each patient, the same wherever the same exams come in the same order; no head's seed is as high."""

    def __init__(self, recipe: Recipe) -> None:
        self._sources = [source.name for source in recipe.sources]
        self._patients: dict[str, dict[str, int]] = {name: {} for name in self._sources}

    def of(self, exam: SourceExam) -> int:
        """The number of an exam's patient."""
        known = self._patients[exam.source]
        return HELD_OUT_SEED * (1 + self._sources.index(exam.source)) + known.setdefault(exam.patient, len(known))


def synthetic_parts(plan: SourcePlan, maps: tuple[Path, ...], folder: Path, made: Made) -> list[Path]:
    """The parts of drawn heads, so many heads each; without label maps they are all formulas.

    Raises HeldOutSeed for a seed of HELD_OUT_SEED or more.
    """
    last = plan.first_seed + plan.heads
    if last > HELD_OUT_SEED:
        raise HeldOutSeed(f"seed {last - 1} is held out; training takes seeds below {HELD_OUT_SEED}")
    named = f"{plan.kind}-{sha256(repr((maps, HEADS_A_MAP)).encode()).hexdigest()[:10]}" if maps else plan.kind
    named += "" if plan.hard else "-plain"
    parts = []
    for first in range(plan.first_seed, last, HEADS_A_PART):
        seeds = range(first, min(first + HEADS_A_PART, last))
        parts.append(folder / f"{named}-{seeds.start:06d}-{seeds.stop:06d}")
        if parts[-1].exists():
            made(len(seeds))
            continue
        with PartWriter(parts[-1]) as writer:
            for seed in seeds:
                label_map = map_of(maps, seed, run=HEADS_A_MAP) if maps else None
                head = render_patient(
                    seed,
                    pixel_mm=RENDER_MM,
                    size=RENDER_SIZE,
                    label_map=label_map,
                    hard=plan.hard,
                    noise=False,  # made afresh whenever a slice is used
                )
                writer.add(phantom_slices(head))
                made(1)
    return parts


def pasted_part(
    recipe: Recipe,
    plan: SourcePlan,
    opened: Opened,
    number: int,
    folder: Path,
    made: Made,
    tell: Tell = lambda _: None,
) -> Path:
    """The part of one round of pasting, counted from 0: about `plan.exams` pastings, as many into each exam of a host.

    What they came out like is told, to be held against bleeds of people.
    """
    part = round_folder(recipe, number, folder)
    if part.exists():
        made(plan.exams)
        return part
    with PartWriter(part) as writer:
        pool = report(_pastings(recipe, plan, opened, number, writer, made))
    for line in pool.lines():
        tell(line)
    return part


def _pastings(
    recipe: Recipe, plan: SourcePlan, opened: Opened, number: int, writer: PartWriter, made: Made
) -> Iterator[Pasted]:
    """Every pasting of a round, once it is written."""
    # Counted, not asked for: a source knows only about how many it holds, and a few would get all.
    shares = _shares(plan.exams, sum(1 for _ in _hosts(opened, plan.hosts)))
    numbers = Numbers(recipe)
    for index, (count, exam) in enumerate(zip(shares, _hosts(opened, plan.hosts), strict=True)):
        rng = np.random.default_rng([recipe.seed, number, index])
        yield from _pasted_into(exam, numbers.of(exam), count, rng, plan, writer)
        made(count)


def round_folder(recipe: Recipe, number: int, folder: Path) -> Path:
    """Where a round of pasting lies once it is whole."""
    (plan,) = recipe.of_kind("pasted")
    hosts = [source for source in recipe.sources if source.name in plan.hosts]
    return folder / f"pasted-{_print_of(recipe, [replace(plan, rounds=1), *hosts])}-{number:03d}"


def _print_of(recipe: Recipe, plans: Sequence[SourcePlan]) -> str:
    """What parts are told apart by: another seed or fold in the same work folder must never find the part of this one."""
    return sha256(repr((recipe.seed, plans)).encode()).hexdigest()[:10]


def _pasted_into(
    exam: SourceExam, patient: int, count: int, rng: np.random.Generator, plan: SourcePlan, writer: PartWriter
) -> Iterator[Pasted]:
    free = exam.labels[:, 0] == 0
    row_mm, column_mm = exam.pixel_mm
    if not count or not free.any() or abs(row_mm - column_mm) > 0.01 * row_mm:
        return
    host = look_at(exam.hu, row_mm, exam.positions_mm, free)
    for _ in range(count):
        pasted = paste(rng, host, mimic_share=plan.mimic_share, without=frozenset(plan.without_mimics))
        if pasted is not None:
            writer.add(pasted_slices(pasted, row_mm, patient))
            yield pasted


def _hosts(opened: Opened, names: Sequence[str]) -> Iterator[SourceExam]:
    for name in names:
        yield from opened[name].exams()


def _shares(total: int, places: int) -> list[int]:
    """Split a total over places as evenly as can be."""
    return [total * (k + 1) // places - total * k // places for k in range(places)]
