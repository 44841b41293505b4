"""Exams scored in memory, by the very code that reads them live: what calibration learns from. Needs no torch.

`figures` is the floor of an engine: synthetic exams that trained nothing, beside a plain intensity threshold.
`bleedwatch evaluate --phantoms` says more of an engine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from appliance.core.evidence import early_evidence
from appliance.core.headers import SliceGeometry
from appliance.core.ledger import SliceRow
from appliance.core.outcome import LEAST_SLICES
from appliance.core.words import LABELS, Label
from appliance.evaluation.exam_marks import raw_logits
from appliance.evaluation.figures import auc
from appliance.evaluation.stacks import flat_geometry
from appliance.exams.head_ct.anatomy import find_anatomy
from appliance.inference.loading import LoadedEngine, load_engine
from appliance.phantoms.bleeds import draw_bleeds
from appliance.phantoms.exam import HELD_OUT_SEED, PhantomExam, draw_scanner, render
from appliance.reading.exam_reader import read_exam
from appliance.reading.phantom_rows import phantom_geometry, phantom_row
from appliance.reading.prepare import head_crop
from appliance.reading.slice_reader import read_slice
from appliance.training.sources.exam import SourceExam

Exams = Callable[[int], PhantomExam]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamScore:
    """One held-out exam, scored: its slices from the foot, and the truth of each: int8 [n, 6], -1 where it is not known.

    `bleeding`: some slice shows a bleed that an eye could find; `clean`: nothing bleeds at all. Neither: too faint, not
    known, or no whole exam. `volume_ml` and `threshold` (`threshold_score`) of synthetic exams alone.
    """

    rows: tuple[SliceRow, ...]
    truth: NDArray[np.int8]
    bleeding: bool
    clean: bool
    volume_ml: float = 0.0
    threshold: float = 0.0


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
    volume_ml = sum(exam.volumes_ml.values())
    return ExamScore(
        rows=_read(engine, exam.hu, [phantom_geometry(exam, index) for index in range(len(exam.hu))]),
        truth=exam.labels,
        bleeding=bool(exam.labels[:, 0].any()),
        clean=volume_ml == 0.0,
        volume_ml=volume_ml,
        threshold=threshold_score(exam, engine),
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


def threshold_score(exam: PhantomExam, engine: LoadedEngine) -> float:
    """Return the largest patch (mm2) of 50-90 HU, smoothed, away from bone, in any slice: what a threshold would say."""
    largest = 0.0
    pixel = (exam.pixel_mm, exam.pixel_mm)
    for hu in exam.hu:
        anatomy = find_anatomy(hu, pixel)
        if not anatomy.has_brain_in_skull:
            continue
        crop = head_crop(hu, pixel, anatomy, engine.card.input)
        smooth = ndimage.gaussian_filter(crop, 1.0)
        bone = crop > 250.0
        inside = ndimage.binary_erosion(
            ndimage.binary_fill_holes(ndimage.binary_closing(bone, iterations=3)), iterations=6
        )
        patches, count = ndimage.label(
            (smooth > 50.0) & (smooth < 90.0) & inside & ~ndimage.binary_dilation(bone, iterations=4)
        )
        if count:
            largest = max(largest, float(np.bincount(patches.ravel())[1:].max()))
    return largest


def _auc(scores: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    """The AUC; nan without one of each."""
    area = auc(scores, truth)
    return float("nan") if area is None else area


def figures(scores: list[ExamScore], engine: LoadedEngine) -> dict[str, float]:
    """Return AUCs and shares. Exams whose only bleed is too faint to be seen count as neither."""
    kept = [s for s in scores if s.bleeding or s.clean]
    truth = np.array([s.bleeding for s in kept])
    points = engine.card.points
    chance = np.array([read_exam(s.rows, engine.card).probabilities[0] for s in kept])
    early = np.array([early_evidence(s.rows, points) is not None for s in kept])
    large = np.array([s.volume_ml >= 5.0 for s in kept])
    result = {
        "exams": float(len(kept)),
        "bleeding": float(truth.sum()),
        "exam_auc": _auc(chance, truth),
        "threshold_auc": _auc(np.array([s.threshold for s in kept]), truth),
        "sensitivity_critical": float((chance[truth] >= points.critical).mean()),
        "sensitivity_critical_5_ml": float((chance[truth & large] >= points.critical).mean()),
        "sensitivity_review": float((chance[truth] >= points.review).mean()),
        "sensitivity_early": float(early[truth].mean()),
        "specificity_critical": float((chance[~truth] < points.critical).mean()),
        "specificity_review": float((chance[~truth] < points.review).mean()),
        "specificity_early": float(1.0 - early[~truth].mean()),
    }
    logits = np.concatenate([raw_logits(s.rows) for s in kept])
    truths = np.concatenate([s.truth for s in kept])
    for k, label in enumerate(LABELS):
        known = truths[:, k] >= 0
        result[f"slice_auc_{label}"] = _auc(logits[known, k], truths[known, k] == 1)
    return result
