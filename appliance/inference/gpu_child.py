"""The program that runs a plan on the graphics card, in a process that may crash or hang without hurting triage.

`gpu_child REQUEST_FD ANSWER_FD PARENT_PID MEMORY_FD`, started by `gpu_parent`. The first request is the order: what to
load, as JSON, and the test pictures behind it. Then each request names a number of pictures that stand in the shared
memory, and the answers are put there. It ends with an exit code of `gpu_protocol`. Runs on Python 3.10.
"""

import logging
import mmap
import os
import resource
import sys
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from appliance.inference.driver import probe
from appliance.inference.gpu_protocol import FIELDS, MAX_ORDER
from appliance.inference.plan_files import PlanRefused, key_of, read_plan
from appliance.processes.children import ChildEnd, Frame, die_with, first_to_go
from appliance.processes.logs import start_logs

if TYPE_CHECKING:
    from appliance.inference.gpu_memory import GoldenAnswers
    from appliance.inference.tensorrt_engine import TensorRtEngine

log = logging.getLogger("appliance.inference.gpu_child")

_SAID_MOST: Final = 2000


class CannotServe(Exception):
    """The child has to end. `field` is one of `gpu_protocol.FIELDS`."""

    def __init__(self, field: str, said: str) -> None:
        super().__init__(field, said)
        self.field = field
        self.said = said


def main(arguments: list[str]) -> int:
    """Serves until the parent is done with us. The exit code."""
    request_fd, answer_fd, parent_pid, memory_fd = map(int, arguments)
    die_with(parent_pid)
    first_to_go()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    start_logs("gpu")
    end = ChildEnd(request_fd, answer_fd, MAX_ORDER)
    try:
        order = end.receive()
        if order is not None:
            _serve(end, order, memory_fd)
    except Exception as error:  # the border of the process: the parent hears what ended it
        reason = error if isinstance(error, CannotServe) else CannotServe("fault", f"{type(error).__name__}: {error}")
        facts = {"field": reason.field, "said": reason.said[:_SAID_MOST]}
        log.error("the graphics card does not serve", extra={"facts": facts}, exc_info=error)
        end.answer({"state": "ended", **facts})
        return FIELDS[reason.field]
    return 0


def _serve(end: ChildEnd, order: Frame, memory_fd: int) -> None:
    """From the order to the parent's farewell. CannotServe."""
    _refuse_without_card(order.head["device"])
    # Only now: without a card TensorRT ends the process, and this Python may lack one of them.
    try:
        from appliance.inference import gpu_memory, tensorrt_engine
    except (ImportError, OSError, AttributeError) as error:  # the last: a package of that name with nothing in it
        raise CannotServe("install", f"{sys.executable} cannot load numpy, tensorrt or pycuda: {error}") from None
    layout = gpu_memory.layout_of(order.head["spec"])
    images, answers = layout.views(mmap.mmap(memory_fd, layout.size_bytes))
    golden = gpu_memory.GoldenAnswers.unpacked(order.head["golden"], order.body)
    try:
        engine, facts = _load(order.head)
        facts["warm_s"], facts["golden_distance"] = _self_test(engine, golden)
        end.answer({"state": "ready", "facts": facts})
        while (request := end.receive()) is not None:
            count = request.head["count"]
            begin_s = perf_counter()
            for name, found in engine.run(images[:count]).items():
                answers[name][:count] = found
            end.answer({"state": "done", "id": request.head["id"], "engine_s": perf_counter() - begin_s})
    except tensorrt_engine.EngineHung as hung:
        raise CannotServe("deadline", str(hung)) from None
    except tensorrt_engine.EngineLost as lost:
        raise CannotServe("cuda", str(lost)) from None
    engine.close()


def _refuse_without_card(device: int) -> None:
    driver = probe()
    if device >= len(driver.gpus):
        raise CannotServe("device", driver.said or f"the driver shows no card number {device}")


def _load(order: dict[str, Any]) -> "tuple[TensorRtEngine, dict[str, Any]]":
    """Sidecar, key, the plan's bytes, and the engine out of them: in this order, so that nothing foreign loads."""
    from appliance.inference.tensorrt_engine import TensorRtEngine, device_facts

    begin_s = perf_counter()
    facts = device_facts(order["device"])
    try:
        wanted = key_of(**order["wanted"], device=facts)
        found = read_plan(Path(order["plans"]), wanted)
        engine = TensorRtEngine(
            found.plan, order["spec"], graphs=order["graphs"], device=order["device"], run_s=order["run_s"]
        )
    except PlanRefused as refused:
        raise CannotServe("plan", str(refused)) from None
    facts |= {"load_s": perf_counter() - begin_s, "precision": wanted.precision}
    facts |= {"plan_sha256": found.sidecar.plan_sha256, "no_graph": engine.no_graph}
    facts["graphs"] = {str(size): is_graph for size, is_graph in engine.captured.items()}
    return engine, facts


def _self_test(engine: "TensorRtEngine", golden: "GoldenAnswers") -> tuple[float, float]:
    """The test pictures in every size of batch: seconds it took, and the largest distance in logits."""
    import numpy as np

    begin_s, worst = perf_counter(), 0.0
    count = len(golden.images)
    for size in engine.captured:
        for first in range(0, count, size):
            chosen = np.arange(first, first + size) % count
            off = golden.distance(chosen, engine.run(golden.images[chosen]))
            worst = max(worst, off)
            if not off <= golden.tolerance_logit:  # no number passes neither
                far = f"{off:.3g} off, {golden.tolerance_logit:g} allowed, {size} at once"
                raise CannotServe("golden", f"The plan gives wrong answers to the engine's test pictures: {far}")
    return perf_counter() - begin_s, worst


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stderr.flush()
    os._exit(code)  # what a failed card has left is not torn down: that may hang
