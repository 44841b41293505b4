"""What the copies to a card and back take by themselves, and how fast its own memory copies: asked of libcuda itself.

    python -m appliance.bench.gpu_copies RUNS BYTES_IN BYTES_OUT

prints milliseconds of every copy as JSON: of so many bytes to the card, of so many back, from pinned memory, and the best
rate within the card. It runs in a process of its own, which a failing card may take down. Runs on Python 3.10; the
standard library alone.
"""

import ctypes
import json
import sys
import time
from typing import Any, Final

_LIBRARY: Final = "libcuda.so.1"
_NON_BLOCKING: Final = 1
_INSIDE_BYTES: Final = 256 << 20
_INSIDE_RUNS: Final = 20
_WARM_UP: Final = 20


class CopyFailed(Exception):
    """A call of the driver failed; the message says which."""


class _Card:
    """The first card with a stream, in its primary context."""

    def __init__(self) -> None:
        self._cuda = ctypes.CDLL(_LIBRARY)
        device, context, self.stream = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_void_p()
        self.call("cuInit", ctypes.c_uint(0))
        self.call("cuDeviceGet", ctypes.byref(device), ctypes.c_int(0))
        self.call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        self.call("cuCtxSetCurrent", context)
        self.call("cuStreamCreate", ctypes.byref(self.stream), ctypes.c_uint(_NON_BLOCKING))

    def call(self, name: str, *words: Any) -> None:
        """CopyFailed with the driver's code."""
        code = getattr(self._cuda, name)(*words)
        if code:
            raise CopyFailed(f"{name} answered {code}")

    def pinned(self, size: int) -> ctypes.c_void_p:
        """Memory here that a card reads by itself."""
        place = ctypes.c_void_p()
        self.call("cuMemAllocHost_v2", ctypes.byref(place), ctypes.c_size_t(size))
        return place

    def memory(self, size: int) -> ctypes.c_uint64:
        """Memory of the card."""
        place = ctypes.c_uint64()
        self.call("cuMemAlloc_v2", ctypes.byref(place), ctypes.c_size_t(size))
        return place

    def timed(self, runs: int, name: str, target: Any, source: Any, size: int) -> list[float]:
        """Milliseconds of each copy until it is done."""
        found = []
        for _ in range(_WARM_UP + runs):
            begin_s = time.perf_counter()
            self.call(name, target, source, ctypes.c_size_t(size), self.stream)
            self.call("cuStreamSynchronize", self.stream)
            found.append((time.perf_counter() - begin_s) * 1000)
        return found[_WARM_UP:]


def main(arguments: list[str]) -> int:
    """Measures and prints; what it has taken goes with its process."""
    runs, bytes_in, bytes_out = map(int, arguments)
    try:
        card = _Card()
        here, there = card.pinned(max(bytes_in, bytes_out)), card.memory(max(bytes_in, bytes_out))
        found = {
            "to_card_ms": card.timed(runs, "cuMemcpyHtoDAsync_v2", there, here, bytes_in),
            "from_card_ms": card.timed(runs, "cuMemcpyDtoHAsync_v2", here, there, bytes_out),
        }
        one, other = card.memory(_INSIDE_BYTES), card.memory(_INSIDE_BYTES)
        best_ms = min(card.timed(_INSIDE_RUNS, "cuMemcpyDtoDAsync_v2", other, one, _INSIDE_BYTES))
    except (OSError, AttributeError, CopyFailed) as error:
        sys.stdout.write(json.dumps({"failed": str(error)}) + "\n")
        return 1
    sys.stdout.write(json.dumps({**found, "inside_gb_s": _INSIDE_BYTES / best_ms / 1e6}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
