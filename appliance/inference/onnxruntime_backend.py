"""ONNX Runtime on the processor, batch 1.

One thread, no spinning, and why denormals stay: measured, see docs/decisions/0003-onnxruntime-threads.md.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from appliance.core.errors import Fault
from appliance.core.words import LABELS
from appliance.inference.backend import Answer
from appliance.inference.manifest import ASK_OWNER, EngineFiles, EngineRefused
from appliance.inference.runtime import native, ort

THREADS: Final = 1
"""A second one saves half a millisecond on an idle core, and takes that core from the readers."""

# The runtime has a type of its own for each kind of fault, without one above them all.
RUNTIME_ERRORS: Final[tuple[type[Exception], ...]] = (
    *(kind for kind in vars(native).values() if isinstance(kind, type) and issubclass(kind, Exception)),
    RuntimeError,
    ValueError,
)
_FLOAT: Final = "tensor(float)"


def session_options(threads: int, *, spinning: bool = False, arena: bool = True) -> ort.SessionOptions:
    """Sequential, all optimisations.

    Denormals are left as they are: `session.set_denormal_as_zero` switches them off for the whole calling thread, so
    that numpy's answers there would depend on whether an engine has been loaded.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.use_deterministic_compute = True
    options.enable_cpu_mem_arena = arena
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spinning else "0")
    options.log_severity_level = 4  # its own log would go to stderr; what matters comes as an exception
    return options


class OnnxRuntimeBackend:
    """One engine in this process. Belongs to one thread."""

    def __init__(self, files: EngineFiles, threads: int) -> None:
        """EngineRefused if the model cannot be loaded or has another shape than its manifest says."""
        self._input = files.card.input.name
        self._outputs = [files.outputs.logits, files.outputs.embedding, files.outputs.heat]
        try:
            self._session = ort.InferenceSession(
                files.model, session_options(threads), providers=["CPUExecutionProvider"]
            )
        except RUNTIME_ERRORS as error:
            said = f"The model cannot be loaded ({type(error).__name__}). {ASK_OWNER}"
            raise EngineRefused("engine-fault", said) from None
        _refuse_other_shape(self._session, files)

    @property
    def name(self) -> str:
        """Backend and version."""
        return f"onnxruntime {ort.__version__}"

    @property
    def max_batch(self) -> int:
        """One: on a processor a batch takes as long as its pictures, and another batch gives other bits."""
        return 1

    def run(self, image: NDArray[np.float32]) -> Answer:
        """Answers for float32 [1, channels, size, size]. Fault `engine-fault`; never an answer with no number in it."""
        try:
            logits, embedding, heat = self._session.run(self._outputs, {self._input: image})
        except RUNTIME_ERRORS as error:
            raise Fault("engine-fault", f"the engine did not answer ({type(error).__name__})") from None
        if not (np.isfinite(logits).all() and np.isfinite(heat).all() and np.isfinite(embedding).all()):
            raise Fault("engine-fault", "the engine answered with no number")
        return Answer(logits=logits[0].copy(), embedding=embedding[0].copy(), heat=heat[0].copy())

    def run_many(self, images: NDArray[np.float32]) -> list[Answer]:
        """Answers for float32 [n, channels, size, size], one by one: each bit is what `run` gives."""
        return [self.run(images[index : index + 1]) for index in range(len(images))]

    def close(self) -> None:
        """Gives its memory back. Closing twice is no fault."""
        self._session = None


def _refuse_other_shape(session: Any, files: EngineFiles) -> None:
    spec, outputs = files.card.input, files.outputs
    expected = {
        spec.name: [1, len(spec.windows), spec.size, spec.size],
        outputs.logits: [1, len(LABELS)],
        outputs.embedding: [1, outputs.embedding_size],
        outputs.heat: [1, *outputs.heat_shape],
    }
    inputs = {one.name: one for one in session.get_inputs()}
    if set(inputs) != {spec.name}:
        said = f"The model takes {sorted(inputs)!r:.80}, its manifest says {spec.name!r}. {ASK_OWNER}"
        raise EngineRefused("engine-fault", said)
    found = inputs | {one.name: one for one in session.get_outputs()}
    for name, shape in expected.items():
        if name not in found:
            raise EngineRefused("engine-fault", f"The model has no {name!r:.80}, its manifest names it. {ASK_OWNER}")
        if found[name].shape != shape or found[name].type != _FLOAT:
            said = f"The model's {name} is {found[name].type} {found[name].shape}, its manifest says float {shape}"
            raise EngineRefused("engine-fault", f"{said}. {ASK_OWNER}")
