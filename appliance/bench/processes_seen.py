"""What the programs take of the machine, as the kernel counts it: processor time, wake-ups and memory of each with its children."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PARENT, _USER, _SYSTEM = 1, 11, 12  # places behind the name in /proc/PID/stat, counted from 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """Of one program and its children, since they began: processor seconds and wake-ups."""

    cpu_s: float
    wakeups: int


def tree(pid: int) -> list[int]:
    """A process and all below it, those that are gone left out."""
    parents: dict[int, int] = {}
    for place in Path("/proc").iterdir():
        if place.name.isdecimal() and (fields := _stat(int(place.name))):
            parents[int(place.name)] = int(fields[_PARENT])
    found = [pid] if pid in parents else []
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def taken(pids: list[int]) -> Taken:
    """What these processes have taken until now."""
    cpu, wakeups = 0, 0
    for pid in pids:
        if fields := _stat(pid):
            cpu += int(fields[_USER]) + int(fields[_SYSTEM])
        for task in _tasks(pid):
            wakeups += _field(task / "status", "voluntary_ctxt_switches")
    return Taken(cpu_s=cpu / _TICKS, wakeups=wakeups)


def idle_cost(pids: Mapping[str, int], wait: Callable[[float], None], for_s: float) -> dict[str, dict[str, float]]:
    """By program, while nothing lands: per cent of one core, and wake-ups a second."""
    trees = {program: tree(pid) for program, pid in pids.items()}
    before = {program: taken(found) for program, found in trees.items()}
    began_s = time.monotonic()
    wait(for_s)
    passed_s = time.monotonic() - began_s
    costs: dict[str, dict[str, float]] = {}
    for program, found in trees.items():
        after = taken(found)
        costs[program] = {
            "cpu_percent": 100 * (after.cpu_s - before[program].cpu_s) / passed_s,
            "wakeups_per_s": (after.wakeups - before[program].wakeups) / passed_s,
            "for_s": passed_s,
        }
    return costs


def memory(pids: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """By program, in MiB: resident memory of all its processes, the part that is theirs alone by share, and the peak."""
    found: dict[str, dict[str, Any]] = {}
    for program, pid in pids.items():
        processes = tree(pid)
        found[program] = {
            "processes": len(processes),
            "rss_mib": sum(_field(_proc(one, "status"), "VmRSS") for one in processes) / 1024,
            "pss_mib": sum(_field(_proc(one, "smaps_rollup"), "Pss") for one in processes) / 1024,
            "peak_rss_mib": sum(_field(_proc(one, "status"), "VmHWM") for one in processes) / 1024,
        }
    return found


def _proc(pid: int, name: str) -> Path:
    return Path("/proc") / str(pid) / name


def _tasks(pid: int) -> list[Path]:
    try:
        return list(_proc(pid, "task").iterdir())
    except OSError:
        return []


def _stat(pid: int) -> list[str]:
    """The fields behind the name, which may hold anything; empty for a process that has gone."""
    try:
        return _proc(pid, "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def _field(place: Path, name: str) -> int:
    """A number of a file of names and numbers; 0 where it does not stand or may not be read."""
    try:
        for line in place.read_text(errors="replace").splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0
