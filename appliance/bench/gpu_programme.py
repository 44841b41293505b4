"""All that has to be seen on a graphics card, in one go, into one JSON.

    python -m appliance.bench.gpu_programme --python PATH --out FOLDER [--jobs FOLDER] [--quick]

`--python`: the interpreter that has TensorRT and pycuda. `--jobs`: what `gpu_jobs` has made; made here where it is not
given and this Python can. A step that fails is recorded with its reason and the next one begins; after each the
document is written anew, so that whatever ends this program, what was seen stands. Runs on Python 3.10; the standard
library and numpy alone. ONNX Runtime answers beside the plan where it is installed, else its stored answers do.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

from appliance.bench.gpu_course import Programme, StepFailed
from appliance.bench.gpu_faults import hang_child, kill_child, refuse_damaged
from appliance.bench.gpu_latency import measure, measure_copies, measure_processor
from appliance.bench.gpu_plans import build, load_plan, read_jobs, same_answers, see_card, see_tensorrt
from appliance.bench.machine import load, machine
from appliance.building.foreign import ProgramDied
from appliance.inference.gpu_parent import GpuLost
from appliance.inference.plan_files import write_durably

KIND: Final = "gpu-programme"
SCHEMA_VERSION: Final = 1
DOCUMENT: Final = "gpu-programme.json"

Steps = tuple[tuple[str, Callable[[Programme], Mapping[str, Any]]], ...]

STEPS: Final[Steps] = (
    ("jobs: graphs and FP32 answers are at hand", read_jobs),
    ("the driver shows a card", see_card),
    ("TensorRT and pycuda can be imported", see_tensorrt),
    ("FP32 plan: built, proven, kept", build("fp32")),
    ("FP16 plan: built, proven, kept", build("fp16")),
    ("a child loads the plan and serves", load_plan),
    ("answers through the child against FP32", same_answers),
    ("latency: FP16 with CUDA graphs", measure("fp16", graphs=True)),
    ("latency: FP16 without", measure("fp16", graphs=False)),
    ("latency: FP32 with CUDA graphs", measure("fp32", graphs=True)),
    ("latency: FP32 without", measure("fp32", graphs=False)),
    ("latency: the copies by themselves", measure_copies),
    ("latency: the processor beside it", measure_processor),
    ("no damaged plan serves", refuse_damaged),
    ("a child that is killed", kill_child),
    ("a child that hangs", hang_child),
)


def document_of(programme: Programme) -> dict[str, Any]:
    """All that stands now."""
    return {
        "kind": KIND,
        "schema_version": SCHEMA_VERSION,
        "made_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "quick": programme.quick,
        "machine": machine() | {"load": load()},
        "python": sys.version.split()[0],
        "passed": bool(programme.steps) and all(step["passed"] for step in programme.steps),
        "steps": programme.steps,
        "rows": programme.rows,
    }


def run(programme: Programme, steps: Steps = STEPS) -> dict[str, Any]:
    """Every step in turn; whatever one raises is recorded. Returns the document, which also lies in the folder."""
    programme.out.mkdir(parents=True, exist_ok=True)
    for name, step in steps:
        sys.stderr.write(f"{name} … ")
        sys.stderr.flush()
        begin_s = time.monotonic()
        try:
            found: Mapping[str, Any] = step(programme)
            passed, why = True, ""
        except (StepFailed, ProgramDied, GpuLost) as failed:
            found, passed, why = {}, False, str(failed)
        except Exception as error:  # noqa: BLE001 - a step's end is recorded whatever it was: the card is here but once
            found, passed, why = {}, False, f"{type(error).__name__}: {error}"
        took_s = time.monotonic() - begin_s
        programme.steps.append({"name": name, "passed": passed, "why": why, "took_s": took_s, "found": dict(found)})
        sys.stderr.write(f"{'seen' if passed else 'FAILED: ' + why[:300]} ({took_s:.1f} s)\n")
        write_durably(programme.out / DOCUMENT, json.dumps(document_of(programme), indent=1, default=str).encode())
    return document_of(programme)


def main(words: list[str]) -> int:
    """0: every step saw what it had to see. 1: one did not; the document says which."""
    parser = argparse.ArgumentParser(prog="gpu_programme")
    parser.add_argument("--python", default=sys.executable, help="the interpreter that has TensorRT and pycuda")
    parser.add_argument("--out", type=Path, required=True, help="the folder for plans and the document")
    parser.add_argument("--jobs", type=Path, default=None, help="what gpu_jobs has made")
    parser.add_argument("--engine", type=Path, default=Path("engines/head-ct"), help="only where jobs are made here")
    parser.add_argument("--quick", action="store_true", help="fewer runs for each figure")
    asked = parser.parse_args(words)
    programme = Programme(python=asked.python, out=asked.out, jobs_folder=asked.jobs, engine=asked.engine)
    if asked.quick:
        programme.quick, programme.runs, programme.within_s = True, 1000, 3.0
    document = run(programme)
    sys.stderr.write(f"The document is {asked.out / DOCUMENT}\n")
    return 0 if document["passed"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
