"""What must be so of the engine before the appliance can work, and which backend the settings come to."""

from collections.abc import Iterator
from pathlib import Path

from appliance.core.engine_duty import BAD, SAID, DutyState, OnRefused
from appliance.core.errors import Fault
from appliance.inference.choice import choose, missing_in
from appliance.inference.driver import probe_apart
from appliance.inference.loading import load_engine
from appliance.inference.manifest import EngineRefused, read_engine
from appliance.inference.plan_files import PlanRefused, plan_stem, read_sidecar
from appliance.operations.findings import Finding, Grade, bad, fine
from appliance.processes.clock import now
from appliance.processes.status_file import read_status
from appliance.settings import EngineSettings, Settings


def look_at_engine(folder: Path, threads: int) -> Finding:
    """Hash, shape and golden self-test."""
    try:
        engine = load_engine(folder, threads=threads)
    except Fault as fault:
        return bad("engine", Grade.CANNOT_WORK, fault.message, "Put the installed engine back, or name another one.")
    said = f"{engine.card.name} {engine.card.version} on {engine.backend.name}, golden test passed"
    engine.backend.close()
    return fine("engine", said)


def look_at_backend(settings: Settings) -> Iterator[Finding]:
    """Which backend the settings come to here and why, what TensorRT lacks where it is wanted, and who reads now."""
    said = settings.engine
    try:
        engine_sha256 = read_engine(said.folder).card.sha256
    except EngineRefused:
        return  # a finding of its own
    choice = choose(said, engine_sha256)
    yield fine("backend", choice.why)
    if choice.fast:
        yield from _fast_lacks(said, engine_sha256)
    yield from _on_duty(settings)


def _fast_lacks(said: EngineSettings, engine_sha256: str) -> Iterator[Finding]:
    spare = "Until then the processor reads, and an alert says so."
    driver = probe_apart()
    if not driver.gpus:
        yield bad("backend", Grade.FAULT, f"no card: {driver.said}", spare)
    if lacks := missing_in(said.interpreter):
        step = f"Install them there, or name in [engine] python the interpreter that has them (README). {spare}"
        yield bad("backend", Grade.FAULT, lacks, step)
    try:
        read_sidecar(said.plans_folder, plan_stem(engine_sha256, said.precision))
    except PlanRefused as refused:
        what, _, step = str(refused).partition(". ")
        grade = Grade.CANNOT_WORK if said.on_refused is OnRefused.FAIL else Grade.FAULT
        yield bad("backend", grade, what, step or "Build it anew: python build_engine.py")


def _on_duty(settings: Settings) -> Iterator[Finding]:
    triage = read_status(settings.runtime_folder, "triage")
    if triage is None or triage.is_silent(now().monotonic_s) or "engine_duty" not in triage.facts:
        return
    state = DutyState(str(triage.facts["engine_duty"]))
    by = "" if state is DutyState.STOPPED else f", with {triage.facts['backend']}"
    words = f"{SAID[state]}{by}: {triage.facts['engine_why']}"
    if build := triage.facts.get("engine_build"):
        words = f"{words.rstrip('.')}. The builder says: {build}"
    if state is DutyState.STOPPED:
        step = (
            "Build the plan anew (build_engine.py) and restart triage, or let the processor read: [engine] on_refused."
        )
        yield bad("on duty", Grade.CANNOT_WORK, words, step)
    elif state in BAD:
        yield bad("on duty", Grade.FAULT, words, "It is tried again by itself; nvidia-smi and the log say more.")
    else:
        yield fine("on duty", words)
