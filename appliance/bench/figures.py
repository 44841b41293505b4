"""Latencies as figures: percentiles, never a mean alone, and the counts that a histogram is drawn from.

Runs on Python 3.10 with numpy 1.26 too.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

NS_PER_MS: Final = 1_000_000
BINS: Final = 32
_WIDEST: Final = 1.001
"""A histogram of equal values still needs a width."""


def figures(values_ms: Sequence[float]) -> dict[str, Any]:
    """What is kept of measured milliseconds: n, min, p50, p95, p99, max and a histogram with edges by ratio.

    ValueError for no value at all: what was not measured has no figures.
    """
    if not len(values_ms):
        raise ValueError("no value was measured")
    values = np.asarray(values_ms, dtype=np.float64)
    p50, p95, p99 = (float(value) for value in np.percentile(values, (50, 95, 99)))
    return {
        "n": len(values),
        "min_ms": float(values.min()),
        "p50_ms": p50,
        "p95_ms": p95,
        "p99_ms": p99,
        "max_ms": float(values.max()),
        "histogram": _histogram(values),
    }


def _histogram(values: "np.ndarray[Any, np.dtype[np.float64]]") -> dict[str, Any]:
    positive = np.maximum(values, 1e-6)
    low, high = float(positive.min()), float(positive.max())
    edges = np.geomspace(low / _WIDEST, high * _WIDEST, BINS + 1)
    counts, _ = np.histogram(positive, bins=edges)
    return {"edges_ms": [float(edge) for edge in edges], "counts": [int(count) for count in counts]}


def row(row_id: str, said: str, values_ms: Sequence[float], **more: Any) -> dict[str, Any]:
    """A measured row. `row_id` is the same in every run, so that two documents can be compared."""
    return {"id": row_id, "said": said, **figures(values_ms), **more}


def timed(
    call: Callable[[], object],
    *,
    runs: int,
    within_s: float,
    warm_up: int = 3,
    done: Callable[[int], None] = lambda _: None,
) -> list[float]:
    """Milliseconds of each call by the clock, `warm_up` calls before it left out.

    Ends after `runs` calls, or when `within_s` has passed; one call is always measured. `done` hears how many more.
    """
    for _ in range(warm_up):
        call()
    found: list[float] = []
    told = 0
    end_s = time.perf_counter() + within_s
    while len(found) < runs and (not found or time.perf_counter() < end_s):
        begin_ns = time.perf_counter_ns()
        call()
        found.append((time.perf_counter_ns() - begin_ns) / NS_PER_MS)
        if len(found) - told >= 50:
            done(len(found) - told)
            told = len(found)
    done(len(found) - told)
    return found


def ratio(now: Mapping[str, Any], earlier: Mapping[str, Any], name: str) -> "float | None":
    """How many times the earlier figure this one is; None where there is nothing to divide by."""
    before = earlier.get(name)
    return float(now[name]) / float(before) if before else None
