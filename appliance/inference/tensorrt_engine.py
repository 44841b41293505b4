"""A TensorRT plan on one graphics card: the one module of this room with tensorrt and pycuda.

Import it only where `driver.probe` has shown a card: without one TensorRT ends the process. One code for TensorRT 8.6,
10 and 11. Runs on Python 3.10; the standard library, numpy, tensorrt and pycuda alone.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter, sleep
from typing import Any, Final

import numpy as np
import pycuda.driver as cuda
import tensorrt as trt
from numpy.typing import NDArray

from appliance.inference.cuda_graph import CapturedWork, NoGraph
from appliance.inference.gpu_protocol import RUN_S
from appliance.inference.plan_files import PlanRefused

log = logging.getLogger(__name__)

_FIRST_RUN_S: Final = 30.0  # of a batch size: its kernels are brought to the card then
_SPIN_S: Final = 0.002  # a run is shorter: asking without a pause saves what a sleep oversleeps
_PAUSE_S: Final = 0.0001
_NON_BLOCKING: Final = 1  # CU_STREAM_NON_BLOCKING: nothing on the default stream makes ours wait
_PROFILE: Final = 0  # the plan has one
_ERRORS_KEPT: Final = 4
_BUILD: Final = "Build the plan anew: python build_engine.py"
_OF_THE_CARD: Final = ("out of memory", "outofmemory", "cuda runtime", "cuda driver", "cuda error")
"""What TensorRT says where the card is at fault, in any letters: another plan would not help."""

_lost: Final[list["TensorRtEngine"]] = []  # never freed: on a card that has failed even that may hang


class EngineLost(Exception):
    """The card or TensorRT failed. The message says what.

    Nothing of this process may use the card again. Leave it by `os._exit`: what it holds was not freed, since that may hang.
    """


class EngineHung(EngineLost):
    """The card has not answered within the deadline."""


class BridgedLog(trt.ILogger):  # type: ignore[misc]
    """What TensorRT says goes to our log. It calls from several threads. Keeps the last errors: they are the reason."""

    def __init__(self) -> None:
        trt.ILogger.__init__(self)
        self._levels = {
            trt.ILogger.Severity.INTERNAL_ERROR: logging.ERROR,
            trt.ILogger.Severity.ERROR: logging.ERROR,
            trt.ILogger.Severity.WARNING: logging.WARNING,
            trt.ILogger.Severity.INFO: logging.DEBUG,
            trt.ILogger.Severity.VERBOSE: logging.DEBUG,
        }
        self.errors: deque[str] = deque(maxlen=_ERRORS_KEPT)

    def log(self, severity: Any, msg: str) -> None:
        """Called by TensorRT."""
        level = self._levels.get(severity, logging.WARNING)
        if level == logging.ERROR:
            self.errors.append(msg)
        log.log(level, "TensorRT says", extra={"facts": {"said": msg}})

    def last_words(self) -> str:
        """The errors since the last call, in one line."""
        words = "; ".join(" ".join(error.split())[:300] for error in self.errors)
        self.errors.clear()
        return words or "TensorRT does not say why"


def device_facts(device: int = 0) -> dict[str, Any]:
    """The card and what drives it: what a plan is bound to. EngineLost if the card does not answer."""
    try:
        cuda.init()
        card = cuda.Device(device)
        major, minor = card.compute_capability()
        return {
            "name": card.name(),
            "compute_capability": f"{major}.{minor}",
            "sm_count": card.get_attribute(cuda.device_attribute.MULTIPROCESSOR_COUNT),
            "memory_bytes": card.total_memory(),
            "tensorrt": trt.__version__,
            "strongly_typed": hasattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED"),
            "driver": _cuda_version(cuda.get_driver_version()),
        }
    except cuda.Error as error:
        raise EngineLost(f"the card cannot be asked: {error}") from None


def batch_sizes(max_batch: int) -> list[int]:
    """The sizes that are made ready: powers of two, and the largest. A batch between two takes the next larger."""
    return sorted({*(1 << power for power in range(max_batch.bit_length()) if 1 << power <= max_batch), max_batch})


class _Buffer:
    """One tensor at the largest batch: pinned memory here, memory of the card there. Addresses never change."""

    def __init__(self, name: str, shape: tuple[int, ...]) -> None:
        self.name = name
        self.host: NDArray[np.float32] | None = cuda.pagelocked_empty(shape, np.float32)
        assert self.host is not None
        self.host.fill(0)
        self.card = cuda.mem_alloc(self.host.nbytes)

    def rows(self, count: int) -> NDArray[np.float32]:
        assert self.host is not None
        return self.host[:count]

    def free(self) -> None:
        self.host = None
        self.card.free()


class _Lane:
    """One batch size with an execution context of its own: a captured graph holds good for one shape of one context."""

    def __init__(self, size: int, context: Any) -> None:
        self.size = size
        self.context = context
        self.graph: CapturedWork | None = None


class TensorRtEngine:
    """One plan, ready to answer. Belongs to the thread that made it.

    `spec`: {"max_batch": 8, "input": {"name": "image", "shape": [3, 224, 224]}, "outputs": {"logits": {"name": "logits",
    "shape": [6]}, ...}}, shapes without the batch. All of it float32 outside, whatever the plan computes in.
    """

    def __init__(
        self, plan: bytes, spec: Mapping[str, Any], *, graphs: bool = True, device: int = 0, run_s: float = RUN_S
    ) -> None:
        """PlanRefused if the plan is not what `spec` says, EngineLost if card or TensorRT fails."""
        self.no_graph = "" if graphs else "switched off"  # why batches go without a CUDA graph, else empty
        self._max_batch: int = spec["max_batch"]
        self._patience_s = max(run_s, _FIRST_RUN_S)
        self._log = BridgedLog()  # outlives all that is made with it
        self._undo: list[Callable[[], None]] = []  # in the order of making
        try:
            with self._or_lost():
                self._take_card(device)
                self._load(plan)
                self._refuse_other_shape(spec)
                self._allot(spec)
                self._lanes = [self._lane(size, spec) for size in batch_sizes(self._max_batch)]
                for lane in self._lanes:
                    self._warm(lane)
                self._patience_s = run_s
        except PlanRefused:
            self.close()
            raise

    @property
    def max_batch(self) -> int:
        """How many pictures it takes at once."""
        return self._max_batch

    @property
    def captured(self) -> dict[int, bool]:
        """Of each batch size that is ready, whether it runs as a CUDA graph."""
        return {lane.size: lane.graph is not None for lane in self._lanes}

    def run(self, images: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Answers for float32 [n, channels, size, size], n up to `max_batch`: of each output [n, ...], the caller's own.

        ValueError for another shape. EngineLost, EngineHung.
        """
        count = len(images)
        if not 1 <= count <= self._max_batch or images.shape[1:] != self._image.rows(1).shape[1:]:
            raise ValueError(f"pictures {images.shape} do not fit into {self._image.rows(self._max_batch).shape}")
        lane = next(lane for lane in self._lanes if lane.size >= count)
        self._image.rows(count)[...] = images
        with self._or_lost():
            self._launch(lane)
            self._wait()
        return {name: buffer.rows(count).copy() for name, buffer in self._answers.items()}

    def close(self) -> None:
        """Frees all of it, the last made first. Closing twice is no fault. Belongs to the same thread as the rest."""
        while self._undo:
            try:
                self._undo.pop()()
            except cuda.Error as error:
                log.warning("the card did not take back its memory", extra={"facts": {"said": str(error)}})

    @contextmanager
    def _or_lost(self) -> Iterator[None]:
        """What fails here comes out as EngineLost, and the engine is kept for good: nothing may free it by chance."""
        try:
            yield
        except (cuda.Error, EngineLost) as error:
            _lost.append(self)
            raise error if isinstance(error, EngineLost) else EngineLost(f"CUDA: {error}") from None

    def _take_card(self, device: int) -> None:
        """The primary context is the one that TensorRT works in; this thread keeps it current."""
        cuda.init()
        self._context = cuda.Device(device).retain_primary_context()
        self._context.push()
        # By name: pycuda's destructor takes a primary context for one of its own, and releases the wrong thing.
        self._undo.append(self._context.detach)
        self._stream = cuda.Stream(_NON_BLOCKING)
        self._undo.append(lambda: setattr(self, "_stream", None))
        self._done = cuda.Event(cuda.event_flags.DISABLE_TIMING)
        self._undo.append(lambda: setattr(self, "_done", None))

    def _load(self, plan: bytes) -> None:
        try:
            self._runtime = trt.Runtime(self._log)
        except (TypeError, RuntimeError) as error:  # so it says that the library gave it nothing
            raise EngineLost(f"TensorRT does not start: {error}; {self._log.last_words()}") from None
        self._undo.append(lambda: setattr(self, "_runtime", None))
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        self._undo.append(lambda: setattr(self, "_engine", None))
        if self._engine is None:
            words = self._log.last_words()
            if any(sign in words.lower() for sign in _OF_THE_CARD):
                raise EngineLost(f"the card cannot take the plan: {words}. nvidia-smi says who else uses it")
            raise PlanRefused(f"TensorRT {trt.__version__} cannot load the plan: {words}. {_BUILD}")

    def _refuse_other_shape(self, spec: Mapping[str, Any]) -> None:
        """Names, directions, types and shapes, and the batches that the plan was built for."""
        expected = {spec["input"]["name"]: (trt.TensorIOMode.INPUT, (-1, *spec["input"]["shape"]))}
        for output in spec["outputs"].values():
            expected[output["name"]] = (trt.TensorIOMode.OUTPUT, (-1, *output["shape"]))
        names = {self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)}
        if names != set(expected):
            raise PlanRefused(f"The plan has the tensors {sorted(names)}, needed are {sorted(expected)}. {_BUILD}")
        for name, (mode, shape) in expected.items():
            found = tuple(self._engine.get_tensor_shape(name))
            fits = found == shape or (self._max_batch == 1 and found == (1, *shape[1:]))
            if self._engine.get_tensor_mode(name) != mode or not fits:
                raise PlanRefused(f"The plan's {name} is {found}, needed is {mode.name.lower()} {shape}. {_BUILD}")
            kind = self._engine.get_tensor_dtype(name)
            if kind != trt.DataType.FLOAT:
                raise PlanRefused(f"The plan's {name} is of type {kind.name}, needed is FLOAT. {_BUILD}")
        profile = self._engine.get_tensor_profile_shape(spec["input"]["name"], _PROFILE)
        least, _, most = (dims[0] for dims in profile)
        if least > 1 or most < self._max_batch:
            raise PlanRefused(f"The plan takes {least} to {most} slices, needed are 1 to {self._max_batch}. {_BUILD}")

    def _allot(self, spec: Mapping[str, Any]) -> None:
        """All memory at the start, none later."""
        self._image = self._buffer(spec["input"])
        self._answers = {name: self._buffer(output) for name, output in spec["outputs"].items()}

    def _buffer(self, tensor: Mapping[str, Any]) -> _Buffer:
        buffer = _Buffer(tensor["name"], (self._max_batch, *tensor["shape"]))
        self._undo.append(buffer.free)
        return buffer

    def _lane(self, size: int, spec: Mapping[str, Any]) -> _Lane:
        """No name here holds the context itself: it has to end before the card is given back, whatever goes wrong."""
        lane = _Lane(size, self._engine.create_execution_context())
        self._undo.append(lambda: setattr(lane, "context", None))
        if lane.context is None:
            raise EngineLost(f"TensorRT gives no context for {size} slices: {self._log.last_words()}")
        if lane.context.active_optimization_profile != _PROFILE:
            taken = lane.context.set_optimization_profile_async(_PROFILE, self._stream.handle)
            self._must(taken, f"its own profile for {size} slices")
            self._finish()
        taken = lane.context.set_input_shape(spec["input"]["name"], (size, *spec["input"]["shape"]))
        self._must(taken, f"{size} slices")
        for buffer in (self._image, *self._answers.values()):
            taken = lane.context.set_tensor_address(buffer.name, int(buffer.card))
            self._must(taken, f"an address for {buffer.name}")
        return lane

    def _must(self, answered: bool, what: str) -> None:
        if not answered:
            raise PlanRefused(f"The plan does not take {what}: {self._log.last_words()}. {_BUILD}")

    def _warm(self, lane: _Lane) -> None:
        """The first run of a shape makes TensorRT finish its work on it: only then can it be captured."""
        self._enqueue(lane)
        self._finish()
        if self.no_graph:
            return
        try:
            lane.graph = CapturedWork(self._stream.handle, lambda: self._enqueue(lane))
        except (NoGraph, EngineLost, cuda.Error) as error:
            self.no_graph = f"batch of {lane.size}: {error}"
            log.warning("no CUDA graph", extra={"facts": {"said": self.no_graph}})
            return
        self._undo.append(lane.graph.close)

    def _launch(self, lane: _Lane) -> None:
        if lane.graph is None:
            self._enqueue(lane)
        elif code := lane.graph.launch():
            raise EngineLost(f"CUDA: the graph of {lane.size} slices cannot be launched (code {code})")
        self._done.record(self._stream)

    def _enqueue(self, lane: _Lane) -> None:
        """Copies, inference and copies back, none of them waited for."""
        cuda.memcpy_htod_async(self._image.card, self._image.rows(lane.size), self._stream)
        if not lane.context.execute_async_v3(self._stream.handle):
            raise EngineLost(f"TensorRT does not run {lane.size} slices: {self._log.last_words()}")
        for buffer in self._answers.values():
            cuda.memcpy_dtoh_async(buffer.rows(lane.size), buffer.card, self._stream)

    def _finish(self) -> None:
        self._done.record(self._stream)
        self._wait()

    def _wait(self) -> None:
        """Asks rather than waits: a call that waits for a hung card never comes back."""
        begin_s = perf_counter()
        while not self._done.query():
            waited_s = perf_counter() - begin_s
            if waited_s > self._patience_s:
                raise EngineHung(f"the card has not answered within {self._patience_s:g} s")
            if waited_s > _SPIN_S:
                sleep(_PAUSE_S)


def _cuda_version(number: int) -> str:
    """As the driver's tools write it: 13000 is "13.0"."""
    return f"{number // 1000}.{number % 1000 // 10}"
