"""Status files in the runtime folder: written whole or not at all, read without trust."""

import json
from pathlib import Path

from appliance.core.status import ProgramStatus


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
