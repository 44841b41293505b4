"""The child of the graphics card as a real process, over stand-ins of driver, pycuda and TensorRT."""

import errno
import gc
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from appliance.core.errors import Fault
from appliance.inference.gpu_parent import GpuLost, GpuOrder, GpuParent, GpuState
from appliance.inference.loading import LoadedEngine
from appliance.inference.tensorrt_backend import TensorRtBackend, start_tensorrt
from appliance.processes.children import LimitedChild, packed
from tests.real.gpu import (
    FAULT_AT,
    MAX_BATCH,
    START_S,
    gpu_order,
    make_standins,
    plan_key,
    put_plan,
    standin_plan,
    until_settled,
)

StartGpu = Callable[..., GpuParent]
Images = NDArray[np.float32]


@pytest.fixture(scope="module")
def standins(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return make_standins(tmp_path_factory.mktemp("standins"))


@pytest.fixture(scope="module")
def plans(head_engine: LoadedEngine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the plan that fits. Copy it to spoil it."""
    folder = tmp_path_factory.mktemp("plans")
    put_plan(folder, standin_plan(head_engine.files), plan_key(head_engine.files))
    return folder


@pytest.fixture(scope="module")
def order(head_engine: LoadedEngine, plans: Path, standins: dict[str, str]) -> GpuOrder:
    """What starts a child that becomes ready."""
    return gpu_order(head_engine.files, head_engine.golden, plans, standins)


@pytest.fixture(scope="module")
def images(head_engine: LoadedEngine) -> Images:
    """As many different pictures as go at once."""
    drawn = np.random.default_rng(1).random((MAX_BATCH, *head_engine.golden.prepared()[0].shape[1:]))
    return drawn.astype(np.float32)


@pytest.fixture
def start(order: GpuOrder) -> Iterator[StartGpu]:
    """Starts a child with an order that differs in some things; `told` goes into its environment."""
    started: list[GpuParent] = []

    def start(told: dict[str, str] | None = None, **other: Any) -> GpuParent:
        environment = {**order.environment, **(told or {})}
        gpu = GpuParent(replace(order, environment=environment, **other), time.monotonic())
        started.append(gpu)
        return gpu

    yield start
    for gpu in started:
        gpu.close()


def ready(gpu: GpuParent) -> GpuParent:
    assert until_settled(gpu) is GpuState.READY, gpu.why
    return gpu


def spoilt(images: Images) -> Images:
    """A picture that makes the stand-in fail in the way that it was told."""
    image = images[:1].copy()
    image[0, 0, 0, 0] = FAULT_AT
    return image


def gone(pid: int | None) -> bool:
    """No process, and no zombie either."""
    return not Path(f"/proc/{pid}").exists()


def held_memory() -> int:
    """Shared memory that this process maps."""
    gc.collect()
    return Path("/proc/self/maps").read_text().count("memfd:bleedwatch-gpu")


def same_as_the_processor(found: dict[str, NDArray[np.float32]], images: Images, engine: LoadedEngine) -> bool:
    answers = [engine.backend.run(images[index : index + 1]) for index in range(len(images))]
    return all(
        np.array_equal(values[index], getattr(answer, name))
        for name, values in found.items()
        for index, answer in enumerate(answers)
    )


def test_it_becomes_ready_and_answers_as_the_processor_does(
    start: StartGpu, images: Images, head_engine: LoadedEngine
) -> None:
    gpu = ready(start())
    for count in (1, 2, 3, MAX_BATCH, 1):
        found = gpu.run(images[:count])
        assert set(found) == {"logits", "embedding", "heat"}
        assert same_as_the_processor(found, images[:count], head_engine)
    assert gpu.facts["graphs"] == {"1": True, "2": True, "4": True}
    assert gpu.facts["golden_distance"] < head_engine.golden.allowed_logit
    assert gpu.facts["tensorrt"] and gpu.facts["name"] == "Stand-in 9000"


def test_answers_stay_when_the_next_ones_come(start: StartGpu, images: Images) -> None:
    gpu = ready(start())
    first = gpu.run(images[:1])
    kept = {name: values.copy() for name, values in first.items()}
    gpu.run(images[1:2])
    assert all(np.array_equal(first[name], kept[name]) for name in kept)


def test_it_works_by_graphs_and_gives_everything_back_in_order(start: StartGpu, images: Images, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    gpu = ready(start({"STANDIN_TRACE": str(trace)}))
    before = trace.read_text().count("graph launched")
    gpu.run(images[:2])
    assert trace.read_text().count("graph launched") == before + 1
    gpu.close()
    assert gpu.exit_code == 0
    lines = trace.read_text().splitlines()
    freed = [line for line in dict.fromkeys(lines) if line.endswith(("freed", "released"))]
    order = ["graph", "context", "memory", "engine", "runtime", "stream"]
    assert freed == [*(f"{what} freed" for what in order), "primary context released"]
    for what in order:
        assert lines.count(f"{what} freed") == lines.count(f"{what} made") or what == "graph"


def test_a_card_that_captures_nothing_serves_without_graphs_and_says_so(
    start: StartGpu, images: Images, head_engine: LoadedEngine
) -> None:
    gpu = ready(start({"STANDIN_NO_CAPTURE": "900"}))
    assert gpu.facts["graphs"] == {"1": False, "2": False, "4": False}
    assert "cuStreamEndCapture answered 900" in gpu.facts["no_graph"]
    assert same_as_the_processor(gpu.run(images), images, head_engine)


def test_graphs_can_be_switched_off(start: StartGpu, images: Images, head_engine: LoadedEngine) -> None:
    gpu = ready(start(graphs=False))
    assert gpu.facts["no_graph"] == "switched off"
    assert same_as_the_processor(gpu.run(images), images, head_engine)


def test_pictures_that_do_not_fit_are_no_end(start: StartGpu, images: Images, head_engine: LoadedEngine) -> None:
    gpu = ready(start())
    for wrong in (images[:0], np.concatenate([images, images]), images[:, :2], images[0]):
        with pytest.raises(ValueError, match="do not fit"):
            gpu.run(wrong)
    assert same_as_the_processor(gpu.run(images), images, head_engine)


@pytest.mark.parametrize(
    ("fault", "field", "code", "said"),
    [
        ("hang", "deadline", 14, "has not answered within 2 s"),
        ("block", "deadline", -signal.SIGKILL, "has not answered within 2.5 s"),
        ("fail", "cuda", 12, "illegal memory access"),
        ("crash", "crash", -signal.SIGSEGV, "signal 11"),
        ("exit", "crash", 3, "code 3"),
    ],
)
def test_a_card_that_fails_in_a_run_costs_the_child_alone(
    start: StartGpu, images: Images, fault: str, field: str, code: int, said: str
) -> None:
    gpu = ready(start({"STANDIN_FAULT": fault}, run_s=2.0 if field == "deadline" else START_S))
    gpu.run(images)
    with pytest.raises(GpuLost, match=said):
        gpu.run(spoilt(images))
    assert (gpu.state, gpu.field, gpu.exit_code) == (GpuState.DEAD, field, code)
    assert said in gpu.why
    assert gone(gpu.pid) and not gpu.stuck and not gpu.cured_by_rebuild
    with pytest.raises(GpuLost):
        gpu.run(images)


@pytest.mark.parametrize(
    ("field", "other"),
    [
        ("onnx_sha256", "0" * 64),
        ("block_list", ("Softmax",)),
        ("profile", (1, 1, 2)),
        ("flags", ("weakly-typed",)),
        ("tensorrt", "10.16.0.1"),
        ("gpu_name", "Another 9000"),
        ("compute_capability", "8.9"),
        ("sm_count", 66),
        ("memory_bytes", 1 << 30),
        ("format", 99),
        ("precision", "fp16"),
        ("engine_sha256", "0" * 64),
    ],
)
def test_a_plan_for_something_else_is_refused_in_words(
    start: StartGpu, head_engine: LoadedEngine, tmp_path: Path, field: str, other: Any
) -> None:
    """A plan that lies under the name of the one that is needed, whatever its key says."""
    wanted = plan_key(head_engine.files)
    sidecar = put_plan(tmp_path / "plans", standin_plan(head_engine.files), wanted)
    said = json.loads(sidecar.read_text())
    said["key"][field] = other
    sidecar.write_text(json.dumps(said))
    gpu = start(plans=tmp_path / "plans")
    assert until_settled(gpu) is GpuState.REFUSED
    assert (gpu.field, gpu.exit_code, gpu.cured_by_rebuild) == ("plan", 11, True)
    shown = other[0] if isinstance(other, tuple) else other
    assert "the plan has" in gpu.why and str(shown) in gpu.why and "build_engine.py" in gpu.why
    assert gone(gpu.pid)


def _no_folder(plans: Path) -> None:
    for path in plans.iterdir():
        path.unlink()
    plans.rmdir()


def _cut_sidecar(plans: Path) -> None:
    (sidecar,) = plans.glob("*.json")
    sidecar.write_text(sidecar.read_text()[:-20])


def _no_plan(plans: Path) -> None:
    for path in plans.glob("*.plan"):
        path.unlink()


def _turn_a_bit(plans: Path) -> None:
    (plan,) = plans.glob("*.plan")
    data = bytearray(plan.read_bytes())
    data[len(data) // 2] ^= 1
    plan.write_bytes(data)


def _cut_plan(plans: Path) -> None:
    (plan,) = plans.glob("*.plan")
    plan.write_bytes(plan.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_no_folder, "no plan"),
        (_cut_sidecar, "no JSON"),
        (_no_plan, "is not there"),
        (_turn_a_bit, "damaged"),
        (_cut_plan, "damaged"),
    ],
)
def test_a_damaged_plan_never_reaches_tensorrt(
    start: StartGpu,
    head_engine: LoadedEngine,
    tmp_path: Path,
    damage: Callable[[Path], None],
    said: str,
) -> None:
    trace = tmp_path / "trace"
    put_plan(tmp_path / "plans", standin_plan(head_engine.files), plan_key(head_engine.files))
    damage(tmp_path / "plans")
    gpu = start({"STANDIN_TRACE": str(trace)}, plans=tmp_path / "plans")
    assert until_settled(gpu) is GpuState.REFUSED
    assert said in gpu.why and gpu.exit_code == 11
    assert not trace.exists()


def test_bytes_that_tensorrt_cannot_load_are_refused_with_what_it_says(
    start: StartGpu, head_engine: LoadedEngine, tmp_path: Path
) -> None:
    """The sidecar vouches for them all the same."""
    plan = standin_plan(head_engine.files, version="8.6.0")
    put_plan(tmp_path / "plans", plan, plan_key(head_engine.files))
    gpu = start(plans=tmp_path / "plans")
    assert until_settled(gpu) is GpuState.REFUSED
    assert "not compatible with this version" in gpu.why and gpu.exit_code == 11


def test_a_plan_with_smaller_batches_than_its_key_says_is_refused(
    start: StartGpu, head_engine: LoadedEngine, tmp_path: Path
) -> None:
    plan = standin_plan(head_engine.files, profile=(1, 1, 2))
    put_plan(tmp_path / "plans", plan, plan_key(head_engine.files))
    gpu = start(plans=tmp_path / "plans")
    assert until_settled(gpu) is GpuState.REFUSED
    assert "takes 1 to 2 slices, needed are 1 to 4" in gpu.why


@pytest.mark.parametrize("part", ["input", "outputs", "names"])
def test_a_plan_of_another_shape_is_refused(start: StartGpu, order: GpuOrder, part: str) -> None:
    spec = json.loads(json.dumps(order.spec))
    if part == "input":
        spec["input"]["name"] = "picture"
    elif part == "outputs":
        spec["outputs"]["embedding"]["shape"] = [65]
    else:
        spec["outputs"]["heat"]["name"] = "map"
    gpu = start(spec=spec)
    assert until_settled(gpu) is GpuState.REFUSED
    assert "needed" in gpu.why and gpu.exit_code == 11 and gpu.cured_by_rebuild


@pytest.mark.parametrize(
    ("told", "state", "field", "code", "said"),
    [
        ({"STANDIN_DTYPE": "HALF"}, GpuState.REFUSED, "plan", 11, "is of type HALF"),
        ({"STANDIN_REFUSE": "context"}, GpuState.DEAD, "cuda", 12, "no context for 1 slices"),
        ({"STANDIN_REFUSE": "shape"}, GpuState.REFUSED, "plan", 11, "does not take 1 slices"),
        ({"STANDIN_REFUSE": "address"}, GpuState.REFUSED, "plan", 11, "an address for image"),
        ({"STANDIN_REFUSE": "execute"}, GpuState.DEAD, "cuda", 12, "no tactic"),
        ({"STANDIN_REFUSE": "runtime"}, GpuState.DEAD, "cuda", 12, "TensorRT does not start"),
        ({"STANDIN_REFUSE": "raise"}, GpuState.DEAD, "fault", 1, "RuntimeError: a std::exception"),
        ({"STANDIN_REFUSE": "memory"}, GpuState.DEAD, "cuda", 12, "cannot take the plan: [defaultAllocator"),
        ({"STANDIN_OOM": "1"}, GpuState.DEAD, "cuda", 12, "out of memory"),
        ({"STANDIN_NO_LAUNCH": "700"}, GpuState.DEAD, "cuda", 12, "code 700"),
        ({"STANDIN_WRONG": "0.5"}, GpuState.REFUSED, "golden", 13, "0.5 off, 0.02 allowed"),
        ({"STANDIN_WRONG": "nan"}, GpuState.REFUSED, "golden", 13, "inf off"),
        ({"STANDIN_WRONG_BATCH": "0.5"}, GpuState.REFUSED, "golden", 13, "0.5 off, 0.02 allowed, 2 at once"),
        ({"STANDIN_CUDA_CARDS": "0"}, GpuState.REFUSED, "device", 10, "shows no card"),
        ({"STANDIN_CUDA_INIT": "803"}, GpuState.REFUSED, "device", 10, "restart the box"),
        ({"STANDIN_CUDA_INIT": "999"}, GpuState.REFUSED, "device", 10, "off the bus"),
        ({"STANDIN_CUDA_INIT": "4711"}, GpuState.REFUSED, "device", 10, "4711"),
    ],
)
def test_what_goes_wrong_on_the_way_up_is_told_in_words(
    start: StartGpu, told: dict[str, str], state: GpuState, field: str, code: int, said: str
) -> None:
    gpu = start(told)
    until_settled(gpu)
    assert (gpu.state, gpu.field, gpu.exit_code) == (state, field, code), gpu.why
    assert said in gpu.why
    assert gone(gpu.pid)
    assert gpu.cured_by_rebuild is (field in ("plan", "golden"))


def test_a_python_without_tensorrt_is_told(start: StartGpu) -> None:
    gpu = start({"PYTHONPATH": ""})
    assert until_settled(gpu) is GpuState.REFUSED
    assert (gpu.field, gpu.exit_code, gpu.cured_by_rebuild) == ("install", 15, False)
    assert "pycuda" in gpu.why


def test_a_package_of_that_name_with_nothing_in_it_is_told(start: StartGpu, order: GpuOrder, tmp_path: Path) -> None:
    (tmp_path / "tensorrt.py").write_text("")
    gpu = start({"PYTHONPATH": f"{tmp_path}:{order.environment['PYTHONPATH']}"})
    assert until_settled(gpu) is GpuState.REFUSED
    assert (gpu.field, gpu.exit_code) == ("install", 15)
    assert "ILogger" in gpu.why


def test_a_plan_for_one_slice_may_have_a_fixed_shape(
    start: StartGpu, order: GpuOrder, head_engine: LoadedEngine, images: Images, tmp_path: Path
) -> None:
    only = (1, 1, 1)
    put_plan(
        tmp_path / "plans",
        standin_plan(head_engine.files, profile=only),
        plan_key(head_engine.files, profile=only),
    )
    alone = {"spec": {**order.spec, "max_batch": 1}, "wanted": {**order.wanted, "max_batch": 1}}
    gpu = ready(start({"STANDIN_FIXED": "1"}, plans=tmp_path / "plans", **alone))
    assert same_as_the_processor(gpu.run(images[:1]), images[:1], head_engine)


_LOSE = """
import gc, json, sys
import numpy as np
from pathlib import Path
from appliance.inference.tensorrt_engine import EngineLost, TensorRtEngine
def lose():
    plan = next(Path(sys.argv[1]).glob("*.plan")).read_bytes()
    spec = json.loads(sys.argv[2])
    engine = TensorRtEngine(plan, spec)
    try:
        engine.run(np.full((1, *spec["input"]["shape"]), 7777.0, np.float32))
    except EngineLost:
        return
    sys.exit("it was not lost")
lose()
gc.collect()
import os
os._exit(0)
"""


def test_nothing_of_a_lost_engine_is_freed_by_chance(order: GpuOrder, plans: Path, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    told = {**os.environ, **order.environment, "STANDIN_TRACE": str(trace), "STANDIN_FAULT": "fail"}
    root = str(Path(__file__).resolve().parents[2])
    told["PYTHONPATH"] = f"{root}:{told['PYTHONPATH']}"
    subprocess.run([sys.executable, "-c", _LOSE, str(plans), json.dumps(order.spec)], env=told, check=True)
    lines = trace.read_text().splitlines()
    assert "engine made" in lines and "context made" in lines
    assert [line for line in lines if line.endswith(("freed", "released"))] == []


def test_a_box_without_a_free_file_keeps_none_open(start: StartGpu, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it is tried."""
    pipe, made = os.pipe2, 0

    def refuse_the_second(flags: int) -> tuple[int, int]:
        nonlocal made
        made += 1
        if made % 2 == 0:
            raise OSError(errno.EMFILE, "Too many open files")
        return pipe(flags)

    before = len(list(Path("/proc/self/fd").iterdir()))
    monkeypatch.setattr(os, "pipe2", refuse_the_second)
    gpu = start()
    monkeypatch.undo()
    assert (gpu.state, gpu.field) == (GpuState.DEAD, "start") and "Too many open files" in gpu.why
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_python_that_is_not_there_is_told(start: StartGpu) -> None:
    gpu = start(python="/nowhere/python3")
    assert (gpu.state, gpu.field) == (GpuState.DEAD, "start")
    assert "/nowhere/python3 cannot be started" in gpu.why


def test_without_a_card_tensorrt_is_not_touched(start: StartGpu, standins: dict[str, str]) -> None:
    """Touching it ends the process, here by the stand-in: with the driver it does, without it is never reached."""
    touched = start({"STANDIN_SEGFAULT": "1"})
    assert until_settled(touched) is GpuState.DEAD
    assert touched.exit_code == -signal.SIGSEGV and "signal 11" in touched.why
    for told in ({"LD_LIBRARY_PATH": ""}, {"STANDIN_CUDA_CARDS": "0"}, {"STANDIN_CUDA_INIT": "100"}):
        gpu = start({"STANDIN_SEGFAULT": "1", **told})
        assert until_settled(gpu) is GpuState.REFUSED, gpu.why
        assert (gpu.field, gpu.exit_code) == ("device", 10)


def test_starting_never_waits_and_has_a_deadline(start: StartGpu) -> None:
    """The driver of a lost card never comes back: the loop goes on meanwhile, by a clock that the test moves."""
    gpu = start({"STANDIN_CUDA_INIT": "hang"}, start_s=60.0)
    began_s = time.monotonic()
    assert gpu.poll(began_s + 30) is GpuState.STARTING
    with pytest.raises(GpuLost, match="starting"):
        gpu.run(np.zeros((1, 5, 224, 224), np.float32))
    assert gpu.poll(began_s + 61) is GpuState.DEAD
    assert (gpu.field, gpu.exit_code) == ("start", -signal.SIGKILL)
    assert "not ready within 60 s" in gpu.why
    assert gone(gpu.pid)


def test_a_child_killed_while_idle_is_noticed_by_the_next_look(start: StartGpu) -> None:
    gpu = ready(start())
    assert gpu.pid
    os.kill(gpu.pid, signal.SIGKILL)
    while gpu.poll(time.monotonic()) is GpuState.READY:
        time.sleep(0.01)
    assert (gpu.state, gpu.field) == (GpuState.DEAD, "crash")
    assert gpu.why == "its process was ended by signal 9"


def test_a_child_killed_at_any_moment_leaves_nothing(start: StartGpu, images: Images) -> None:
    """kill -9 on its way up and in the midst of runs: told, no zombie, no memory kept."""
    before = held_memory()
    moments = random.Random(7)
    for turn in range(10):
        gpu = start()
        assert gpu.pid
        if turn % 2:
            ready(gpu)
        killer = threading.Timer(moments.uniform(0, 0.1 if turn % 2 else 0.5), os.kill, (gpu.pid, signal.SIGKILL))
        killer.start()
        with pytest.raises(GpuLost, match="signal 9"):
            while True:
                if until_settled(gpu) is GpuState.READY:
                    gpu.run(images)
                elif gpu.state is GpuState.DEAD:
                    raise GpuLost(gpu.why)
        killer.join()
        assert gpu.state is GpuState.DEAD
        assert gone(gpu.pid)
    assert held_memory() == before


def test_a_child_that_cannot_be_ended_is_told(start: StartGpu, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such a one hangs in the driver. Here its end is put off instead."""
    gpu = ready(start())
    assert gpu.pid
    kill = LimitedChild.kill
    monkeypatch.setattr(LimitedChild, "kill", lambda child, grace_s=0.0: None)
    gpu._end(GpuState.DEAD, "deadline", "it has not answered")
    assert gpu.stuck and gpu.why == "it has not answered; it cannot even be ended: restart the box"
    monkeypatch.setattr(LimitedChild, "kill", kill)
    assert gpu._child
    gpu._child.kill()
    assert not gpu.stuck and gone(gpu.pid)


def test_the_shared_memory_cannot_be_shortened(start: StartGpu) -> None:
    """Whatever the child does to it: touching pages that are gone would end us by a bus error."""
    gpu = ready(start())
    lent = [path for path in Path(f"/proc/{gpu.pid}/fd").iterdir() if "bleedwatch-gpu" in str(path.readlink())]
    with lent[0].open("r+b") as file, pytest.raises(PermissionError):
        file.truncate(0)


def test_a_closed_one_leaves_nothing(start: StartGpu) -> None:
    before = held_memory()
    for gpu in (start(), ready(start())):
        gpu.close()
        gpu.close()
        assert gpu.state is GpuState.CLOSED
        assert gone(gpu.pid)
    assert held_memory() == before


_PARENT = """
import json, sys, time
from pathlib import Path
from appliance.inference.gpu_parent import GpuState
from appliance.inference.loading import load_engine
from tests.real.gpu import gpu_order, until_settled
from appliance.inference.gpu_parent import GpuParent
engine = load_engine(Path(sys.argv[1]))
gpu = GpuParent(gpu_order(engine.files, engine.golden, Path(sys.argv[2]), json.loads(sys.argv[3])), time.monotonic())
if sys.argv[4] == "ready":
    until_settled(gpu)
while sys.argv[4] == "hanging" and gpu._child.wants_to_write:  # it hangs once it has its whole order
    gpu.poll(time.monotonic())
print(gpu.pid, flush=True)
time.sleep(1000)
"""


@pytest.mark.parametrize("moment", ["starting", "ready", "hanging"])
def test_a_killed_parent_takes_its_child_along(plans: Path, standins: dict[str, str], moment: str) -> None:
    """One that hangs in the driver too, which hears of no pipe that closes."""
    root = Path(__file__).resolve().parents[2]
    told = standins if moment != "hanging" else {**standins, "STANDIN_CUDA_INIT": "hang"}
    words = [str(root / "engines" / "head-ct"), str(plans), json.dumps(told), moment]
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT, *words],
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    try:
        assert parent.stdout
        child = int(parent.stdout.readline())
        assert not gone(child)
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()
    until_s = time.monotonic() + 60
    while not gone(child):
        assert time.monotonic() < until_s, "the child outlives its parent"
        time.sleep(0.02)


def _speaks(folder: Path, words: bytes) -> str:
    """An interpreter that says something of its own on the pipe for answers."""
    fake = folder / "python"
    said = f"import os, sys, time; os.write(int(sys.argv[6]), {words!r}); time.sleep(1000)"
    fake.write_text(f"#!{sys.executable}\n{said}\n")
    fake.chmod(0o755)
    return str(fake)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (b"no frame at all", "answered what is no answer"),
        (packed({"state": "done", "id": 1, "engine_s": 0.1}), "answered what was not asked"),
        (packed({"state": "ended", "field": "weather", "said": ""}), "answered what was not asked"),
        (packed({}), "answered what was not asked"),
        (packed({"state": "ready"}), "answered what was not asked"),
        (packed({"state": "done"}, body_bytes=1), "answered what is no answer"),
    ],
)
def test_nonsense_is_not_believed(start: StartGpu, tmp_path: Path, words: bytes, said: str) -> None:
    gpu = start(python=_speaks(tmp_path, words))
    assert until_settled(gpu) is GpuState.DEAD
    assert gpu.field == "crash" and said in gpu.why
    assert gone(gpu.pid)


@pytest.fixture
def backend(
    head_engine: LoadedEngine, plans: Path, standins: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], TensorRtBackend]]:
    """Starts the backend as triage does, with the stand-ins in the environment."""
    started: list[TensorRtBackend] = []

    def start() -> TensorRtBackend:
        for name, value in standins.items():
            monkeypatch.setenv(name, value)
        backend = start_tensorrt(
            head_engine.files,
            head_engine.golden,
            plans=plans,
            python=sys.executable,
            precision="fp32",
            start_s=START_S,
            run_s=START_S,
        )
        started.append(backend)
        return backend

    yield start
    for one in started:
        one.close()


def test_the_backend_answers_alone_and_in_company(
    backend: Callable[[], TensorRtBackend], images: Images, head_engine: LoadedEngine
) -> None:
    gpu = backend()
    assert gpu.name == "tensorrt" and gpu.max_batch == MAX_BATCH
    with pytest.raises(Fault, match="engine-fault"):
        gpu.run(images[:1])
    assert until_settled(gpu.gpu) is GpuState.READY, gpu.gpu.why
    assert gpu.name == "tensorrt 10.16.1.11 fp32 Stand-in 9000"
    expected = [head_engine.backend.run(images[index : index + 1]) for index in range(MAX_BATCH)]
    for found, answer in zip([gpu.run(images[:1]), *gpu.run_many(images)[1:]], expected, strict=True):
        for part in ("logits", "embedding", "heat"):
            assert np.array_equal(getattr(found, part), getattr(answer, part))
    with pytest.raises(Fault, match="was not asked"):
        gpu.run_many(np.concatenate([images, images]))


def test_an_answer_with_no_number_is_a_fault(
    backend: Callable[[], TensorRtBackend], images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STANDIN_FAULT", "nan")
    gpu = backend()
    assert until_settled(gpu.gpu) is GpuState.READY, gpu.gpu.why
    with pytest.raises(Fault, match="no number"):
        gpu.run(spoilt(images))
    assert len(gpu.run_many(images)) == MAX_BATCH


def test_the_golden_pictures_hold_for_the_backend_too(
    backend: Callable[[], TensorRtBackend], head_engine: LoadedEngine
) -> None:
    gpu = backend()
    assert until_settled(gpu.gpu) is GpuState.READY, gpu.gpu.why
    assert head_engine.golden.hold_all(gpu) <= head_engine.golden.allowed_logit
