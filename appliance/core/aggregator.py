"""The exam out of its slices, learned: `exam_rule`, with each slice's logit corrected by what surrounds it. Pure.

A bleed shows at one place of two neighbours; the rim of a skull cut by partial volume, a plexus or a streak mostly does
not. Slices below and above stay apart, so that order counts, and are taken by millimetres, not by index.

A correction is bounded, and made by a hidden layer that only rises with evidence: no weight on logits or overlaps is
negative. So a slice that is more like a bleed never makes an exam less like one. Weights of zero are `exam_rule` itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from appliance.core.exam_rule import log_sum_exp, smoothed
from appliance.core.words import LABELS

Array = NDArray[np.float64]

REACHES_MM: Final = (3.0, 8.0)
NEIGHBOUR_MM: Final = 5.0
"""Maps are laid on that of the slice nearest to so far away: those of neighbours 1 mm apart always agree."""

SEEN: Final = 3
CONTEXT: Final = 5
EVIDENCE: Final = len(LABELS) * (1 + 2 * len(REACHES_MM)) + SEEN
"""How many values of a place speak for a bleed the higher they are: its logits, those about it, and what is seen."""

CORRECTION_MOST: Final = 3.0
SHARPEN_MOST: Final = float(np.log(4.0))

_OWN: Final = 0.05  # weight of a slice itself in the means about it: where nothing is near, they are its own logits
_SCALE: Final = 4.0
_CLIP: Final = 2.5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Surroundings:
    """Of n places of an exam, from the foot, what no calibration changes. All float64. Made by `core.surroundings`.

    `positions_mm` [n], rising; `embedding` [n, e]; `seen` [n, SEEN]: overlap of the heat map with that below and above, hot
    area; `context` [n, CONTEXT]: is there a slice below, above; height and extent of the brain, size of the skull.
    """

    positions_mm: Array
    embedding: Array
    seen: Array
    context: Array


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Aggregator:
    """Learned weights over h hidden units and p projections of an embedding of e; float64.

    `scale`, `bias` [6], `smoothing_mm`, `sharpness`: calibration and rule under which it was trained. Of the hidden layer
    `from_evidence` [EVIDENCE, h] from 0, `from_context` [CONTEXT, h], `from_embedding` [p, h], `hidden_bias` [h]; of the
    projection `mean` [e], `project` [e, p]; of the corrections `correct` [h, 6] from 0. `sharpen` [6]: natural logarithm of
    what sharpness is multiplied by. `width_power`: 0 counts slices, 1 the millimetres they stand for. `offset` [6] of the exam.
    """

    scale: Array
    bias: Array
    smoothing_mm: float
    sharpness: float
    correction_most: float
    from_evidence: Array
    from_context: Array
    from_embedding: Array
    hidden_bias: Array
    mean: Array
    project: Array
    correct: Array
    sharpen: Array
    width_power: float
    offset: Array


def aggregate(weights: Aggregator, logits: Array, around: Surroundings) -> Array:
    """The exam's logits [6] out of calibrated slice logits [n, 6], n at least 1, in the order of `around`."""
    base = smoothed(around.positions_mm, logits, weights.smoothing_mm)
    sharpness = weights.sharpness * np.exp(weights.sharpen)
    width = widths(around.positions_mm) ** weights.width_power
    found = log_sum_exp(base + corrections(weights, logits, around), sharpness, width[:, None])
    return np.asarray(found + weights.offset)


def corrections(weights: Aggregator, logits: Array, around: Surroundings) -> Array:
    """What is added to each slice's smoothed logits, [n, 6], none beyond `correction_most`."""
    embedding = np.tanh(_times(around.embedding - weights.mean, weights.project))
    hidden = np.tanh(
        _times(evidence(logits, around), weights.from_evidence)
        + _times(around.context, weights.from_context)
        + _times(embedding, weights.from_embedding)
        + weights.hidden_bias
    )
    return np.asarray(weights.correction_most * np.tanh(_times(hidden, weights.correct)))


def evidence(logits: Array, around: Surroundings) -> Array:
    """[n, EVIDENCE] of calibrated logits [n, 6]: none falls where a logit rises."""
    gaps_mm = around.positions_mm[:, None] - around.positions_mm[None, :]
    columns = [logits]
    for reach_mm in REACHES_MM:
        near = np.exp(-0.5 * (gaps_mm / reach_mm) ** 2)
        columns += [_mean(np.where(side, near, 0.0), logits) for side in (gaps_mm > 0.0, gaps_mm < 0.0)]
    levels = np.clip(np.concatenate(columns, axis=1) / _SCALE, -_CLIP, _CLIP)
    return np.concatenate([levels, around.seen], axis=1)


def widths(positions_mm: Array) -> Array:
    """[n] of how much of the head each place stands for, in NEIGHBOUR_MM; 1 where slices lie so far apart or farther."""
    half = np.minimum(np.diff(positions_mm), NEIGHBOUR_MM) / (2.0 * NEIGHBOUR_MM)
    return np.asarray(np.concatenate([[0.5], half]) + np.concatenate([half, [0.5]]))


def _mean(near: Array, logits: Array) -> Array:
    """Means of logits [n, 6] by weights [n, n], each slice itself among them a little."""
    total = near.sum(axis=1) + _OWN
    mixed = [(near * logits[None, :, label]).sum(axis=1) for label in range(logits.shape[1])]
    return np.asarray((np.stack(mixed, axis=1) + _OWN * logits) / total[:, None])


def _times(rows: Array, matrix: Array) -> Array:
    """The product of [n, k] and [k, m], summed in one order: a BLAS may add in another on another machine."""
    return np.asarray((rows[:, :, None] * matrix[None, :, :]).sum(axis=1))
