"""One landed file, looked at without trusting it: never a link followed, never a pipe waited for."""

import fcntl
import os
import signal
import stat
from pathlib import Path

from appliance.core.errors import Fault
from appliance.core.ledger import Identity

_WITHOUT_TRUST = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def identity_of(status: os.stat_result) -> Identity:
    """What makes a file the same file."""
    return Identity(
        device=status.st_dev,
        inode=status.st_ino,
        size=status.st_size,
        mtime_ns=status.st_mtime_ns,
        ctime_ns=status.st_ctime_ns,
    )


def read_regular(path: Path, most_bytes: int) -> tuple[bytes, Identity]:
    """The bytes of a plain file, opened without following a link and without blocking on a pipe.

    At most `most_bytes` are read; the identity tells the whole size. Fault `not-readable` if it cannot be opened or is
    no plain file.
    """
    try:
        descriptor = os.open(path, _WITHOUT_TRUST)
    except OSError as error:
        raise Fault("not-readable", error.strerror or "cannot be opened") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise Fault("not-readable", "no plain file")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(most_bytes)
        return data, identity_of(os.fstat(descriptor))
    except OSError as error:
        raise Fault("not-readable", error.strerror or "cannot be read") from None
    finally:
        os.close(descriptor)


def has_writer(path: Path) -> bool:
    """Whether a program of this machine has the file open for writing, under any of its names, or mapped.

    Asked by a read lease, which the kernel refuses while there is one. False where it cannot be asked: not our file, or
    a file system without leases (a network share).
    """
    try:
        descriptor = os.open(path, _WITHOUT_TRUST)
    except OSError:
        return False
    try:
        # A writer that opens it in this very moment waits microseconds, and we are told by a signal: by one that is
        # ignored by default, for SIGIO would end us.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False
