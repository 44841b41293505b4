"""Which machine, which versions, and whether others were using it: a figure without these is a rumour.

Runs on Python 3.10 too; the standard library alone.
"""

import os
import platform
import re
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

PACKAGES: Final = (
    *("bleedwatch", "numpy", "scipy", "onnxruntime", "pydicom", "imagecodecs", "sqlalchemy", "pysqlite3", "starlette"),
    "uvicorn",
)
LOOKED_S: Final = 1.0
BUSY_FROM: Final = 0.1
"""Of all cores, before anything of ours ran: from here on the figures say as much of the others as of us."""


def machine() -> dict[str, Any]:
    """Processor, memory, system. Values that the system does not tell are empty or 0."""
    memory = re.search(r"^MemTotal:\s+(\d+) kB", _text("/proc/meminfo"), re.MULTILINE)
    info = _text("/proc/cpuinfo")
    flags = _of(info, "flags").split()
    mhz = [float(found) for found in re.findall(r"^cpu MHz\s*:\s*([\d.]+)", info, re.MULTILINE)]
    return {
        "processor": _of(info, "model name") or platform.processor(),
        "mhz": max(mhz, default=0.0),
        "cores": len(os.sched_getaffinity(0)),
        "virtual": "hypervisor" in flags,
        "vector_units": sorted(flag for flag in flags if flag.startswith(("avx", "amx"))),
        "memory_mib": int(memory[1]) // 1024 if memory else 0,
        "system": f"{platform.system()} {platform.release()}",
    }


def versions(backends: list[str]) -> dict[str, str]:
    """What ran, by name; `backends` as they name themselves."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return {**found, "backends": ", ".join(backends)}


def file_system(folder: Path) -> str:
    """The kind of file system that a folder lies on: on one in memory a commit costs nothing."""
    place = str(folder.resolve())
    best, kind = "", "unknown"
    for line in _text("/proc/self/mounts").splitlines():
        parts = line.split()
        if len(parts) < 3:
            continue
        at = parts[1].replace("\\040", " ")
        if (place == at or place.startswith(at.rstrip("/") + "/")) and len(at) >= len(best):
            best, kind = at, parts[2]
    return kind


def load() -> list[float]:
    """The load averages over 1, 5 and 15 minutes."""
    return list(os.getloadavg())


def busy_share(looked_s: float = LOOKED_S) -> float:
    """The share of all processor time that somebody used just now, 0 to 1; sleeps for it. Stolen time counts."""
    before = _ticks()
    time.sleep(looked_s)
    after = _ticks()
    spent = sum(after.values()) - sum(before.values())
    idle = after["idle"] - before["idle"]
    return 1.0 - idle / spent if spent else 0.0


def said_busy(before: Mapping[str, Any]) -> str:
    """In words, from `busy_share` before the run."""
    share = float(before["busy_share"])
    if share >= BUSY_FROM:
        return f"BUSY: others used {share:.0%} of it before the run began. Its figures are no measure of the product."
    return f"quiet: others used {share:.0%} of it before the run began."


def _ticks() -> dict[str, int]:
    """Processor time since the start of the machine: idle (waiting for a disk too) and all else, in ticks."""
    line = _text("/proc/stat").partition("\n")[0].split()[1:9]
    ticks = [int(value) for value in line] + [0] * (8 - len(line))
    idle = ticks[3] + ticks[4]
    return {"idle": idle, "used": sum(ticks) - idle}


def _of(info: str, name: str) -> str:
    found = re.search(rf"^{name}\s*:\s*(.+)$", info, re.MULTILINE)
    return found[1].strip() if found else ""


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
