"""The self-test of an engine: pictures whose answers are known, run before it may serve.

`golden.npz` holds `hu` int16 [n, size, size] (head's boxes in HU at the engine's spacing), `logits` float32 [n, 6] and
`heat_sums` float32 [n, 6] (each label's map of logits, summed), as the FP32 model answered when it was exported.
"""

import io
import zipfile
from typing import Final

import numpy as np
from numpy.typing import NDArray

from appliance.core.errors import Fault
from appliance.core.words import LABELS
from appliance.inference.backend import Answer, Backend
from appliance.inference.manifest import ASK_OWNER, GOLDEN, EngineFiles, EngineRefused
from appliance.inference.windows import apply_windows

_UNREADABLE: Final = (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile)


def check_golden(files: EngineFiles, backend: Backend) -> float:
    """The largest distance of an answer from its golden one, in logits.

    A map is held by its mean a cell, so that the manifest's one tolerance means the same for both. EngineRefused with
    `engine-golden-failed` past the tolerance or where the engine does not answer, `engine-fault` for a test that is none.
    """
    crops, logits, heat_means = _golden(files)
    worst = 0.0
    for crop, logit, heat_mean in zip(crops, logits, heat_means, strict=True):
        try:
            answer = backend.run(apply_windows(crop.astype(np.float32), files.card.input)[None])
        except Fault as fault:
            said = f"The engine gives no answer to its test pictures: {fault.message}. {ASK_OWNER}"
            raise EngineRefused("engine-golden-failed", said) from None
        worst = max(worst, _distance(answer, logit, heat_mean))
    if worst > files.tolerance_logit:
        said = (
            f"The engine gives wrong answers to its test pictures: {worst:.3g} off, {files.tolerance_logit:g} allowed"
        )
        raise EngineRefused("engine-golden-failed", f"{said}. {ASK_OWNER}")
    return worst


def _distance(answer: Answer, logits: NDArray[np.float64], heat_means: NDArray[np.float64]) -> float:
    heat = answer.heat.astype(np.float64).mean(axis=(1, 2))
    return float(max(np.abs(answer.logits - logits).max(), np.abs(heat - heat_means).max()))


def _golden(files: EngineFiles) -> tuple[NDArray[np.int16], NDArray[np.float64], NDArray[np.float64]]:
    """Pictures, logits and means of the maps, held against what they must be."""
    try:
        with np.load(io.BytesIO(files.golden), allow_pickle=False) as golden:
            crops, logits, heat_sums = golden["hu"], golden["logits"], golden["heat_sums"]
    except _UNREADABLE as error:
        raise _no_test(f"cannot be read ({type(error).__name__})") from None
    size, (labels, rows, columns) = files.card.input.size, files.outputs.heat_shape
    count = len(crops) if crops.ndim else 0
    if count == 0 or crops.dtype != np.int16 or crops.shape != (count, size, size):
        raise _no_test(f"holds {crops.dtype} {crops.shape}, not int16 pictures of {size} x {size}")
    if logits.shape != (count, len(LABELS)) or heat_sums.shape != (count, labels):
        raise _no_test("does not hold six logits and six sums for each picture")
    logits, heat_means = logits.astype(np.float64), heat_sums.astype(np.float64) / (rows * columns)
    if not (np.isfinite(logits).all() and np.isfinite(heat_means).all()):
        raise _no_test("holds answers that are no numbers")
    return crops, logits, heat_means


def _no_test(what: str) -> EngineRefused:
    return EngineRefused("engine-fault", f"{GOLDEN} {what}. {ASK_OWNER}")
