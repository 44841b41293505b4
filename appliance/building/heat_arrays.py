"""Heat maps as arrays: how far those of two engines, or of two slices, agree. Runs on Python 3.10; numpy alone."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

HOT: Final = 128  # of 255, as the rule of early alerts counts


def soft_dice(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """The least soft Dice of two maps [n, h, w] of logits."""
    a, b = sigmoid(one.astype(np.float64)), sigmoid(other.astype(np.float64))
    shared, both = (a * b).sum(axis=(1, 2)), (a * a + b * b).sum(axis=(1, 2))
    return float((2.0 * shared / both).min()) if len(a) else 1.0


def hot_dice(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """The Dice of the cells that are hot, over all maps [n, h, w] of logits. 1: none is."""
    a, b = as_8_bit(one) >= HOT, as_8_bit(other) >= HOT
    hot = int(a.sum() + b.sum())
    return 2.0 * int((a & b).sum()) / hot if hot else 1.0


def overlap(one: NDArray[np.int64], other: NDArray[np.int64], down: int, along: int) -> float:
    """Soft Dice of two maps in 8 bit, the second moved by so many cells; what is moved over the edge meets nothing."""
    rows, columns = one.shape
    moved = np.zeros_like(one)
    if abs(down) < rows and abs(along) < columns:
        moved[max(0, down) : rows + min(0, down), max(0, along) : columns + min(0, along)] = other[
            max(0, -down) : rows - max(0, down), max(0, -along) : columns - max(0, along)
        ]
    total = int((one * one).sum() + (other * other).sum())
    return 2.0 * int((one * moved).sum()) / total if total else 0.0


def as_8_bit(heat: NDArray[np.float32]) -> NDArray[np.int64]:
    """Logits as the appliance keeps them: probabilities, 0 to 255."""
    return np.rint(sigmoid(heat.astype(np.float64)) * 255).astype(np.int64)


def sigmoid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities of logits."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(values, -60.0, 60.0))))
