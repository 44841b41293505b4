"""The service manager's end of NOTIFY_SOCKET, and the programs as it starts them."""

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Word:
    """One datagram, and the monotonic clock at its arrival."""

    said: str
    at_s: float


@dataclass
class Manager:
    """What a test hears of the programs."""

    address: str
    words: list[Word] = field(default_factory=list)

    def times(self, said: str) -> list[float]:
        return [word.at_s for word in list(self.words) if word.said == said]

    def wait_for(self, said: str, *, within_s: float = 60.0, more_than: int = 0) -> float:
        """Until it has been said more than so many times. Returns when."""
        wait_until(lambda: len(self.times(said)) > more_than, within_s=within_s)
        return self.times(said)[more_than]


@contextlib.contextmanager
def listening(*, abstract: bool = False) -> Iterator[Manager]:
    """Hears until the block ends: on a path, or on a name in the abstract name space."""
    folder = Path(tempfile.mkdtemp(prefix="bw-"))  # a short path: the kernel takes 107 characters
    address = f"@bleedwatch-test-{secrets.token_hex(6)}" if abstract else str(folder / "notify")
    manager = Manager(address)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(address.replace("@", "\0") if abstract else address)
        sock.settimeout(0.05)
        ended = threading.Event()

        def hear() -> None:
            while not ended.is_set():
                with contextlib.suppress(TimeoutError):
                    said = sock.recv(4096).decode()
                    manager.words.append(Word(said, time.monotonic()))

        thread = threading.Thread(target=hear)
        thread.start()
        try:
            yield manager
        finally:
            ended.set()
            thread.join()
            shutil.rmtree(folder)


@contextlib.contextmanager
def started(
    config: Path, *words: str, manager: Manager | None = None, watchdog_s: float | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """`bleedwatch WORDS --config CONFIG`; ended with the block, however."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    if manager is not None:
        environment["NOTIFY_SOCKET"] = manager.address
    if watchdog_s is not None:
        environment["WATCHDOG_USEC"] = str(int(watchdog_s * 1e6))
    with log_of(config).open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "appliance.cli", *words, "--config", str(config)],
            cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment,
        )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def log_of(config: Path) -> Path:
    """What the programs have said."""
    return config.with_suffix(".log")


def wait_until(done: Callable[[], bool], *, within_s: float = 60.0) -> None:
    until_s = time.monotonic() + within_s
    while not done():
        assert time.monotonic() < until_s, "it did not happen in time"
        time.sleep(0.01)
