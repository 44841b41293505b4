"""An exam as it may stand while it lands, or come from another scanner: prefixes, gaps, wider steps, random slices, upside down.

What the aggregator is trained on. Order of arrival needs no drawing: slices are sorted before they are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from appliance.core.aggregator import Surroundings
from appliance.core.evidence import near_brain, scored_of
from appliance.core.surroundings import surroundings
from appliance.training.scored_exams import ScoredExam, truth_of

NOISE = 0.5
"""SD of what is added to each slice's logits: of the patients that it has met, a network is a little too sure."""

SHARED_NOISE = 0.3
"""SD of what is added to all slices of an exam alike."""

_HOW = ("whole", "prefix", "gap", "wider", "some")
_OFTEN = (0.3, 0.25, 0.2, 0.15, 0.1)
_FLIPPED = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """`logits` float64 [n, 6] of the slices that count, not calibrated; `around` them; `truth` int8 [6] of the exam."""

    logits: NDArray[np.float64]
    around: Surroundings
    truth: NDArray[np.int8]


def whole(exam: ScoredExam, neighbour_mm: float) -> Variant | None:
    """The exam as it is; None where no slice counts."""
    return _variant(exam, np.arange(len(exam.rows)), neighbour_mm)


def drawn(rng: np.random.Generator, exam: ScoredExam, neighbour_mm: float) -> Variant | None:
    """Some of an exam's slices, their logits made less sure; None where none of them counts."""
    found = _variant(exam, _some(rng, len(exam.rows)), neighbour_mm)
    if found is None:
        return None
    noise = rng.normal(0.0, NOISE, found.logits.shape) + rng.normal(0.0, SHARED_NOISE, found.logits.shape[1])
    found = replace(found, logits=found.logits + noise)
    return upside_down(found) if rng.random() < _FLIPPED else found


def upside_down(one: Variant) -> Variant:
    """The same with foot and head changed round."""
    around = one.around
    context = around.context[::-1][:, [1, 0, 2, 3, 4]].copy()
    context[:, 2] = 1.0 - context[:, 2]
    turned = Surroundings(
        positions_mm=-around.positions_mm[::-1],
        embedding=around.embedding[::-1],
        seen=around.seen[::-1][:, [1, 0, 2]],
        context=context,
    )
    return replace(one, logits=one.logits[::-1], around=turned)


def _some(rng: np.random.Generator, count: int) -> NDArray[np.int64]:
    """Indices of slices, rising, at least one."""
    every = np.arange(count)
    how = rng.choice(_HOW, p=_OFTEN)
    if how == "prefix":
        length = int(rng.integers(1, count + 1))
        return every[:length] if rng.random() < 0.5 else every[count - length :]
    if how == "gap":
        length = int(rng.integers(1, max(2, count // 3)))
        first = int(rng.integers(0, count - length + 1))
        kept = np.delete(every, np.s_[first : first + length])
        return kept if kept.size else every
    if how == "wider":
        step = int(rng.integers(2, 4))
        return every[int(rng.integers(0, min(step, count))) :: step]
    if how == "some":
        kept = every[rng.random(count) < rng.uniform(0.15, 0.95)]
        return kept if kept.size else every[rng.integers(0, count, 1)]
    return every


def _variant(exam: ScoredExam, indices: Sequence[int] | NDArray[np.int64], neighbour_mm: float) -> Variant | None:
    places = near_brain([exam.rows[int(i)] for i in indices], neighbour_mm)
    if not places:
        return None
    return Variant(
        logits=np.stack([scored_of(row).logits for row in places]).astype(np.float64),
        around=surroundings(places),
        truth=truth_of(exam.truth[np.asarray(indices)]),
    )
