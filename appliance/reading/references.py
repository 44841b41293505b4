"""Makes the reference of an engine: embeddings of real heads, and the distance past which a scan is unlike them.

Threshold by real scans only: beside drawn heads every real one looks foreign.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from appliance.core.familiar import Embeddings, Familiar, of_length_one, strangeness
from appliance.inference.backend import Backend
from appliance.inference.reference import REFERENCE, TABLE
from appliance.reading.slice_reader import PreparedSlice

NEIGHBOURS: Final = 5
MOST_SLICES: Final = 8000
USUAL_SHARE: Final = 0.995
"""Of the reference's own scans, each held against the others, this share is not unlike them."""


def embeddings_of(slices: Sequence[PreparedSlice], backend: Backend) -> Embeddings:
    """Float32 [m, n] of those of one scan's slices that show brain, in their order."""
    brain = [one.image for one in slices if one.anatomy.has_brain_in_skull]
    found = [
        answer.embedding
        for first in range(0, len(brain), backend.max_batch)
        for answer in backend.run_many(np.concatenate(brain[first : first + backend.max_batch]))
    ]
    return np.stack(found) if found else np.zeros((0, 0), dtype=np.float32)


def familiar_with(scans: Sequence[Embeddings], *, neighbours: int = NEIGHBOURS, seed: int = 0) -> Familiar:
    """The reference of these scans (float32 [m, n] each, of one patient each).

    `most` is the USUAL_SHARE quantile, rounded up to a scan, of how strange each is to the others. ValueError where a
    scan is held against fewer slices than `neighbours`. Of more than MOST_SLICES slices a seeded draw is kept.
    """
    owner = np.repeat(np.arange(len(scans)), [len(scan) for scan in scans])
    every = of_length_one(np.concatenate(scans))
    if len(every) > MOST_SLICES:
        kept = np.sort(np.random.default_rng(seed).permutation(len(every))[:MOST_SLICES])
        every, owner = every[kept], owner[kept]
    alone = []
    for number, scan in enumerate(scans):
        others = every[owner != number]
        if len(others) < neighbours:
            raise ValueError(f"a scan is held against {len(others)} slices of others, {neighbours} are needed")
        alone.append(strangeness(scan, others, neighbours))
    most = float(np.quantile(alone, USUAL_SHARE, method="higher"))
    return Familiar(reference=every, neighbours=neighbours, most=most)


def write_reference(folder: Path, familiar: Familiar) -> str:
    """Writes reference.npz into an engine folder and returns the manifest's table; [files] has to name the file too."""
    np.savez_compressed(folder / REFERENCE, embeddings=familiar.reference.astype(np.float16))
    return f"[{TABLE}]\nneighbours = {familiar.neighbours}\nmost = {familiar.most:.6f}\n"
