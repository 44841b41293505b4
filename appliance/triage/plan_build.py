"""A plan built anew while the service goes on: another program, of the lowest priority, that may take its time."""

import contextlib
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance.processes.tied import tied
from appliance.settings import EngineSettings

BUILD_LONGEST_S: Final = 3600.0
_LOWEST_PRIORITY: Final = 19
_BUILDER: Final = "appliance.building.command"
_LOG_TAIL_BYTES: Final = 4096
_SAID_LETTERS: Final = 300
_KILL_WAIT_S: Final = 2.0
_NOT_STARTED: Final = "the builder cannot be started"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildEnd:
    """How a build ended; `said`: the builder's last line."""

    built: bool
    said: str


class PlanBuild:
    """One build. Nothing here waits but `close`. Use it from a thread that stays: the build ends with it."""

    def __init__(self, command: list[str], log_path: Path, now_s: float) -> None:
        """Starts `command`; what it says goes to `log_path`, which is written anew. OSError if it cannot be started."""
        self._log_path = log_path
        self._give_up_s = now_s + BUILD_LONGEST_S
        with log_path.open("wb") as log:
            self._process = subprocess.Popen(
                tied(["/usr/bin/env", "nice", "-n", str(_LOWEST_PRIORITY), *command]),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # its own children end with it
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )

    @property
    def said(self) -> str:
        """The last line that the builder has written, for people."""
        try:
            with self._log_path.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - _LOG_TAIL_BYTES))
                tail = log.read().decode("utf-8", "replace")
        except OSError:
            return ""
        lines = [line.strip() for line in tail.replace("\r", "\n").splitlines() if line.strip()]
        last = lines[-1] if lines else ""
        return "".join(letter for letter in last if letter.isprintable())[:_SAID_LETTERS]

    def poll(self, now_s: float) -> BuildEnd | None:
        """How it ended, None while it works. One that takes too long is ended."""
        code = self._process.poll()
        if code is None:
            if now_s < self._give_up_s:
                return None
            self.close()
            return BuildEnd(built=False, said=f"the build took longer than {BUILD_LONGEST_S / 60:.0f} minutes")
        said = self.said or f"the builder ended with {code} and without a word"
        return BuildEnd(built=code == 0, said=said)

    def close(self) -> None:
        """Ends it and its children. May be called again."""
        if self._process.poll() is not None:
            return  # its number may be another's by now
        os.killpg(self._process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_KILL_WAIT_S)


def build_command(said: EngineSettings) -> list[str]:
    """The builder for the engine of these settings."""
    return [
        sys.executable, "-m", _BUILDER, str(said.folder),
        "--plans", str(said.plans_folder),
        "--precision", said.precision,
        "--max-batch", str(said.max_batch),
        "--python", str(said.interpreter),
        "--force",  # the plan that lies there was refused
    ]  # fmt: skip
