"""Status files in the runtime folder: written whole or not at all, read without trust."""

import json
import logging
import os
from pathlib import Path

from appliance.core.status import PageSeen, ProgramStatus, Unrecorded
from appliance.core.times import Now
from appliance.processes.clock import now

log = logging.getLogger(__name__)


def _place(runtime: Path, program: str) -> Path:
    return runtime / f"{program}.status.json"


def write_status(runtime: Path, status: ProgramStatus) -> None:
    """Replaces the program's file at once. OSError if the runtime folder is gone or full."""
    place = _place(runtime, status.program)
    draft = place.with_suffix(".tmp")
    draft.write_text(json.dumps(status.as_json()), encoding="utf-8")
    draft.replace(place)


def read_status(runtime: Path, program: str) -> ProgramStatus | None:
    """The last status of a program, or None if there is none that can be read."""
    try:
        return ProgramStatus.from_json(json.loads(_place(runtime, program).read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remove_status(runtime: Path, program: str) -> None:
    """A program that ended cleanly leaves no file."""
    _place(runtime, program).unlink(missing_ok=True)


class StatusFile:
    """How the others tell that a program lives. A folder that cannot be written costs the sign of life, not the work."""

    def __init__(self, runtime: Path, program: str) -> None:
        self._runtime = runtime
        self._program = program
        self._started = now()
        self._fails = False

    def beat(
        self,
        moment: Now,
        *,
        pages: tuple[PageSeen, ...] = (),
        faults: tuple[str, ...] = (),
        facts: dict[str, str | int | float] | None = None,
        unrecorded: tuple[Unrecorded, ...] = (),
    ) -> None:
        """One beat, or at once what cannot wait for the next."""
        status = ProgramStatus(
            program=self._program,
            pid=os.getpid(),
            started_ns=self._started.wall_ns,
            beat_monotonic_s=moment.monotonic_s,
            ready=True,
            faults=faults,
            pages=pages,
            facts=facts or {},
            unrecorded=unrecorded,
        )
        try:
            write_status(self._runtime, status)
        except OSError as error:
            if not self._fails:
                log.error("the status file cannot be written", extra={"facts": {"said": error.strerror}})
            self._fails = True
        else:
            self._fails = False
