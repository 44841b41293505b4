"""ONNX Runtime on the processor, batch 1.

Without spinning: worker threads that wait for the next slice in a busy loop take a core from the readers
(docs/decisions/0003-onnxruntime-threads.md holds the measurement).
"""

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from appliance.core.engine import InputSpec
from appliance.core.errors import Fault
from appliance.inference.backend import Answer
from appliance.inference.manifest import EngineFiles, EngineRefused, OutputNames


def session_options(threads: int, *, spinning: bool = False) -> ort.SessionOptions:
    """Sequential, all optimisations, denormals as zero."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spinning else "0")
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    options.log_severity_level = 3
    return options


class OnnxRuntimeBackend:
    """One engine in this process."""

    def __init__(self, files: EngineFiles, threads: int) -> None:
        """EngineRefused if the model cannot be loaded or has another shape than its manifest says."""
        self._outputs = files.outputs
        self._input = files.card.input
        try:
            # From bytes: a model that wants a second file beside it cannot reach one.
            self._session = ort.InferenceSession(
                files.model, session_options(threads), providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # noqa: BLE001  the runtime raises types of its own for each fault of a model
            raise EngineRefused("engine-fault", f"The model cannot be loaded ({type(error).__name__})") from None
        _refuse_other_shape(self._session, files.card.input, files.outputs)

    @property
    def name(self) -> str:
        """Backend and version."""
        return f"onnxruntime {ort.__version__}"

    def run(self, image: NDArray[np.float32]) -> Answer:
        """Answers for float32 [1, channels, size, size]."""
        names = [self._outputs.logits, self._outputs.embedding, self._outputs.heat]
        try:
            logits, embedding, heat = self._session.run(names, {self._input.name: image})
        except Exception as error:  # noqa: BLE001  as above
            raise Fault("engine-fault", f"the engine did not answer ({type(error).__name__})") from None
        if not (np.isfinite(logits).all() and np.isfinite(heat).all() and np.isfinite(embedding).all()):
            raise Fault("engine-fault", "the engine answered with no number")
        return Answer(logits=logits[0].copy(), embedding=embedding[0].copy(), heat=heat[0].copy())

    def close(self) -> None:
        """Gives its memory back."""
        del self._session


def _refuse_other_shape(session: ort.InferenceSession, taken: InputSpec, outputs: OutputNames) -> None:
    channels = len(taken.windows)
    expected = {
        taken.name: [1, channels, taken.size, taken.size],
        outputs.logits: [1, 6],
        outputs.embedding: [1, outputs.embedding_size],
        outputs.heat: [1, *outputs.heat_shape],
    }
    found = {one.name: one.shape for one in (*session.get_inputs(), *session.get_outputs())}
    for name, shape in expected.items():
        if found.get(name) != shape:
            said = f"The model's {name} is {found.get(name)}, its manifest says {shape}"
            raise EngineRefused("engine-changed", said)
