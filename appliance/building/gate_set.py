"""The pictures that a new engine is held against: the golden set, and phantom exams prepared as live ones are."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from appliance.building.learned_exam import Around, Beside, Learned
from appliance.building.parity import ExamPlaces, Rule
from appliance.core.aggregator import NEIGHBOUR_MM
from appliance.core.completeness import SAME_PLACE_MM
from appliance.core.engine import EngineCard
from appliance.core.evidence import cells_apart, near_brain, one_per_place, scored_of
from appliance.core.ledger import SliceRow
from appliance.core.surroundings import FARTHEST_MM, surroundings
from appliance.inference.backend import Answer, Backend
from appliance.inference.manifest import EngineFiles
from appliance.inference.windows import apply_windows
from appliance.phantoms.bleeds import draw_bleeds
from appliance.phantoms.exam import HELD_OUT_SEED, PhantomExam, draw_scanner, render
from appliance.reading.phantom_rows import phantom_geometry, phantom_row
from appliance.reading.slice_reader import PreparedSlice, prepare_slice, score_slices

SLICES_LEAST: Final = 300
FIRST_SEED: Final = HELD_OUT_SEED + 7000
_PAINT_MM: Final = 1.3  # in half the time of the picture's own pixels, and no easier to read


@dataclass(frozen=True, slots=True, kw_only=True)
class GateExam:
    """A phantom exam: `first` is the index of its first slice among all pictures of the set."""

    name: str
    first: int
    slices: tuple[PreparedSlice, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSet:
    """`images` float32 [n, channels, size, size] as an engine takes them: golden and odd ones first, then exam by exam."""

    images: NDArray[np.float32]
    golden: int
    odd: int
    exams: tuple[GateExam, ...]


def make_gate_set(
    files: EngineFiles, *, slices_least: int = SLICES_LEAST, done: Callable[[int], None] = lambda slices: None
) -> GateSet:
    """Golden and odd pictures, and heads with their bleeds and without until there are enough slices.

    `done`: how many slices of heads there are.
    """
    with np.load(io.BytesIO(files.golden), allow_pickle=False) as held:
        golden = held["hu"].astype(np.float32)
    odd = _odd_pictures(files.card.input.size)
    images = [apply_windows(crop, files.card.input)[None] for crop in (*golden, *odd)]
    count, exams, seed = len(images), list[GateExam](), FIRST_SEED
    first = count
    while count - first < slices_least:
        exam = _draw(seed)
        for hu, kind in ((exam.hu, "bleeding"), (exam.clean_hu, "clean")):
            slices = tuple(prepare_slice(one, phantom_geometry(exam, n), files.card) for n, one in enumerate(hu))
            exams.append(GateExam(name=f"phantom {seed} {kind}", first=count, slices=slices))
            images += [one.image for one in slices]
            count += len(slices)
            done(count - first)
        seed += 1
    whole = np.concatenate(images)
    del images
    return GateSet(
        images=whole, golden=len(golden), odd=len(odd), exams=tuple(_looking_at(whole, exam) for exam in exams)
    )


def _looking_at(images: NDArray[np.float32], exam: GateExam) -> GateExam:
    """The exam with its pictures as views of all of them: a hundred megabytes are not held twice."""
    slices = (replace(one, image=images[n : n + 1]) for n, one in enumerate(exam.slices, start=exam.first))
    return replace(exam, slices=tuple(slices))


def rows_of(exam: GateExam, backend: Backend, card: EngineCard) -> tuple[SliceRow, ...]:
    """The exam's slices as the ledger would hold them, scored one by one as they are live."""
    return tuple(
        phantom_row(index, one.geometry, score_slices([one], backend, card)[0]) for index, one in enumerate(exam.slices)
    )


