"""The parity gate on the processor: may this engine run in FP16 at all? No card is needed, so every build asks it.

Answers of the FP32 engine, slice by slice as it serves, against the FP16 graph emulated (`emulation`); and how large
the values between get. The FP32 answers are kept for the gate that the plan itself has to pass on the card.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from onnx import numpy_helper

from appliance.building.emulation import exposed, rounding
from appliance.building.gate_set import GateSet, Replay, places_of, rows_of, rule_of
from appliance.building.graphs import GraphRefused
from appliance.building.parity import Answers, ExamPlaces, Rule, compare, exam_says
from appliance.core.engine import EngineCard
from appliance.core.evidence import early_evidence, level_of
from appliance.core.words import Level
from appliance.inference.backend import Answer
from appliance.inference.manifest import EngineFiles
from appliance.inference.onnxruntime_backend import RUNTIME_ERRORS, THREADS, OnnxRuntimeBackend, session_options
from appliance.inference.runtime import ort
from appliance.reading.exam_reader import read_exam

ACTIVATION_MOST: Final = 6000.0
"""A tenth of what FP16 holds, so that brighter pictures than these have room too."""
FREE_BATCH_MOST: Final = 1e-3
"""Logits of several slices at once against one by one: the same sums in another order."""

_BATCH: Final = 8
_SAME: Final = 1e-9
_UNFIT: Final = 0.01  # of an output channel's weights: losing more is no rounding, they lie outside what FP16 holds
_DEAD: Final = 1e-4  # of a layer's largest output channel: what training has left so small says nothing

Done = Callable[[int], None]


class GateBroken(Exception):
    """The gate itself is wrong: what it knows of an exam's rule is not what the appliance does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What the FP32 engine says about a gate's pictures, `images` float32 [n, channels, size, size]."""

    images: NDArray[np.float32]
    answers: Answers
    exams: tuple[ExamPlaces, ...]
    rule: Rule


def make_reference(files: EngineFiles, pictures: GateSet, done: Done = lambda slices: None) -> Reference:
    """The FP32 answers, one by one as the engine serves. Fault `engine-fault` where it does not answer."""
    backend = OnnxRuntimeBackend(files, THREADS)
    try:
        given = []
        for index, image in enumerate(pictures.images):
            given.append(backend.run(image[None]))
            done(index + 1)
    finally:
        backend.close()
    answers = Answers(
        logits=np.stack([one.logits for one in given]),
        embedding=np.stack([one.embedding for one in given]),
        heat=np.stack([one.heat for one in given]),
    )
    exams = tuple(
        places_of(exam, rows_of(exam, Replay(given[exam.first :][: len(exam.slices)]), files.card), files.card)
        for exam in pictures.exams
    )
    reference = Reference(images=pictures.images, answers=answers, exams=exams, rule=rule_of(files.card))
    _hold_against_live(reference, answers, pictures, files.card)
    return reference


def gate_fp16(
    files: EngineFiles, free: Any, half: Any, pictures: GateSet, reference: Reference, done: Done = lambda slices: None
) -> dict[str, Any]:
    """The report of `parity.compare` for the emulated FP16 graph, with the largest value between, and its reasons.

    `free`, `half`: the graphs of `graphs`. `done` counts pictures, each twice.
    """
    names = (files.outputs.logits, files.outputs.embedding, files.outputs.heat)
    largest, free_answers = _largest(free, files.card.input.name, names, reference.images, done)
    emulated = _answers(
        rounding(half),
        files.card.input.name,
        names,
        reference.images,
        lambda count: done(len(reference.images) + count),
    )
    report = compare(reference.answers, emulated, reference.exams, reference.rule)
    if report["passed"]:
        _hold_against_live(reference, emulated, pictures, files.card)
    where = max(largest, key=lambda name: np.nan_to_num(largest[name], nan=np.inf))
    off = float(np.abs(free_answers.logits - reference.answers.logits).max())
    unfit = unfit_weights(free, half)
    report |= {"activation": largest[where] if np.isfinite(largest[where]) else None, "activation_at": where}
    report |= {"free_batch_logit": off if np.isfinite(off) else None, "unfit_weights": unfit}
    why = [*_beyond(largest), *report["why"]]
    if not off <= FREE_BATCH_MOST:
        why.append(f"several slices at once give other logits than one by one: {off:.3g} off")
    if why and unfit:
        why.append(f"weights that FP16 cannot hold: {', '.join(unfit[:3])}")
    return {**report, "passed": not why, "why": why}


def gate_fp32(files: EngineFiles, free: Any, reference: Reference, done: Done = lambda slices: None) -> dict[str, Any]:
    """The report for the FP32 graph itself, several slices at once: what a plan in FP32 is built from."""
    names = (files.outputs.logits, files.outputs.embedding, files.outputs.heat)
    answers = _answers(free, files.card.input.name, names, reference.images, done)
    return compare(reference.answers, answers, reference.exams, reference.rule)


def unfit_weights(free: Any, half: Any) -> list[str]:
    """Weights of the FP16 part of which some output channel loses more than a hundredth by being rounded, by name."""
    before = {one.name: one for one in free.graph.initializer}
    lost = []
    for one in half.graph.initializer:
        rounded = numpy_helper.to_array(one)
        if rounded.dtype != np.float16 or rounded.ndim < 2:
            continue
        exact = numpy_helper.to_array(before[one.name])
        exact, rounded = exact.reshape(len(exact), -1), rounded.astype(np.float64).reshape(len(exact), -1)
        size = np.linalg.norm(exact.astype(np.float64), axis=1)
        error = np.linalg.norm(rounded - exact, axis=1)
        alive = size > _DEAD * size.max()
        if (error[alive] > _UNFIT * size[alive]).any():
            lost.append(one.name)
    return lost


def _largest(
    free: Any, given: str, names: Sequence[str], images: NDArray[np.float32], done: Done
) -> tuple[dict[str, float], Answers]:
    """Of each value that grows the largest, whatever its sign (not finite: inf), and the answers."""
    model, shown = exposed(free)
    largest = dict.fromkeys(shown, 0.0)
    parts = []
    for values in _run(model, given, [*names, *shown], images, done):
        parts.append(values[: len(names)])
        for name, value in zip(shown, values[len(names) :], strict=True):
            here = max(float(value.max()), -float(value.min()))
            largest[name] = max(largest[name], here if np.isfinite(here) else np.inf)
    return largest, _joined(parts)


def _beyond(largest: dict[str, float]) -> Iterator[str]:
    beyond = {name: value for name, value in largest.items() if not value < ACTIVATION_MOST}
    if beyond:
        name, value = next(iter(beyond.items()))
        said = f"reach {value:.0f}" if np.isfinite(value) else "are no number"
        yield (
            f"values inside the network {said}, below {ACTIVATION_MOST:.0f} is needed: {name}"
            + (f" and {len(beyond) - 1} more" if len(beyond) > 1 else "")
        )


def _answers(model: Any, given: str, names: Sequence[str], images: NDArray[np.float32], done: Done) -> Answers:
    return _joined(list(_run(model, given, names, images, done)))


def _joined(parts: list[list[NDArray[np.float32]]]) -> Answers:
    logits, embedding, heat = (np.concatenate(values) for values in zip(*parts, strict=True))
    return Answers(logits=logits, embedding=embedding, heat=heat)


def _run(
    model: Any, given: str, names: Sequence[str], images: NDArray[np.float32], done: Done
) -> Iterator[list[NDArray[np.float32]]]:
    try:
        session = ort.InferenceSession(
            model.SerializeToString(), session_options(THREADS), providers=["CPUExecutionProvider"]
        )
        for first in range(0, len(images), _BATCH):
            yield session.run(list(names), {given: images[first : first + _BATCH]})
            done(min(first + _BATCH, len(images)))
    except RUNTIME_ERRORS as error:
        raise GraphRefused(f"ONNX Runtime does not run the graph ({type(error).__name__}): {error!s:.300}") from None


def _hold_against_live(reference: Reference, answers: Answers, pictures: GateSet, card: EngineCard) -> None:
    """GateBroken unless the arrays' rule says of each exam what the code that reads live says."""
    for exam, places in zip(pictures.exams, reference.exams, strict=True):
        span = range(exam.first, exam.first + len(exam.slices))
        given = [Answer(logits=answers.logits[n], embedding=answers.embedding[n], heat=answers.heat[n]) for n in span]
        rows = rows_of(exam, Replay(given), card)
        said, live = exam_says(answers, places, reference.rule), read_exam(rows, card).probabilities
        level = level_of(live[0], card.points)
        points = card.points
        # Each way to an early alert alone, the other one out of reach.
        lone = early_evidence(rows, replace(points, early_pair=2.0)) is not None
        pair = early_evidence(rows, replace(points, early_single=2.0)) is not None
        reached = {
            "critical": level is Level.CRITICAL,
            "review": level is not None,
            "early pair": pair,
            "early single": lone,
        }
        far = max(abs(a - b) for a, b in zip(said.probabilities, live, strict=True))
        if far > _SAME or set(said.reached) != {name for name, is_reached in reached.items() if is_reached}:
            raise GateBroken(f"The gate reads {exam.name} otherwise than the appliance does")
