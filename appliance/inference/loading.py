"""The way of an engine into service: hash, shape, golden self-test."""

from dataclasses import dataclass
from pathlib import Path

from appliance.core.engine import EngineCard
from appliance.inference.backend import Backend
from appliance.inference.golden import GoldenTest
from appliance.inference.manifest import EngineFiles, EngineRefused, read_engine
from appliance.inference.onnxruntime_backend import THREADS, OnnxRuntimeBackend


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedEngine:
    """An engine that may serve, on the processor. `golden_distance`: the largest of its golden test in logits."""

    card: EngineCard
    backend: Backend
    files: EngineFiles
    golden: GoldenTest
    golden_distance: float


def load_engine(folder: Path, *, threads: int = THREADS) -> LoadedEngine:
    """The engine of a folder, proven. EngineRefused with why it may not serve."""
    files = read_engine(folder)
    backend = OnnxRuntimeBackend(files, threads)
    try:
        golden = GoldenTest(files, files.tolerance_logit)
        distance = golden.hold_all(backend)
    except EngineRefused:
        backend.close()
        raise
    return LoadedEngine(card=files.card, backend=backend, files=files, golden=golden, golden_distance=distance)
