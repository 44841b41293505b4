"""The program that builds a plan, in the interpreter that has TensorRT.

    python -m appliance.building.plan_program facts
    python -m appliance.building.plan_program build JOB_FOLDER PLANS_FOLDER [--force] [--parent PID]

Both write one JSON object as the last line of stdout; a build says before, in lines of their own, at which stage it is. No
TensorRT is touched before the driver has shown a card. With --parent it dies when that process does. Runs on Python 3.10; the standard library, numpy, tensorrt, pycuda.
"""

import argparse
import json
import logging
import os
import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np

from appliance.building.job import BadJob, Job, read_job
from appliance.building.parity import Answers, compare
from appliance.inference.driver import probe
from appliance.inference.plan_files import (
    ALONE,
    GATES,
    IN_BATCHES,
    BuildRunning,
    PlanKey,
    PlanRefused,
    Sidecar,
    building,
    key_of,
    read_plan,
    write_durably,
    write_plan,
)
from appliance.processes.children import die_with

# The program's exit codes; `status` in what it says is the same in a word.
STATUS: Final = {
    "built": 0,
    "fits": 0,
    "facts": 0,
    "fault": 1,
    "bad-job": 2,
    "no-device": 10,
    "not-installed": 15,
    "running": 20,
    "cannot-build": 21,
    "gate-failed": 22,
    "cannot-write": 23,
}


class Ended(Exception):
    """The program ends here, with this status and why."""

    def __init__(self, status: str, why: str, **more: Any) -> None:
        super().__init__(status, why)
        self.said = {"status": status, "why": why, **more}


def main(words: list[str]) -> int:
    """The exit code. What is to be said stands on stdout."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    asked = _asked().parse_args(words)
    if asked.parent:
        die_with(asked.parent)
    try:
        if asked.what == "facts":
            said: Mapping[str, Any] = {"status": "facts", "facts": ask_device()}
        else:
            said = build(asked.job, asked.plans, force=asked.force)
    except Ended as end:
        said = end.said
    except Exception as error:  # the border of the process: TensorRT and pycuda raise what no page of theirs names
        logging.getLogger(__name__).exception("the build failed")
        said = {"status": "fault", "why": f"{type(error).__name__}: {' '.join(str(error).split())[:600]}"}
    _say(said)
    return STATUS[said["status"]]


def _asked() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="plan_program")
    what = parser.add_subparsers(dest="what", required=True)
    facts, build = what.add_parser("facts"), what.add_parser("build")
    build.add_argument("job", type=Path)
    build.add_argument("plans", type=Path)
    build.add_argument("--force", action="store_true")
    for one in (facts, build):
        one.add_argument("--parent", type=int, default=0)
    return parser


def ask_device() -> dict[str, Any]:
    """What a plan would be bound to here. Ended where there is no card, or no TensorRT."""
    driver = probe()
    if not driver.gpus:
        raise Ended("no-device", driver.said)
    try:
        from appliance.inference.tensorrt_engine import EngineLost, device_facts
    except (ImportError, OSError, AttributeError) as error:  # the last: a package of that name with nothing in it
        raise Ended("not-installed", f"{sys.executable} cannot load tensorrt and pycuda ({error})") from None
    try:
        return device_facts()
    except EngineLost as error:
        raise Ended("no-device", str(error)) from None


def build(folder: Path, plans: Path, *, force: bool) -> dict[str, Any]:
    """Builds, holds the plan against the FP32 answers, and puts it in its place. Ended with why it does not."""
    facts = ask_device()
    try:
        job = read_job(folder)
    except BadJob as error:
        raise Ended("bad-job", str(error)) from None
    order = job.order
    key = key_of(
        engine_sha256=order.engine_sha256,
        onnx_sha256=order.onnx_sha256,
        precision=order.precision,
        max_batch=order.max_batch,
        device=facts,
    )
    try:
        with building(plans):
            if not force and _fits(plans, key):
                return {"status": "fits", "why": "", "facts": facts}
            return {**_build(job, key, plans), "facts": facts}
    except BuildRunning as error:
        raise Ended("running", str(error)) from None
    except OSError as error:
        raise Ended("cannot-write", f"{plans} cannot be written: {error.strerror}") from None


def _build(job: Job, key: PlanKey, plans: Path) -> dict[str, Any]:
    from appliance.building.plan import CannotBuild, build_plan

    timing = plans / f"{sha256(f'{key.gpu_name} {key.tensorrt}'.encode()).hexdigest()[:16]}.timing"
    _say({"stage": "building"})
    try:
        built = build_plan(job.graph, job.order, timing.read_bytes() if timing.exists() else b"")
    except CannotBuild as error:
        raise Ended("cannot-build", str(error)) from None
    if built.timing:
        write_durably(timing, built.timing)
    _say({"stage": "proving"})
    gates = _prove(built.plan, job)
    failed = [f"{GATES[name]}: {why}" for name, report in gates.items() for why in report["why"]]
    parity = {**job.order.parity, **gates}
    if failed:
        raise Ended("gate-failed", "; ".join(failed), parity=parity)
    sidecar = Sidecar(
        key=key,
        plan_sha256=sha256(built.plan).hexdigest(),
        parity=parity,
        build_s=built.build_s,
        built_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )
    said = write_plan(plans, built.plan, sidecar)
    return {"status": "built", "why": "", "sidecar": str(said), "parity": parity, "build_s": built.build_s}


def _prove(plan: bytes, job: Job) -> dict[str, dict[str, Any]]:
    """The reports of the plan on this card: slice by slice, and in its largest batches."""
    from appliance.inference.tensorrt_engine import EngineLost, TensorRtEngine

    try:
        engine = TensorRtEngine(plan, job.order.spec)
        reports = {
            name: compare(job.answers, _answers(engine, job, size), job.exams, job.rule)
            for name, size in ((ALONE, 1), (IN_BATCHES, job.order.max_batch))
        }
    except (EngineLost, PlanRefused) as error:
        raise Ended("gate-failed", f"the new plan does not run: {error}") from None
    engine.close()
    return reports


def _answers(engine: Any, job: Job, size: int) -> Answers:
    found = [engine.run(job.images[first : first + size]) for first in range(0, len(job.images), size)]
    logits, embedding, heat = (np.concatenate([one[name] for one in found]) for name in ("logits", "embedding", "heat"))
    return Answers(logits=logits, embedding=embedding, heat=heat)


def _fits(plans: Path, key: PlanKey) -> bool:
    try:
        read_plan(plans, key)
    except PlanRefused:
        return False
    return True


def _say(said: Mapping[str, Any]) -> None:
    sys.stdout.write(f"\n{json.dumps(said)}\n")  # libraries write here too, and not always whole lines
    sys.stdout.flush()


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # after a fault of the card pycuda aborts the process while it is taken down
