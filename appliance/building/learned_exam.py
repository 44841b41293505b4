"""The learned aggregator as arrays: what `core.aggregator` and `core.surroundings` make of an exam.

Runs on Python 3.10; the standard library and numpy alone. So its numbers stand here a second time; the gate on the
processor holds both against each other each time (`cpu_gate`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from appliance.building.heat_arrays import HOT, overlap

Array = NDArray[np.float64]
Beside = tuple[int, int, int]

_REACHES_MM: Final = (3.0, 8.0)
_NEIGHBOUR_MM: Final = 5.0
_OWN: Final = 0.05
_SCALE: Final = 4.0
_CLIP: Final = 2.5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Learned:
    """The weights, by the names of `core.aggregator.Aggregator`; all float64."""

    scale: Array
    bias: Array
    smoothing_mm: Array
    sharpness: Array
    correction_most: Array
    from_evidence: Array
    from_context: Array
    from_embedding: Array
    hidden_bias: Array
    mean: Array
    project: Array
    correct: Array
    sharpen: Array
    width_power: Array
    offset: Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What pixels alone decide of n places that count, from the foot.

    `below`, `above`: the place whose map is laid on it (from 0; -1: none is near), and how many cells (rows, columns) the
    upper of the two maps lies from the lower; `cell_mm`: how wide a cell is; `context`: as `core.aggregator` takes it.
    """

    below: tuple[Beside, ...]
    above: tuple[Beside, ...]
    cell_mm: tuple[float, ...]
    context: tuple[tuple[float, ...], ...]

    @classmethod
    def from_dict(cls, held: Mapping[str, Any]) -> "Around":
        """Out of JSON. KeyError, IndexError or TypeError for what is none."""
        return cls(
            below=tuple((one[0], one[1], one[2]) for one in held["below"]),
            above=tuple((one[0], one[1], one[2]) for one in held["above"]),
            cell_mm=tuple(held["cell_mm"]),
            context=tuple(tuple(one) for one in held["context"]),
        )


def learned_logits(
    weights: Learned, raw: Array, embedding: Array, maps: NDArray[np.int64], positions_mm: Array, around: Around
) -> Array:
    """The exam's logits [6], as the aggregator was trained, of slices' raw logits [n, 6], embeddings [n, e] and maps
    of "any" in 8 bit [n, h, w], rising in position, n at least 1."""
    logits = weights.scale * raw + weights.bias
    base = smoothed(logits, positions_mm, float(weights.smoothing_mm))
    told = np.concatenate([_levels(logits, positions_mm), _seen(maps, around)], axis=1)
    hidden = np.tanh(
        told @ weights.from_evidence
        + np.array(around.context) @ weights.from_context
        + np.tanh((embedding - weights.mean) @ weights.project) @ weights.from_embedding
        + weights.hidden_bias
    )
    corrected = base + weights.correction_most * np.tanh(hidden @ weights.correct)
    widths = _widths(positions_mm) ** weights.width_power
    found = log_sum_exp(corrected, weights.sharpness * np.exp(weights.sharpen), widths[:, None])
    return np.asarray(found + weights.offset)


def smoothed(logits: Array, positions_mm: Array, smoothing_mm: float) -> Array:
    """Logits [n, 6] as Gaussian means along z; as they are with a sigma of 0."""
    if smoothing_mm <= 0.0 or len(positions_mm) == 1:
        return logits
    gaps = (positions_mm[:, None] - positions_mm[None, :]) / smoothing_mm
    near = np.exp(-0.5 * gaps * gaps)
    return np.asarray((near[:, :, None] * logits[None]).sum(axis=1) / near.sum(axis=1)[:, None])


def log_sum_exp(logits: Array, sharpness: float | Array, weights: float | Array = 1.0) -> Array:
    """A smooth maximum over logits [n, 6]; `sharpness` of all or of each, `weights` [n, 1]."""
    top = logits.max(axis=0)
    return np.asarray(top + np.log((weights * np.exp(sharpness * (logits - top))).sum(axis=0)) / sharpness)


def _levels(logits: Array, positions_mm: Array) -> Array:
    """Own logits, and means of those below and above, [n, 6 * 5]."""
    gaps_mm = positions_mm[:, None] - positions_mm[None, :]
    columns = [logits]
    for reach_mm in _REACHES_MM:
        near = np.exp(-0.5 * (gaps_mm / reach_mm) ** 2)
        for side in (gaps_mm > 0.0, gaps_mm < 0.0):
            of_side = np.where(side, near, 0.0)
            columns.append((of_side @ logits + _OWN * logits) / (of_side.sum(axis=1) + _OWN)[:, None])
    return np.asarray(np.clip(np.concatenate(columns, axis=1) / _SCALE, -_CLIP, _CLIP))


def _seen(maps: NDArray[np.int64], around: Around) -> Array:
    """Overlap with the map below and above, and hot area, [n, 3]."""
    below = [overlap(maps[j], maps[i], *by) if j >= 0 else 0.0 for i, (j, *by) in enumerate(around.below)]
    above = [overlap(maps[i], maps[j], *by) if j >= 0 else 0.0 for i, (j, *by) in enumerate(around.above)]
    hot_cm2 = np.count_nonzero(maps >= HOT, axis=(1, 2)) * np.array(around.cell_mm) ** 2 / 100.0
    return np.array([below, above, np.log1p(hot_cm2)]).T


def _widths(positions_mm: Array) -> Array:
    half = np.minimum(np.diff(positions_mm), _NEIGHBOUR_MM) / (2.0 * _NEIGHBOUR_MM)
    return np.asarray(np.concatenate([[0.5], half]) + np.concatenate([half, [0.5]]))
