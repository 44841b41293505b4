"""A module of ours in another Python: the one that has TensorRT may be older than ours, with a numpy of its own.

Only the package `appliance` is lent to it, by its place. Our folder of packages is not: its binary parts are made for
our Python. Runs on Python 3.10; the standard library alone.
"""

from pathlib import Path
from typing import Final

_PACKAGE: Final = str(Path(__file__).resolve().parents[1])

_LEND: Final = """
import importlib.util, runpy, sys
folder, module = sys.argv[1:3]
sys.argv = [module, *sys.argv[3:]]
sys.path = [place for place in sys.path if place]
spec = importlib.util.spec_from_file_location(
    "appliance", folder + "/__init__.py", submodule_search_locations=[folder])
sys.modules["appliance"] = package = importlib.util.module_from_spec(spec)
spec.loader.exec_module(package)
runpy.run_module(module, run_name="__main__")
"""


def foreign_command(python: str, module: str, *words: str) -> list[str]:
    """The command that runs a module of ours as a program under the interpreter `python`."""
    return [python, "-c", _LEND, _PACKAGE, module, *words]
