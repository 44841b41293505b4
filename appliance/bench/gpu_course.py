"""What the steps of the programme for a graphics card share: their place, their jobs, and a child on the card.

Runs on Python 3.10; the standard library and numpy alone.
"""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from appliance.building.job import Job
from appliance.inference.gpu_memory import GoldenAnswers
from appliance.inference.gpu_parent import GpuOrder, GpuParent, GpuState
from appliance.inference.plan_files import LOGIT_MOST, PRECISIONS, plan_stem

START_S: Final = 120.0
RUN_S: Final = 2.0
TESTED: Final = 16
"""Pictures of the child's self-test."""
_LOOK_S: Final = 0.005
_SMI: Final = "name,driver_version,clocks.sm,clocks.mem,temperature.gpu,power.draw,clocks_throttle_reasons.active"


class StepFailed(Exception):
    """What had to be seen was not. The message says what was."""


@dataclass
class Programme:
    """What the steps share, and what they have found so far. `runs` and `within_s`: of each latency, what ends first."""

    python: str
    out: Path
    jobs_folder: Path | None
    engine: Path
    quick: bool = False
    runs: int = 10_000
    within_s: float = 20.0
    warm_up: int = 100
    jobs: dict[str, Job] = field(default_factory=dict)
    work: dict[str, int] | None = None
    built: set[str] = field(default_factory=set)
    steps: list[dict[str, Any]] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)

    @property
    def plans(self) -> Path:
        """Where the plans are built."""
        return self.out / "plans"

    @property
    def best(self) -> str:
        """The precision that the steps after the build use: FP16 where it could be built."""
        for precision in PRECISIONS:
            if precision in self.built:
                return precision
        raise StepFailed("no plan was built")

    def order(self, precision: str, *, plans: Path | None = None, graphs: bool = True) -> GpuOrder:
        """What starts a child on the plan of this precision."""
        job = self.jobs[precision]
        answers = job.answers
        return GpuOrder(
            python=self.python,
            plans=plans or self.plans,
            wanted={
                "engine_sha256": job.order.engine_sha256,
                "onnx_sha256": job.order.onnx_sha256,
                "precision": precision,
                "max_batch": job.order.max_batch,
            },
            spec=job.order.spec,
            golden=GoldenAnswers(
                images=job.images[:TESTED],
                logits=answers.logits[:TESTED],
                heat_means=answers.heat[:TESTED].mean(axis=(2, 3), dtype=np.float64).astype(np.float32),
                tolerance_logit=LOGIT_MOST,
            ),
            graphs=graphs,
            start_s=START_S,
            run_s=RUN_S,
        )


@contextmanager
def child(order: GpuOrder) -> Iterator[GpuParent]:
    """A child that is no longer on its way up, whatever became of it."""
    gpu = GpuParent(order, time.monotonic())
    try:
        while gpu.poll(time.monotonic()) is GpuState.STARTING:
            time.sleep(_LOOK_S)
        yield gpu
    finally:
        gpu.close()


@contextmanager
def serving(order: GpuOrder) -> Iterator[GpuParent]:
    """A child that is READY. StepFailed with its own words."""
    with child(order) as gpu:
        if gpu.state is not GpuState.READY:
            raise StepFailed(f"the child does not serve ({gpu.field}): {gpu.why}")
        yield gpu


def card_state() -> dict[str, str] | str:
    """Clocks, temperature and what holds the card back, as its own tool says it."""
    command = ["nvidia-smi", f"--query-gpu={_SMI}", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        return f"nvidia-smi does not say ({type(error).__name__})"
    values = [value.strip() for value in done.stdout.splitlines()[0].split(",")] if done.stdout.strip() else []
    return dict(zip(_SMI.split(","), values, strict=False))


def stem_of(programme: Programme, precision: str) -> str:
    """The name that plan and sidecar of this precision begin with."""
    return plan_stem(programme.jobs[precision].order.engine_sha256, precision)
