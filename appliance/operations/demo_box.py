"""A throw-away appliance: settings, ledger and programs on a folder that goes when the demo ends."""

import secrets
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance.core.errors import CannotStart
from appliance.core.status import PROGRAMS
from appliance.operations.receiver import Receiver
from appliance.operations.run import Programs
from appliance.processes.status_file import read_status
from appliance.records.upgrade import upgrade
from appliance.settings import Settings, parse_settings

START_WITHIN_S: Final = 60.0
LOOK_EVERY_S: Final = 0.1
LOG_SHOWN: Final = 2000  # characters of the programs' log in a message


class Stopped(Exception):
    """Ctrl-C before the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrowAway:
    """The folder and all that stands in it. `receiver`: the gateway, where there is one."""

    root: Path
    settings: Settings
    config: Path
    receiver: Receiver | None

    @property
    def log(self) -> Path:
        """What the programs say."""
        return self.root / "programs.log"

    @property
    def address(self) -> str:
        """Of the board."""
        return f"http://127.0.0.1:{self.settings.dashboard.port}/"


@contextmanager
def throw_away(
    engine: Path, *, port: int | None, gateway: bool, plans: Path | None = None, python: Path | None = None
) -> Iterator[ThrowAway]:
    """Makes everything but starts no program. Nothing is left after the block.

    `plans` and `python`: where TensorRT plans and their interpreter are, if not in the engine's folder and here.
    """
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bleedwatch-demo-")))
        for name in ("state", "store", "run", "inbox"):
            (root / name).mkdir()
        secret = secrets.token_hex(16)
        receiver = stack.enter_context(Receiver(secret.encode())) if gateway else None
        named = {"plans": plans or engine / "plans", "python": python}
        said = "".join(f'{name} = "{path.absolute()}"\n' for name, path in named.items() if path)
        text = _toml(root, engine, port or _free_port(), said) + (_gateway(root, receiver, secret) if receiver else "")
        config = root / "bleedwatch.toml"
        config.write_text(text, encoding="utf-8")
        settings = parse_settings(text, str(config))
        upgrade(settings.database)
        yield ThrowAway(root=root, settings=settings, config=config, receiver=receiver)


@contextmanager
def running(box: ThrowAway, stop: threading.Event) -> Iterator[None]:
    """The three programs, ready; ended when the block ends. CannotStart with their own words, Stopped for Ctrl-C."""
    with box.log.open("wb") as log:
        programs = Programs(box.config, log.fileno())
        ended = threading.Event()
        refused = threading.Event()

        def keep() -> None:
            try:
                while not ended.wait(LOOK_EVERY_S):
                    programs.keep_running()
                    if programs.cannot_start:
                        refused.set()
                        return
            finally:
                programs.end()  # here: with the thread that started them they would die

        keeper = threading.Thread(target=keep, name="keeper")
        keeper.start()
        try:
            _wait_until_ready(box, refused, stop)
            yield
        finally:
            ended.set()
            keeper.join()


def _wait_until_ready(box: ThrowAway, refused: threading.Event, stop: threading.Event) -> None:
    deadline_s = time.monotonic() + START_WITHIN_S
    while not all(_is_ready(box.settings, program) for program in PROGRAMS):
        if stop.wait(LOOK_EVERY_S):
            raise Stopped
        if refused.is_set() or time.monotonic() > deadline_s:
            said = box.log.read_text(encoding="utf-8", errors="replace")
            raise CannotStart(f"The programs did not start.\n{said[-LOG_SHOWN:].rstrip()}")


def _is_ready(settings: Settings, program: str) -> bool:
    status = read_status(settings.runtime_folder, program)
    return status is not None and status.ready


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _toml(root: Path, engine: Path, port: int, engine_more: str) -> str:
    return f"""state_folder = "{root}/state"
store_folder = "{root}/store"
runtime_folder = "{root}/run"
[inbox]
folder = "{root}/inbox"
[engine]
folder = "{engine.resolve()}"
{engine_more}[dashboard]
port = {port}
scanner = "CT 1 (simulated)"
people = ["R. Example", "T. Sample"]
"""


def _gateway(root: Path, receiver: Receiver, secret: str) -> str:
    secret_file = root / "webhook.secret"
    secret_file.touch(mode=0o600)
    secret_file.write_text(secret, encoding="utf-8")
    return f'[courier.channels.pager]\nkind = "webhook"\nurl = "{receiver.url}"\nsecret_file = "{secret_file}"\n'
