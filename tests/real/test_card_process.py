"""Triage with a card whose child is a real process, over stand-ins of the driver, pycuda and TensorRT: killed, hung, damaged."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.core.alerts import AlertState
from appliance.core.engine_duty import FELL_BACK
from appliance.core.words import FileVerdict, Finality, Level, Outcome
from appliance.inference.loading import LoadedEngine
from appliance.inference.manifest import read_engine
from appliance.processes.status_file import read_status
from appliance.records.engines import current_engine
from appliance.records.ledger import Ledger
from appliance.triage.fast_road import fast_road
from tests.conftest import MakeBox
from tests.phantom_exams import SLICES, series_files
from tests.real.appliance import KEEN, Box, settings_of, settings_text, with_points
from tests.real.gpu import FACTS, MAX_BATCH, make_standins, plan_key, put_plan, standin_plan
from tests.real.test_kill import ROOT, keen_engine, triage_running, wait_for

CARD = f"tensorrt {FACTS['tensorrt']} fp32 {FACTS['name']}"
START_S = 120.0
BUILD_S = 500.0
ALERT_WITHIN_S = 10.0  # far more than it takes: the machine of the test may be busy


@pytest.fixture(scope="module")
def standins(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return make_standins(tmp_path_factory.mktemp("standins"))


@pytest.fixture
def card_is_there(standins: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """For every process that a test starts."""
    for name, value in standins.items():
        monkeypatch.setenv(name, value)


def engine_lines(plans: Path) -> str:
    return f'plans = "{plans}"\nprecision = "fp32"\nmax_batch = {MAX_BATCH}\ndeadline_s = 0.5\n'


def children_of(parent: int) -> list[int]:
    """The children of the card that a process has now."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            ours = int((folder / "stat").read_text().rpartition(")")[2].split()[1]) == parent
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if ours and b"appliance.inference.gpu_child" in command:
            found.append(int(folder.name))
    return found


def kill_child_of(parent: subprocess.Popen[bytes]) -> int:
    """Its number. Waits until there is one, as after a loss: whoever kills nobody has tested nothing."""
    end_s = time.monotonic() + START_S
    while not (found := children_of(parent.pid)):
        assert parent.poll() is None and time.monotonic() < end_s, "it starts no child"
        time.sleep(0.01)
    os.kill(found[0], signal.SIGKILL)
    return found[0]


# -- a box that a test drives ------------------------------------------------------------------------------


@pytest.fixture
def box(make_box: MakeBox, head_engine: LoadedEngine, tmp_path: Path, card_is_there: None) -> Box:
    """Its card is on duty."""
    plans = tmp_path / "plans"
    put_plan(plans, standin_plan(head_engine.files), plan_key(head_engine.files))
    made = make_box(engine=with_points(head_engine, KEEN), start=False)
    settings = settings_of(tmp_path / "box", more=engine_lines(plans))
    made.fast = fast_road(settings, made.engine)
    made.start()
    made.hear(lambda: state(made) == "ON_GPU", within_s=START_S)
    return made


def state(box: Box) -> str:
    return str(box.triage.facts(box.clock.now())["engine_duty"])


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "hung"])
def test_a_child_that_is_killed_or_hangs_while_a_scan_lands(box: Box, how: signal.Signals) -> None:
    """No slice is lost, the alert comes from whoever still reads, and the box says that it is slower than usual."""
    files = series_files("lands", bleeding=True)
    for file in files[:15]:
        box.put(f"IM{file.number}", file.data)
    box.pass_time_until(lambda: len(box.slices()) == 15)
    assert {row.score.backend for row in box.slices() if row.score} == {CARD}

    (child,) = children_of(os.getpid())
    os.kill(child, how)
    for file in files[15:]:
        box.put(f"IM{file.number}", file.data)
    box.pass_time_until(lambda: len(box.slices()) == SLICES)
    box.work()
    spare = box.engine.backend.name
    assert {row.score and row.score.backend for row in box.slices()} == {spare}
    assert box.alert().level is Level.CRITICAL
    assert child not in children_of(os.getpid()), "nobody is left over"

    box.pass_time(1.5)
    box.hear(lambda: state(box) == "ON_GPU", within_s=START_S)
    (told,) = box.alerts("technical")
    assert (told.key.first, told.state) == (FELL_BACK, AlertState.MENDED)
    box.rest()
    (last,) = (one for one in box.readings(box.series()[0]) if one.finality is Finality.FINAL)
    assert (last.backend, last.slices) == (spare, SLICES)
    box.assert_sound(*[file.data for file in files])
    box.triage.close()
    assert children_of(os.getpid()) == []


