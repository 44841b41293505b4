"""Slices, from Hounsfield values to scores. Each depends on itself alone, so no order of arrival can change it."""

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from appliance.core.engine import EngineCard
from appliance.core.errors import Fault
from appliance.core.headers import SliceGeometry
from appliance.core.reads import Hounsfield
from appliance.core.slices import BoxPlace, SliceFacts, SliceScore
from appliance.core.words import LABELS, Label
from appliance.exams.head_ct.anatomy import Anatomy, find_anatomy
from appliance.exams.head_ct.facts import slice_facts
from appliance.inference.backend import Answer, Backend
from appliance.inference.loading import LoadedEngine
from appliance.reading.prepare import head_box, heat_cell_to_pixel, prepare

PEAK_SMOOTHED_MM: Final = 3.0
"""A lone hot cell, as at the edge of bone, is less of a place than several that are warm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedSlice:
    """A slice that the engine may be asked for: `image` float32 [1, channels, size, size]. `ms` so far, by part."""

    image: NDArray[np.float32]
    anatomy: Anatomy
    facts: SliceFacts
    geometry: SliceGeometry
    ms: dict[str, float]


def read_slice(engine: LoadedEngine, hu: Hounsfield, geometry: SliceGeometry) -> SliceScore:
    """The score of int16 [rows, columns]: anatomy, head's box, the engine's input, its answer, calibrated.

    Fault `engine-fault` if the engine does not answer, or `hu` has another shape than `geometry` says.
    """
    return score_slices([prepare_slice(hu, geometry, engine.card)], engine.backend, engine.card)[0]


def prepare_slice(hu: Hounsfield, geometry: SliceGeometry, card: EngineCard) -> PreparedSlice:
    """All that comes before the engine. Fault `engine-fault` if `hu` has another shape than `geometry` says."""
    if hu.shape != (geometry.rows, geometry.columns):
        said = f"the stored picture is {hu.shape}, its header says {(geometry.rows, geometry.columns)}"
        raise Fault("engine-fault", said)
    begin_s = perf_counter()
    anatomy = find_anatomy(hu, geometry.pixel_mm)
    facts = slice_facts(hu, geometry.pixel_mm, anatomy)
    found_s = perf_counter()
    image = prepare(hu, geometry.pixel_mm, anatomy, card.input)
    ms = {"anatomy": (found_s - begin_s) * 1000, "prepare": (perf_counter() - found_s) * 1000}
    return PreparedSlice(image=image, anatomy=anatomy, facts=facts, geometry=geometry, ms=ms)


def score_slices(slices: Sequence[PreparedSlice], backend: Backend, card: EngineCard) -> list[SliceScore]:
    """Their scores in their order, asked for at once; up to `backend.max_batch`, of any series. Faults as `Backend.run`.

    A slice of a batch is given its share of the engine's time.
    """
    begin_s = perf_counter()
    if len(slices) == 1:
        answers = [backend.run(slices[0].image)]
    else:
        answers = backend.run_many(np.concatenate([one.image for one in slices]))
    share_ms = (perf_counter() - begin_s) * 1000 / len(slices)
    return [_score(one, answer, share_ms, backend.name, card) for one, answer in zip(slices, answers, strict=True)]


def _score(read: PreparedSlice, answer: Answer, engine_ms: float, backend: str, card: EngineCard) -> SliceScore:
    box = head_box(read.anatomy, card.input)
    any_logits = answer.heat[LABELS.index(Label.ANY)]
    heat = _as_8_bit(any_logits)
    return SliceScore(
        logits=answer.logits,
        embedding=answer.embedding,
        heat=heat,
        probabilities=probabilities(calibrated(answer.logits, card)),
        box=box,
        peak_rc=_peak(any_logits, heat, box, read.geometry),
        has_brain=read.anatomy.has_brain_in_skull,
        brain_hu=read.anatomy.brain_median_hu,
        skull_area_mm2=read.anatomy.skull_area_mm2,
        ms={**read.ms, "engine": engine_ms},
        backend=backend,
        facts=read.facts,
    )


def calibrated(logits: NDArray[np.float32] | NDArray[np.float64], card: EngineCard) -> NDArray[np.float64]:
    """Logits [..., 6] as the manifest calibrates them, scale * logit + bias, in double precision."""
    scale = np.asarray(card.calibration_scale, dtype=np.float64)
    bias = np.asarray(card.calibration_bias, dtype=np.float64)
    return scale * logits.astype(np.float64) + bias


def probabilities(logits: NDArray[np.float64]) -> tuple[float, ...]:
    """Probabilities of calibrated logits [6]."""
    return tuple(float(value) for value in _sigmoid(logits))


def _sigmoid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1.0 / (1.0 + np.exp(-np.clip(values, -60.0, 60.0)))


def _as_8_bit(heat_logits: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.rint(_sigmoid(heat_logits.astype(np.float64)) * 255).astype(np.uint8)


def _peak(
    heat_logits: NDArray[np.float32], heat: NDArray[np.uint8], box: BoxPlace, geometry: SliceGeometry
) -> tuple[float, float] | None:
    """The hottest cell of the smoothed "any" in pixels of the picture; None where all is cold or it lies outside the picture.

    Found before the heat is cut to 8 bit, where many cells of a sure bleed are equally hot.
    """
    if not heat.any():
        return None
    cell_mm = box.side_mm / heat_logits.shape[0]
    heat_share = _sigmoid(heat_logits.astype(np.float64))
    smooth = ndimage.gaussian_filter(heat_share, PEAK_SMOOTHED_MM / cell_mm, mode="constant")  # outside nothing is hot
    row, column = np.unravel_index(int(smooth.argmax()), smooth.shape)
    place = heat_cell_to_pixel((float(row), float(column)), heat_logits.shape[0], box, geometry.pixel_mm)
    inside = 0 <= place[0] < geometry.rows and 0 <= place[1] < geometry.columns
    return place if inside else None
