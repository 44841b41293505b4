"""The program that has TensorRT, asked from here: started, listened to, and its end put into words."""

import contextlib
import json
import os
import select
import subprocess
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryFile
from time import monotonic
from typing import Any, Final

from appliance.processes.foreign import foreign_command

_PROGRAM: Final = "appliance.building.plan_program"
_FACTS_S: Final = 120.0  # a card that is off the bus may never answer
_GRACE_S: Final = 5.0  # for a program that has said what it had to
_KILL_WAIT_S: Final = 2.0
_LAST_WORDS: Final = 600
_PIECE_BYTES: Final = 1 << 16


class ProgramDied(Exception):
    """The program ended without an answer. The message says how, and its last words."""


def ask_facts(python: Path) -> dict[str, Any]:
    """What the interpreter can build for: a status of `plan_program.STATUS`, `why`, and the facts. ProgramDied."""
    return _ask(python, ["facts"], lambda stage: None, _FACTS_S)


def ask_build(
    python: Path, job: Path, plans: Path, *, force: bool, stage: Callable[[str], None], most_s: float
) -> dict[str, Any]:
    """Lets it build. `stage` hears what it is at. Its last answer: a status, `why`, the parity reports. ProgramDied."""
    words = ["build", str(job), str(plans), *(["--force"] if force else [])]
    return _ask(python, words, stage, most_s)


def _ask(python: Path, words: list[str], stage: Callable[[str], None], most_s: float) -> dict[str, Any]:
    until_s = monotonic() + most_s
    with TemporaryFile() as errors:
        try:
            child = subprocess.Popen(
                foreign_command(str(python), _PROGRAM, *words, "--parent", str(os.getpid())),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        except OSError as error:
            raise ProgramDied(f"{python} cannot be started ({error.strerror})") from None
        last: dict[str, Any] | None = None
        is_late = False
        try:
            last = _listen(child, stage, until_s)
            is_late = last is None and monotonic() >= until_s
        finally:
            _end(child, 0.0 if is_late else _GRACE_S)
        if last is not None:
            return last
        errors.seek(0, os.SEEK_END)
        errors.seek(max(0, errors.tell() - _LAST_WORDS))
        said = " ".join(errors.read().decode("utf-8", "replace").split())
    how = (
        f"The program has not answered within {most_s:g} s: the card may hang" if is_late else _ending(child.returncode)
    )
    raise ProgramDied(f"{how}. Its last words: {said or 'none'}")


def _listen(child: "subprocess.Popen[bytes]", stage: Callable[[str], None], until_s: float) -> dict[str, Any] | None:
    """The program's answer; None where it ends without one, or has none in time. Reads no further than that.

    A program that hangs in the driver cannot be killed, and never closes its end: so nothing here waits for that.
    """
    assert child.stdout is not None
    heard, begun = select.poll(), b""
    heard.register(child.stdout, select.POLLIN)
    while (left_s := until_s - monotonic()) > 0:
        if not heard.poll(left_s * 1000):
            continue
        piece = os.read(child.stdout.fileno(), _PIECE_BYTES)
        if not piece:
            return None
        *lines, begun = (begun + piece).split(b"\n")
        for said in map(_object_in, lines):
            if "stage" in said:
                stage(str(said["stage"]))
            elif "status" in said:
                return said
    return None


def _object_in(line: bytes) -> dict[str, Any]:
    """The JSON object of a line; empty for what libraries write on the same stream."""
    try:
        said = json.loads(line)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _end(child: "subprocess.Popen[bytes]", grace_s: float) -> None:
    """Ends it, after `grace_s` in which it may do so itself. One that hangs in the kernel stays, and is not waited for."""
    assert child.stdout is not None
    child.stdout.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(grace_s)
    child.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(_KILL_WAIT_S)


def _ending(code: int | None) -> str:
    if code is None:
        return "The program gave no answer and cannot be ended: it hangs in the driver, restart the box"
    return f"The program was ended by signal {-code}" if code < 0 else f"The program ended with {code} and no answer"
