"""Latency of a plan on the card: the whole call as triage makes it, the engine inside the child, and what lies between.

Runs on Python 3.10; the standard library and numpy alone.
"""

import json
import subprocess
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from appliance.bench.figures import NS_PER_MS, row, timed
from appliance.bench.gpu_course import Programme, StepFailed, card_state, serving
from appliance.inference.gpu_parent import GpuParent
from appliance.processes.foreign import foreign_command

BATCHES: Final = (1, 2, 4, 8)
_COPIES_MOST_S: Final = 120.0


def latency_rows(
    gpu: GpuParent,
    images: NDArray[np.float32],
    *,
    name: str,
    runs: int,
    within_s: float,
    work: Mapping[str, int] | None,
    warm_up: int,
    clock_ns: Callable[[], int] = time.perf_counter_ns,
) -> list[dict[str, Any]]:
    """Three rows for each batch that the plan takes. The errors of the child pass.

    `call`: from the pictures to the answers here, by this process's clock. `engine`: inside the child, copies to the
    card and back within it, by the child's clock. `ipc`: what the first is longer, run by run.
    """
    rows: list[dict[str, Any]] = []
    took = _one(gpu, images[:1], clock_ns)
    rows.append(row(f"{name}/first", "the first call after it was ready", [took[0]], batch=1))
    for batch in (size for size in BATCHES if str(size) in gpu.facts["graphs"]):
        calls, engines = _measure(gpu, images, batch, runs, within_s, warm_up, clock_ns)
        shared = {"batch": batch, "graph": bool(gpu.facts["graphs"][str(batch)])}
        ipc = [max(0.0, call - engine) for call, engine in zip(calls, engines, strict=True)]
        engine_row = row(f"{name}/batch-{batch}/engine", "inside the child, copies within it", engines, **shared)
        if work:
            macs, moved = work["macs"] * batch, (work["input_bytes"] + work["output_bytes"]) * batch
            engine_row["tflops_at_p50"] = 2 * macs / (engine_row["p50_ms"] * 1e9)
            engine_row["copied_bytes"] = moved
        rows += [
            row(f"{name}/batch-{batch}/call", "the whole call, as triage makes it", calls, **shared),
            engine_row,
            row(f"{name}/batch-{batch}/ipc", "what the child costs: the call without the engine", ipc, **shared),
        ]
    return rows


def _measure(
    gpu: GpuParent,
    images: NDArray[np.float32],
    batch: int,
    runs: int,
    within_s: float,
    warm_up: int,
    clock_ns: Callable[[], int],
) -> tuple[list[float], list[float]]:
    """Milliseconds of each call and of its engine, warm-up apart; pictures change from call to call."""
    last = max(1, len(images) - batch + 1)
    for number in range(warm_up):
        _one(gpu, images[number % last : number % last + batch], clock_ns)
    calls: list[float] = []
    engines: list[float] = []
    end_s = time.monotonic() + within_s
    while len(calls) < runs and (not calls or time.monotonic() < end_s):
        first = len(calls) * batch % last
        call, engine = _one(gpu, images[first : first + batch], clock_ns)
        calls.append(call)
        engines.append(engine)
    return calls, engines


def _one(gpu: GpuParent, chosen: NDArray[np.float32], clock_ns: Callable[[], int]) -> tuple[float, float]:
    begin_ns = clock_ns()
    gpu.run(chosen)
    return (clock_ns() - begin_ns) / NS_PER_MS, gpu.engine_s * 1000


def measure_copies(programme: Programme) -> dict[str, Any]:
    """The copies to the card and back by themselves, and the card's own memory: what no engine can be faster than."""
    if programme.work is None:
        raise StepFailed("the jobs do not say how many bytes a slice is")
    inside: list[float] = []
    for batch in BATCHES:
        asked = (programme.work["input_bytes"] * batch, programme.work["output_bytes"] * batch)
        found = _ask_copies(programme, *asked)
        for name, words, size in (("to", "to the card", asked[0]), ("from", "from the card", asked[1])):
            said = f"copy {words}, pinned, {size} bytes"
            programme.rows.append(row(f"copies/{name}-card/batch-{batch}", said, found[f"{name}_card_ms"], batch=batch))
        inside.append(found["inside_gb_s"])
    return {"inside_gb_s": max(inside), "weights_read_ms": programme.work["weight_bytes"] / max(inside) / 1e6}


def _ask_copies(programme: Programme, bytes_in: int, bytes_out: int) -> dict[str, Any]:
    words = [str(programme.runs), str(bytes_in), str(bytes_out)]
    done = subprocess.run(
        foreign_command(programme.python, "appliance.bench.gpu_copies", *words),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_COPIES_MOST_S,
        check=False,
    )
    try:
        found: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise StepFailed(f"the copies ended with {done.returncode} and no answer") from None
    if "failed" in found:
        raise StepFailed(str(found["failed"]))
    return found


def measure_processor(programme: Programme) -> dict[str, Any]:
    """ONNX Runtime on this machine's processor, to compare with."""
    session = onnxruntime_session(programme)
    if session is None:
        return {"measured": False, "why": "ONNX Runtime, or the FP32 graph, is not here"}
    job = programme.jobs["fp32"]
    name = job.order.spec["input"]["name"]
    for batch in BATCHES:

        def ask(batch: int = batch) -> None:
            for at in range(batch):
                session.run(None, {name: job.images[at : at + 1]})

        found = timed(ask, runs=programme.runs, within_s=programme.within_s, warm_up=min(20, programme.warm_up))
        programme.rows.append(
            row(
                f"onnxruntime/batch-{batch}/call",
                "on the processor, one thread, one slice after the other",
                found,
                batch=batch,
            )
        )
    return {"measured": True}


def measure(precision: str, *, graphs: bool) -> Callable[[Programme], dict[str, Any]]:
    """Latency of this precision, with or without CUDA graphs."""

    def step(programme: Programme) -> dict[str, Any]:
        if precision not in programme.built:
            raise StepFailed(f"there is no {precision} plan")
        before = card_state()
        with serving(programme.order(precision, graphs=graphs)) as gpu:
            captured = gpu.facts["graphs"]
            name = f"{precision}/{'graph' if graphs else 'no-graph'}"
            programme.rows += latency_rows(
                gpu,
                programme.jobs[precision].images,
                name=name,
                runs=programme.runs,
                within_s=programme.within_s,
                work=programme.work,
                warm_up=programme.warm_up,
            )
            no_graph = gpu.facts["no_graph"]
        if graphs and not all(captured.values()):
            raise StepFailed(f"not every batch runs as a CUDA graph: {no_graph}")
        return {"graphs": captured, "card_before": before, "card_after": card_state()}

    return step


def onnxruntime_session(programme: Programme) -> Any:
    """A session of the FP32 graph with one thread, None where ONNX Runtime or that graph is not here."""
    if "fp32" not in programme.jobs:
        return None
    try:
        from appliance.inference.runtime import ort
    except ImportError:
        return None
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    return ort.InferenceSession(programme.jobs["fp32"].graph, options, providers=["CPUExecutionProvider"])
