"""Steps of the programme for a graphics card: from the driver's word to a plan that is proven, loaded and kept.

Runs on Python 3.10; the standard library and numpy alone. Each step gives what it has seen.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from appliance.bench.figures import row
from appliance.bench.gpu_course import Programme, StepFailed, card_state, serving, stem_of
from appliance.bench.gpu_latency import onnxruntime_session
from appliance.building.foreign import ask_build, ask_facts
from appliance.building.job import BadJob, Job, read_job
from appliance.building.parity import Answers, compare
from appliance.inference.driver import probe_apart
from appliance.inference.gpu_parent import GpuParent
from appliance.inference.plan_files import PRECISIONS

BUILD_MOST_S: Final = 900.0
LOADS: Final = 5


def read_jobs(programme: Programme) -> dict[str, Any]:
    """The jobs, made here where none are given."""
    folder = programme.jobs_folder or programme.out / "jobs"
    if programme.jobs_folder is None:
        slices = ["--slices", "40"] if programme.quick else []
        command = [sys.executable, "-m", "appliance.bench.gpu_jobs", str(programme.engine), str(folder), *slices]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=BUILD_MOST_S)
        if done.returncode:
            words = " ".join(done.stderr.split())[-400:]
            raise StepFailed(f"this Python cannot make them; bring them from one that can, as --jobs: {words}")
    wrong: dict[str, str] = {}
    for precision in PRECISIONS:
        try:
            programme.jobs[precision] = read_job(folder / precision)
        except BadJob as bad:
            wrong[precision] = str(bad)
    if (folder / "work.json").exists():
        programme.work = json.loads((folder / "work.json").read_text(encoding="utf-8"))
    if not programme.jobs:
        raise StepFailed("; ".join(wrong.values()))
    counts = {precision: len(job.images) for precision, job in programme.jobs.items()}
    return {"slices": counts, "work": programme.work, "without": wrong}


def see_card(programme: Programme) -> dict[str, Any]:
    """The driver's own word: which cards it shows."""
    driver = probe_apart(programme.python, timeout_s=60)
    if not driver.gpus:
        raise StepFailed(driver.said)
    cards = [{"name": gpu.name, "sm_count": gpu.sm_count, "memory_bytes": gpu.memory_bytes} for gpu in driver.gpus]
    return {"cuda": driver.version, "cards": cards, "state": card_state()}


def see_tensorrt(programme: Programme) -> dict[str, Any]:
    """That TensorRT and pycuda can be imported, and what a plan would be bound to."""
    said = ask_facts(Path(programme.python))
    if said["status"] != "facts":
        raise StepFailed(f"{said['status']}: {said['why']}")
    return dict(said["facts"])


def build(precision: str) -> Callable[[Programme], dict[str, Any]]:
    """Builds the plan of this precision, which is held against the FP32 answers on the card."""

    def step(programme: Programme) -> dict[str, Any]:
        said = _build(programme, precision, force=True)
        if said["status"] != "built":
            raise StepFailed(f"{said['status']}: {said['why']}")
        programme.built.add(precision)
        again_s = time.monotonic()
        again = _build(programme, precision, force=False)
        if again["status"] != "fits":
            raise StepFailed(f"it was built, but the next build did not take it as it is: {again['status']}")
        plan = next(iter(programme.plans.glob(f"{stem_of(programme, precision)}-*.plan")))
        return {
            "build_s": said["build_s"],
            "plan_bytes": plan.stat().st_size,
            "parity": said["parity"],
            "found_fitting_s": time.monotonic() - again_s,
        }

    return step


def _build(programme: Programme, precision: str, *, force: bool) -> dict[str, Any]:
    if precision not in programme.jobs:
        raise StepFailed(f"there is no job for {precision}")
    job = programme.jobs_folder or programme.out / "jobs"
    return ask_build(
        Path(programme.python), job / precision, programme.plans, force=force, stage=lambda _: None, most_s=BUILD_MOST_S
    )


def load_plan(programme: Programme) -> dict[str, Any]:
    """How long a child takes until it serves, and of it the plan's loading."""
    precision = programme.best
    starts, loads, warms = [], [], []
    facts: dict[str, Any] = {}
    for _ in range(2 if programme.quick else LOADS):
        begin_s = time.monotonic()
        with serving(programme.order(precision)) as gpu:
            starts.append((time.monotonic() - begin_s) * 1000)
            loads.append(gpu.facts["load_s"] * 1000)
            warms.append(gpu.facts["warm_s"] * 1000)
            facts = gpu.facts
    programme.rows += [
        row(f"{precision}/start", "from nothing to a child that serves", starts),
        row(f"{precision}/load", "loading the plan: sidecar, hash, engine, memory, graphs", loads),
        row(f"{precision}/self-test", "its self-test in every batch size", warms),
    ]
    return {"precision": precision, "facts": facts}


def same_answers(programme: Programme) -> dict[str, Any]:
    """The plan through its child against FP32: ONNX Runtime's answers where it runs here, else the stored ones."""
    found: dict[str, Any] = {}
    for precision in sorted(programme.built):
        job = programme.jobs[precision]
        reference, whose = _reference(programme)
        with serving(programme.order(precision)) as gpu:
            one_by_one = _ask_all(gpu, job, 1)
            at_once = _ask_all(gpu, job, job.order.max_batch)
            again = _ask_all(gpu, job, 1)
        report = compare(reference, one_by_one, job.exams, job.rule)
        found[precision] = {
            "against": whose,
            "one_by_one": report,
            "at_once": compare(reference, at_once, job.exams, job.rule),
            "same_bits_again": _same_bits(one_by_one, again),
            "same_bits_in_a_batch": _same_bits(one_by_one, at_once),
        }
    failed = [one for one, said in found.items() if not (said["one_by_one"]["passed"] and said["at_once"]["passed"])]
    if failed or not found:
        raise StepFailed(f"{', '.join(failed) or 'no plan'}: {json.dumps(found)[:2000]}")
    return found


def _ask_all(gpu: GpuParent, job: Job, size: int) -> Answers:
    parts = [gpu.run(job.images[first : first + size]) for first in range(0, len(job.images), size)]
    logits, embedding, heat = (
        np.concatenate([part[name] for part in parts]) for name in ("logits", "embedding", "heat")
    )
    return Answers(logits=logits, embedding=embedding, heat=heat)


def _same_bits(one: Answers, other: Answers) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ("logits", "embedding", "heat"))


def _reference(programme: Programme) -> tuple[Answers, str]:
    job = programme.jobs.get("fp32") or programme.jobs[programme.best]
    session = onnxruntime_session(programme)
    if session is None:
        return job.answers, "the stored answers"
    spec = job.order.spec
    names = [spec["outputs"][name]["name"] for name in ("logits", "embedding", "heat")]
    parts = [session.run(names, {spec["input"]["name"]: job.images[at : at + 1]}) for at in range(len(job.images))]
    logits, embedding, heat = (np.concatenate([part[index] for part in parts]) for index in range(3))
    return Answers(logits=logits, embedding=embedding, heat=heat), "ONNX Runtime"
