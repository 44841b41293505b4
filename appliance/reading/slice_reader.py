"""One slice, from Hounsfield values to a score. Depends on the slice alone, so no order of arrival can change it."""

from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from appliance.core.engine import EngineCard
from appliance.core.headers import SliceGeometry
from appliance.core.reads import Hounsfield
from appliance.core.slices import BoxPlace, SliceScore
from appliance.exams.head_ct.anatomy import find_anatomy
from appliance.inference.backend import Answer
from appliance.inference.loading import LoadedEngine
from appliance.reading.prepare import head_box, heat_cell_to_pixel, prepare


def read_slice(engine: LoadedEngine, hu: Hounsfield, geometry: SliceGeometry) -> SliceScore:
    """Scores int16 [rows, columns]. Fault `engine-fault` if the engine does not answer."""
    begin_s = perf_counter()
    anatomy = find_anatomy(hu, geometry.pixel_mm)
    found_s = perf_counter()
    image = prepare(hu, geometry.pixel_mm, anatomy, engine.card.input)
    prepared_s = perf_counter()
    answer = engine.backend.run(image)
    answered_s = perf_counter()
    box = head_box(anatomy, engine.card.input)
    return SliceScore(
        logits=answer.logits,
        embedding=answer.embedding,
        heat=_as_8_bit(answer.heat[0]),
        probabilities=calibrated(answer.logits, engine.card),
        box=box,
        peak_rc=_peak(answer, box, geometry),
        has_brain=anatomy.has_brain_in_skull,
        brain_hu=anatomy.brain_median_hu,
        skull_area_mm2=anatomy.skull_area_mm2,
        ms={
            "anatomy": (found_s - begin_s) * 1000,
            "prepare": (prepared_s - found_s) * 1000,
            "engine": (answered_s - prepared_s) * 1000,
        },
    )


def calibrated(logits: NDArray[np.float32] | NDArray[np.float64], card: EngineCard) -> tuple[float, ...]:
    """Probabilities of the six labels: sigmoid(scale * logit + bias), in double precision."""
    scaled = np.asarray(card.calibration_scale) * logits.astype(np.float64) + np.asarray(card.calibration_bias)
    return tuple(float(value) for value in _sigmoid(scaled))


def _sigmoid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1.0 / (1.0 + np.exp(-np.clip(values, -60.0, 60.0)))


def _as_8_bit(heat_logits: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.rint(_sigmoid(heat_logits.astype(np.float64)) * 255).astype(np.uint8)


def _peak(answer: Answer, box: BoxPlace, geometry: SliceGeometry) -> tuple[float, float] | None:
    """The hottest cell of "any" in pixels of the picture; None where it lies outside the picture."""
    heat = answer.heat[0]
    row, column = np.unravel_index(int(heat.argmax()), heat.shape)
    place = heat_cell_to_pixel((float(row), float(column)), heat.shape[0], box, geometry.pixel_mm)
    inside = 0 <= place[0] < geometry.rows and 0 <= place[1] < geometry.columns
    return place if inside else None
