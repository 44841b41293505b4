"""From a job to a plan that may serve: the program in the interpreter with TensorRT, and what lies on the disk after it.

The card, its driver and TensorRT are stand-ins; the program, the gate and the files are the real ones.
"""

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner

from appliance.inference import plan_files
from appliance.inference.manifest import EngineFiles, read_engine
from appliance.inference.plan_files import (
    BuildRunning,
    Plan,
    PlanKey,
    PlanRefused,
    building,
    differences,
    key_of,
    read_plan,
    write_plan,
)
from tests.real.gpu import FACTS, make_standins, plan_key, put_plan

pytest.importorskip("onnx", reason="onnx is not installed: the build extra adds it")
pytest.importorskip("onnxconverter_common", reason="onnxconverter-common is not installed: the build extra adds it")

from appliance.building import command, cpu_gate, foreign, steps
from appliance.building.foreign import ProgramDied, ask_build, ask_facts
from appliance.building.gate_set import GateSet, make_gate_set
from appliance.building.job import BadJob, read_job, write_job
from appliance.building.parity import exam_says
from appliance.building.steps import Wish, prepare
from tests.real.test_building import FEW, louder, with_aggregator
from tests.real.test_engine import put

ROOT: Final = Path(__file__).resolve().parents[2]
ENGINE: Final = ROOT / "engines" / "head-ct"
WAIT_S: Final = 60.0
MOST_S: Final = 240.0


@pytest.fixture(scope="module")
def files() -> EngineFiles:
    return read_engine(ENGINE)


