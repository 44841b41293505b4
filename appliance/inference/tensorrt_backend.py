"""The TensorRT plan of an engine as a backend: started, asked and ended by way of its child process."""

from hashlib import sha256
from pathlib import Path
from time import monotonic
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from appliance.core.errors import Fault
from appliance.core.words import LABELS
from appliance.inference.backend import Answer
from appliance.inference.golden import GoldenTest
from appliance.inference.gpu_memory import GoldenAnswers
from appliance.inference.gpu_parent import GpuLost, GpuOrder, GpuParent, GpuState
from appliance.inference.gpu_protocol import RUN_S, START_S
from appliance.inference.manifest import EngineFiles
from appliance.inference.plan_files import PlanRefused, plan_stem, read_sidecar

MAX_BATCH: Final = 8


class TensorRtBackend:
    """One plan on one card. Belongs to one thread, which has to stay. Ask `poll` until it is READY."""

    def __init__(self, gpu: GpuParent, max_batch: int) -> None:
        self._gpu = gpu
        self._max_batch = max_batch

    @property
    def gpu(self) -> GpuParent:
        """The child's state, and in words why it does not serve."""
        return self._gpu

    @property
    def name(self) -> str:
        """Backend, version, precision and card; without them as long as it is not ready."""
        facts = self._gpu.facts
        return f"tensorrt {facts['tensorrt']} {facts['precision']} {facts['name']}" if facts else "tensorrt"

    @property
    def max_batch(self) -> int:
        """How many pictures it takes at once."""
        return self._max_batch

    def poll(self, now_s: float) -> GpuState:
        """Where the child stands. Does not wait."""
        return self._gpu.poll(now_s)

    def run(self, image: NDArray[np.float32]) -> Answer:
        """Answers for float32 [1, channels, size, size]. Fault `engine-fault`; never an answer with no number in it."""
        return self.run_many(image)[0]

    def run_many(self, images: NDArray[np.float32]) -> list[Answer]:
        """Answers for float32 [n, channels, size, size], n up to `max_batch`, in their order. Fault `engine-fault`."""
        try:
            found = self._gpu.run(images)
        except GpuLost as lost:
            raise Fault("engine-fault", f"the graphics card did not answer: {lost}") from None
        except ValueError as error:
            raise Fault("engine-fault", f"the graphics card was not asked: {error}") from None
        if not all(np.isfinite(values).all() for values in found.values()):
            raise Fault("engine-fault", "the graphics card answered with no number")
        return [
            Answer(logits=logits, embedding=embedding, heat=heat)
            for logits, embedding, heat in zip(found["logits"], found["embedding"], found["heat"], strict=True)
        ]

    def close(self) -> None:
        """Ends the child. Closing twice is no fault."""
        self._gpu.close()


def start_tensorrt(
    files: EngineFiles,
    golden: GoldenTest,
    *,
    plans: Path,
    python: str,
    precision: str,
    max_batch: int | None = None,
    graphs: bool = True,
    start_s: float = START_S,
    run_s: float = RUN_S,
    now_s: float | None = None,
) -> TensorRtBackend:
    """Starts the plan of this engine in a child and comes back at once. `max_batch`: None for what the plan was built for.

    Never raises for what is wrong with card or plan: `poll` says it.
    """
    batch = max_batch or _built_for(plans, files.card.sha256, precision)
    order = GpuOrder(
        python=python,
        plans=plans,
        wanted={
            "engine_sha256": files.card.sha256,
            "onnx_sha256": sha256(files.model).hexdigest(),
            "precision": precision,
            "max_batch": batch,
        },
        spec=engine_spec(files, batch),
        golden=_answers(golden),
        graphs=graphs,
        start_s=start_s,
        run_s=run_s,
    )
    return TensorRtBackend(GpuParent(order, monotonic() if now_s is None else now_s), batch)


def engine_spec(files: EngineFiles, max_batch: int) -> dict[str, Any]:
    """Names and shapes as `tensorrt_engine.TensorRtEngine` takes them."""
    taken, outputs = files.card.input, files.outputs
    return {
        "max_batch": max_batch,
        "input": {"name": taken.name, "shape": [len(taken.windows), taken.size, taken.size]},
        "outputs": {
            "logits": {"name": outputs.logits, "shape": [len(LABELS)]},
            "embedding": {"name": outputs.embedding, "shape": [outputs.embedding_size]},
            "heat": {"name": outputs.heat, "shape": list(outputs.heat_shape)},
        },
    }


def _answers(golden: GoldenTest) -> GoldenAnswers:
    images, logits, heat_means = golden.prepared()
    return GoldenAnswers(
        images=images,
        logits=logits.astype(np.float32),
        heat_means=heat_means.astype(np.float32),
        tolerance_logit=golden.allowed_logit,
    )


def _built_for(plans: Path, engine_sha256: str, precision: str) -> int:
    """The largest batch of the plan that lies there. The child says what is wrong with one that cannot be read."""
    try:
        most = read_sidecar(plans, plan_stem(engine_sha256, precision)).key.profile[-1]
    except (PlanRefused, IndexError):
        return MAX_BATCH
    return most if isinstance(most, int) and 1 <= most <= 64 else MAX_BATCH
