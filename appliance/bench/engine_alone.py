"""Part (a): the engine alone, on pictures of its own golden test. Cold start, warm-up apart, several slices at once."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from appliance.bench.figures import row, timed
from appliance.bench.run import Run
from appliance.bench.work import Work, floor_of
from appliance.core.errors import Fault
from appliance.inference.backend import Backend
from appliance.inference.golden import GoldenTest
from appliance.inference.gpu_parent import GpuState
from appliance.inference.manifest import EngineFiles
from appliance.inference.onnxruntime_backend import THREADS, OnnxRuntimeBackend
from appliance.inference.plan_files import PRECISIONS, PlanRefused, plan_stem, read_sidecar
from appliance.inference.tensorrt_backend import TensorRtBackend, start_tensorrt

BATCHES: Final = (1, 2, 4, 8)
WARM_UP: Final = 50
COLD_STARTS: Final = 3
_LOOK_EVERY_S: Final = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One way to run the engine. `name` stands in the ids of its rows; `threads` 0: on no core of this machine."""

    name: str
    said: str
    threads: int
    open: Callable[[], Backend]
    inside_ms: Callable[[Backend], float] | None = None  # of the last call, what the child itself took


def on_the_processor(files: EngineFiles, threads: int, *, serves: bool) -> Candidate:
    """ONNX Runtime with so many threads."""
    words = f"ONNX Runtime, {threads} thread{'s' if threads > 1 else ''}"
    return Candidate(
        name=f"onnxruntime-{threads}",
        said=f"{words}, as it serves" if serves else words,
        threads=threads,
        open=lambda: OnnxRuntimeBackend(files, threads),
    )


def candidates(files: EngineFiles, cores: int) -> list[Candidate]:
    """The ways that every machine has: as the product serves, and with a thread for each core, where that is another."""
    counts = dict.fromkeys((THREADS, min(cores, 4)))
    return [on_the_processor(files, threads, serves=threads == THREADS) for threads in counts]


def on_the_card(files: EngineFiles, golden: GoldenTest, *, plans: Path, python: Path) -> list[Candidate]:
    """The plans that lie there, each with CUDA graphs and without. Empty where none does."""
    found = []
    for precision in PRECISIONS:
        try:
            read_sidecar(plans, plan_stem(files.card.sha256, precision))
        except PlanRefused:
            continue
        for graphs in (True, False):
            start = partial(
                start_tensorrt, files, golden, plans=plans, python=str(python), precision=precision, graphs=graphs
            )
            found.append(
                Candidate(
                    name=f"tensorrt-{precision}-{'graph' if graphs else 'no-graph'}",
                    said=f"TensorRT {precision.upper()} in its child, {'with' if graphs else 'without'} CUDA graphs",
                    threads=0,
                    open=partial(_until_ready, start),
                    inside_ms=_inside_ms,
                )
            )
    return found


def _until_ready(start: Callable[[], TensorRtBackend]) -> TensorRtBackend:
    """Fault with the child's own words if it does not serve."""
    backend = start()
    while backend.poll(time.monotonic()) is GpuState.STARTING:
        time.sleep(_LOOK_EVERY_S)
    if backend.gpu.state is not GpuState.READY:
        backend.close()
        raise Fault("backend-fell-back", backend.gpu.why)
    return backend


def _inside_ms(backend: Backend) -> float:
    assert isinstance(backend, TensorRtBackend)
    return backend.gpu.engine_s * 1000


def pictures_of(golden: GoldenTest) -> NDArray[np.float32]:
    """float32 [n, windows, size, size]: real inputs, so many that no batch holds one twice."""
    pictures, _, _ = golden.prepared()
    return np.resize(pictures, (max(len(pictures), max(BATCHES)), *pictures.shape[1:]))


def measure(
    candidate: Candidate,
    pictures: NDArray[np.float32],
    run: Run,
    *,
    runs: int,
    within_s: float,
    work: Work | None,
    ceilings: dict[str, Any] | None,
) -> Iterator[dict[str, Any]]:
    """The rows of one candidate; `within_s` for each batch. The faults of its backend pass."""
    yield from _cold(candidate, pictures, run)
    backend = candidate.open()
    try:
        for batch in BATCHES:
            yield from _batch(candidate, backend, pictures, batch, run, runs, within_s, work, ceilings)
    finally:
        backend.close()


def _cold(candidate: Candidate, pictures: NDArray[np.float32], run: Run) -> Iterator[dict[str, Any]]:
    """From nothing to the first answer: it is no part of any other figure."""
    loads: list[float] = []
    firsts: list[float] = []
    for _ in range(COLD_STARTS):
        begin_s = time.perf_counter()
        backend = candidate.open()
        loaded_s = time.perf_counter()
        try:
            backend.run(pictures[:1])
        finally:
            ended_s = time.perf_counter()
            backend.close()
        loads.append((loaded_s - begin_s) * 1000)
        firsts.append((ended_s - loaded_s) * 1000)
        run.count()
    more = {"part": "cold", "backend": candidate.said, "batch": 1}
    yield row(f"engine/{candidate.name}/load", "loading the engine", loads, **more)
    yield row(f"engine/{candidate.name}/cold-run", "first run after loading (cold)", firsts, **more)


def _batch(
    candidate: Candidate,
    backend: Backend,
    pictures: NDArray[np.float32],
    batch: int,
    run: Run,
    runs: int,
    within_s: float,
    work: Work | None,
    ceilings: dict[str, Any] | None,
) -> Iterator[dict[str, Any]]:
    """The whole call, copies and all; `p50_ms_a_slice` is the call's median through the number of slices.

    Of a backend in a child also what the child itself took, and what the way there and back costs.
    """
    at = 0
    last = len(pictures) - batch + 1
    inside: list[float] = []

    def ask() -> None:
        nonlocal at
        chosen = pictures[at : at + batch]
        at = (at + batch) % last
        took_ms = 0.0
        for first in range(0, batch, backend.max_batch):
            backend.run_many(chosen[first : first + backend.max_batch])
            if candidate.inside_ms:
                took_ms += candidate.inside_ms(backend)
        inside.append(took_ms)

    found = timed(ask, runs=runs, within_s=within_s, warm_up=max(3, WARM_UP // batch), done=run.count)
    one_by_one = batch > backend.max_batch
    note = f"one after the other: {candidate.said} takes {backend.max_batch} at once" if one_by_one else ""
    said = "one slice" if batch == 1 else f"{batch} slices at once"
    shared = {"part": "warm", "backend": candidate.said, "batch": batch, "takes_at_once": backend.max_batch}
    row_id = f"engine/{candidate.name}/batch-{batch}"
    measured = row(row_id, said, found, note=note, **shared)
    measured["p50_ms_a_slice"] = measured["p50_ms"] / batch
    if work and ceilings and candidate.threads:
        floor = floor_of(work, ceilings, batch)
        measured |= floor | {"times_floor": measured["p50_ms"] / floor["floor_ms"]}
    yield measured
    if candidate.inside_ms:
        within = inside[-len(found) :]
        between = [max(0.0, call - child) for call, child in zip(found, within, strict=True)]
        yield row(f"{row_id}/inside", f"{said}: inside the child", within, **shared)
        yield row(f"{row_id}/ipc", f"{said}: the way to the child and back", between, **shared)