@pytest.mark.parametrize(
    ("told", "code", "why", "after_s"),
    [
        ({"STANDIN_CUDA_CARDS": "0"}, "gpu-lost", "the driver shows no card", 300.0),
        ({"STANDIN_CUDA_INIT": "999"}, "gpu-lost", "off the bus", 300.0),
        ({"PYTHONPATH": ""}, FELL_BACK, "tensorrt", 1.0),
        ({"STANDIN_TENSORRT": "8.6.0"}, FELL_BACK, "TensorRT version", 3600.0),
        ({"STANDIN_WRONG": "0.5"}, FELL_BACK, "", 3600.0),
    ],
    ids=["no card", "off the bus", "not installed", "another TensorRT", "wrong answers"],
)
def test_a_card_that_does_not_come_up_is_told_for_what_it_is(
    make_box: MakeBox,
    head_engine: LoadedEngine,
    tmp_path: Path,
    card_is_there: None,
    monkeypatch: pytest.MonkeyPatch,
    told: dict[str, str],
    code: str,
    why: str,
    after_s: float,
) -> None:
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    plans = tmp_path / "plans"
    put_plan(plans, standin_plan(head_engine.files, version=str(FACTS["tensorrt"])), plan_key(head_engine.files))
    box = make_box(engine=head_engine, start=False)
    box.fast = fast_road(settings_of(tmp_path / "box", more=engine_lines(plans)), head_engine)
    box.start()
    box.hear(lambda: state(box) != "STARTING", within_s=START_S)
    assert state(box) == "DEGRADED"
    said = box.triage.facts(box.clock.now())
    assert why in str(said["engine_why"])
    assert said["engine_retry_s"] == after_s
    (alert,) = box.alerts("technical")
    assert alert.key.first == code
    assert children_of(os.getpid()) == []


# -- the program -------------------------------------------------------------------------------------------


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "appliance.cli", *words],
        capture_output=True, text=True, timeout=120, cwd=ROOT, check=False, env=os.environ,
    )  # fmt: skip


def facts(box: Box) -> dict[str, Any]:
    status = read_status(box.settings.runtime_folder, "triage")
    return dict(status.facts) if status else {}


def configured(box: Box, engine: Path, more: str = "") -> Path:
    config = box.inbox.parent / "bleedwatch.toml"
    config.write_text(settings_text(box.inbox.parent, engine) + more)
    return config


def is_read(box: Box, slices: int) -> Callable[[], bool]:
    """Every slice is safe and stands in a final reading."""

    def done() -> bool:
        finals = [
            one
            for study in box.studies()
            for series in box.series(study)
            for one in box.readings(series)
            if one.finality is Finality.FINAL
        ]
        return sum({one.series_id: one.slices for one in finals}.values()) == slices

    return done


def until(happened: Callable[[], bool], process: subprocess.Popen[bytes], box: Box) -> None:
    """For what the program waits for itself: a pause between tries, a build."""
    end_s = time.monotonic() + BUILD_S
    while not happened():
        assert process.poll() is None and time.monotonic() < end_s, facts(box)
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_kill_9_of_the_child_again_and_again_while_slices_land(
    make_box: MakeBox, tmp_path: Path, card_is_there: None
) -> None:
    """`auto` finds card, TensorRT and plan. Its child is killed while it serves, as soon as another is there, and idle."""
    engine = keen_engine(tmp_path / "engine")
    files = read_engine(engine)
    put_plan(engine / "plans", standin_plan(files), plan_key(files))
    box = make_box("box", start=False)
    config = configured(box, engine, engine_lines(engine / "plans"))
    scan = series_files("killed", bleeding=True)
    chance = random.Random(7)
    with triage_running(config) as process:
        wait_for(lambda: facts(box).get("engine_duty") == "ON_GPU", process, config)
        assert facts(box)["backend"] == CARD
        doctor = command("doctor", "--config", str(config))
        assert "The graphics card reads" in doctor.stdout and CARD in doctor.stdout
        status = json.loads(command("status", "--config", str(config), "--json").stdout)
        assert status["duty"]["state"] == "ON_GPU"
        assert status["engine"]["backend"] == CARD
        killed = []
        for half in (scan[:15], scan[15:]):
            kill_at = chance.randrange(len(half))
            for number, file in enumerate(half):
                box.put(f"IM{file.number:03}", file.data)
                time.sleep(0.02)
                if number == kill_at:
                    killed.append(kill_child_of(process))
        wait_for(is_read(box, SLICES), process, config)
        wait_for(lambda: facts(box).get("engine_duty") == "ON_GPU", process, config)
        killed.append(kill_child_of(process))
        wait_for(lambda: facts(box).get("engine_duty") == "DEGRADED", process, config)
        assert len(set(killed)) == 3
        until(lambda: {one.state for one in box.alerts("technical")} == {AlertState.MENDED}, process, box)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert children_of(process.pid) == []
    assert box.sums() == {FileVerdict.TAKEN.value: SLICES}
    assert (box.alert().level, box.study().outcome) == (Level.CRITICAL, Outcome.CRITICAL)
    told = box.alerts("technical")
    assert {one.key.first for one in told} == {FELL_BACK}
    readings = box.readings(box.series()[0])
    (last,) = (one for one in readings if one.finality is Finality.FINAL)
    assert {row.score and row.score.backend for row in box.slices()} == {last.backend}
    early = readings[0]
    assert early.finality is Finality.PROVISIONAL and early.finding is not None
    shown_ns = max(row.landed_ns for row in box.slices() if row.id in early.finding.evidence)
    assert early.made_ns - shown_ns < ALERT_WITHIN_S * 10**9, "whoever dies, the alert follows its evidence"
    box.assert_sound(*[file.data for file in scan])
    with Ledger.open(box.settings.database) as ledger, ledger.reading() as read:
        event = current_engine(read)
    assert event is not None and (event.kind, event.backend) == ("BACKEND", CARD)


