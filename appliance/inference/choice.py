"""Which backend the settings come to on this machine, and why. TensorRT itself is not touched: it ends a process that has no card."""

import logging
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from appliance.core.engine_duty import OnRefused
from appliance.inference.driver import Driver, probe_apart
from appliance.inference.plan_files import PlanRefused, plan_stem, read_sidecar
from appliance.settings import EngineSettings

log = logging.getLogger(__name__)

NEEDED: Final = ("tensorrt", "pycuda", "numpy")
_ASK_S: Final = 20.0
_QUESTION: Final = (
    "import importlib.util as u, sys; print(*[name for name in sys.argv[1:] if u.find_spec(name) is None])"
)
_PROCESSOR: Final = "ONNX Runtime reads on the processor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """`fast`: the backend on the card is wanted beside the spare. `why`: a sentence, without its full stop."""

    fast: bool
    why: str


def choose(said: EngineSettings, engine_sha256: str, ask: Callable[[], Driver] = probe_apart) -> Choice:
    """What the settings come to. `auto` ends on the processor where a card, TensorRT or the plan is missing."""
    if said.backend == "onnxruntime":
        return Choice(fast=False, why=f"{_PROCESSOR}: the settings say so")
    if said.backend == "tensorrt":
        return Choice(fast=True, why="the settings name TensorRT")
    driver = ask()
    if not driver.gpus:
        return Choice(fast=False, why=f"{_PROCESSOR}: {driver.said}")
    name = driver.gpus[0].name
    if lacks := missing_in(said.interpreter):
        return Choice(fast=False, why=f"{_PROCESSOR}: {lacks}, which the card {name} needs")
    try:
        read_sidecar(said.plans_folder, plan_stem(engine_sha256, said.precision))
    except PlanRefused as refused:
        if said.on_refused is not OnRefused.REBUILD:
            return Choice(fast=False, why=f"{_PROCESSOR}: a card is there ({name}). {str(refused).rstrip('.')}")
    return Choice(fast=True, why=f"a card ({name}), TensorRT and a plan are there")


class Choosing:
    """The choice, made beside a loop: a driver that hangs holds up no slice."""

    def __init__(self, make: Callable[[], Choice]) -> None:
        self._choice: Choice | None = None
        threading.Thread(target=self._make, args=(make,), name="choice", daemon=True).start()

    def poll(self) -> Choice | None:
        """The choice, None until it is made. Does not wait."""
        return self._choice

    def _make(self, make: Callable[[], Choice]) -> None:
        try:
            self._choice = make()
        except Exception as error:  # the border of the thread: who waits for it must hear
            log.exception("the choice of the backend failed")
            self._choice = Choice(fast=False, why=f"{_PROCESSOR}: the choice failed ({type(error).__name__})")


def missing_in(python: Path) -> str:
    """What TensorRT needs and this interpreter lacks, in words; empty where nothing is missing. Nothing is imported."""
    if python == Path(sys.executable):
        lacks = [name for name in NEEDED if find_spec(name) is None]
    else:
        try:
            asked = subprocess.run(
                [str(python), "-c", _QUESTION, *NEEDED],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_ASK_S,
                check=True,
            )
        except OSError as error:
            return f"{python} cannot be started ({error.strerror})"
        except subprocess.SubprocessError as error:
            return f"{python} does not say what it has ({type(error).__name__})"
        lacks = asked.stdout.split()
    return f"{python} lacks {' and '.join(lacks)}" if lacks else ""
