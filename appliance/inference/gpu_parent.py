"""The parent's side of the graphics card: starts the child, hands it pictures, and ends it when it is late.

The shared memory has no name: it is lent to the child by number, and the kernel frees it whoever dies, however.
Runs on Python 3.10; the standard library and numpy alone.
"""

import fcntl
import mmap
import os
import select
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from time import monotonic
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from appliance.inference.gpu_memory import GoldenAnswers, layout_of
from appliance.inference.gpu_protocol import CURED_BY_REBUILD, FIELDS, REFUSALS, RUN_GRACE_S, RUN_S, START_S
from appliance.processes.children import Frame, GarbledFrame, LimitedChild
from appliance.processes.foreign import foreign_command

_MODULE: Final = "appliance.inference.gpu_child"
_GRACE_S: Final = 1.0  # for a child that ends by itself
_SEALS: Final = fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


class GpuState(Enum):
    """Where the child stands. REFUSED: it will not serve as things stand; DEAD: it tried and broke."""

    STARTING = "starting"
    READY = "ready"
    REFUSED = "refused"
    DEAD = "dead"
    CLOSED = "closed"


class GpuLost(Exception):
    """The child gives no answer, and never will. The message says why; `GpuParent.state` is no longer READY."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuOrder:
    """What the child needs.

    `python`: the interpreter that has TensorRT. `plans`: the folder of plans; `wanted`: engine_sha256, onnx_sha256,
    precision and max_batch of the one that may serve. `spec`: see `tensorrt_engine.TensorRtEngine`. `start_s` until it
    has to be ready, `run_s` for a batch. `environment`: what it is told beside ours.
    """

    python: str
    plans: Path
    wanted: Mapping[str, Any]
    spec: Mapping[str, Any]
    golden: GoldenAnswers
    graphs: bool = True
    device: int = 0
    start_s: float = START_S
    run_s: float = RUN_S
    environment: Mapping[str, str] = field(default_factory=dict)

    def packed(self) -> tuple[dict[str, Any], bytes]:
        """Head and body of the order."""
        golden, body = self.golden.packed()
        head = {"plans": str(self.plans), "wanted": dict(self.wanted), "spec": dict(self.spec), "golden": golden}
        return head | {"graphs": self.graphs, "device": self.device, "run_s": self.run_s}, body


class GpuParent:
    """One child on one card. Belongs to one thread, which has to stay: the kernel ends the child with it."""

    def __init__(self, order: GpuOrder, now_s: float, *, clock: Callable[[], float] = monotonic) -> None:
        """Starts it and comes back at once. `now_s` is always the caller's monotonic clock, `clock` the same one."""
        self._clock = clock
        self._run_s = order.run_s
        self._until_s = now_s + order.start_s
        self._start_s = order.start_s
        self._runs = 0
        self.state = GpuState.STARTING
        self.why = ""  # in words, once it is REFUSED or DEAD
        self.field = ""  # of `gpu_protocol.FIELDS`, or "start", "crash"
        self.facts: dict[str, Any] = {}  # once it is READY: the card, versions, how long loading took, which graphs
        self.engine_s = 0.0  # what the last batch took inside the child
        self._child: LimitedChild | None = None
        self._memory: tuple[NDArray[np.float32], dict[str, NDArray[np.float32]]] | None = None
        try:
            self._start(order)
        except OSError as error:
            self._end(GpuState.DEAD, "start", f"{order.python} cannot be started ({error.strerror})")

    @property
    def cured_by_rebuild(self) -> bool:
        """It was refused, and a new plan may serve."""
        return self.state is GpuState.REFUSED and self.field in CURED_BY_REBUILD

    @property
    def stuck(self) -> bool:
        """Its process cannot be ended: it hangs in the driver, and so would the next one. Only a restart helps."""
        ended = self.state in (GpuState.REFUSED, GpuState.DEAD, GpuState.CLOSED)
        return ended and self._child is not None and self._child.exit_code is None

    @property
    def pid(self) -> int | None:
        """Of the child."""
        return self._child.pid if self._child else None

    @property
    def exit_code(self) -> int | None:
        """Of the child, as `subprocess` says it; None while it lives."""
        return self._child.exit_code if self._child else None

    def fileno(self) -> int:
        """Readable when `poll` has something to do: for the selector of a loop. Only while STARTING or READY."""
        assert self._child is not None
        return self._child.answer_fd

    def poll(self, now_s: float) -> GpuState:
        """Where it stands now. Never waits, but for the end of a child that has just been killed."""
        if self.state in (GpuState.STARTING, GpuState.READY):
            for frame in self._frames():
                self._take(frame)
        if self.state is GpuState.STARTING and now_s >= self._until_s:
            self._end(GpuState.DEAD, "start", f"it was not ready within {self._start_s:g} s")
        return self.state

    def run(self, images: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Answers for float32 [n, channels, size, size]: of each output [n, ...], the caller's own.

        Waits for them, at most the deadline. GpuLost; ValueError for pictures of another shape or number.
        """
        if self.state is not GpuState.READY or self._child is None or self._memory is None:
            raise GpuLost(self.why or f"it is {self.state.value}")
        asked, answers = self._memory
        count = len(images)
        if not 1 <= count <= len(asked) or images.shape[1:] != asked.shape[1:]:
            raise ValueError(f"pictures {images.shape} do not fit into {asked.shape}")
        asked[:count] = images
        self._runs += 1
        self._child.send({"id": self._runs, "count": count}, b"")
        until_s = self._clock() + self._run_s + RUN_GRACE_S
        while not self._answered(until_s):
            if self.state is not GpuState.READY:
                raise GpuLost(self.why)
        return {name: values[:count].copy() for name, values in answers.items()}

    def close(self) -> None:
        """Ends the child; a ready one may first give its memory back. Closing twice is no fault."""
        if self.state in (GpuState.STARTING, GpuState.READY):
            is_ready = self.state is GpuState.READY
            self._end(GpuState.CLOSED, "", "it was closed", grace_s=_GRACE_S if is_ready else 0.0)

    def _start(self, order: GpuOrder) -> None:
        layout = layout_of(order.spec)
        memory_fd = os.memfd_create("bleedwatch-gpu", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(memory_fd, layout.size_bytes)
            fcntl.fcntl(memory_fd, *_SEALS)  # a child that shortened it would end us by a bus error
            self._memory = layout.views(mmap.mmap(memory_fd, layout.size_bytes))
            command = foreign_command(order.python, _MODULE)
            self._child = LimitedChild(command, 0, lent_fds=(memory_fd,), environment=order.environment)
        finally:
            os.close(memory_fd)
        self._child.send(*order.packed())

    def _frames(self) -> list[Frame]:
        """What has come. A child that is gone, or speaks nonsense, is ended."""
        assert self._child is not None
        try:
            self._child.pump_out()  # a child that takes no more is gone, and its last words are read all the same
            frames = self._child.pump_in()
        except GarbledFrame:
            self._end(GpuState.DEAD, "crash", "it answered what is no answer")
            return []
        if frames is None:
            self._crashed()
        return frames or []

    def _answered(self, until_s: float) -> bool:
        """Whether the answer to the last batch has come. Past the deadline the child is ended."""
        assert self._child is not None
        left_s = until_s - self._clock()
        if left_s <= 0:
            self._end(GpuState.DEAD, "deadline", f"it has not answered within {self._run_s + RUN_GRACE_S:g} s")
            return False
        answering = select.poll()  # knows no highest number, as `select.select` does
        answering.register(self._child.answer_fd, select.POLLIN)
        answering.poll(left_s * 1000)
        answered = False
        for frame in self._frames():
            answered = self._take(frame) or answered
        return answered

    def _take(self, frame: Frame) -> bool:
        """Believes one message. Whether it is the answer to the last batch."""
        said = frame.head
        match self.state, said:
            case GpuState.STARTING, {"state": "ready", "facts": dict(facts)}:
                self.facts, self.state = facts, GpuState.READY
            case GpuState.READY, {"state": "done", "id": self._runs, "engine_s": float(engine_s)}:
                self.engine_s = engine_s
                return True
            case ((GpuState.STARTING | GpuState.READY), {"state": "ended", "field": str(field), "said": str(why)}) if (
                field in FIELDS
            ):
                end = GpuState.REFUSED if field in REFUSALS else GpuState.DEAD
                self._end(end, field, why, grace_s=_GRACE_S)
            case ((GpuState.STARTING | GpuState.READY), _):
                self._end(GpuState.DEAD, "crash", "it answered what was not asked")
        return False

    def _crashed(self) -> None:
        self._end(GpuState.DEAD, "crash", "its process ended")
        code = self.exit_code
        if code is not None:
            self.why = f"its process was ended by signal {-code}" if code < 0 else f"its process ended with code {code}"

    def _end(self, state: GpuState, field: str, why: str, *, grace_s: float = 0.0) -> None:
        self.state, self.field, self.why = state, field, why
        if self._child is not None:
            self._child.kill(grace_s)
        self._memory = None
        if self.stuck:
            self.why += "; it cannot even be ended: restart the box"
