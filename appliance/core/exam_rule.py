"""From the slices of a series to the exam: a smooth maximum over slice logits smoothed along z.

The rule takes millimetres, not indices, so that thickness, gaps and repeats change little; and it sorts first,
so that the same set of slices gives the same answer, bit for bit, in any order of arrival.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from appliance.core.completeness import SAME_PLACE_MM


def exam_logits(
    slice_logits: ArrayLike,
    positions_mm: ArrayLike,
    smoothing_mm: float,
    sharpness: float,
    keys: Sequence[str] | None = None,
) -> NDArray[np.float64]:
    """Return the exam's logits float64 [labels] from slice logits [n, labels] and positions [n] along the normal.

    Each place's logit becomes the Gaussian-weighted mean (sigma `smoothing_mm`) of all slices round it; slices
    at one place (`completeness.SAME_PLACE_MM`: repeats, two reconstructions) count once, with the higher logit. The exam is the
    log-sum-exp over places with `sharpness`; a lone slice keeps its own logit. `keys` (SOP UIDs) order slices at
    one place. Raises ValueError without slices, or where shapes disagree or a value is not finite.
    """
    logits = np.asarray(slice_logits, dtype=np.float64)
    places = np.asarray(positions_mm, dtype=np.float64)
    if logits.ndim != 2 or places.shape != (logits.shape[0],) or places.size == 0:
        raise ValueError("exam_logits needs slice logits [n, labels] and n positions, n at least 1")
    if not (np.isfinite(logits).all() and np.isfinite(places).all()):
        raise ValueError("exam_logits needs finite logits and positions")
    ties = list(keys) if keys is not None else [""] * places.size
    order = sorted(range(places.size), key=lambda i: (places[i], ties[i], tuple(logits[i])))
    places, logits = _one_per_place(places[order], logits[order])
    # A sum, not a mean over all slices: a small bleed counts alike in an exam of 10 slices and in one of 40.
    return log_sum_exp(smoothed(places, logits, smoothing_mm), sharpness)


def smoothed(
    positions_mm: NDArray[np.float64], logits: NDArray[np.float64], smoothing_mm: float
) -> NDArray[np.float64]:
    """Logits [n, labels] of sorted places as Gaussian-weighted means along z; as they are with a sigma of 0."""
    if smoothing_mm <= 0.0 or positions_mm.size == 1:
        return logits
    gaps = (positions_mm[:, None] - positions_mm[None, :]) / smoothing_mm
    weights = np.exp(-0.5 * gaps * gaps)
    # Written as sums over one axis, not as a matrix product: a BLAS may add in another order on another machine.
    total = weights.sum(axis=1)
    mixed = (weights[:, :, None] * logits[None, :, :]).sum(axis=1)
    return np.asarray(mixed / total[:, None], dtype=np.float64)


def log_sum_exp(
    logits: NDArray[np.float64], sharpness: float | NDArray[np.float64], weights: float | NDArray[np.float64] = 1.0
) -> NDArray[np.float64]:
    """A smooth maximum over places of logits [n, labels]; `sharpness` of all or of each label, `weights` [n, 1]."""
    top = logits.max(axis=0)
    total = (weights * np.exp(sharpness * (logits - top))).sum(axis=0)
    return np.asarray(top + np.log(total) / sharpness, dtype=np.float64)


def _one_per_place(
    places: NDArray[np.float64], logits: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    kept_places = [places[0]]
    kept = [logits[0]]
    for place, row in zip(places[1:], logits[1:], strict=True):
        if place - kept_places[-1] < SAME_PLACE_MM:
            kept[-1] = np.maximum(kept[-1], row)
        else:
            kept_places.append(place)
            kept.append(row)
    return np.array(kept_places), np.array(kept)
