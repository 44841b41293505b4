"""Each name of TensorRT that our code uses, held against the names that its versions really have.

BLEEDWATCH_TENSORRT_NAMES: a folder with one list of public names for each version. A name that is asked for first
(hasattr, getattr) may be missing in some versions, not in all.
"""

import ast
import os
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
LISTS: Final = os.environ.get("BLEEDWATCH_TENSORRT_NAMES", "")

# By what our modules call an object, what TensorRT calls its class.
RECEIVERS: Final = {
    "appliance/building/plan.py": {
        "builder": "Builder",
        "network": "INetworkDefinition",
        "parser": "OnnxParser",
        "error": "ParserError",
        "config": "IBuilderConfig",
        "profile": "IOptimizationProfile",
        "layer": "ILayer",
        "tensor": "ITensor",
        "held": "ITimingCache",
    },
    "appliance/inference/tensorrt_engine.py": {
        "runtime": "Runtime",
        "self._runtime": "Runtime",
        "engine": "ICudaEngine",
        "self._engine": "ICudaEngine",
        "context": "IExecutionContext",
        "lane.context": "IExecutionContext",
    },
}

pytestmark = pytest.mark.skipif(not LISTS, reason="BLEEDWATCH_TENSORRT_NAMES names no folder with lists of names")


def names_of(path: str) -> tuple[set[str], set[str]]:
    """The names of TensorRT that a module uses without asking, and those that it asks for first."""
    used: set[str] = set()
    asked: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Attribute) and (name := called(node, path)):
            used.add(name)
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("hasattr", "getattr")
            and isinstance(node.args[1], ast.Constant)
            and (name := called(ast.Attribute(node.args[0], str(node.args[1].value)), path))
        ):
            asked.add(name)
    return used - asked, asked


def called(node: ast.Attribute, path: str) -> str:
    """The dotted name of an attribute as the lists have it; empty where it is none of TensorRT."""
    receiver = ast.unparse(node.value)
    if receiver == "trt" or receiver.startswith("trt."):
        return f"{receiver}.{node.attr}".removeprefix("trt.")
    kind = RECEIVERS[path].get(receiver)
    return f"{kind}.{node.attr}" if kind else ""


@pytest.fixture(scope="module")
def lists() -> dict[str, set[str]]:
    return {path.stem: set(path.read_text().split()) for path in sorted(Path(LISTS).glob("tensorrt-api-*.txt"))}


@pytest.mark.parametrize("path", RECEIVERS)
def test_every_name_is_there_in_every_version(path: str, lists: dict[str, set[str]]) -> None:
    assert len(lists) >= 3
    used, asked = names_of(path)
    assert len(used) > 10
    missing = {name: [version for version, names in lists.items() if name not in names] for name in used}
    assert {name: versions for name, versions in missing.items() if versions} == {}
    nowhere = [name for name in asked if not any(name in names for names in lists.values())]
    assert nowhere == []


@pytest.mark.parametrize("path", RECEIVERS)
def test_no_member_has_another_name(path: str) -> None:
    """`import tensorrt as trt`, and nothing of it under a name of ours: so the lists can be held against the text."""
    tree = ast.parse((ROOT / path).read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module == "tensorrt"]
    assert imports == []
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            assert isinstance(node.value, ast.Call) or not ast.unparse(node.value).startswith("trt."), ast.unparse(node)
