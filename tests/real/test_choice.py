"""Which backend the settings come to on a machine, and the words for it."""

import sys
import threading
from importlib.util import find_spec
from pathlib import Path

import pytest

from appliance.inference.choice import NEEDED, Choice, Choosing, choose, missing_in
from appliance.inference.driver import Driver, Gpu
from appliance.inference.loading import LoadedEngine
from appliance.settings import EngineSettings
from tests.real.browsing import wait_for
from tests.real.gpu import plan_key, put_plan

CARD = Gpu(index=0, name="Card 9000", compute_capability="9.0", sm_count=1, memory_bytes=1, uuid="")
THERE = Driver(gpus=(CARD,), version="13.0", said="")
NOT_THERE = Driver(gpus=(), version="", said="the driver shows no card: nvidia-smi says why")


@pytest.fixture
def complete(tmp_path: Path) -> Path:
    """An interpreter that has all that TensorRT needs: a program that says that nothing is missing."""
    return script(tmp_path / "complete", "echo")


def script(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(("#!/bin/sh", *lines)) + "\n")
    path.chmod(0o755)
    return path


def said(folder: Path, python: Path, **other: str) -> EngineSettings:
    return EngineSettings.model_validate({"folder": folder, "python": python, "precision": "fp32", **other})


def test_auto_asks_for_card_interpreter_and_plan_in_this_order(
    tmp_path: Path, complete: Path, head_engine: LoadedEngine
) -> None:
    sha256 = head_engine.card.sha256
    settings = said(tmp_path, complete)
    none = choose(settings, sha256, lambda: NOT_THERE)
    assert not none.fast
    assert none.why == "ONNX Runtime reads on the processor: the driver shows no card: nvidia-smi says why"

    lacking = choose(said(tmp_path, script(tmp_path / "lacks", "echo tensorrt pycuda")), sha256, lambda: THERE)
    assert not lacking.fast
    assert "lacks tensorrt and pycuda, which the card Card 9000 needs" in lacking.why

    planless = choose(settings, sha256, lambda: THERE)
    assert not planless.fast
    assert "There is no plan for this engine" in planless.why and "build_engine.py" in planless.why
    assert choose(said(tmp_path, complete, on_refused="rebuild"), sha256, lambda: THERE).fast, "it will be built"

    put_plan(tmp_path / "plans", b"plan", plan_key(head_engine.files))
    whole = choose(settings, sha256, lambda: THERE)
    assert whole.fast
    assert "Card 9000" in whole.why


def test_a_name_in_the_settings_asks_nobody(tmp_path: Path, complete: Path) -> None:
    def nobody() -> Driver:
        raise AssertionError("the driver was asked")

    plain = choose(said(tmp_path, complete, backend="onnxruntime"), "0" * 64, nobody)
    assert (plain.fast, plain.why) == (False, "ONNX Runtime reads on the processor: the settings say so")
    assert choose(said(tmp_path, complete, backend="tensorrt"), "0" * 64, nobody).fast


def test_an_interpreter_that_cannot_be_asked(tmp_path: Path) -> None:
    assert "cannot be started (No such file or directory)" in missing_in(tmp_path / "nowhere")
    assert "does not say what it has" in missing_in(script(tmp_path / "fails", "exit 3"))
    lacks = [name for name in NEEDED if find_spec(name) is None]
    assert missing_in(Path(sys.executable)) == (f"{sys.executable} lacks {' and '.join(lacks)}" if lacks else "")


def test_who_chooses_waits_for_nobody() -> None:
    """A driver that hangs is asked beside the loop."""
    goes_on = threading.Event()

    def slow() -> Choice:
        assert goes_on.wait(60)
        return Choice(fast=True, why="a card is there")

    choosing = Choosing(slow)
    assert choosing.poll() is None
    goes_on.set()
    wait_for(lambda: choosing.poll() is not None, within_s=60)
    assert choosing.poll() == Choice(fast=True, why="a card is there")


def test_a_choice_that_fails_comes_to_the_processor() -> None:
    def fails() -> Choice:
        raise RuntimeError

    choosing = Choosing(fails)
    wait_for(lambda: choosing.poll() is not None, within_s=60)
    choice = choosing.poll()
    assert choice is not None and not choice.fast
    assert "the choice failed (RuntimeError)" in choice.why
