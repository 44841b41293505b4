"""Every way in which a plan can be wrong, done to a copy of a good one: none of them may serve.

Runs on Python 3.10; the standard library alone.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

Damage = Callable[[Path, Path], None]
"""Spoils a folder, told the sidecar and the plan in it."""


LEFT_TO_TENSORRT: Final = ("half a plan that is vouched for", "noise that is vouched for")
"""Sidecar and hash are right, the bytes are none of a plan: TensorRT may refuse them, or take its process down."""


def damaged_folders(plans: Path, stem: str, folder: Path) -> Iterator[tuple[str, Path]]:
    """Of each way its words, and a folder of its own with a copy of the plan `stem`, damaged. OSError."""
    for name, damage in _WAYS.items():
        copy = folder / name.replace(" ", "-")
        shutil.copytree(plans, copy)
        sidecar = copy / f"{stem}.json"
        plan = next(iter(copy.glob(f"{stem}-*.plan")))
        damage(sidecar, plan)
        yield name, copy


def _cut(sidecar: Path, plan: Path) -> None:
    plan.write_bytes(plan.read_bytes()[:-1024])


def _flip(sidecar: Path, plan: Path) -> None:
    data = bytearray(plan.read_bytes())
    data[len(data) // 2] ^= 1
    plan.write_bytes(bytes(data))


def _empty(sidecar: Path, plan: Path) -> None:
    plan.write_bytes(b"")


def _no_json(sidecar: Path, plan: Path) -> None:
    sidecar.write_text("{")


def _vouch_for(sidecar: Path, plan: Path, data: bytes) -> None:
    """Other bytes, and a sidecar that vouches for them: what is left to refuse it is TensorRT."""
    digest = sha256(data).hexdigest()
    place = plan.with_name(f"{sidecar.stem}-{digest[:16]}.plan")
    plan.unlink()
    place.write_bytes(data)
    held = json.loads(sidecar.read_bytes())
    sidecar.write_text(json.dumps({**held, "plan_sha256": digest}))


def _vouched_for_half(sidecar: Path, plan: Path) -> None:
    data = plan.read_bytes()
    _vouch_for(sidecar, plan, data[: len(data) // 2])


def _vouched_for_noise(sidecar: Path, plan: Path) -> None:
    _vouch_for(sidecar, plan, bytes(range(256)) * 4096)


def _other_key(**changed: Any) -> Damage:
    def damage(sidecar: Path, plan: Path) -> None:
        held = json.loads(sidecar.read_bytes())
        sidecar.write_text(json.dumps({**held, "key": {**held["key"], **changed}}))

    return damage


def _no_key_field(sidecar: Path, plan: Path) -> None:
    held = json.loads(sidecar.read_bytes())
    del held["key"]["sm_count"]
    sidecar.write_text(json.dumps(held))


_WAYS: Final[dict[str, Damage]] = {
    "cut short": _cut,
    "one bit flipped": _flip,
    "empty": _empty,
    "plan missing": lambda sidecar, plan: plan.unlink(),
    "sidecar missing": lambda sidecar, plan: sidecar.unlink(),
    "sidecar no JSON": _no_json,
    "sidecar lacks a field": _no_key_field,
    "half a plan that is vouched for": _vouched_for_half,
    "noise that is vouched for": _vouched_for_noise,
    "of another TensorRT": _other_key(tensorrt="7.0.0"),
    "of another card": _other_key(gpu_name="Another card"),
    "of another compute capability": _other_key(compute_capability="1.0"),
    "of fewer multiprocessors": _other_key(sm_count=1),
    "of another engine": _other_key(engine_sha256="0" * 64),
    "of another model": _other_key(onnx_sha256="0" * 64),
    "for smaller batches": _other_key(profile=[1, 1, 1]),
    "of another format": _other_key(format=0),
}
