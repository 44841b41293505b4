"""The self-test of an engine: pictures whose answers are known, run before it may serve, and while it serves.

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
from appliance.inference.backend import Answer, Backend, BackendLost
from appliance.inference.manifest import ASK_OWNER, GOLDEN, EngineFiles, EngineRefused
from appliance.inference.plan_files import LOGIT_MOST
from appliance.inference.windows import apply_windows

_UNREADABLE: Final = (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile)


class GoldenTest:
    """The pictures and answers of one engine, asked one by one, so that a loop can do other work between two of them.

    A map is held by its mean a cell, so that one tolerance in logits means the same for both.
    """

    def __init__(self, files: EngineFiles, allowed_logit: float) -> None:
        """EngineRefused `engine-fault` for a test that is none."""
        self._crops, self._logits, self._heat_means = _golden(files)
        self._input = files.card.input
        self.allowed_logit = allowed_logit

    def __len__(self) -> int:
        return len(self._crops)

    def prepared(self) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float64]]:
        """The engine's inputs [n, channels, size, size], and what it must answer: logits [n, 6], means of the maps [n, 6]."""
        images = np.stack([apply_windows(crop.astype(np.float32), self._input) for crop in self._crops])
        return images, self._logits, self._heat_means

    def hold(self, index: int, backend: Backend) -> float:
        """The distance of the answer to this picture from the golden one, in logits.

        EngineRefused `engine-golden-failed` past what is allowed; the backend's Fault where it does not answer.
        """
        answer = backend.run(apply_windows(self._crops[index].astype(np.float32), self._input)[None])
        distance = _distance(answer, self._logits[index], self._heat_means[index])
        if not distance <= self.allowed_logit:
            off = f"{distance:.3g} off, {self.allowed_logit:g} allowed"
            said = f"The engine gives wrong answers to its test pictures: {off}. {ASK_OWNER}"
            raise EngineRefused("engine-golden-failed", said)
        return distance

    def hold_all(self, backend: Backend) -> float:
        """The largest distance. EngineRefused as `hold`, and where there is no answer; BackendLost."""
        try:
            return max(self.hold(index, backend) for index in range(len(self)))
        except (EngineRefused, BackendLost):
            raise
        except Fault as fault:
            said = f"The engine gives no answer to its test pictures: {fault.message}. {ASK_OWNER}"
            raise EngineRefused("engine-golden-failed", said) from None


def check_golden(files: EngineFiles, backend: Backend) -> float:
    """The largest distance of an answer from its golden one, in logits, by the tolerance of the manifest."""
    return GoldenTest(files, files.tolerance_logit).hold_all(backend)


def allowed_logit(files: EngineFiles, precision: str) -> float:
    """How far a plan of this precision may be off: in FP16 as far as the parity gate let it, else as the manifest says."""
    return max(LOGIT_MOST, files.tolerance_logit) if precision == "fp16" else files.tolerance_logit


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
