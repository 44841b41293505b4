"""Rules of the house that no import check can hold."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.core.reasons import REASONS

ROOT = Path(__file__).resolve().parents[2]

# An import of these in a program of the appliance fails the test.
_BLOCKED = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "tensorrt", "pycuda", "onnx"):
            raise ModuleNotFoundError(f"{name} must not be imported here")
sys.meta_path.insert(0, Blocked())
"""


@pytest.mark.parametrize(
    "module",
    ["appliance.triage.program", "appliance.operations.programs", "appliance.operations.run", "appliance.cli"],
)
def test_the_programs_run_without_torch_tensorrt_and_pycuda(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"{_BLOCKED}\nimport {module}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_loop_of_triage_carries_no_decoder() -> None:
    """pydicom and the codecs are loaded in the limited children alone."""
    said = (
        "import sys, appliance.triage.program; print(sorted(m for m in ('pydicom', 'imagecodecs') if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_architecture_names_tests_that_are_there() -> None:
    said = (ROOT / "ARCHITECTURE.md").read_text()
    named = re.findall(r"`((?:tests|appliance|core|records)/[\w./]+)`", said)
    assert [path for path in named if not ((ROOT / path).exists() or (ROOT / "appliance" / path).exists())] == []
    assert len(named) > 10


@pytest.mark.parametrize(
    "package", ["appliance", "appliance/bench", "appliance/building", "appliance/inference", "appliance/processes"]
)
def test_packages_that_a_foreign_python_enters_have_an_empty_init(package: str) -> None:
    assert (ROOT / package / "__init__.py").read_text() == ""


def test_every_reason_stands_in_the_docs_with_its_sentence() -> None:
    said = (ROOT / "docs" / "reasons.md").read_text()
    for reason in REASONS.values():
        assert (
            f"| `{reason.code}` | {reason.leads_to.replace('|', ', ')} | {reason.sentence} | {reason.next_step} |"
            in said
        )


def test_no_two_rooms_of_the_tree_are_unnamed_in_the_architecture() -> None:
    said = (ROOT / "ARCHITECTURE.md").read_text()
    rooms = [path.parent.name for path in (ROOT / "appliance").glob("*/__init__.py")]
    assert [room for room in rooms if f"`{room}/`" not in said] == []
