"""The command as a person types it: real processes, exit codes, words."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pysqlite3 import dbapi2

ENGINE = Path(__file__).resolve().parents[2] / "engines" / "head-ct"


def bleedwatch(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "appliance.cli", *arguments],
        capture_output=True, text=True, timeout=60, cwd="/", check=False,
        env={**os.environ, "PYTHONPATH": str(ENGINE.parents[1])},
    )  # fmt: skip


@pytest.fixture
def config(tmp_path: Path) -> Path:
    for name in ("state", "store", "run", "inbox"):
        (tmp_path / name).mkdir()
    path = tmp_path / "bleedwatch.toml"
    path.write_text(
        f'state_folder = "{tmp_path}/state"\nstore_folder = "{tmp_path}/store"\nruntime_folder = "{tmp_path}/run"\n'
        f'[inbox]\nfolder = "{tmp_path}/inbox"\n[engine]\nfolder = "{ENGINE}"\n'
    )
    return path


def test_help_names_every_command() -> None:
    said = bleedwatch("--help").stdout
    for command in ("run", "triage", "courier", "dashboard", "demo", "simulate", "score", "status", "doctor", "db"):
        assert f"\n  {command} " in said


def test_doctor_without_settings_checks_machine_and_engine() -> None:
    done = bleedwatch("doctor")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "golden test passed" in done.stdout


def test_a_new_box_is_told_its_next_step_and_then_is_fine(config: Path) -> None:
    before = bleedwatch("doctor", "--config", str(config))
    assert before.returncode == 2
    assert "bleedwatch db upgrade" in before.stdout
    assert bleedwatch("db", "upgrade", "--config", str(config)).returncode == 0
    after = bleedwatch("doctor", "--config", str(config))
    assert after.returncode in (0, 1), after.stdout
    assert "STOP" not in after.stdout
    assert bleedwatch("db", "check", "--config", str(config)).stdout.startswith("The ledger is sound")


@pytest.mark.parametrize("command", ["doctor", "run"])
def test_all_faults_of_the_settings_are_told_at_once(config: Path, command: str) -> None:
    config.write_text(config.read_text().replace("[engine]", "[engine]\nthreads = 0") + "nonsense = 1\n")
    done = bleedwatch(command, "--config", str(config))
    assert done.returncode == 2
    said = done.stdout + done.stderr
    assert "line 7: engine.threads" in said
    assert "engine.nonsense is not a setting" in said


@pytest.mark.parametrize("command", ["doctor", "run"])
def test_a_missing_engine_is_told_in_words(config: Path, command: str, tmp_path: Path) -> None:
    bleedwatch("db", "upgrade", "--config", str(config))
    config.write_text(config.read_text().replace(str(ENGINE), str(tmp_path / "no-engine")))
    done = bleedwatch(command, "--config", str(config))
    assert done.returncode == 2
    assert "no-engine" in done.stdout + done.stderr


@pytest.mark.parametrize("command", ["doctor", "run"])
def test_a_changed_model_is_refused_by_its_hash(config: Path, command: str, tmp_path: Path) -> None:
    bleedwatch("db", "upgrade", "--config", str(config))
    changed = Path(shutil.copytree(ENGINE, tmp_path / "changed"))
    with open(changed / "model.onnx", "ab") as model:
        model.write(b"\0")
    config.write_text(config.read_text().replace(str(ENGINE), str(changed)))
    done = bleedwatch(command, "--config", str(config))
    assert done.returncode == 2
    assert "model.onnx is not the file that the manifest names" in done.stdout + done.stderr


@pytest.fixture
def read_only_inbox(config: Path) -> Iterator[None]:
    """The inbox on a mount that nobody may write: root could write into any folder."""
    inbox = config.parent / "inbox"
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro,size=1m", "tmpfs", str(inbox)], check=True)
    yield
    subprocess.run(["umount", str(inbox)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a read-only folder")
@pytest.mark.parametrize("command", ["doctor", "run"])
@pytest.mark.usefixtures("read_only_inbox")
def test_a_folder_that_cannot_be_written_is_told_in_words(config: Path, command: str) -> None:
    bleedwatch("db", "upgrade", "--config", str(config))
    done = bleedwatch(command, "--config", str(config))
    assert done.returncode == 2, done.stdout + done.stderr
    said = done.stdout + done.stderr
    assert "inbox cannot be written" in said and "mounted read-only" in said


def test_init_writes_once_and_never_over(tmp_path: Path) -> None:
    path = tmp_path / "etc" / "bleedwatch.toml"
    assert bleedwatch("init", str(path)).returncode == 0
    again = bleedwatch("init", str(path))
    assert again.returncode == 2
    assert "left as it is" in again.stderr


def test_score_gives_every_path_a_verdict(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no DICOM")
    (tmp_path / "pipe").symlink_to(tmp_path / "nowhere")
    (tmp_path / "empty.dcm").touch()
    done = bleedwatch("score", str(tmp_path), "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["schema_version"] == 1
    reasons = {Path(file["path"]).name: file["reason"] for file in document["files"]}
    assert reasons == {"notes.txt": "not-dicom", "pipe": "special-file", "empty.dcm": "empty-file"}


def test_simulate_says_in_words_that_a_name_is_taken(tmp_path: Path) -> None:
    series, inbox = tmp_path / "series", tmp_path / "inbox"
    for folder in (series, inbox):
        folder.mkdir()
        (folder / "IM-0001.dcm").write_text(folder.name)
    done = bleedwatch("simulate", str(series), "--to", str(inbox))
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "IM-0001.dcm is there already" in " ".join(done.stderr.split())
    assert (inbox / "IM-0001.dcm").read_text() == "inbox"


def test_a_ledger_that_is_busy_is_a_fault_that_passes(config: Path) -> None:
    """Another program holds the ledger too long: triage ends with 1, and whoever watches over it starts it again."""
    bleedwatch("db", "upgrade", "--config", str(config))
    holder = dbapi2.connect(config.parent / "state" / "bleedwatch.sqlite", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        done = bleedwatch("triage", "--config", str(config))
    finally:
        holder.close()
    assert done.returncode == 1, done.stderr


def test_a_gateway_without_its_secret_is_told_before_anything_starts(config: Path) -> None:
    bleedwatch("db", "upgrade", "--config", str(config))
    gateway = f'[courier.channels.pager]\nkind = "webhook"\nurl = "http://127.0.0.1:9/"\nsecret_file = "{config.parent}/secret"\n'
    config.write_text(config.read_text() + gateway)
    for command in ("doctor", "run"):
        done = bleedwatch(command, "--config", str(config))
        assert done.returncode == 2, done.stdout + done.stderr
        assert "channel pager: The secret of the channel pager cannot be read" in done.stdout + done.stderr
