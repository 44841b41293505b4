"""Exams scored in memory, by the very code that reads them live: what calibration learns from. Needs no torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from appliance.core.headers import SliceGeometry
from appliance.core.ledger import SliceRow
from appliance.core.outcome import LEAST_SLICES
from appliance.core.words import LABELS, Label
from appliance.evaluation.stacks import flat_geometry
from appliance.inference.loading import LoadedEngine, load_engine
from appliance.phantoms.bleeds import draw_bleeds
from appliance.phantoms.exam import HELD_OUT_SEED, PhantomExam, draw_scanner, render
from appliance.reading.phantom_rows import phantom_geometry, phantom_row
from appliance.reading.slice_reader import read_slice
from appliance.training.sources.exam import SourceExam

Exams = Callable[[int], PhantomExam]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamScore:
    """One held-out exam, scored: its slices from the foot, and the truth of each: int8 [n, 6], -1 where it is not known.

    `bleeding`: some slice shows a bleed that an eye could find; `clean`: nothing bleeds at all. Neither: too faint, not
    known, or no whole exam.
    """

    rows: tuple[SliceRow, ...]
    truth: NDArray[np.int8]
    bleeding: bool
    clean: bool


def held_out_exam(seed: int) -> PhantomExam:
    """Return a bleeding exam of a head and a scanner that trained nothing.

    Raises ValueError for a seed of training.
    """
    if seed < HELD_OUT_SEED:
        raise ValueError(f"seed {seed} may have been trained on; held-out seeds start at {HELD_OUT_SEED}")
    rng = np.random.default_rng([seed, 7])
    scanner = draw_scanner(rng, pixel_mm=1.0, size=240)
    return render(seed, scanner, draw_bleeds(rng))


def clean_twin(exam: PhantomExam) -> PhantomExam:
    """Return the same head, scanner and noise without the bleeds."""
    nothing = np.zeros_like(exam.labels)
    return replace(
        exam,
        hu=exam.clean_hu,
        labels=nothing,
        faint=np.zeros_like(exam.faint),
        lesions=np.zeros_like(exam.lesions),
        volumes_ml={},
    )


def score_exam(engine: LoadedEngine, exam: PhantomExam) -> ExamScore:
    """Read every slice of a phantom exam as it would be read live."""
    return ExamScore(
        rows=_read(engine, exam.hu, [phantom_geometry(exam, index) for index in range(len(exam.hu))]),
        truth=exam.labels,
        bleeding=bool(exam.labels[:, 0].any()),
        clean=sum(exam.volumes_ml.values()) == 0.0,
    )


def score_source_exam(engine: LoadedEngine, exam: SourceExam) -> ExamScore:
    """Read every slice of an exam of a person, or of one with a bleed pasted into it, as it would be read live.

    A lone picture, or a part of a head, is no exam: its slices count, for no point.
    """
    places = [flat_geometry(exam.hu.shape[1:], exam.pixel_mm, float(at)) for at in exam.positions_mm]
    any_label = exam.labels[:, LABELS.index(Label.ANY)]
    whole = len(exam.hu) >= LEAST_SLICES
    return ExamScore(
        rows=_read(engine, exam.hu, places),
        truth=exam.labels,
        bleeding=whole and bool((any_label == 1).any()),
        clean=whole and bool((any_label == 0).all()),
    )


def _read(engine: LoadedEngine, slices: NDArray[np.int16], places: Sequence[SliceGeometry]) -> tuple[SliceRow, ...]:
    return tuple(
        phantom_row(index, place, read_slice(engine, hu, place))
        for index, (hu, place) in enumerate(zip(slices, places, strict=True))
    )


def check(
    folder: Path,
    exams: int,
    first_seed: int = HELD_OUT_SEED,
    done: Callable[[], None] = lambda: None,
    make: Exams = held_out_exam,
) -> list[ExamScore]:
    """Score `exams` held-out exams with the engine in `folder`: half as many heads, each with and without its bleeds."""
    engine = load_engine(folder)
    scores = []
    for seed in range(first_seed, first_seed + (exams + 1) // 2):
        bleeding = make(seed)
        for exam in (bleeding, clean_twin(bleeding)):
            scores.append(score_exam(engine, exam))
            done()
    return scores
