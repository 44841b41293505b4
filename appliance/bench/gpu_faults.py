"""Steps of the programme for a graphics card: what must not serve, and a child that is killed or hangs.

Runs on Python 3.10; the standard library and numpy alone. Each step gives what it has seen.
"""

import json
import os
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from appliance.bench.gpu_course import RUN_S, Programme, StepFailed, child, serving, stem_of
from appliance.bench.gpu_damage import LEFT_TO_TENSORRT, damaged_folders
from appliance.inference.gpu_parent import GpuLost, GpuOrder, GpuParent, GpuState

KILLED_AFTER_S: Final = 0.05
LOST_WITHIN_S: Final = 30.0


def refuse_damaged(programme: Programme) -> dict[str, Any]:
    """That no damaged plan serves, whatever the damage, and that each refusal has its words."""
    precision = programme.best
    folder = programme.out / "damaged"
    shutil.rmtree(folder, ignore_errors=True)
    said: dict[str, Any] = {}
    wrong = []
    for way, plans in damaged_folders(programme.plans, stem_of(programme, precision), folder):
        with child(programme.order(precision, plans=plans)) as gpu:
            said[way] = {"state": gpu.state.value, "field": gpu.field, "why": gpu.why, "exit_code": gpu.exit_code}
            refused = gpu.state is GpuState.REFUSED and gpu.field == "plan"
            if not gpu.why or not (refused or (way in LEFT_TO_TENSORRT and gpu.state is GpuState.DEAD)):
                wrong.append(way)
    shutil.rmtree(folder, ignore_errors=True)
    if wrong:
        raise StepFailed(f"not refused as a plan must be: {', '.join(wrong)}: {json.dumps(said)[:2000]}")
    return {"precision": precision, "ways": said}


def kill_child(programme: Programme) -> dict[str, Any]:
    """kill -9 between two runs and in the middle of one: the parent goes on, says so, and the next child serves."""
    order = programme.order(programme.best)
    job = programme.jobs[programme.best]
    most = job.images[: job.order.max_batch]
    said: dict[str, Any] = {
        when: _killed(order, most, after_s)
        for when, after_s in (("between two runs", 0.0), ("in the middle of many", KILLED_AFTER_S))
    }
    begin_s = time.monotonic()
    with serving(order) as gpu:
        gpu.run(most[:1])
        said["next child serves after_s"] = time.monotonic() - begin_s
    return said


def _killed(order: GpuOrder, images: NDArray[np.float32], after_s: float) -> dict[str, Any]:
    """What the parent makes of a child that is killed after so long, run after run."""
    with serving(order) as gpu:
        gpu.run(images[:1])
        pid = gpu.pid
        assert pid is not None
        killed_s: list[float] = []

        def kill() -> None:
            os.kill(pid, signal.SIGKILL)
            killed_s.append(time.monotonic())

        killer = threading.Timer(after_s, kill)
        killer.start()
        if not after_s:
            killer.join()
        try:
            noticed = _until_lost(gpu, images)
        finally:
            killer.cancel()
            killer.join()
        if gpu.state is not GpuState.DEAD or gpu.exit_code != -signal.SIGKILL:
            raise StepFailed(f"the child is {gpu.state.value}, exit code {gpu.exit_code}: {noticed}")
        return {"noticed_s": time.monotonic() - killed_s[0], "said": noticed, "state": gpu.state.value}


def _until_lost(gpu: GpuParent, images: NDArray[np.float32]) -> str:
    """Asks until the child is lost; its words. StepFailed if it answers on and on."""
    end_s = time.monotonic() + LOST_WITHIN_S
    while time.monotonic() < end_s:
        try:
            gpu.run(images)
        except GpuLost as lost:
            return str(lost)
    raise StepFailed("it answers on after it was killed")


def hang_child(programme: Programme) -> dict[str, Any]:
    """A child that is stopped in its tracks: ended past its deadline, no later, and the next one serves."""
    order = programme.order(programme.best)
    images = programme.jobs[programme.best].images
    with serving(order) as gpu:
        gpu.run(images[:1])
        pid = gpu.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        begin_s = time.monotonic()
        try:
            gpu.run(images[:1])
            raise StepFailed("a stopped child answered")
        except GpuLost as lost:
            took_s, words = time.monotonic() - begin_s, str(lost)
        gone = not Path(f"/proc/{pid}").exists()
        if gpu.state is not GpuState.DEAD or gpu.field != "deadline" or not gone or took_s > 2 * RUN_S + 5:
            raise StepFailed(f"after {took_s:.1f} s it is {gpu.state.value} ({gpu.field}), gone: {gone}: {words}")
    with serving(order) as gpu:
        gpu.run(images[:1])
    return {"ended_after_s": took_s, "deadline_s": RUN_S, "said": words}
