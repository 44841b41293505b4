"""The demo as `make demo HEADLESS=1` runs it: three scans through three real programs, told to a real gateway."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
FIGURES = (
    "landed_to_score_p50",
    "landed_to_score_p95",
    "evidence_to_alert",
    "evidence_to_message",
    "last_slice_to_final",
)


@pytest.fixture
def demo(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """The demo on a folder of its own for what it throws away. Nothing of it may be left."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "appliance.cli", "demo", "--headless"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/", start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(scratch)},
    )  # fmt: skip
    try:
        yield process
        assert list(scratch.iterdir()) == []
        assert programs_of(scratch) == []
    finally:
        process.kill()
        process.communicate()


def programs_of(scratch: Path) -> list[str]:
    """Command lines of the programs that run with settings below this folder."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = place.read_bytes().decode(errors="replace").replace("\0", " ")
        except OSError:
            continue
        if str(scratch) in words:
            found.append(words)
    return found


@pytest.mark.slow
def test_the_headless_demo_tells_the_bleed_and_prints_its_figures(
    demo: "subprocess.Popen[str]", capsys: pytest.CaptureFixture[str]
) -> None:
    began_s = time.monotonic()
    out, err = demo.communicate(timeout=200)
    took_s = time.monotonic() - began_s
    assert demo.returncode == 0, err
    lines: list[dict[str, Any]] = [json.loads(line) for line in out.splitlines()]
    assert all(line["schema_version"] == 1 for line in lines)
    studies = {line["role"]: line for line in lines if line["kind"] == "study"}
    alerts = [line for line in lines if line["kind"] == "alert"]
    assert [line["kind"] for line in lines].count("study") == 3
    assert {role: line["outcome"] for role, line in studies.items()} == {
        "bleeding": "CRITICAL",
        "normal": "NO FINDING",
        "unsuitable": "NOT ANALYSED",
    }
    assert studies["unsuitable"]["reasons"] == ["no-eligible-series"]
    (alert,) = alerts
    assert (alert["role"], alert["level"], alert["revision"]) == ("bleeding", "CRITICAL", 1)
    assert alert["evidence"]
    assert alert["events"][0] == "RAISED" and "DELIVERED" in alert["events"]
    measured = studies["bleeding"]["ms"]
    assert all(measured[name] > 0 for name in FIGURES)
    assert measured["evidence_to_alert"] < measured["evidence_to_message"]
    assert studies["normal"]["ms"]["evidence_to_alert"] is None
    for secret in ("PHANTOM", "FAKE-A1"):
        assert secret not in out
    with capsys.disabled():
        print(f"\nheadless demo, {os.cpu_count()} cores, {took_s:.0f} s; milliseconds:")
        for role in ("bleeding", "normal"):
            ms = studies[role]["ms"]
            print(f"  {role:<9}" + ", ".join(f"{n} {ms[n]:.0f}" for n in FIGURES if ms[n] is not None))
    assert took_s < 90


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_it_at_once_and_leaves_nothing(demo: "subprocess.Popen[str]", number: signal.Signals) -> None:
    assert demo.stderr is not None
    assert "throw-away appliance" in demo.stderr.readline()
    time.sleep(1.0)
    began_s = time.monotonic()
    demo.send_signal(number)
    out, err = demo.communicate(timeout=30)
    assert time.monotonic() - began_s < 5
    assert (demo.returncode, out) == (130, "")
    assert err.splitlines()[-1] == "Stopped before the end."
