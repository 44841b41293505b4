"""A TensorRT plan at rest, and the sidecar that says what it was made of, for which card, and how it was proven.

The sidecar names its plan by sha256, and the plan's file carries that hash in its name: the rename of the sidecar is
the one moment at which a new plan takes the place of the old one. Runs on Python 3.10; the standard library alone.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

FORMAT: Final = 1
"""Of the key, the sidecar and what `building` does to a graph: a plan of another one is not read."""

PRECISIONS: Final = ("fp16", "fp32")

FP32_OPERATORS: Final = (
    "GlobalAveragePool",
    "InstanceNormalization",
    "LayerNormalization",
    "ReduceL2",
    "ReduceMean",
    "ReduceSum",
    "Resize",
    "Softmax",
)
"""Sums over whole pictures overflow in FP16, or lose what they add up; places between pixels are worked out in FP32."""
FP32_ENDS: Final = "nodes that no convolution follows"
"""What makes heat map, embedding and logits."""
FP32_BEGINNING: Final = "nodes on maps of a quarter of the picture's side and more"
"""What every later layer builds on: rounded there, an odd picture's logits lay too far off."""

LOGIT_MOST: Final = 0.05
"""How far a logit of an FP16 engine may lie from the FP32 one: in the gates, and in the self-test of one that serves."""

ON_PROCESSOR: Final = "processor"
ALONE: Final = "plan"
IN_BATCHES: Final = "plan_batch"
GATES: Final = {ON_PROCESSOR: "on the processor", ALONE: "slice by slice", IN_BATCHES: "in batches"}
"""What a plan has to have passed, in words: emulated on a processor; itself on its card, one by one, and in full batches."""

_LOCK: Final = ".building"
_PART: Final = ".part"
_NEXT_STEP: Final = "Build it anew: python build_engine.py"


class PlanRefused(Exception):
    """The plan may not serve, or is not there. The message says why and what to do."""


class BuildRunning(Exception):
    """Another build works in this folder. The message says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanKey:
    """All that a plan depends on. Two equal keys: the plan of one may serve the other.

    `engine_sha256`: of the manifest, whose points and calibration the parity gate used. `profile`: least, usual and
    most slices in a batch. `tensorrt`: the exact version. `compute_capability`: as "9.0".
    """

    engine_sha256: str
    onnx_sha256: str
    precision: str
    block_list: tuple[str, ...]
    profile: tuple[int, int, int]
    flags: tuple[str, ...]
    tensorrt: str
    gpu_name: str
    compute_capability: str
    sm_count: int
    memory_bytes: int
    format: int = FORMAT

    def as_dict(self) -> dict[str, Any]:
        """The key as JSON holds it."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_dict(cls, held: Mapping[str, Any]) -> "PlanKey":
        """The key out of a sidecar. PlanRefused where a field is missing, unknown or of another type."""
        wanted = {field.name for field in fields(cls)}
        if set(held) != wanted:
            odd = ", ".join(sorted(set(held) ^ wanted))
            raise PlanRefused(f"The plan's key does not have the fields it must have ({odd:.200}). {_NEXT_STEP}")
        values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in held.items()}
        key = cls(**values)
        wrong = [name for name, kind in _KINDS.items() if type(values[name]) is not kind]
        if wrong:
            raise PlanRefused(f"The plan's key holds values of another type ({', '.join(wrong)}). {_NEXT_STEP}")
        return key


