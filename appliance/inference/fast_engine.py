"""The backend on the graphics card as triage sees it: it starts, it serves, it is lost. What went wrong comes as an error."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from appliance.core.engine_duty import CARD_LOST, FELL_BACK
from appliance.core.errors import Fault
from appliance.inference.backend import Answer, BackendLost, ProcessBackend
from appliance.inference.golden import GoldenTest
from appliance.inference.gpu_parent import GpuState
from appliance.inference.manifest import EngineFiles
from appliance.inference.plan_files import PlanRefused
from appliance.inference.tensorrt_backend import TensorRtBackend, start_tensorrt
from appliance.settings import EngineSettings

START_S: Final = 120.0
"""Until the child is ready: the card wakes, the plan loads, every batch size is warmed up."""
_OF_THE_CARD: Final = "device"


def start_fast(files: EngineFiles, golden: GoldenTest, said: EngineSettings, now_s: float) -> "FastStart":
    """Starts the child by the settings, and comes back at once."""
    backend = start_tensorrt(
        files,
        golden,
        plans=said.plans_folder,
        python=str(said.interpreter),
        precision=said.precision,
        max_batch=said.max_batch,
        start_s=START_S,
        run_s=said.deadline_s,
        now_s=now_s,
    )
    return FastStart(backend)


class FastStart:
    """A child on its way up."""

    def __init__(self, backend: TensorRtBackend) -> None:
        self._backend = backend

    def poll(self, now_s: float) -> ProcessBackend | None:
        """The backend once it is ready, None until then. BackendLost; PlanRefused where another plan could serve."""
        self._backend.poll(now_s)
        if self._backend.gpu.state is GpuState.STARTING:
            return None
        if self._backend.gpu.state is GpuState.READY:
            return FastBackend(self._backend)
        if self._backend.gpu.cured_by_rebuild:
            raise PlanRefused(self._backend.gpu.why)
        raise lost(self._backend)

    def close(self) -> None:
        """Ends the child."""
        self._backend.close()


class FastBackend:
    """A child that serves. Whatever it fails at, it is lost: another one proves itself anew."""

    def __init__(self, backend: TensorRtBackend) -> None:
        self._backend = backend

    @property
    def name(self) -> str:
        """Backend and version."""
        return self._backend.name

    @property
    def max_batch(self) -> int:
        """What its plan takes at once."""
        return self._backend.max_batch

    def run(self, image: NDArray[np.float32]) -> Answer:
        """Answers for float32 [1, channels, size, size]. BackendLost."""
        return self.run_many(image)[0]

    def run_many(self, images: NDArray[np.float32]) -> list[Answer]:
        """Answers for float32 [n, channels, size, size]. BackendLost."""
        try:
            return self._backend.run_many(images)
        except Fault as fault:
            raise lost(self._backend, fault.message) from None

    def check(self, now_s: float) -> None:
        """BackendLost if its process has ended. Does not wait."""
        self._backend.poll(now_s)
        if self._backend.gpu.state is not GpuState.READY:
            raise lost(self._backend)

    def close(self) -> None:
        """Ends the child."""
        self._backend.close()


def lost(backend: TensorRtBackend, said: str = "") -> BackendLost:
    """Why it is lost, and whether the card is."""
    of_the_card = backend.gpu.stuck or backend.gpu.field == _OF_THE_CARD
    return BackendLost(CARD_LOST if of_the_card else FELL_BACK, said or f"the graphics card: {backend.gpu.why}")
