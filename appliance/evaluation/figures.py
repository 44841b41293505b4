"""The figures of an evaluation: ranks, shares, their intervals, calibration. Pure functions over arrays.

AUC: Bamber 1975. Intervals of shares: Wilson 1927. Slices of one patient are alike, so an interval over
slices is drawn by patient.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

DRAWS: Final = 2000
SEED: Final = 0
_DRAWS_AT_ONCE: Final = 200  # bounds the memory: draws x values
_Z95: Final = 1.959963984540054

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """`hits` of `n` with its 95 % interval (Wilson). All None where n is 0."""

    hits: int
    n: int
    share: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """An area under the ROC curve with its 95 % interval over `draws` of patients; None where it is not defined."""

    positive: int
    negative: int
    auc: float | None
    low: float | None
    high: float | None
    draws: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """Answers of like probability: their mean, and the share that was true."""

    mean: float
    true: Share


def auc(scores: ArrayLike, truth: ArrayLike) -> float | None:
    """The chance that a positive scores above a negative, ties half. None without one of each."""
    return _aucs(*_sorted(scores, truth), None)[0]


def area(scores: ArrayLike, truth: ArrayLike, patients: Sequence[str], draws: int = DRAWS) -> Area:
    """The AUC and the middle 95 % of the AUCs of `draws` samples of as many patients, drawn with replacement.

    Each patient brings all of their values. Draws that hold no positive or no negative are left out; below half of them
    no interval is given.
    """
    true = np.asarray(truth, dtype=bool)
    positive = int(np.count_nonzero(true))
    negative = int(true.size) - positive
    value = auc(scores, true)
    if value is None:
        return Area(positive=positive, negative=negative, auc=None, low=None, high=None, draws=0)
    drawn = _drawn(scores, true, patients, draws)
    low, high = np.quantile(drawn, (0.025, 0.975)) if 2 * drawn.size >= draws > 0 else (None, None)
    return Area(
        positive=positive,
        negative=negative,
        auc=value,
        low=None if low is None else float(low),
        high=None if high is None else float(high),
        draws=int(drawn.size),
    )


def _drawn(scores: ArrayLike, truth: Bools, patients: Sequence[str], draws: int) -> Floats:
    names, owner = np.unique(np.asarray(patients, dtype=object).astype(str), return_inverse=True)
    ordered, true, starts = _sorted(scores, truth)
    owner = owner[np.argsort(np.asarray(scores, dtype=np.float64), kind="stable")]
    random = np.random.default_rng(SEED)
    found: list[Floats] = []
    for begin in range(0, draws, _DRAWS_AT_ONCE):
        count = min(_DRAWS_AT_ONCE, draws - begin)
        weights = random.multinomial(names.size, np.full(names.size, 1.0 / names.size), size=count)
        values = _aucs(ordered, true, starts, weights[:, owner].astype(np.float64))
        found.append(np.array([one for one in values if one is not None], dtype=np.float64))
    return np.concatenate(found) if found else np.zeros(0)


def _sorted(scores: ArrayLike, truth: ArrayLike) -> tuple[Floats, Bools, NDArray[np.intp]]:
    """Scores from the lowest, their truth, and where each run of equal scores begins."""
    values, true = np.asarray(scores, dtype=np.float64), np.asarray(truth, dtype=bool)
    if values.ndim != 1 or values.shape != true.shape or not np.isfinite(values).all():
        raise ValueError("scores and truth must be rows of the same length, scores finite")
    order = np.argsort(values, kind="stable")
    values, true = values[order], true[order]
    starts = np.flatnonzero(np.r_[True, values[1:] != values[:-1]]) if values.size else np.zeros(0, dtype=np.intp)
    return values, true, starts


def _aucs(values: Floats, truth: Bools, starts: NDArray[np.intp], weights: Floats | None) -> list[float | None]:
    """The AUC under each row of `weights` [draws, n]: how often each value counts. None for one row of ones."""
    counted = np.ones((1, values.size)) if weights is None else weights
    if not values.size:
        return [None] * len(counted)
    positive = np.add.reduceat(counted * truth, starts, axis=1)
    negative = np.add.reduceat(counted * ~truth, starts, axis=1)
    below = np.cumsum(negative, axis=1) - negative
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    won = (positive * (below + 0.5 * negative)).sum(axis=1)
    return [float(w / p) if p > 0 else None for w, p in zip(won, pairs, strict=True)]


def wilson(hits: int, n: int) -> Share:
    """A share with its 95 % interval."""
    if not 0 <= hits <= n:
        raise ValueError(f"{hits} of {n} is no share")
    if n == 0:
        return Share(hits=0, n=0, share=None, low=None, high=None)
    share = hits / n
    square = _Z95 * _Z95
    middle = (share + square / (2 * n)) / (1 + square / n)
    reach = _Z95 / (1 + square / n) * np.sqrt(share * (1 - share) / n + square / (4 * n * n))
    low = 0.0 if hits == 0 else max(0.0, float(middle - reach))
    high = 1.0 if hits == n else min(1.0, float(middle + reach))
    return Share(hits=hits, n=n, share=share, low=low, high=high)


def calibration(probabilities: ArrayLike, truth: ArrayLike, bins: int = 10, least: int = 10) -> list[Bin]:
    """Bins of as many answers each, `least` or more, from the lowest; equal answers never part."""
    values, true, starts = _sorted(probabilities, truth)
    if not values.size:
        return []
    cuts = [0]
    for wanted in np.linspace(0, values.size, max(1, min(bins, values.size // least)) + 1)[1:-1]:
        cut = int(starts[np.searchsorted(starts, wanted, side="right") - 1])
        if cut > cuts[-1]:
            cuts.append(cut)
    return [
        Bin(mean=float(values[begin:end].mean()), true=wilson(int(true[begin:end].sum()), end - begin))
        for begin, end in zip(cuts, [*cuts[1:], values.size], strict=True)
    ]


def calibration_error(found: Sequence[Bin]) -> float | None:
    """The expected calibration error: the mean distance of said and true over the bins, by their answers."""
    total = sum(one.true.n for one in found)
    if not total:
        return None
    return sum(one.true.n * abs(one.mean - (one.true.share or 0.0)) for one in found) / total


def brier(probabilities: ArrayLike, truth: ArrayLike) -> float | None:
    """The mean square of the distance between what was said and what was true."""
    gaps = np.asarray(probabilities, dtype=np.float64) - np.asarray(truth, dtype=np.float64)
    return float((gaps * gaps).mean()) if gaps.size else None


def curve(scores: ArrayLike, truth: ArrayLike) -> tuple[list[float], list[float]]:
    """The ROC curve from (0, 0) to (1, 1): shares of negatives and of positives at or above each score."""
    _, true, starts = _sorted(scores, truth)
    positive, negative = int(true.sum()), int((~true).sum())
    if not positive or not negative:
        return [], []
    from_top = starts[::-1]
    found = np.cumsum(true[::-1])[true.size - 1 - from_top] / positive
    wrong = np.cumsum(~true[::-1])[true.size - 1 - from_top] / negative
    return [0.0, *map(float, wrong)], [0.0, *map(float, found)]


def predictive(sensitivity: float, specificity: float, prevalence: float) -> tuple[float | None, float | None]:
    """Positive and negative predictive value. None where nothing is flagged, or everything."""
    hit, false = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
    passed, missed = specificity * (1 - prevalence), (1 - sensitivity) * prevalence
    return (hit / (hit + false) if hit + false > 0 else None), (
        passed / (passed + missed) if passed + missed > 0 else None
    )


def overlap(one: Bools, other: Bools) -> float | None:
    """Dice of two masks; None where both are empty."""
    total = int(one.sum()) + int(other.sum())
    return 2.0 * int((one & other).sum()) / total if total else None
