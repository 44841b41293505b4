"""Measures what a plan says, and puts it into one document (docs/schemas/benchmark.md)."""

import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from appliance.bench import engine_alone
from appliance.bench.browser import why_none
from appliance.bench.ceilings import NotMeasured, measure_ceilings
from appliance.bench.figures import row
from appliance.bench.machine import busy_share, file_system, load, machine, said_busy, versions
from appliance.bench.plan import Plan
from appliance.bench.run import Run
from appliance.bench.stages import measure_stages
from appliance.bench.whole import Box, Exam, measure_whole
from appliance.bench.work import NotCounted, Work, work_of
from appliance.core.errors import Fault
from appliance.core.status import PROGRAMS
from appliance.inference.driver import probe_apart
from appliance.inference.loading import LoadedEngine
from appliance.phantoms.demo import demo_exam
from appliance.phantoms.dicom import Study, exam_files
from appliance.phantoms.exam import HELD_OUT_SEED

KIND: Final = "benchmark"
SCHEMA_VERSION: Final = 1
SEED: Final = HELD_OUT_SEED
START_EXPECTED_S: Final = 3.0
_DRAW_S: Final = 0.12
"""Of one slice of the exam, roughly."""


def expected_s(plan: Plan) -> float:
    """How long it will take, roughly; it only moves the bar."""
    whole_s = sum(one.expected_s(plan.slices, START_EXPECTED_S) for one in plan.conditions)
    return plan.slices * _DRAW_S + 8 + 8 * plan.engine.within_s + 19 * plan.stages.within_s / 2 + plan.idle_s + whole_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is measured. `plans` and `python`: where TensorRT plans and their interpreter are, if a person has named them."""

    folder: Path
    engine: LoadedEngine
    plans: Path | None = None
    python: Path | None = None


def measure(plan: Plan, subject: Subject, run: Run) -> dict[str, Any]:
    """The whole document. What cannot be measured is named in it; CannotStart where the programs do not start."""
    engine, files = subject.engine, subject.engine.files
    before = {"load": load(), "busy_share": busy_share()}
    document: dict[str, Any] = {
        "kind": KIND,
        "schema_version": SCHEMA_VERSION,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "quick": plan.quick,
        "machine": machine() | {"file_system": file_system(Path(tempfile.gettempdir()))},
        "versions": versions([engine.backend.name]),
        "engine": {
            "name": files.card.name,
            "version": files.card.version,
            "sha256": files.card.sha256,
            "input": [1, len(files.card.input.windows), files.card.input.size, files.card.input.size],
        },
    }
    began_s = time.monotonic()
    with run.part("drawing a head that bleeds", plan.slices * _DRAW_S):
        exam = Exam(exam=demo_exam(SEED, bleeding=True, slices=plan.slices), seed=SEED)
    slices, rows, columns = exam.exam.hu.shape
    document["exam"] = {"slices": slices, "rows": rows, "columns": columns, "seed": SEED}
    document |= _engine_part(plan, subject, run)
    with run.part("the stages of a slice", 19 * plan.stages.within_s / 2), tempfile.TemporaryDirectory() as folder:
        made = exam_files(exam.exam, Study(seed=SEED, token="benchmark-stages"))
        document["stages"] = list(measure_stages(made, engine, Path(folder), plan.stages, run))
    document |= _whole_part(plan, exam, subject, run)
    return document | {
        "not_measured": run.not_measured,
        "busy": {"before": before, "after": {"load": load()}, "said": said_busy(before)},
        "took_s": time.monotonic() - began_s,
    }


def _engine_part(plan: Plan, subject: Subject, run: Run) -> dict[str, Any]:
    """Work, ceilings, and each way to run the engine."""
    files = subject.engine.files
    work: Work | None = None
    try:
        work = work_of(files.model)
    except NotCounted as why:
        run.leave_out("the floor of the engine", str(why))
    cores = machine()["cores"]
    ways = engine_alone.candidates(files, cores) + _on_the_card(subject, run)
    ceilings: dict[int, dict[str, Any]] = {}
    with run.part("what the processor can do", 8):
        for threads in sorted({way.threads for way in ways if way.threads}):
            try:
                ceilings[threads] = measure_ceilings(threads)
            except NotMeasured as why:
                run.leave_out(f"the ceilings of {threads} threads", str(why))
    pictures = engine_alone.pictures_of(subject.engine.golden)
    rows: list[dict[str, Any]] = []
    for way in ways:
        with run.part(way.said, 4 * plan.engine.within_s):
            try:
                rows += engine_alone.measure(
                    way, pictures, run, runs=plan.engine.runs, within_s=plan.engine.within_s, work=work,
                    ceilings=ceilings.get(way.threads),
                )  # fmt: skip
            except Fault as fault:
                run.leave_out(way.said, fault.message)
    return {
        "work": work.as_dict() if work else None,
        "ceilings": [ceilings[threads] for threads in sorted(ceilings)],
        "engine_alone": rows,
    }


def _on_the_card(subject: Subject, run: Run) -> list[engine_alone.Candidate]:
    what = "the engine on a graphics card"
    python, plans = subject.python or Path(sys.executable), subject.plans or subject.folder / "plans"
    driver = probe_apart(str(python))
    if not driver.gpus:
        run.leave_out(what, driver.said)
        return []
    ways = engine_alone.on_the_card(subject.engine.files, subject.engine.golden, plans=plans, python=python)
    if not ways:
        run.leave_out(what, f"there is no plan in {plans}; python build_engine.py builds one")
    return ways


def _whole_part(plan: Plan, exam: Exam, subject: Subject, run: Run) -> dict[str, Any]:
    found: dict[str, Any] = {"whole": [], "in_service": []}
    found |= dict.fromkeys(("served_by", "waterfall", "idle", "memory"))
    starts: list[dict[str, float]] = []
    start_s = START_EXPECTED_S
    box = Box(engine=subject.folder, plans=subject.plans, python=subject.python)
    no_browser = why_none()
    if no_browser:
        run.leave_out("alerts painted in a browser", no_browser)
    for condition in plan.conditions:
        if condition.browser and no_browser:
            continue
        needed_s = condition.expected_s(plan.slices, start_s) + (0 if starts else plan.idle_s)
        if not run.fits(needed_s):
            run.leave_out(f"the whole appliance: {condition.said}", "it does not fit into the time of a quick run")
            continue
        with run.part(condition.said, needed_s):
            idle_s = 0.0 if starts else plan.idle_s
            for section, value in measure_whole(condition, exam, box, subject.engine.card, run, idle_s=idle_s):
                if section == "starts":
                    starts.append(value)
                    start_s = max(start_s, max(value.values(), default=0.0) + 1.0)
                elif section == "not_measured":
                    run.leave_out(value["what"], value["why"])
                elif section in ("whole", "in_service"):
                    found[section].append(value)
                elif found[section] is None or section == "memory":
                    found[section] = value
    return found | {"cold_start": list(_starts(starts))}


def _starts(starts: list[dict[str, float]]) -> Iterator[dict[str, Any]]:
    for program in PROGRAMS:
        if values := [one[program] * 1000 for one in starts if program in one]:
            yield row(f"start/{program}", f"{program}: from nothing to ready", values)
    if values := [max(one.values()) * 1000 for one in starts if len(one) == len(PROGRAMS)]:
        yield row("start/all", "all three, started at once", values)


def conditions_said(document: dict[str, Any]) -> list[str]:
    """The conditions of the whole appliance, in the order in which they were measured."""
    return list(dict.fromkeys(str(one["condition"]) for one in document["whole"]))
