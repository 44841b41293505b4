"""How long the programs take from nothing until each says that it works."""

import threading
import time
from pathlib import Path
from typing import Final, Self

from appliance.core.status import PROGRAMS
from appliance.processes.status_file import read_status

LOOK_EVERY_S: Final = 0.005


class Starting:
    """Looks from the moment on at which its block begins, in a thread of its own."""

    def __init__(self, runtime_folder: Path) -> None:
        self._runtime_folder = runtime_folder
        self._ended = threading.Event()
        self._ready_s: dict[str, float] = {}
        self._thread = threading.Thread(target=self._look_on, name="starting", daemon=True)

    def __enter__(self) -> Self:
        self._begun_s = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def ready_s(self) -> dict[str, float]:
        """Seconds by program, of those that are ready; call it once all are."""
        self._thread.join(timeout=1.0)
        return dict(self._ready_s)

    def _look_on(self) -> None:
        while len(self._ready_s) < len(PROGRAMS) and not self._ended.wait(LOOK_EVERY_S):
            for program in PROGRAMS:
                status = read_status(self._runtime_folder, program)
                if program not in self._ready_s and status is not None and status.ready:
                    self._ready_s[program] = time.monotonic() - self._begun_s
