"""The self-test of an engine: pictures whose answers are known, run before it may serve."""

import io

import numpy as np
from numpy.typing import NDArray

from appliance.core.engine import InputSpec
from appliance.inference.backend import Backend
from appliance.inference.manifest import EngineFiles, EngineRefused
from appliance.inference.windows import apply_windows


def check_golden(files: EngineFiles, backend: Backend) -> float:
    """The largest distance of a logit from its golden answer. EngineRefused past the manifest's tolerance."""
    try:
        with np.load(io.BytesIO(files.golden), allow_pickle=False) as golden:
            crops, logits = golden["hu"], golden["logits"]
    except (KeyError, ValueError, OSError) as error:
        raise EngineRefused("engine-changed", f"golden.npz cannot be read ({type(error).__name__})") from None
    if len(crops) == 0 or len(crops) != len(logits):
        raise EngineRefused("engine-changed", "golden.npz holds no pictures with answers")
    worst = max(_distance(crop, answer, files.card.input, backend) for crop, answer in zip(crops, logits, strict=True))
    if not worst <= files.tolerance_logit:
        said = (
            f"The engine gives wrong answers to its test pictures: {worst:.3g} off, {files.tolerance_logit:g} allowed"
        )
        raise EngineRefused("engine-golden-failed", said)
    return worst


def _distance(crop: NDArray[np.int16], answer: NDArray[np.float32], spec: InputSpec, backend: Backend) -> float:
    image = apply_windows(crop.astype(np.float32), spec)[None]
    return float(np.abs(backend.run(image).logits - answer).max())
