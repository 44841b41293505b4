"""A graphics card that is not there: the stand-ins of driver, pycuda and TensorRT, and plans for them."""

import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from appliance.inference.golden import GoldenTest
from appliance.inference.gpu_memory import GoldenAnswers
from appliance.inference.gpu_parent import GpuOrder, GpuParent, GpuState
from appliance.inference.manifest import EngineFiles
from appliance.inference.plan_files import GATES, PlanKey, Sidecar, key_of, write_plan
from appliance.inference.tensorrt_backend import engine_spec

STANDINS: Final = Path(__file__).resolve().parents[1] / "standins"
START_S: Final = 120.0
FAULT_AT: Final = 7777.0
MAX_BATCH: Final = 4
FACTS: Final = {
    "name": "Stand-in 9000",
    "compute_capability": "9.0",
    "sm_count": 132,
    "memory_bytes": 81920 << 20,
    "tensorrt": "10.16.1.11",
    "strongly_typed": True,
}


def make_standins(folder: Path) -> dict[str, str]:
    """Compiles the driver's stand-in into `folder`, and the environment in which a child finds all three."""
    compiler = shutil.which("cc")
    assert compiler, "a C compiler is needed: apt-get install gcc"
    library = folder / "libcuda.so.1"
    command = [compiler, "-shared", "-fPIC", "-Wall", "-Werror", "-Wl,-soname,libcuda.so.1"]
    subprocess.run([*command, "-o", str(library), str(STANDINS / "libcuda.c")], check=True)
    return {"LD_LIBRARY_PATH": str(folder), "PYTHONPATH": str(STANDINS), "ORT_DISABLE_TELEMETRY": "1"}


def plan_key(files: EngineFiles, **other: Any) -> PlanKey:
    """The key of a plan for the engine on the stand-in's card, but for `other`."""
    onnx = sha256(files.model).hexdigest()
    key = key_of(engine_sha256=files.card.sha256, onnx_sha256=onnx, precision="fp32", max_batch=MAX_BATCH, device=FACTS)
    return replace(key, **other)


def standin_plan(files: EngineFiles, *, profile: tuple[int, int, int] = (1, 1, MAX_BATCH), version: str = "") -> bytes:
    """A plan that answers as the engine itself does."""
    plan: bytes = _plans().pack_plan(files.model, profile=profile, version=version or FACTS["tensorrt"])
    return plan


def _plans() -> ModuleType:
    """The module of the stand-in that knows its plans; the package itself would load the driver's stand-in."""
    spec = spec_from_file_location("standin_plans", STANDINS / "tensorrt" / "_plan.py")
    assert spec and spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def put_plan(folder: Path, plan: bytes, key: PlanKey) -> Path:
    """The sidecar of a plan that now lies in the folder."""
    folder.mkdir(exist_ok=True)
    digest = sha256(plan).hexdigest()
    parity = {gate: {"passed": True} for gate in GATES}
    sidecar = Sidecar(key=key, plan_sha256=digest, parity=parity, build_s=1.0, built_at="2026-01-01T00:00:00+00:00")
    return write_plan(folder, plan, sidecar)


def gpu_order(files: EngineFiles, golden: GoldenTest, plans: Path, environment: Mapping[str, str]) -> GpuOrder:
    """The order for the plan of `plan_key` in a folder."""
    images, logits, heat_means = golden.prepared()
    key = plan_key(files)
    return GpuOrder(
        python=sys.executable,
        plans=plans,
        wanted={
            "engine_sha256": key.engine_sha256,
            "onnx_sha256": key.onnx_sha256,
            "precision": key.precision,
            "max_batch": MAX_BATCH,
        },
        spec=engine_spec(files, MAX_BATCH),
        golden=GoldenAnswers(images=images, logits=logits, heat_means=heat_means, tolerance_logit=golden.allowed_logit),
        start_s=START_S,
        run_s=START_S,
        environment=environment,
    )


def until_settled(gpu: GpuParent) -> GpuState:
    """Asks until it is no longer on its way up."""
    while gpu.poll(time.monotonic()) is GpuState.STARTING:
        time.sleep(0.01)
    return gpu.state