_KINDS: Final = {
    "engine_sha256": str,
    "onnx_sha256": str,
    "precision": str,
    "block_list": tuple,
    "profile": tuple,
    "flags": tuple,
    "tensorrt": str,
    "gpu_name": str,
    "compute_capability": str,
    "sm_count": int,
    "memory_bytes": int,
    "format": int,
}
_SAID: Final = {
    "engine_sha256": "engine (manifest sha256)",
    "onnx_sha256": "model (ONNX sha256)",
    "precision": "precision",
    "block_list": "list of what stays in FP32",
    "profile": "batch sizes (least, usual, most)",
    "flags": "build flags",
    "tensorrt": "TensorRT version",
    "gpu_name": "graphics card",
    "compute_capability": "compute capability",
    "sm_count": "number of multiprocessors",
    "memory_bytes": "card memory in bytes",
    "format": "plan format",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sidecar:
    """What stands beside a plan. `parity`: the reports of the gates, by name; `built_at`: UTC, ISO 8601."""

    key: PlanKey
    plan_sha256: str
    parity: Mapping[str, Any]
    build_s: float
    built_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The exact bytes that the sidecar vouches for."""

    plan: bytes
    sidecar: Sidecar


def plan_stem(engine_sha256: str, precision: str) -> str:
    """The name that sidecar and plan of one engine and precision begin with."""
    return f"{engine_sha256[:16]}-{precision}"


def block_list_of(precision: str) -> tuple[str, ...]:
    """What stays in FP32: operators by name, and the rules of ends and beginning. Empty for an FP32 plan."""
    return (*FP32_OPERATORS, FP32_ENDS, FP32_BEGINNING) if precision == "fp16" else ()


def flags_of(precision: str, *, strongly_typed: bool) -> tuple[str, ...]:
    """What a build asks TensorRT for. `strongly_typed`: whether this TensorRT lets the graph carry its types."""
    typing = "strongly-typed" if strongly_typed else ("fp16" if precision == "fp16" else "weakly-typed")
    return (typing, "no-tf32", "tactics: edge-mask, jit")


def key_of(
    *, engine_sha256: str, onnx_sha256: str, precision: str, max_batch: int, device: Mapping[str, Any]
) -> PlanKey:
    """The key that a plan must have here and now.

    `device`: `name`, `compute_capability`, `sm_count`, `memory_bytes`, `tensorrt` and `strongly_typed` as
    `tensorrt_engine.device_facts` says them.
    """
    return PlanKey(
        engine_sha256=engine_sha256,
        onnx_sha256=onnx_sha256,
        precision=precision,
        block_list=block_list_of(precision),
        profile=(1, 1, max_batch),
        flags=flags_of(precision, strongly_typed=bool(device["strongly_typed"])),
        tensorrt=str(device["tensorrt"]),
        gpu_name=str(device["name"]),
        compute_capability=str(device["compute_capability"]),
        sm_count=int(device["sm_count"]),
        memory_bytes=int(device["memory_bytes"]),
    )


def differences(found: PlanKey, wanted: PlanKey) -> list[str]:
    """Each field in which a plan's key differs from the one that is needed, in words. Empty: the plan fits."""
    return [
        f"{said}: the plan has {_words(getattr(found, name))}, needed is {_words(getattr(wanted, name))}"
        for name, said in _SAID.items()
        if getattr(found, name) != getattr(wanted, name)
    ]


def _words(value: object) -> str:
    return "(" + "; ".join(str(one) for one in value) + ")" if isinstance(value, tuple) else str(value)[:80]


def read_plan(folder: Path, wanted: PlanKey) -> Plan:
    """The plan for this key: sidecar, key, gates, then the bytes held against their sha256. PlanRefused in words.

    A build that ends meanwhile takes the old plan away; so a missing one is looked for twice.
    """
    for last in (False, True):
        sidecar = read_sidecar(folder, plan_stem(wanted.engine_sha256, wanted.precision))
        unlike = differences(sidecar.key, wanted)
        if unlike:
            raise PlanRefused(f"The plan was not built for this: {'; '.join(unlike)}. {_NEXT_STEP}")
        if not _is_proven(sidecar):
            raise PlanRefused(f"The plan has not passed every parity gate. {_NEXT_STEP} --force")
        path = _plan_path(folder, sidecar)
        try:
            plan = path.read_bytes()
        except FileNotFoundError:
            if last:
                raise PlanRefused(f"{path} is not there, its sidecar is. {_NEXT_STEP}") from None
            continue
        except OSError as error:
            raise PlanRefused(f"{path} cannot be read ({error.strerror}). {_NEXT_STEP}") from None
        if sha256(plan).hexdigest() != sidecar.plan_sha256:
            raise PlanRefused(f"{path} is damaged: its sha256 is not the one that was kept. {_NEXT_STEP} --force")
        return Plan(plan=plan, sidecar=sidecar)
    raise AssertionError("not reached")


def read_sidecar(folder: Path, stem: str) -> Sidecar:
    """The sidecar of this name. PlanRefused in words where there is none, or one that cannot be read."""
    path = folder / f"{stem}.json"
    try:
        held = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise PlanRefused(f"There is no plan for this engine in {folder}. {_NEXT_STEP}") from None
    except OSError as error:
        raise PlanRefused(f"{path} cannot be read ({error.strerror}). {_NEXT_STEP}") from None
    except ValueError:
        raise PlanRefused(f"{path} is damaged: it is no JSON. {_NEXT_STEP}") from None
    try:
        key, parity = held["key"], held["parity"]
        if not (isinstance(key, dict) and isinstance(parity, dict)):
            raise TypeError
        return Sidecar(
            key=PlanKey.from_dict(key),
            plan_sha256=str(held["plan_sha256"]),
            parity=parity,
            build_s=float(held["build_s"]),
            built_at=str(held["built_at"]),
        )
    except (KeyError, TypeError, ValueError):
        raise PlanRefused(f"{path} is damaged: it lacks what a sidecar holds. {_NEXT_STEP}") from None


def write_plan(folder: Path, plan: bytes, sidecar: Sidecar) -> Path:
    """Puts a proven plan in the place of the old one, and returns the sidecar's path. Hold `building` meanwhile.

    Plan and sidecar are on the disk before the sidecar gets its name; a process that dies before leaves the old ones.
    ValueError where the sidecar is of other bytes or lacks a gate; OSError where the folder cannot be written.
    """
    if sha256(plan).hexdigest() != sidecar.plan_sha256:
        raise ValueError("the sidecar vouches for other bytes")
    if not _is_proven(sidecar):
        raise ValueError("the plan has not passed every parity gate")
    stem = plan_stem(sidecar.key.engine_sha256, sidecar.key.precision)
    path, said = _plan_path(folder, sidecar), folder / f"{stem}.json"
    document: dict[str, Any] = {
        "key": sidecar.key.as_dict(),
        "plan_sha256": sidecar.plan_sha256,
        "parity": dict(sidecar.parity),
    }
    document |= {"build_s": sidecar.build_s, "built_at": sidecar.built_at}
    write_durably(path, plan)
    write_durably(said, json.dumps(document, indent=2, allow_nan=False).encode())
    for leftover in folder.glob(f"{stem}*"):
        if leftover not in (path, said) and leftover.suffix in (".plan", _PART):
            leftover.unlink(missing_ok=True)
    return said


def write_durably(path: Path, data: bytes) -> None:
    """The whole file or the one before: under another name, on the disk, renamed, the folder on the disk."""
    part = path.with_name(path.name + _PART)
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)  # on a full disk half a plan is in everybody's way
        raise
    fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def building(folder: Path) -> Iterator[None]:
    """Makes the folder and holds it until the block ends, or the process does, however. BuildRunning where taken."""
    folder.mkdir(parents=True, exist_ok=True)
    fd = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BuildRunning(f"Another build works in {folder}. Wait until it has ended") from None
        yield
    finally:
        os.close(fd)


def _is_proven(sidecar: Sidecar) -> bool:
    reports = [sidecar.parity.get(name) for name in GATES]
    return all(isinstance(report, dict) and report.get("passed") is True for report in reports)


def _plan_path(folder: Path, sidecar: Sidecar) -> Path:
    stem = plan_stem(sidecar.key.engine_sha256, sidecar.key.precision)
    return folder / f"{stem}-{sidecar.plan_sha256[:16]}.plan"