@pytest.fixture(scope="module")
def pictures(files: EngineFiles) -> GateSet:
    return make_gate_set(files, slices_least=FEW)


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory, files: EngineFiles) -> Path:
    """The job of the shipped engine, with a few slices."""
    folder = tmp_path_factory.mktemp("job")
    write_job(folder, prepare(files, Wish(precision="fp16", max_batch=4), lambda *_: None, slices_least=FEW))
    return folder


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment in which a card is there."""
    return make_standins(tmp_path_factory.mktemp("card"))


@pytest.fixture
def on_card(card: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in card.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.fixture
def plans(tmp_path: Path) -> Path:
    return tmp_path / "plans"


def fp16_key(files: EngineFiles, **other: Any) -> PlanKey:
    key = key_of(
        engine_sha256=files.card.sha256,
        onnx_sha256=plan_key(files).onnx_sha256,
        precision="fp16",
        max_batch=4,
        device=FACTS,
    )
    return replace(key, **other)


def build(job: Path, plans: Path, *, force: bool = False) -> dict[str, Any]:
    return ask_build(Path(sys.executable), job, plans, force=force, stage=lambda _: None, most_s=MOST_S)


class TestBuild:
    def test_a_plan_is_built_proven_and_put_in_its_place(
        self, job: Path, plans: Path, files: EngineFiles, on_card: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        on_card.setenv("STANDIN_RECORD", str(tmp_path / "record"))
        ended = build(job, plans)
        assert ended["status"] == "built", ended
        plan = read_plan(plans, fp16_key(files))
        assert set(plan.sidecar.parity) == {"processor", "plan", "plan_batch"}
        for report in plan.sidecar.parity.values():
            assert report["passed"]
            assert report["slices"] > FEW
            assert report["logit"] > 0  # FP16 it is
        assert plan.sidecar.build_s >= 0
        assert plan.sidecar.built_at.endswith("+00:00")
        record = json.loads((tmp_path / "record").read_text())
        assert record["flags"] == []  # no TF32, and no permission of FP16: the graph carries its types
        assert record["tactics"] == ["EDGE_MASK_CONVOLUTIONS", "JIT_CONVOLUTIONS"]
        assert record["profile"] == {"image": [[1, 5, 224, 224], [1, 5, 224, 224], [4, 5, 224, 224]]}
        assert record["pools"] == {"WORKSPACE": 256 << 20}
        assert record["timing"] == ""

        assert build(job, plans)["status"] == "fits"
        again = build(job, plans, force=True)
        assert again["status"] == "built"
        assert json.loads((tmp_path / "record").read_text())["timing"] == "timing of 10.16.1.11"
        assert len(list(plans.glob("*.plan"))) == 1
        (timing,) = plans.glob("*.timing")
        timing.write_bytes(b"of another card")
        assert build(job, plans, force=True)["status"] == "built"
        assert json.loads((tmp_path / "record").read_text())["timing"] == ""

    @pytest.mark.parametrize(
        ("version", "network_flags", "flags", "preview"),
        [
            (
                "8.6.0",
                ["EXPLICIT_BATCH"],
                ["FP16", "PREFER_PRECISION_CONSTRAINTS"],
                ["DISABLE_EXTERNAL_TACTIC_SOURCES_FOR_CORE_0805", "PROFILE_SHARING_0806"],
            ),
            ("10.16.1.11", ["EXPLICIT_BATCH", "STRONGLY_TYPED"], [], ["PROFILE_SHARING_0806"]),
            ("11.4.0.106", ["STRONGLY_TYPED"], [], []),
        ],
    )
    def test_one_code_builds_with_each_version(
        self,
        job: Path,
        plans: Path,
        on_card: pytest.MonkeyPatch,
        tmp_path: Path,
        version: str,
        network_flags: list[str],
        flags: list[str],
        preview: list[str],
    ) -> None:
        on_card.setenv("STANDIN_RECORD", str(tmp_path / "record"))
        on_card.setenv("STANDIN_TENSORRT", version)
        ended = build(job, plans)
        assert ended["status"] == "built", ended
        assert ended["facts"]["tensorrt"] == version
        record = json.loads((tmp_path / "record").read_text())
        assert (record["network_flags"], record["flags"], record["preview"]) == (network_flags, flags, preview)
        kept = set(record["fp32_layers"])
        assert (
            kept == set()
            if version != "8.6.0"
            else {"/second/stem/stem.0/Conv", "/first/heat/Conv", "/first/embed/Gemm", "/first/Resize", "/second/Exp"}
            <= kept
        )
        assert "/first/smooth/smooth.0/Conv" not in kept

    @pytest.mark.parametrize("version", ["8.6.0", "11.4.0.106"])
    def test_an_operator_that_is_refused_is_named_with_its_layer(
        self, job: Path, plans: Path, on_card: pytest.MonkeyPatch, version: str
    ) -> None:
        on_card.setenv("STANDIN_UNSUPPORTED", "ReduceMean")
        on_card.setenv("STANDIN_TENSORRT", version)
        ended = build(job, plans)
        assert ended["status"] == "cannot-build"
        assert "ReduceMean at /first/ReduceMean: No importer registered for op" in ended["why"]
        assert not list(plans.glob("*.plan"))

    def test_a_builder_that_gives_nothing_is_quoted(self, job: Path, plans: Path, on_card: pytest.MonkeyPatch) -> None:
        on_card.setenv("STANDIN_BUILD", "none")
        ended = build(job, plans)
        assert ended["status"] == "cannot-build"
        assert "Could not find any implementation for node /stem" in ended["why"]

    def test_a_builder_that_crashes_is_told(self, job: Path, plans: Path, on_card: pytest.MonkeyPatch) -> None:
        on_card.setenv("STANDIN_BUILD", "crash")
        with pytest.raises(ProgramDied, match="ended by signal 11"):
            build(job, plans)

    def test_a_plan_that_answers_otherwise_never_takes_the_old_ones_place(
        self, job: Path, plans: Path, files: EngineFiles, on_card: pytest.MonkeyPatch
    ) -> None:
        assert build(job, plans)["status"] == "built"
        old = read_plan(plans, fp16_key(files))
        on_card.setenv("STANDIN_WRONG", "0.2")
        ended = build(job, plans, force=True)
        assert ended["status"] == "gate-failed"
        assert "a logit is 0.2" in ended["why"]
        assert not ended["parity"]["plan"]["passed"]
        assert read_plan(plans, fp16_key(files)) == old

    def test_the_aggregator_goes_with_the_job(
        self,
        job: Path,
        tmp_path: Path,
        plans: Path,
        files: EngineFiles,
        pictures: GateSet,
        on_card: pytest.MonkeyPatch,
    ) -> None:
        """The interpreter with the card makes the same exams of the FP32 answers, and holds the plan's against them."""
        assert read_job(job).rule.learned is None
        on_card.setattr(steps, "make_gate_set", lambda files, *, slices_least, done: pictures)
        made = prepare(with_aggregator(files), Wish(precision="fp16", max_batch=4), lambda *_: None, slices_least=FEW)
        write_job(tmp_path, made)
        read = read_job(tmp_path)
        for exam, kept in zip(made.exams, read.exams, strict=True):
            assert exam_says(read.answers, kept, read.rule) == exam_says(made.answers, exam, made.rule)
        ended = build(tmp_path, plans)
        assert ended["status"] == "built", ended
        on_plan, on_processor = (ended["parity"][gate]["exam_logit"] for gate in ("plan", "processor"))
        assert 0 < on_plan == pytest.approx(on_processor, rel=0.5)
        (tmp_path / "aggregator.npz").write_bytes(b"other")
        with pytest.raises(BadJob, match=r"aggregator\.npz is damaged"):
            read_job(tmp_path)

    def test_a_plan_that_is_right_alone_and_wrong_in_company_is_no_plan(
        self, job: Path, plans: Path, on_card: pytest.MonkeyPatch
    ) -> None:
        on_card.setenv("STANDIN_WRONG_BATCH", "0.2")
        ended = build(job, plans)
        assert ended["status"] == "gate-failed"
        assert ended["why"].startswith("in batches: a logit is 0.2")
        assert ended["parity"]["plan"]["passed"] and not ended["parity"]["plan_batch"]["passed"]
        assert not list(plans.glob("*.plan"))

    def test_a_plan_that_does_not_run_is_no_plan(self, job: Path, plans: Path, on_card: pytest.MonkeyPatch) -> None:
        on_card.setenv("STANDIN_REFUSE", "execute")
        ended = build(job, plans)
        assert ended["status"] == "gate-failed"
        assert "does not run" in ended["why"]
        assert "no tactic" in ended["why"]
        assert not list(plans.glob("*.plan"))

    def test_without_a_card_tensorrt_is_not_touched(self, job: Path, plans: Path, on_card: pytest.MonkeyPatch) -> None:
        on_card.setenv("STANDIN_CUDA_CARDS", "0")
        on_card.setenv("STANDIN_SEGFAULT", "1")
        assert ask_facts(Path(sys.executable))["status"] == "no-device"
        assert build(job, plans)["status"] == "no-device"

    def test_a_card_without_tensorrt(
        self, tmp_path: Path, card: dict[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("LD_LIBRARY_PATH", card["LD_LIBRARY_PATH"])
        ended = ask_facts(Path(sys.executable))
        assert ended["status"] == "not-installed"
        assert "pycuda" in ended["why"]
        with pytest.raises(ProgramDied, match="cannot be started"):
            ask_facts(tmp_path / "no-python")

    def test_what_nobody_has_thought_of_is_told(self, job: Path, plans: Path, on_card: pytest.MonkeyPatch) -> None:
        on_card.setenv("STANDIN_REFUSE", "raise")
        ended = build(job, plans)
        assert (ended["status"], ended["why"]) == ("fault", "RuntimeError: a std::exception")

    def test_a_package_of_that_name_with_nothing_in_it(self, on_card: pytest.MonkeyPatch, tmp_path: Path) -> None:
        (tmp_path / "tensorrt.py").write_text("")
        on_card.setenv("PYTHONPATH", f"{tmp_path}:{os.environ['PYTHONPATH']}")
        ended = ask_facts(Path(sys.executable))
        assert ended["status"] == "not-installed"
        assert "ILogger" in ended["why"]

    @pytest.mark.parametrize(
        ("does", "most_s", "said"),
        [
            ("time.sleep(1000)", 1.0, "has not answered within 1 s: the card may hang"),
            ("print('half a line', end='', flush=True); sys.exit(3)", MOST_S, "ended with 3 and no answer"),
            ("print('[1]'); sys.exit('out of luck')", MOST_S, "Its last words: out of luck"),
        ],
    )
    def test_a_program_that_does_not_answer(self, tmp_path: Path, does: str, most_s: float, said: str) -> None:
        mute = tmp_path / "python"
        mute.write_text(f"#!{sys.executable}\nimport sys, time\n{does}\n")
        mute.chmod(0o755)
        with pytest.raises(ProgramDied, match=said):
            ask_build(mute, tmp_path, tmp_path, force=False, stage=lambda _: None, most_s=most_s)

    def test_an_answer_counts_though_the_program_does_not_end(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(foreign, "_GRACE_S", 0.1)
        stuck = tmp_path / "python"
        words = 'print(\'{"stage": "proving"}\\nnoise\\n{"status": "built"}\', flush=True); time.sleep(1000)'
        stuck.write_text(f"#!{sys.executable}\nimport time\n{words}\n")
        stuck.chmod(0o755)
        heard: list[str] = []
        before = len(list(Path("/proc/self/fd").iterdir()))
        ended = ask_build(stuck, tmp_path, tmp_path, force=False, stage=heard.append, most_s=MOST_S)
        assert (ended, heard) == ({"status": "built"}, ["proving"])
        assert len(list(Path("/proc/self/fd").iterdir())) == before

    @pytest.mark.parametrize("name", ["graph.onnx", "reference.npz", "job.json"])
    def test_a_damaged_job_is_refused(self, job: Path, tmp_path: Path, name: str) -> None:
        for path in job.iterdir():
            (tmp_path / path.name).write_bytes(path.read_bytes())
        data = bytearray((tmp_path / name).read_bytes())
        data[len(data) // 2] ^= 1
        (tmp_path / name).write_bytes(bytes(data) if name != "job.json" else bytes(data[:100]))
        with pytest.raises(BadJob):
            read_job(tmp_path)


class TestTwoAndDeath:
    def test_two_builds_do_not_meet(
        self, job: Path, plans: Path, on_card: pytest.MonkeyPatch, tmp_path: Path, files: EngineFiles
    ) -> None:
        slow = self.start(job, plans, tmp_path / "record", on_card)
        try:
            ended = build(job, plans)
            assert ended["status"] == "running"
            assert "Another build works in" in ended["why"]
            with pytest.raises(BuildRunning), building(plans):
                pass
        finally:
            slow.kill()
            slow.wait()
        on_card.delenv("STANDIN_BUILD")
        assert build(job, plans)["status"] == "built"  # who dies holds nothing
        read_plan(plans, fp16_key(files))

    def test_a_build_that_is_killed_leaves_the_old_plan(
        self, job: Path, plans: Path, on_card: pytest.MonkeyPatch, tmp_path: Path, files: EngineFiles
    ) -> None:
        assert build(job, plans)["status"] == "built"
        old = read_plan(plans, fp16_key(files))
        slow = self.start(job, plans, tmp_path / "record", on_card)
        os.kill(slow.pid, signal.SIGKILL)
        slow.wait()
        assert read_plan(plans, fp16_key(files)) == old

    @staticmethod
    def start(job: Path, plans: Path, record: Path, on_card: pytest.MonkeyPatch) -> "subprocess.Popen[bytes]":
        """A build that has come to TensorRT and does not end."""
        on_card.setenv("STANDIN_BUILD", "slow")
        on_card.setenv("STANDIN_RECORD", str(record))
        words = ["appliance.building.plan_program", "build", str(job), str(plans), "--force"]
        child = subprocess.Popen([sys.executable, "-m", *words], cwd=ROOT, stdout=subprocess.DEVNULL)
        end_s = time.monotonic() + WAIT_S
        while not record.exists():
            assert child.poll() is None, "the build ended by itself"
            assert time.monotonic() < end_s, "the build does not begin"
            time.sleep(0.02)
        return child


class TestFiles:
    """Plans at rest."""

    @pytest.fixture
    def kept(self, plans: Path, files: EngineFiles) -> PlanKey:
        key = plan_key(files)
        put_plan(plans, b"plan one", key)
        return key

    def test_what_was_written_is_read(self, plans: Path, kept: PlanKey) -> None:
        found = read_plan(plans, kept)
        assert found.plan == b"plan one"
        assert found.sidecar.key == kept

    def test_no_plan(self, tmp_path: Path, files: EngineFiles) -> None:
        with pytest.raises(PlanRefused, match=r"There is no plan .* build_engine.py"):
            read_plan(tmp_path, plan_key(files))

    @pytest.mark.parametrize("name", [field.name for field in fields(PlanKey)])
    def test_every_field_of_the_key_that_differs_is_named(self, plans: Path, kept: PlanKey, name: str) -> None:
        value = getattr(kept, name)
        other = value + 1 if isinstance(value, int) else (9, 9, 9) if name == "profile" else ("x",)
        other = "another" if isinstance(value, str) else other
        wanted = replace(kept, **{name: other})
        (said,) = differences(kept, wanted)
        assert plan_files._SAID[name] in said
        assert str(other if isinstance(other, (str, int)) else other[0]) in said
        assert differences(kept, kept) == []
        if name in ("engine_sha256", "precision"):  # another name on the disk
            stem = plan_files.plan_stem(kept.engine_sha256, kept.precision)
            (plans / f"{stem}.json").rename(
                plans / f"{plan_files.plan_stem(wanted.engine_sha256, wanted.precision)}.json"
            )
        with pytest.raises(PlanRefused) as refused:
            read_plan(plans, wanted)
        assert said in str(refused.value)

    def test_one_changed_bit_of_the_plan(self, plans: Path, kept: PlanKey) -> None:
        (path,) = plans.glob("*.plan")
        path.write_bytes(b"plan onf")
        with pytest.raises(PlanRefused, match="is damaged: its sha256"):
            read_plan(plans, kept)

    def test_a_plan_that_is_gone(self, plans: Path, kept: PlanKey) -> None:
        (path,) = plans.glob("*.plan")
        path.unlink()
        with pytest.raises(PlanRefused, match="is not there, its sidecar is"):
            read_plan(plans, kept)

    @pytest.mark.parametrize(
        "damage",
        [
            lambda held: held[: len(held) // 2],
            lambda held: b"",
            lambda held: b"[]",
            lambda held: b"\xff\xfe",
            lambda held: held.replace(b'"plan_sha256"', b'"else"'),
            lambda held: held.replace(b'"sm_count": 132', b'"sm_count": "132"'),
            lambda held: held.replace(b'"sm_count"', b'"sms"'),
            lambda held: held.replace(b'"build_s": 1.0', b'"build_s": "soon"'),
        ],
    )
    def test_a_damaged_sidecar(self, plans: Path, kept: PlanKey, damage: Any) -> None:
        (path,) = plans.glob("*.json")
        before = path.read_bytes()
        path.write_bytes(damage(before))
        assert path.read_bytes() != before
        with pytest.raises(PlanRefused, match=r"build_engine\.py"):
            read_plan(plans, kept)

    @pytest.mark.parametrize("step", [1, 2])
    def test_a_death_between_two_steps_leaves_the_old_plan(
        self, plans: Path, kept: PlanKey, step: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Plan, then sidecar: after the first of them, or before any."""

        class Died(Exception):
            pass

        written = 0
        write = plan_files.write_durably

        def die(path: Path, data: bytes) -> None:
            nonlocal written
            written += 1
            if written == step:
                path.with_name(path.name + ".part").write_bytes(data[:3])
                raise Died
            write(path, data)

        old = read_plan(plans, kept)
        monkeypatch.setattr(plan_files, "write_durably", die)
        with pytest.raises(Died):
            put_plan(plans, b"plan two", kept)
        assert read_plan(plans, kept) == old
        monkeypatch.setattr(plan_files, "write_durably", write)
        put_plan(plans, b"plan three", kept)
        assert read_plan(plans, kept).plan == b"plan three"
        assert len(list(plans.iterdir())) == 2  # what was half written is gone too

    def test_file_then_name_then_folder_reach_the_disk(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Or a box without power has a name with nothing behind it."""
        path, steps_seen = tmp_path / "a.plan", []
        fsync, replace_file = os.fsync, Path.replace

        def see_fsync(fd: int) -> None:
            what = Path(f"/proc/self/fd/{fd}").readlink()
            steps_seen.append(("synced", what.name, what.stat().st_size if what.is_file() else -1))
            fsync(fd)

        def see_replace(self: Path, target: Path) -> Path:
            steps_seen.append(("renamed", self.name, self.stat().st_size))
            return replace_file(self, target)

        monkeypatch.setattr(os, "fsync", see_fsync)
        monkeypatch.setattr(Path, "replace", see_replace)
        plan_files.write_durably(path, b"plan")
        part = "a.plan.part"
        assert steps_seen == [("synced", part, 4), ("renamed", part, 4), ("synced", tmp_path.name, -1)]
        assert path.read_bytes() == b"plan"

    def test_a_full_disk_keeps_the_old_file_and_no_half_one(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "a.plan"
        plan_files.write_durably(path, b"old")

        def full(fd: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            plan_files.write_durably(path, b"new one")
        assert [one.name for one in tmp_path.iterdir()] == ["a.plan"]
        assert path.read_bytes() == b"old"

    @pytest.mark.parametrize("gate", plan_files.GATES)
    def test_a_plan_without_one_of_its_gates_neither_serves_nor_is_written(
        self, plans: Path, kept: PlanKey, gate: str
    ) -> None:
        found = read_plan(plans, kept)
        (path,) = plans.glob("*.json")
        for spoilt in ({"passed": False}, {}, None):
            said = json.loads(path.read_text())
            said["parity"][gate] = spoilt
            path.write_text(json.dumps(said))
            with pytest.raises(PlanRefused, match=r"not passed every parity gate.*--force"):
                read_plan(plans, kept)
            with pytest.raises(ValueError, match="gate"):
                write_plan(plans, found.plan, replace(found.sidecar, parity=said["parity"]))

    def test_a_sidecar_of_other_bytes_is_not_written(self, plans: Path, kept: PlanKey) -> None:
        found: Plan = read_plan(plans, kept)
        with pytest.raises(ValueError, match="other bytes"):
            write_plan(plans, b"plan two", found.sidecar)


class TestCommand:
    @pytest.fixture
    def few(self, pictures: GateSet, monkeypatch: pytest.MonkeyPatch) -> None:
        """The pictures of one head, made once for all these tests."""
        monkeypatch.setattr(steps, "make_gate_set", lambda files, *, slices_least, done: pictures)
        monkeypatch.delenv("BLEEDWATCH_CONFIG", raising=False)
        monkeypatch.setattr(command, "DEFAULT_CONFIG", Path("/nowhere/bleedwatch.toml"))

    @pytest.mark.timeout(300)
    def test_as_a_new_user_runs_it_on_a_machine_without_a_card(self, tmp_path: Path) -> None:
        environment = {name: value for name, value in os.environ.items() if name != "BLEEDWATCH_CONFIG"}
        words = [str(ENGINE), "--plans", str(tmp_path / "plans"), "--job", str(tmp_path / "job")]
        done = subprocess.run(
            [sys.executable, str(ROOT / "build_engine.py"), *words],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == command.NO_CARD, done.stderr
        assert done.stderr == ""
        lines = done.stdout.splitlines()
        assert any(line.startswith("Parity on the processor, ") for line in lines)
        assert any("No plan was built: there is no NVIDIA driver here" in line for line in lines)
        assert lines[-1] == "A plan belongs to its card: run the same command on the box that has it."
        assert not (tmp_path / "plans").exists()
        assert read_job(tmp_path / "job").order.parity["processor"]["passed"]

    def test_help_is_for_people(self) -> None:
        said = CliRunner().invoke(command.main, ["--help"], terminal_width=100).output
        for words in (
            "Exit codes:",
            "--precision",
            "--max-batch",
            "--workspace-mib",
            "--python",
            "--force",
            "NVIDIA card",
        ):
            assert words in said
        for code in (command.STANDS, command.NO_FP16, command.NO_CARD, command.NOT_BUILT, command.BUILD_RUNS):
            assert re.search(rf"^ +{code}  [a-zA-Z]", said, re.MULTILINE)

    @pytest.mark.usefixtures("few", "on_card")
    def test_a_plan_then_nothing_to_do_then_anew(self, plans: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        first = self.run("--plans", str(plans))
        assert first.exit_code == command.STANDS, first.output
        assert "Stand-in 9000, TensorRT 10.16.1.11: building for batches of 1 to 8." in first.output
        assert "Parity in batches, " in first.output
        assert "The plan stands, built in" in first.output.splitlines()[-1]
        assert self.run("--plans", str(plans)).output.splitlines()[-1] == "Nothing to do. --force builds it anew."
        monkeypatch.setenv("STANDIN_WRONG", "0.2")
        failed = self.run("--plans", str(plans), "--force")
        assert failed.exit_code == command.NOT_BUILT
        assert "A plan that was there stays." in failed.output.splitlines()[-1]

    @pytest.mark.usefixtures("few")
    def test_an_engine_that_may_not_run_in_fp16_is_offered_fp32(self, tmp_path: Path, files: EngineFiles) -> None:
        folder = tmp_path / "engine"
        folder.mkdir()
        for path in ENGINE.iterdir():
            (folder / path.name).write_bytes(path.read_bytes())
        put(folder, "model.onnx", louder(files, 1e5).model)
        refused = self.run(engine=folder)
        assert refused.exit_code == command.NO_FP16
        assert "values inside the network reach" in refused.output
        assert refused.output.splitlines()[-1].endswith("FP32 is offered: --precision fp32")
        assert self.run("--precision", "fp32", engine=folder).exit_code == command.NO_CARD

    @pytest.mark.usefixtures("few")
    def test_a_folder_that_holds_no_engine(self, tmp_path: Path) -> None:
        done = self.run(engine=tmp_path)
        assert done.exit_code == command.ENGINE_REFUSED
        assert "manifest.toml" in done.output

    @pytest.mark.usefixtures("few")
    def test_an_interpreter_that_is_not_there(self) -> None:
        done = self.run("--python", "/nowhere/python")
        assert done.exit_code == command.MISUSED
        assert "There is no interpreter /nowhere/python" in done.output

    @pytest.mark.usefixtures("few", "on_card")
    def test_a_folder_for_plans_that_cannot_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"")
        done = self.run("--plans", str(tmp_path / "file" / "plans"))
        assert done.exit_code == command.FAULT
        assert "cannot be written" in done.output.splitlines()[-1]

    @pytest.mark.usefixtures("few")
    def test_a_folder_for_the_job_that_cannot_be_made(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"")
        done = self.run("--job", str(tmp_path / "file" / "job"))
        assert done.exit_code == command.MISUSED
        assert "Name another folder: --job" in done.output

    @pytest.mark.usefixtures("few", "on_card")
    def test_a_tensorrt_that_breaks_when_it_is_loaded(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "tensorrt.py").write_text("raise RuntimeError('no libnvinfer')")
        monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ['PYTHONPATH']}")
        done = self.run()
        assert done.exit_code == command.NO_CARD, done.output
        assert "does not say what it can build for. RuntimeError: no libnvinfer" in done.output
        assert "--python" in done.output.splitlines()[-1]

    @pytest.mark.usefixtures("few")
    def test_a_gate_that_is_broken_builds_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        true_rule = cpu_gate.rule_of
        monkeypatch.setattr(cpu_gate, "rule_of", lambda card: replace(true_rule(card), sharpness=2.001))
        done = self.run()
        assert done.exit_code == command.FAULT
        assert "otherwise than the appliance does" in done.output

    def test_settings_that_are_wrong(self, tmp_path: Path) -> None:
        (tmp_path / "b.toml").write_text("[engine]\nfolder = 5\n")
        done = CliRunner().invoke(command.main, ["--config", str(tmp_path / "b.toml")])
        assert done.exit_code == command.MISUSED
        assert "line" in done.output

    @staticmethod
    def run(*words: str, engine: Path = ENGINE) -> Any:
        return CliRunner().invoke(command.main, [str(engine), *words])
