"""What meets TensorRT, imported as the interpreter of an edge box would: run it by Python 3.10 that has numpy alone.

    python3.10 tests/under_python310.py

TensorRT and pycuda are invented here, so nothing of them is tried but their place. Ends with 1 and words where a module
does not load, loads what is not allowed, or is not held to Python 3.10 by the linter (pyproject.toml).
"""

import importlib
import re
import sys
import types
from pathlib import Path
from typing import ClassVar

ROOT = Path(__file__).resolve().parents[1]
ENTRIES = (
    "appliance.inference.driver",
    "appliance.inference.gpu_child",
    "appliance.inference.gpu_parent",
    "appliance.inference.plan_files",
    "appliance.inference.tensorrt_engine",
    "appliance.building.plan",
    "appliance.building.plan_program",
    "appliance.bench.gpu_copies",
    "appliance.bench.gpu_programme",
)
ALLOWED = {"appliance", "numpy", "tensorrt", "pycuda"}


class Invented(types.ModuleType):
    """A module that has whatever is asked of it."""

    __path__: ClassVar[list[str]] = []

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (Exception,), {})


def main() -> int:
    sys.path.insert(0, str(ROOT))
    for name in ("tensorrt", "pycuda", "pycuda.driver"):
        sys.modules[name] = Invented(name)
    before = set(sys.modules)
    for name in ENTRIES:
        importlib.import_module(name)
    loaded = set(sys.modules) - before
    rooms = {name.split(".")[0] for name in loaded if "cython" not in name}  # numpy brings a runtime of Cython
    faults = sorted(rooms - set(sys.stdlib_module_names) - ALLOWED)
    listed = set(
        re.findall(r'^"(appliance/[\w/]+\.py)" = "py310"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    )
    ours = {
        str(Path(sys.modules[name].__file__).relative_to(ROOT))
        for name in loaded
        if name.startswith("appliance") and sys.modules[name].__file__
    }
    unlisted = sorted(path for path in ours - listed if not path.endswith("__init__.py"))
    for fault in faults:
        print(f"{fault} was loaded: only the standard library, numpy, tensorrt and pycuda may be")
    for path in unlisted:
        print(f"{path} runs on Python 3.10 and is not linted for it: name it in pyproject.toml")
    print(f"{len(ours)} modules under Python {sys.version.split()[0]}")
    return 1 if faults or unlisted else 0


if __name__ == "__main__":
    sys.exit(main())
