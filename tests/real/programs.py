"""The three programs as real processes, on a folder of a test."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx

from appliance.processes.status_file import read_status
from tests.real.appliance import settings_of, settings_text
from tests.real.browsing import wait_for

ROOT = Path(__file__).resolve().parents[2]


class Programs:
    """As a person starts them: each may be killed and started again."""

    def __init__(self, root: Path, *programs: str) -> None:
        self.settings = settings_of(root)
        self.config = root / "bleedwatch.toml"
        self.port = free_port()
        self.config.write_text(
            settings_text(root) + f'[dashboard]\nport = {self.port}\nscanner = "CT 2, Emergency"\n', encoding="utf-8"
        )
        self.log = root / "log"
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        for program in programs:
            self.start(program)

    @property
    def address(self) -> str:
        """Of the board."""
        return f"http://127.0.0.1:{self.port}/"

    def start(self, program: str) -> None:
        """Starts one, and waits until it works."""
        with self.log.open("ab") as log:
            self.running[program] = subprocess.Popen(
                [sys.executable, "-m", "appliance.cli", program, "--config", str(self.config)],
                stdout=log, stderr=log, cwd="/", env={**os.environ, "PYTHONPATH": str(ROOT)},
            )  # fmt: skip
        wait_for(lambda: read_status(self.settings.runtime_folder, program) is not None, within_s=60)
        wait_for(lambda: program != "dashboard" or self._answers(), within_s=10)

    def _answers(self) -> bool:
        try:
            return httpx.get(self.address, timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    def kill(self, program: str) -> None:
        """kill -9."""
        self.running[program].send_signal(signal.SIGKILL)
        self.running.pop(program).wait()

    def end(self) -> None:
        """Asks each to end, and ends it if it does not."""
        for process in self.running.values():
            process.send_signal(signal.SIGTERM)
        for process in self.running.values():
            try:
                process.wait(8)
            finally:
                process.kill()
                process.wait()


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
