"""How sure a count of false alarms makes: exact bounds of a share, and thresholds that are chosen with one.

Bounds: Clopper and Pearson 1934, one-sided. Thresholds: fixed-sequence testing with the binomial tail, "Learn then
Test" (Angelopoulos, Bates, Candès, Jordan and Lei 2021). Both want cases that are independent and alike: one number for
each exam, never one for each slice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

SURE: Final = 0.95
SHARES: Final = (0.02, 0.01, 0.006)
"""Shares of false alarms that are spoken of: specificity of 98 %, 99 % and 99.4 %."""

_HALVINGS: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """A threshold that `false` of `n` clean cases reach; with certainty `SURE` no larger share than `at_most` does."""

    threshold: float
    n: int
    false: int
    at_most: float


def tail(false: int, n: int, share: float) -> float:
    """The chance of `false` cases or fewer among `n`, each of this chance."""
    if false >= n or share <= 0.0:
        return 1.0
    if share >= 1.0:
        return 0.0
    counts = np.arange(1, false + 1, dtype=np.float64)
    ways = np.concatenate([[0.0], np.cumsum(np.log(n - counts + 1) - np.log(counts))])
    hits = np.arange(false + 1, dtype=np.float64)
    logs = ways + hits * np.log(share) + (n - hits) * np.log1p(-share)
    top = float(logs.max())
    return min(1.0, float(np.exp(top) * np.exp(logs - top).sum()))


def at_most(false: int, n: int, sure: float = SURE) -> float | None:
    """The exact upper bound of a share, from `false` of `n`: it is no higher, with this certainty. None without a case.

    ValueError for a count that is none.
    """
    if not 0 <= false <= n:
        raise ValueError(f"{false} of {n} is no share")
    if n == 0:
        return None
    if false == n:
        return 1.0
    if false == 0:
        return float(-np.expm1(np.log1p(-sure) / n))
    low, high = false / n, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if tail(false, n, middle) > 1.0 - sure else (low, middle)
    return high


def proven_share(false: int, n: int) -> float | None:
    """The smallest of SHARES that `false` of `n` prove. None: not one of them."""
    bound = at_most(false, n)
    return min((share for share in SHARES if bound is not None and bound <= share), default=None)


def cases_needed(false: int, share: float, sure: float = SURE) -> int:
    """The least number of clean cases, `false` among them false alarms, that prove a share of `share` or less."""
    enough = false + 1
    while tail(false, enough, share) > 1.0 - sure:
        enough *= 2
    few = false
    while enough - few > 1:
        middle = (few + enough) // 2
        few, enough = (few, middle) if tail(false, middle, share) <= 1.0 - sure else (middle, enough)
    return enough


def learn_then_test(
    maxima: Sequence[float], thresholds: Sequence[float], share: float, sure: float = SURE
) -> Tested | None:
    """The last of falling `thresholds` such that it and all before it are proven to be reached by `share` or less.

    `maxima`: of each clean case the highest value that it ever shows; it is a false alarm where that is a threshold or
    more. The thresholds have to be chosen without a look at these cases: then the certainty holds for the one that is
    picked. None where not even the first is proven. ValueError for thresholds that do not fall.
    """
    ordered = np.sort(np.asarray(maxima, dtype=np.float64))
    steps = np.asarray(thresholds, dtype=np.float64)
    if (np.diff(steps) >= 0).any():
        raise ValueError("thresholds must fall")
    n = int(ordered.size)
    counts = n - np.searchsorted(ordered, steps, side="left")
    # Fewer false alarms prove a smaller share, and the counts only rise: what fails first, fails from there on.
    proven = {false: n > 0 and tail(false, n, share) <= 1.0 - sure for false in set(counts.tolist())}
    last = sum(proven[false] for false in counts.tolist()) - 1
    bound = at_most(int(counts[last]), n, sure) if last >= 0 else None
    if bound is None:
        return None
    return Tested(threshold=float(steps[last]), n=n, false=int(counts[last]), at_most=bound)
