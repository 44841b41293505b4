"""How far a scan lies from those that an engine knows: distances between embeddings. Pure, numpy alone.

The k-th nearest of real reference embeddings, each scaled to length 1 (Sun et al. 2022, deep nearest neighbours; on
pooled medical features nearest neighbours beat Mahalanobis distances). Scores of the network say nothing here: it may
be sure of an artefact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Embeddings = NDArray[np.float32]
_ROWS_AT_ONCE: Final = 64  # of distances to all references: some megabytes


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Familiar:
    """What an engine knows: `reference` float32 [m, n], length 1 each. A scan farther than `most` is unlike them."""

    reference: Embeddings
    neighbours: int
    most: float


def of_length_one(embeddings: Embeddings) -> Embeddings:
    """Embeddings [m, n] scaled to length 1; one of length 0 stays."""
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    return np.asarray(embeddings / np.maximum(lengths, np.float32(1e-12)), dtype=np.float32)


def distances(embeddings: Embeddings, reference: Embeddings, neighbours: int) -> NDArray[np.float64]:
    """Float64 [m]: how far each embedding [m, n] lies from its `neighbours`-th nearest of the reference [r, n]; 0 to 2.

    `reference` is of length 1 and has at least so many.
    """
    wanted = of_length_one(embeddings)
    found = []
    for first in range(0, len(wanted), _ROWS_AT_ONCE):
        likeness = wanted[first : first + _ROWS_AT_ONCE] @ reference.T
        nearest = -np.partition(-likeness, neighbours - 1, axis=1)[:, neighbours - 1]
        found.append(np.sqrt(np.maximum(0.0, 2.0 - 2.0 * nearest.astype(np.float64))))
    return np.concatenate(found) if found else np.zeros(0)


def strangeness(embeddings: Sequence[Embeddings] | Embeddings, reference: Embeddings, neighbours: int) -> float:
    """Of one scan: the median over its slices' distances, so that one odd slice makes no scan strange. 0 without slices."""
    if len(embeddings) == 0:
        return 0.0
    return float(np.median(distances(np.stack([*embeddings]), reference, neighbours)))