def test_auto_without_a_card_ends_on_the_processor_and_says_so(make_box: MakeBox, tmp_path: Path) -> None:
    engine = keen_engine(tmp_path / "engine")
    box = make_box("box", start=False)
    config = configured(box, engine)
    doctor = command("doctor", "--config", str(config))
    assert doctor.returncode in (0, 1), doctor.stdout  # the machine of the test may have faults of its own
    assert re.search(r"backend: ONNX Runtime reads on the processor: there is no NVIDIA driver here", doctor.stdout)
    with triage_running(config) as process:
        wait_for(lambda: facts(box).get("engine_duty") not in (None, "CHOOSING"), process, config)
        said = facts(box)
        assert said["engine_duty"] == "SPARE_ONLY"
        assert str(said["backend"]).startswith("onnxruntime ")
        assert "there is no NVIDIA driver here" in str(said["engine_why"])
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert "there is no NVIDIA driver here" in (config.parent / "triage.log").read_text()
    assert box.alerts("technical") == [], "no card is no fault"


@pytest.mark.parametrize("policy", ["fallback", "fail"])
def test_a_damaged_plan(make_box: MakeBox, tmp_path: Path, card_is_there: None, policy: str) -> None:
    engine = keen_engine(tmp_path / "engine")
    files = read_engine(engine)
    put_plan(engine / "plans", standin_plan(files), plan_key(files))
    (plan,) = (engine / "plans").glob("*.plan")
    plan.write_bytes(plan.read_bytes()[:-1])
    box = make_box("box", start=False)
    config = configured(box, engine, engine_lines(engine / "plans") + f'on_refused = "{policy}"\n')
    settled = {"fallback": "DEGRADED", "fail": "STOPPED"}[policy]
    with triage_running(config) as process:
        wait_for(lambda: facts(box).get("engine_duty") == settled, process, config)
        assert "is damaged" in str(facts(box)["engine_why"])
        doctor = command("doctor", "--config", str(config))
        assert "is damaged" in doctor.stdout
        assert ("Nobody reads" in doctor.stdout) == (policy == "fail")
        assert (doctor.returncode == 2) == (policy == "fail"), doctor.stdout
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    (told,) = box.alerts("technical")
    assert told.key.first == {"fallback": FELL_BACK, "fail": "engine-refused"}[policy]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_rebuild_by_the_builder_itself_while_the_spare_reads(
    make_box: MakeBox, tmp_path: Path, card_is_there: None
) -> None:
    """No plan is there. Triage has one built, gate and all, reads a scan meanwhile, and then hands over to the card."""
    engine = keen_engine(tmp_path / "engine")
    box = make_box("box", start=False)
    config = configured(box, engine, engine_lines(engine / "plans") + 'on_refused = "rebuild"\n')
    scan = series_files("meanwhile", bleeding=True)
    with triage_running(config) as process:
        wait_for(lambda: facts(box).get("engine_duty") == "REBUILDING", process, config)
        wait_for(lambda: bool(facts(box).get("engine_build")), process, config)
        for file in scan:
            box.put(f"IM{file.number:03}", file.data)
        wait_for(is_read(box, SLICES), process, config)
        until(lambda: facts(box).get("engine_duty") in ("ON_GPU", "DEGRADED"), process, box)
        assert facts(box)["engine_duty"] == "ON_GPU", facts(box)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    (told,) = box.alerts("technical")
    assert (told.key.first, told.state) == (FELL_BACK, AlertState.MENDED)
    assert box.readings(box.series()[0])[-1].backend.startswith("onnxruntime ")
    (sidecar,) = (engine / "plans").glob("*.json")
    assert json.loads(sidecar.read_text())["parity"]["plan"]["passed"] is True


def test_tensorrt_by_name_without_a_card_is_told(make_box: MakeBox, tmp_path: Path) -> None:
    engine = keen_engine(tmp_path / "engine")
    box = make_box("box", start=False)
    config = configured(box, engine, 'backend = "tensorrt"\n')
    with triage_running(config) as process:
        wait_for(lambda: facts(box).get("engine_duty") == "DEGRADED", process, config)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    doctor = command("doctor", "--config", str(config))
    assert doctor.returncode == 1, doctor.stdout
    assert "there is no NVIDIA driver here" in doctor.stdout
    (told,) = box.alerts("technical")
    assert told.key.first in (FELL_BACK, "gpu-lost")
