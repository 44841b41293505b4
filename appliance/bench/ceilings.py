"""What this processor can do at most, measured: a product of matrices and a copy of memory.

The product is made by numpy and by the runtime itself, and the faster one counts: a library that does not know a new
processor falls back on older instructions, and a ceiling that an engine breaks through is none.

python -m appliance.bench.ceilings prints the figures as JSON. It runs in a process of its own, since the number of
threads of a linear algebra library is fixed when it is loaded.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from appliance.bench.onnx_graph import product_model
from appliance.inference.onnxruntime_backend import session_options
from appliance.inference.runtime import ort

_THREADS: Final = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")
_SIDE: Final = 1024
_COPY_MIB: Final = 256
_ROUNDS: Final = 20
_WITHIN_S: Final = 60.0


class NotMeasured(Exception):
    """The ceilings could not be measured; the message says why."""


def measure_ceilings(threads: int) -> dict[str, Any]:
    """GFLOP/s of a product of 1024 x 1024 matrices in float32, and GB/s written by a copy: the best of some rounds.

    NotMeasured in words.
    """
    environment = {**os.environ, **dict.fromkeys(_THREADS, str(threads))}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "appliance.bench.ceilings", str(threads)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=_WITHIN_S,
            check=True,
        )
        measured: dict[str, Any] = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise NotMeasured(f"the process that measures them failed ({type(error).__name__})") from None
    return {"threads": threads, **measured}


def _best_s(call: Callable[[], object]) -> float:
    call()
    took: list[float] = []
    for _ in range(_ROUNDS):
        begin_s = time.perf_counter()
        call()
        took.append(time.perf_counter() - begin_s)
    return min(took)


def main(arguments: list[str]) -> int:
    """Measures with so many threads, and prints."""
    (threads,) = map(int, arguments)
    random = np.random.default_rng(0)
    left, right = (random.random((_SIDE, _SIDE), dtype=np.float32) for _ in range(2))
    product = np.empty_like(left)
    session = ort.InferenceSession(
        product_model(_SIDE), session_options(threads, spinning=True), providers=["CPUExecutionProvider"]
    )
    by_s = {
        "numpy": _best_s(lambda: np.matmul(left, right, out=product)),
        "onnxruntime": _best_s(lambda: session.run(None, {"left": left, "right": right})),
    }
    source = np.ones(_COPY_MIB * 2**20 // 4, dtype=np.float32)
    target = np.empty_like(source)
    copy_s = _best_s(lambda: np.copyto(target, source))
    gflops = {name: 2 * _SIDE**3 / seconds / 1e9 for name, seconds in by_s.items()}
    found = {"gflops": max(gflops.values()), "gflops_by": gflops, "copy_gb_s": source.nbytes / copy_s / 1e9}
    sys.stdout.write(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
