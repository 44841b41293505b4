"""The way of an engine into service: hash, shape, golden self-test."""

from dataclasses import dataclass
from pathlib import Path

from appliance.core.engine import EngineCard
from appliance.inference.backend import Backend
from appliance.inference.golden import check_golden
from appliance.inference.manifest import EngineRefused, read_engine
from appliance.inference.onnxruntime_backend import THREADS, OnnxRuntimeBackend


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedEngine:
    """An engine that may serve. `golden_distance`: the largest of its golden test in logits, within `golden_allowed`."""

    card: EngineCard
    backend: Backend
    golden_distance: float
    golden_allowed: float


def load_engine(folder: Path, *, threads: int = THREADS) -> LoadedEngine:
    """The engine of a folder, proven. EngineRefused with why it may not serve."""
    files = read_engine(folder)
    backend = OnnxRuntimeBackend(files, threads)
    try:
        distance = check_golden(files, backend)
    except EngineRefused:
        backend.close()
        raise
    return LoadedEngine(
        card=files.card, backend=backend, golden_distance=distance, golden_allowed=files.tolerance_logit
    )