def places_of(exam: GateExam, rows: tuple[SliceRow, ...], card: EngineCard) -> ExamPlaces:
    """What the slices' pixels decide about the exam, for the gate that knows arrays alone."""
    near_mm = card.points.neighbour_mm
    counting, places = near_brain(rows, near_mm), one_per_place(rows)
    pairs = [
        (exam.first + lower.id - 1, exam.first + upper.id - 1, *cells_apart(lower, upper))
        for lower, upper in pairwise(places)
        if scored_of(lower).has_brain
        and scored_of(upper).has_brain
        and upper.geometry.position_mm - lower.geometry.position_mm <= near_mm + SAME_PLACE_MM
    ]
    return ExamPlaces(
        name=exam.name,
        counting=tuple(exam.first + row.id - 1 for row in counting),
        positions_mm=tuple(row.geometry.position_mm for row in counting),
        brains=tuple(exam.first + row.id - 1 for row in places if scored_of(row).has_brain),
        pairs=tuple(pairs),
        around=_around(counting) if card.aggregator is not None and counting else None,
    )


def _around(counting: Sequence[SliceRow]) -> Around:
    """Of slices that count, at least one, from the foot."""

    def beside(index: int, sign: float) -> Beside:
        """The slice nearest to NEIGHBOUR_MM below (-1) or above (1)."""
        here_mm = counting[index].geometry.position_mm
        away_mm = {n: sign * (row.geometry.position_mm - here_mm) for n, row in enumerate(counting)}
        near = [n for n, away in away_mm.items() if 0.0 < away <= FARTHEST_MM]
        if not near:
            return (-1, 0, 0)
        found = min(near, key=lambda n: abs(away_mm[n] - NEIGHBOUR_MM))
        lower, upper = sorted((index, found))
        return (found, *cells_apart(counting[lower], counting[upper]))

    cells = [scored_of(row).box.side_mm / scored_of(row).heat.shape[0] for row in counting]
    return Around(
        below=tuple(beside(index, -1.0) for index in range(len(counting))),
        above=tuple(beside(index, 1.0) for index in range(len(counting))),
        cell_mm=tuple(cells),
        context=tuple(tuple(float(value) for value in one) for one in surroundings(counting).context),
    )


def rule_of(card: EngineCard) -> Rule:
    """Calibration, exam rule or learned aggregator, and points of the engine."""
    points, weights = card.points, card.aggregator
    return Rule(
        scale=card.calibration_scale,
        bias=card.calibration_bias,
        smoothing_mm=card.exam_rule.smoothing_mm,
        sharpness=card.exam_rule.sharpness,
        critical=points.critical,
        review=points.review,
        early_pair=points.early_pair,
        early_single=points.early_single,
        overlap=points.overlap,
        learned=None
        if weights is None
        else Learned(**{one.name: np.asarray(getattr(weights, one.name), dtype=np.float64) for one in fields(Learned)}),
    )


class Replay:
    """A backend that gives answers which are there already, in their order."""

    name = "replay"
    max_batch = 1

    def __init__(self, answers: list[Answer]) -> None:
        self._answers = answers[::-1]

    def run(self, image: NDArray[np.float32]) -> Answer:
        """The next answer."""
        return self._answers.pop()

    def run_many(self, images: NDArray[np.float32]) -> list[Answer]:
        """The next answers."""
        return [self._answers.pop() for _ in images]

    def close(self) -> None:
        """Nothing to give back."""


def _odd_pictures(size: int) -> NDArray[np.float32]:
    """Head's boxes in HU [n, size, size] that no head gives: empty, full, one grey, metal, a wrong offset, noise."""
    greys = (-1024.0, -1000.0, 0.0, 40.0, 1000.0, 3071.0)
    whole = [np.full((size, size), grey) for grey in greys]
    metal = np.full((size, size), 40.0)
    metal[size // 3 : size // 2, size // 3 : size // 2] = 3071.0
    noise = np.random.default_rng(0).normal(40.0, 400.0, (size, size))
    return np.stack([*whole, metal, noise]).astype(np.float32)


def _draw(seed: int) -> PhantomExam:
    random = np.random.default_rng([seed, 7])
    scanner = draw_scanner(random, pixel_mm=1.0, size=240)
    return render(seed, scanner, draw_bleeds(random), paint_mm=_PAINT_MM)
