"""One program of a kind at a time on one ledger: two couriers would write each letter twice, under one key."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from appliance.core.errors import CannotStart


@contextmanager
def alone(state_folder: Path, program: str) -> Iterator[None]:
    """Holds the place of a program until the block ends, or the process does, however. CannotStart where it is taken."""
    path = state_folder / f"{program}.lock"
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise CannotStart(f"{path} cannot be opened: {error.strerror}. Next step: bleedwatch doctor") from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise CannotStart(
            f"Another {program} works on the ledger in {state_folder}. Next step: end one of the two; "
            f"systemctl status bleedwatch-{program} shows the one of the service."
        ) from None
    try:
        yield
    finally:
        os.close(fd)
