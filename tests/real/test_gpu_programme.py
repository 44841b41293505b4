"""The programme for a graphics card, whole, over stand-ins of driver, pycuda and TensorRT."""

import json
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from appliance.bench.engine_alone import measure, on_the_card, pictures_of
from appliance.bench.gpu_course import Programme
from appliance.bench.gpu_programme import DOCUMENT, STEPS, Steps, run
from appliance.bench.run import a_run
from appliance.building.job import read_job, write_job
from appliance.core.errors import Fault
from appliance.inference.loading import LoadedEngine
from tests.real.appliance import ENGINE
from tests.real.gpu import MAX_BATCH, make_standins, plan_key, put_plan, standin_plan

pytest.importorskip("onnx", reason="onnx is not installed: the build extra adds it")
pytest.importorskip("onnxconverter_common", reason="onnxconverter-common is not installed: the build extra adds it")

ROOT = Path(__file__).resolve().parents[2]
RUNS = 5


@pytest.fixture(scope="module")
def standins(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return make_standins(tmp_path_factory.mktemp("standins"))


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Jobs of both precisions, as they are carried to the machine with the card."""
    folder = tmp_path_factory.mktemp("jobs")
    command = [sys.executable, "-m", "appliance.bench.gpu_jobs", str(ENGINE), str(folder), "--slices", "1"]
    done = subprocess.run([*command, "--max-batch", "4"], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return folder


def the_document(
    monkeypatch: pytest.MonkeyPatch, told: dict[str, str], steps: Steps = STEPS, **programme: Any
) -> dict[str, Any]:
    """Runs it with this environment; what it left in its folder is what it gave."""
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    programme = {
        "python": sys.executable,
        "engine": ENGINE,
        "quick": True,
        "runs": RUNS,
        "within_s": 30.0,
        "warm_up": 2,
    } | programme
    document = run(Programme(**programme), steps)
    assert json.loads((programme["out"] / DOCUMENT).read_text())["steps"] == json.loads(
        json.dumps(document["steps"], default=str)
    )
    return document


@pytest.mark.slow
def test_every_step_is_seen_over_stand_ins(
    monkeypatch: pytest.MonkeyPatch, standins: dict[str, str], jobs: Path, tmp_path: Path
) -> None:
    document = the_document(monkeypatch, standins, out=tmp_path, jobs_folder=jobs)
    assert [(step["name"], step["why"]) for step in document["steps"] if not step["passed"]] == []
    assert document["passed"] and len(document["steps"]) == len(STEPS)
    found = {step["name"]: step["found"] for step in document["steps"]}
    ways = found["no damaged plan serves"]["ways"]
    assert len(ways) == 17 and all(way["state"] != "ready" and way["why"] for way in ways.values())
    rows = {row["id"]: row for row in document["rows"]}
    for way in ("fp16/graph", "fp16/no-graph", "fp32/graph", "fp32/no-graph"):
        for batch in (1, 2, 4):
            call, engine, between = (rows[f"{way}/batch-{batch}/{part}"] for part in ("call", "engine", "ipc"))
            assert call["n"] == engine["n"] == between["n"] == RUNS
            assert engine["p50_ms"] < call["p50_ms"] and call["graph"] == way.endswith("/graph")
    assert rows["onnxruntime/batch-1/call"]["n"] == rows["copies/to-card/batch-8"]["n"] == RUNS
    assert found["latency: the copies by themselves"]["inside_gb_s"] > 0
    same = found["answers through the child against FP32"]
    assert set(same) == {"fp16", "fp32"} and all(one["same_bits_again"] for one in same.values())


@pytest.mark.slow
def test_without_a_card_each_step_says_why_and_the_next_one_begins(
    monkeypatch: pytest.MonkeyPatch, jobs: Path, tmp_path: Path
) -> None:
    document = the_document(monkeypatch, {"LD_LIBRARY_PATH": str(tmp_path)}, out=tmp_path, jobs_folder=jobs)
    steps = {step["name"]: step for step in document["steps"]}
    assert len(steps) == len(STEPS) and not document["passed"]
    assert all(step["why"] for step in steps.values() if not step["passed"])
    assert "no NVIDIA driver" in steps["the driver shows a card"]["why"]
    assert "no plan was built" in steps["a child that hangs"]["why"]
    assert steps["latency: the processor beside it"]["passed"], "what needs no card is measured all the same"


@pytest.mark.slow
def test_a_plan_that_answers_wrongly_is_not_kept(
    monkeypatch: pytest.MonkeyPatch, standins: dict[str, str], jobs: Path, tmp_path: Path
) -> None:
    """The answers that were carried along are not those of the graph: the gate on the card must say so."""
    other = shutil.copytree(jobs, tmp_path / "jobs")
    spoil(other / "fp32")
    until_built = STEPS[: [name for name, _ in STEPS].index("FP16 plan: built, proven, kept") + 1]
    document = the_document(monkeypatch, standins, until_built, out=tmp_path / "out", jobs_folder=other)
    steps = {step["name"]: step for step in document["steps"]}
    assert not steps["FP32 plan: built, proven, kept"]["passed"]
    assert "gate-failed" in steps["FP32 plan: built, proven, kept"]["why"]
    assert list((tmp_path / "out" / "plans").glob("*fp32*.plan")) == []
    assert steps["FP16 plan: built, proven, kept"]["passed"]


def spoil(folder: Path) -> None:
    """Moves every stored logit, with a hash that fits."""
    job = read_job(folder)
    write_job(folder, replace(job, answers=replace(job.answers, logits=job.answers.logits + 1)))


def test_the_benchmark_measures_the_plans_that_lie_there(
    monkeypatch: pytest.MonkeyPatch, standins: dict[str, str], head_engine: LoadedEngine, tmp_path: Path
) -> None:
    for name, value in standins.items():
        monkeypatch.setenv(name, value)
    files, golden = head_engine.files, head_engine.golden
    assert on_the_card(files, golden, plans=tmp_path, python=Path(sys.executable)) == []
    put_plan(tmp_path / "plans", standin_plan(files), plan_key(files))
    ways = on_the_card(files, golden, plans=tmp_path / "plans", python=Path(sys.executable))
    assert [way.name for way in ways] == ["tensorrt-fp32-graph", "tensorrt-fp32-no-graph"]
    with a_run(1.0, None, threading.Event()) as progress:
        rows = {
            row["id"]: row
            for row in measure(
                ways[0], pictures_of(golden), progress, runs=RUNS, within_s=30.0, work=None, ceilings=None
            )
        }
    for batch in (1, 2, 4, 8):
        call, inside, between = (
            rows[f"engine/tensorrt-fp32-graph/batch-{batch}{end}"] for end in ("", "/inside", "/ipc")
        )
        assert call["n"] == inside["n"] == between["n"] == RUNS
        assert call["min_ms"] >= between["min_ms"] and call["max_ms"] > inside["min_ms"]
        assert call["takes_at_once"] == MAX_BATCH and bool(call["note"]) == (batch > MAX_BATCH)
    assert {row_id.split("/")[-1] for row_id in rows} >= {"load", "cold-run"}


def test_a_plan_that_does_not_serve_is_a_fault_in_words(
    monkeypatch: pytest.MonkeyPatch, standins: dict[str, str], head_engine: LoadedEngine, tmp_path: Path
) -> None:
    for name, value in standins.items():
        monkeypatch.setenv(name, value)
    files = head_engine.files
    put_plan(tmp_path, standin_plan(files), plan_key(files, gpu_name="Another card"))
    way = on_the_card(files, head_engine.golden, plans=tmp_path, python=Path(sys.executable))[0]
    with pytest.raises(Fault, match="Another card"):
        way.open()
