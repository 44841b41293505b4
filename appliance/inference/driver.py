"""Which graphics cards the driver shows, asked of libcuda itself: TensorRT ends the process where there is none.

python -m appliance.inference.driver prints the answer as JSON. Runs on Python 3.10; the standard library alone.
"""

import ctypes
import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from typing import Any, Final

from appliance.processes.foreign import foreign_command

_LIBRARY: Final = "libcuda.so.1"
_NAME_BYTES: Final = 256
_UUID_BYTES: Final = 16

# CUdevice_attribute of cuda.h
_MULTIPROCESSORS: Final = 16
_CAPABILITY_MAJOR: Final = 75
_CAPABILITY_MINOR: Final = 76

_SAID: Final = {
    2: "the driver has no memory left",
    3: "the driver is shutting down: restart the box",
    34: "the driver is a stub of a toolkit: install the driver of the card",
    46: "the card is not available: another program holds it alone, or it was reset",
    100: "the driver shows no card: nvidia-smi says why",
    101: "the driver does not know the card",
    802: "the driver is still starting",
    803: "the driver was updated while it ran: restart the box",
    804: "the driver is older than what asks it: update it, or install an older TensorRT",
    999: "the driver does not say why: the card may be off the bus, restart the box",
}
_UNSAID: Final = "nvidia-smi may say more"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One card. `compute_capability` as "9.0"; `uuid` as the driver's tools write it, without its "GPU-"."""

    index: int
    name: str
    compute_capability: str
    sm_count: int
    memory_bytes: int
    uuid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """What the driver answered. `version`: the CUDA it serves, as "13.0". `said`: why there is no card, else empty."""

    gpus: tuple[Gpu, ...]
    version: str
    said: str


class _Failed(Exception):
    """A call of the driver failed. The message says which and why."""


def probe(library: str = _LIBRARY) -> Driver:
    """Asks the driver, in this process: a card that has failed may hold the call for ever. Never raises."""
    try:
        cuda = ctypes.CDLL(library)
    except OSError as error:
        return Driver(gpus=(), version="", said=f"there is no NVIDIA driver here ({error})")
    version = ""
    try:
        _check(cuda, "cuInit", ctypes.c_uint(0))
        version = _version(cuda)
        count = ctypes.c_int()
        _check(cuda, "cuDeviceGetCount", ctypes.byref(count))
        gpus = tuple(_gpu(cuda, index) for index in range(count.value))
    except _Failed as error:
        return Driver(gpus=(), version=version, said=str(error))
    return Driver(gpus=gpus, version=version, said="" if gpus else _SAID[100])


def probe_apart(python: str = sys.executable, *, timeout_s: float = 10.0) -> Driver:
    """Asks the driver from a process of its own, which is ended after `timeout_s`. Never raises."""
    try:
        done = subprocess.run(
            foreign_command(python, "appliance.inference.driver"),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return _none(
            f"the driver has not answered within {timeout_s:g} s: the card may be off the bus, restart the box"
        )
    except OSError as error:
        return _none(f"{python} cannot be started ({error.strerror})")
    try:
        said = json.loads(done.stdout)
        gpus = tuple(Gpu(**gpu) for gpu in said["gpus"])
        return Driver(gpus=gpus, version=said["version"], said=said["said"])
    except (ValueError, KeyError, TypeError):
        return _none(f"asking the driver ended with {done.returncode} and without an answer")


def _none(said: str) -> Driver:
    return Driver(gpus=(), version="", said=said)


def _check(cuda: ctypes.CDLL, name: str, *words: Any) -> None:
    try:
        call = getattr(cuda, name)
    except AttributeError:
        raise _Failed(f"the driver has no {name}: it is too old") from None
    code = call(*words)
    if code:
        raise _Failed(f"{name} answered {code}: {_SAID.get(code, _UNSAID)}")


def _version(cuda: ctypes.CDLL) -> str:
    number = ctypes.c_int()
    _check(cuda, "cuDriverGetVersion", ctypes.byref(number))
    return f"{number.value // 1000}.{number.value % 1000 // 10}"


def _gpu(cuda: ctypes.CDLL, index: int) -> Gpu:
    device = ctypes.c_int()
    name = ctypes.create_string_buffer(_NAME_BYTES)
    memory = ctypes.c_size_t()
    uuid = (ctypes.c_ubyte * _UUID_BYTES)()
    _check(cuda, "cuDeviceGet", ctypes.byref(device), ctypes.c_int(index))
    _check(cuda, "cuDeviceGetName", name, ctypes.c_int(_NAME_BYTES), device)
    _check(cuda, "cuDeviceTotalMem_v2", ctypes.byref(memory), device)
    _check(cuda, "cuDeviceGetUuid", uuid, device)
    return Gpu(
        index=index,
        name=name.value.decode("utf-8", "replace"),
        compute_capability=f"{_attribute(cuda, device, _CAPABILITY_MAJOR)}.{_attribute(cuda, device, _CAPABILITY_MINOR)}",
        sm_count=_attribute(cuda, device, _MULTIPROCESSORS),
        memory_bytes=memory.value,
        uuid=_hyphened(bytes(uuid).hex()),
    )


def _attribute(cuda: ctypes.CDLL, device: ctypes.c_int, attribute: int) -> int:
    value = ctypes.c_int()
    _check(cuda, "cuDeviceGetAttribute", ctypes.byref(value), ctypes.c_int(attribute), device)
    return value.value


def _hyphened(digits: str) -> str:
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(probe())) + "\n")
