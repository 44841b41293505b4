"""Whether two engines say the same: arrays of answers in, a report out. The same code for the processor and the card.

Runs on Python 3.10; the standard library and numpy alone. So it knows the rules by which slices become an exam, the
learned one too (`learned_exam`), as arrays, not by `core`; the gate on the processor holds both against each other each
time (`cpu_gate`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from appliance.building.heat_arrays import as_8_bit, hot_dice, overlap, sigmoid, soft_dice
from appliance.building.learned_exam import Around, Learned, learned_logits, log_sum_exp, smoothed
from appliance.inference.plan_files import LOGIT_MOST

SLICE_P_MOST: Final = 0.01
EXAM_P_MOST: Final = 0.005
EXAM_LOGIT_MOST: Final = LOGIT_MOST
"""Calibrated. A sure exam's probability hides what embeddings and maps move in an aggregator: no more than a slice may move."""
DICE_LEAST: Final = 0.99
ANY: Final = 0  # the label that decides, first of the six


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Of n slices: `logits` float32 [n, 6], `embedding` float32 [n, e], `heat` float32 [n, 6, h, w] (logits)."""

    logits: NDArray[np.float32]
    embedding: NDArray[np.float32]
    heat: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How slices become an exam: calibration, exam rule and operating points of the manifest.

    `learned`: what stands in place of the exam rule, where the engine has it.
    """

    scale: tuple[float, ...]
    bias: tuple[float, ...]
    smoothing_mm: float
    sharpness: float
    critical: float
    review: float
    early_pair: float
    early_single: float
    overlap: float
    learned: Learned | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamPlaces:
    """One exam among the slices, all by index. What pixels alone decide is decided.

    `counting`: slices that count, from the foot, with their `positions_mm`; `brains`: those that show a brain inside a
    skull; `pairs`: neighbours that both do, and how many cells (rows, columns) the second's heat map lies from the first's.
    `around`: of those that count, for an engine with a learned aggregator.
    """

    name: str
    counting: tuple[int, ...]
    positions_mm: tuple[float, ...]
    brains: tuple[int, ...]
    pairs: tuple[tuple[int, int, int, int], ...]
    around: Around | None = None

    def as_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, held: Mapping[str, Any]) -> "ExamPlaces":
        """Out of JSON. KeyError, IndexError or TypeError for what is none."""
        return cls(
            name=str(held["name"]),
            counting=tuple(held["counting"]),
            positions_mm=tuple(held["positions_mm"]),
            brains=tuple(held["brains"]),
            pairs=tuple((pair[0], pair[1], pair[2], pair[3]) for pair in held["pairs"]),
            around=None if held["around"] is None else Around.from_dict(held["around"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamSays:
    """What an exam comes to: six calibrated logits, their probabilities, and which operating points it reaches.

    Where no slice counts there are no logits, and the probabilities are 0.
    """

    logits: tuple[float, ...]
    probabilities: tuple[float, ...]
    reached: tuple[str, ...]


def exam_says(answers: Answers, exam: ExamPlaces, rule: Rule) -> ExamSays:
    """The exam's reading out of its slices' answers."""
    logits = _exam_logits(answers, exam, rule) if exam.counting else np.zeros(0)
    probabilities = sigmoid(logits) if exam.counting else np.zeros(answers.logits.shape[1])
    chance = sigmoid(_calibrated(answers.logits, rule)[:, ANY])
    early_pair = any(
        min(chance[lower], chance[upper]) >= rule.early_pair
        and overlap(as_8_bit(answers.heat[lower, ANY]), as_8_bit(answers.heat[upper, ANY]), down, along) >= rule.overlap
        for lower, upper, down, along in exam.pairs
    )
    reached = {
        "critical": bool(probabilities[ANY] >= rule.critical),
        "review": bool(probabilities[ANY] >= rule.review),
        "early pair": early_pair,
        "early single": any(chance[index] >= rule.early_single for index in exam.brains),
    }
    return ExamSays(
        logits=tuple(float(value) for value in logits),
        probabilities=tuple(float(value) for value in probabilities),
        reached=tuple(name for name, is_reached in reached.items() if is_reached),
    )


def compare(reference: Answers, candidate: Answers, exams: Sequence[ExamPlaces], rule: Rule) -> dict[str, Any]:
    """The report: figures, `passed`, and in `why` each bound that does not hold, in words.

    Figures are the largest distances over all slices and labels; `heat_dice` is the least soft Dice of a map, `hot_dice`
    the Dice of all cells that are hot in the maps of "any", which alone decides. ValueError where the two are not answers to the same slices.
    """
    for name in ("logits", "embedding", "heat"):
        if getattr(reference, name).shape != getattr(candidate, name).shape:
            raise ValueError(f"{name} of both must have one shape")
    report: dict[str, Any] = {"slices": len(reference.logits), "exams": len(exams)}
    for who, answers in (("the FP32 engine", reference), ("the engine under test", candidate)):
        odd = int(np.count_nonzero(~_finite(answers)))
        if odd:
            return {**report, "passed": False, "why": [f"{who} answers {odd} slices with what is no number"]}
    off = np.abs(candidate.logits.astype(np.float64) - reference.logits)
    slice_p = np.abs(sigmoid(_calibrated(candidate.logits, rule)) - sigmoid(_calibrated(reference.logits, rule)))
    pairs = [(exam, exam_says(reference, exam, rule), exam_says(candidate, exam, rule)) for exam in exams]
    exam_p = [abs(a - b) for _, one, two in pairs for a, b in zip(one.probabilities, two.probabilities, strict=True)]
    exam_logit = [abs(a - b) for _, one, two in pairs for a, b in zip(one.logits, two.logits, strict=True)]
    flips = [f"{exam.name}: {point}" for exam, one, two in pairs for point in _turned(one.reached, two.reached)]
    heat = min(soft_dice(reference.heat[:, label], candidate.heat[:, label]) for label in range(off.shape[1]))
    report |= {
        "logit": float(off.max()),
        "logit_p99": float(np.quantile(off, 0.99)),
        "slice_p": float(slice_p.max()),
        "exam_p": float(max(exam_p, default=0.0)),
        "exam_logit": float(max(exam_logit, default=0.0)),
        "flips": flips,
        "heat_dice": heat,
        "hot_dice": hot_dice(reference.heat[:, ANY], candidate.heat[:, ANY]),
    }
    why = list(_broken(report))
    return {**report, "passed": not why, "why": why}


def _broken(report: Mapping[str, Any]) -> Iterable[str]:
    for name, most, said in (
        ("logit", LOGIT_MOST, "a logit"),
        ("slice_p", SLICE_P_MOST, "a slice's probability"),
        ("exam_p", EXAM_P_MOST, "an exam's probability"),
        ("exam_logit", EXAM_LOGIT_MOST, "an exam's logit"),
    ):
        if not report[name] <= most:
            yield f"{said} is {report[name]:.3g} off, {most:g} allowed"
    if report["flips"]:
        yield f"{len(report['flips'])} exams fall on the other side of an operating point ({report['flips'][0]})"
    for name, said in (("heat_dice", "a heat map"), ("hot_dice", "what is hot in the heat maps")):
        if not report[name] >= DICE_LEAST:
            yield f"{said} agrees by {report[name]:.4f} (Dice), {DICE_LEAST:g} needed"


def _turned(one: Iterable[str], two: Iterable[str]) -> list[str]:
    return sorted(set(one) ^ set(two))


def _finite(answers: Answers) -> NDArray[np.bool_]:
    """Of each slice, whether all its answers are numbers."""
    parts = (answers.logits, answers.embedding, answers.heat)
    finite = [np.isfinite(part.reshape(len(part), -1)).all(axis=1) for part in parts]
    return np.asarray(np.logical_and.reduce(finite), dtype=np.bool_)


def _calibrated(logits: NDArray[np.float32], rule: Rule) -> NDArray[np.float64]:
    return np.asarray(np.asarray(rule.scale) * logits.astype(np.float64) + np.asarray(rule.bias), dtype=np.float64)


def _exam_logits(answers: Answers, exam: ExamPlaces, rule: Rule) -> NDArray[np.float64]:
    """The calibrated logits [6] of an exam of which some slice counts."""
    counting, positions_mm = list(exam.counting), np.array(exam.positions_mm)
    weights = rule.learned
    if weights is None:
        logits = smoothed(_calibrated(answers.logits[counting], rule), positions_mm, rule.smoothing_mm)
        return log_sum_exp(logits, rule.sharpness)
    if exam.around is None:
        raise ValueError(f"{exam.name}: an aggregator needs what surrounds its slices")
    own = learned_logits(
        weights,
        answers.logits[counting].astype(np.float64),
        answers.embedding[counting].astype(np.float64),
        as_8_bit(answers.heat[counting, ANY]),
        positions_mm,
        exam.around,
    )
    stretch = np.asarray(rule.scale) / weights.scale  # a calibration made since then moves it as it moves a slice
    return np.asarray(stretch * own + (np.asarray(rule.bias) - stretch * weights.bias))
