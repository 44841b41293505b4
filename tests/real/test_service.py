"""The three programs as a service manager sees them: ready, working, stuck, stopping; and the units that start them."""

import ctypes
import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from appliance.core.status import PROGRAMS
from appliance.core.times import Now
from appliance.processes.alone import alone
from appliance.processes.clock import now
from appliance.processes.loop import run_ticks
from appliance.processes.notify import ServiceManager
from appliance.processes.status_file import read_status
from appliance.settings import commented_toml
from tests.real.appliance import settings_text
from tests.real.service_manager import ROOT, listening, log_of, started, wait_until

STOP_WITHIN_S = 5.0  # TimeoutStopSec of the units: after that the program would be killed
SYSTEMD = ROOT / "systemd"


@pytest.fixture
def config(tmp_path: Path, migrated: Path) -> Path:
    """Settings of an appliance of this test's own, with an empty ledger and a free port."""
    text = settings_text(tmp_path)
    shutil.copy(migrated, tmp_path / "state" / "bleedwatch.sqlite")
    path = tmp_path / "bleedwatch.toml"
    path.write_text(f"{text}[dashboard]\nport = {free_port()}\n")
    return path


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def port_of(config: Path) -> int:
    found = re.search(r"(?m)^port = (\d+)$", config.read_text())
    assert found
    return int(found[1])


def end(process: "subprocess.Popen[bytes]") -> float:
    """Asks it to end. Returns how many seconds that took."""
    began_s = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.wait(30)
    return time.monotonic() - began_s


# -- what is told --------------------------------------------------------------------------------------


@pytest.mark.parametrize("program", PROGRAMS)
def test_it_says_ready_works_under_the_watchdog_and_says_that_it_stops(program: str, config: Path) -> None:
    watchdog_s = 3.0
    with listening() as manager, started(config, program, manager=manager, watchdog_s=watchdog_s) as process:
        ready_s = manager.wait_for("READY=1")
        if program == "dashboard":
            with socket.create_connection(("127.0.0.1", port_of(config)), 1):
                pass
        else:
            status = read_status(config.parent / "run", program)
            assert status is not None and status.pid == process.pid and status.ready
        manager.wait_for("WATCHDOG=1", more_than=3, within_s=15)
        took_s = end(process)
        assert process.returncode == 0, log_of(config).read_text()
        assert took_s < STOP_WITHIN_S
        manager.wait_for("STOPPING=1", within_s=1)
        said = [word.said for word in manager.words]
        assert said.count("READY=1") == 1 and said.count("STOPPING=1") == 1
        assert said[-1] == "STOPPING=1"
        pings = manager.times("WATCHDOG=1")
        assert pings[0] >= ready_s
        assert max(later - before for before, later in pairwise(pings)) < watchdog_s / 2
        assert sum(word.startswith("STATUS=") for word in said) >= 1


def test_triage_is_ready_only_when_it_hears_of_what_lands(config: Path) -> None:
    with listening(abstract=True) as manager, started(config, "triage", manager=manager) as process:
        manager.wait_for("READY=1")
        watched = Path(f"/proc/{process.pid}/fdinfo")
        assert any("inotify wd:" in one.read_text() for one in watched.iterdir())
        readers = [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
        assert len(readers) == 2
        for pid in readers:
            # They speak for nobody, and when memory is short the kernel takes them first.
            assert b"NOTIFY_SOCKET" not in Path(f"/proc/{pid}/environ").read_bytes()
            wait_until(partial(_is_first_to_go, pid))
        assert manager.times("WATCHDOG=1") == []  # nobody asked for it


@pytest.mark.parametrize("program", ["triage", "courier"])
def test_a_second_one_on_the_same_ledger_does_not_start(program: str, config: Path) -> None:
    with alone(config.parent / "state", program), started(config, program) as process:
        assert process.wait(60) == 2
    assert f"Another {program} works on the ledger" in log_of(config).read_text()


def _is_first_to_go(pid: int) -> bool:
    return int(Path(f"/proc/{pid}/oom_score_adj").read_text()) == 500


@pytest.mark.parametrize("program", ["triage", "dashboard"])
def test_a_program_whose_loop_hangs_sends_no_more_pings(program: str, config: Path) -> None:
    """The kernel holds the thread of the loop alone: every other thread goes on, and none of them pings."""
    with listening() as manager, started(config, program, manager=manager, watchdog_s=3.0) as process:
        manager.wait_for("WATCHDOG=1", more_than=1)
        threads = [int(one.name) for one in Path(f"/proc/{process.pid}/task").iterdir()]
        assert len(threads) > 1
        with held(process.pid):
            heard = len(manager.words)
            time.sleep(3.0)
            assert len(manager.words) <= heard + 1  # one may have been on its way
            heard = len(manager.words)
            time.sleep(1.5)
            assert len(manager.words) == heard
        manager.wait_for("WATCHDOG=1", more_than=len(manager.times("WATCHDOG=1")), within_s=10)


@contextmanager
def held(thread: int) -> Iterator[None]:
    """One thread of another process stands still until the block ends."""
    ptrace = ctypes.CDLL(None, use_errno=True).ptrace
    ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
    seize, interrupt, detach = 0x4206, 0x4207, 17
    assert ptrace(seize, thread, None, None) == 0, os.strerror(ctypes.get_errno())
    assert ptrace(interrupt, thread, None, None) == 0
    os.waitpid(thread, 0x40000000)  # __WALL: it has stopped
    try:
        yield
    finally:
        assert ptrace(detach, thread, None, None) == 0


def test_a_tick_that_does_not_come_back_is_silent_and_its_end_is_heard() -> None:
    stop, stuck, go_on = threading.Event(), threading.Event(), threading.Event()
    ticks = 0

    def tick(_moment: Now) -> None:
        nonlocal ticks
        ticks += 1
        if ticks == 20:
            stuck.set()
            assert go_on.wait(30)

    with listening() as manager:
        told = ServiceManager(manager.address, watchdog_s=0.3)
        loop = threading.Thread(
            target=run_ticks, args=(tick,),
            kwargs={"stop": stop, "rest": lambda: stop.wait(0.02), "beat": lambda _moment: None, "manager": told},
        )  # fmt: skip
        loop.start()
        assert stuck.wait(10)
        time.sleep(0.2)
        heard = len(manager.words)
        time.sleep(1.0)
        assert len(manager.words) == heard
        go_on.set()
        manager.wait_for("WATCHDOG=1", more_than=len(manager.times("WATCHDOG=1")), within_s=10)
        stop.set()
        loop.join(10)
        manager.wait_for("STOPPING=1", within_s=5)
        said = [word.said for word in manager.words]
        assert said[:2] == ["READY=1", "WATCHDOG=1"] and said[-1] == "STOPPING=1"


def test_the_watchdog_of_another_process_is_not_ours_and_nobody_else_speaks_for_us() -> None:
    with listening() as manager:
        environment = {
            "NOTIFY_SOCKET": manager.address,
            "WATCHDOG_USEC": "100000",
            "WATCHDOG_PID": str(os.getpid() + 1),
            "PATH": "/bin",
        }
        told = ServiceManager.from_environment(environment, os.getpid())
        assert environment == {"PATH": "/bin"}
        told.turned(now())
        told.turned(now().plus(60))
        told.status("One line,\nwhatever\tcomes")
        told.status("One line, whatever comes")
        told.stopping()
        manager.wait_for("STOPPING=1", within_s=5)
        assert [word.said for word in manager.words] == ["READY=1", "STATUS=One line, whatever comes", "STOPPING=1"]


@pytest.mark.parametrize("patience", ["", "0", "-5", "soon", "²"])
def test_a_patience_that_is_no_number_is_no_watchdog(patience: str) -> None:
    with listening() as manager:
        told = ServiceManager.from_environment({"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": patience}, 1)
        told.turned(now())
        told.stopping()
        manager.wait_for("STOPPING=1", within_s=5)
        assert [word.said for word in manager.words] == ["READY=1", "STOPPING=1"]


def test_a_manager_that_is_gone_or_does_not_read_costs_nothing(tmp_path: Path) -> None:
    ServiceManager().turned(now())
    ServiceManager(str(tmp_path / "gone")).turned(now())
    full = tmp_path / "full"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind(str(full))
        told = ServiceManager(str(full), watchdog_s=1e-6)
        began_s = time.monotonic()
        for n in range(2000):
            told.turned(Now(float(n), 0))
        assert time.monotonic() - began_s < 5


# -- ending ----------------------------------------------------------------------------------------------


def test_the_dashboard_ends_in_time_with_pages_open(config: Path, browser: Any) -> None:
    port = port_of(config)
    with listening() as manager, started(config, "dashboard", manager=manager) as process:
        manager.wait_for("READY=1")
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{port}/", wait_until="domcontentloaded")
        wait_until(lambda: _open_pages(config) >= 1, within_s=20)
        streams = [open_stream(port, number) for number in range(6)]
        took_s = end(process)
        assert process.returncode == 0, log_of(config).read_text()
        assert took_s < STOP_WITHIN_S
        for stream in streams:
            assert stream.read().endswith(b"\n\n")  # it has an end, and no half message before it
        page.close()


def open_stream(port: int, number: int) -> http.client.HTTPResponse:
    """A stream of a page in a browser of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", "/")
    front = connection.getresponse()
    front.read()
    cookie = str(front.getheader("Set-Cookie")).split(";")[0]
    connection.request("GET", f"/stream?page={number:016x}", headers={"Cookie": cookie})
    answer = connection.getresponse()
    assert answer.status == 200 and str(answer.getheader("Content-Type")).startswith("text/event-stream")
    assert answer.read(5) == b"retry"
    return answer


@pytest.mark.parametrize("how", ["run", "demo"])
def test_kill_9_of_the_command_that_started_them_leaves_no_program(how: str, config: Path, tmp_path: Path) -> None:
    if how == "run":
        command = ["run", "--config", str(config)]
        mark = str(config)
    else:
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        command, mark = ["demo"], str(scratch)
    with log_of(config).open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "appliance.cli", *command], cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path / "scratch")}, start_new_session=True,
        )  # fmt: skip
    try:
        wait_until(lambda: len(programs_with(mark) - {process.pid}) == 3)
        children = programs_with(mark) - {process.pid}
        wait_until(lambda: len(readers_of(children)) == 2)
        families = {*children, *readers_of(children)}
        process.kill()
        process.wait()
        wait_until(lambda: not any(is_alive(pid) for pid in families), within_s=5)
    finally:
        process.kill()
        process.wait()


def programs_with(mark: str) -> set[int]:
    """Processes that have become `bleedwatch triage`, `courier` or `dashboard` with settings below `mark`."""
    found = set()
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = place.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if any(mark in word for word in words) and words[1:3] == ["-m", "appliance.cli"] and words[3] in PROGRAMS:
            found.add(int(place.parent.name))
    return found


def readers_of(programs: set[int]) -> set[int]:
    found: set[int] = set()
    for pid in programs:
        try:
            found |= {int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}
        except OSError:
            continue
    return found


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


# -- the units -------------------------------------------------------------------------------------------


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """A copy of the units whose programs exist on this machine."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed here")
    folder = tmp_path / "units"
    folder.mkdir()
    shutil.copytree(SYSTEMD / "bleedwatch-.service.d", folder / "bleedwatch-.service.d")
    program = Path(sys.executable).with_name("bleedwatch")
    assert program.exists()
    for unit in [*SYSTEMD.glob("*.service"), SYSTEMD / "bleedwatch.target"]:
        text = unit.read_text().replace("/opt/bleedwatch/venv/bin/bleedwatch", str(program))
        (folder / unit.name).write_text(text)
    return folder


def analyze(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["systemd-analyze", *words], capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{folder}:"},
    )  # fmt: skip


def test_systemd_finds_nothing_wrong_with_the_units(units: Path) -> None:
    names = [str(place) for place in [*sorted(units.glob("*.service")), units / "bleedwatch.target"]]
    assert len(names) == 4
    done = analyze(units, "verify", *names)
    assert (done.returncode, done.stdout) == (0, "")
    assert [line for line in done.stderr.splitlines() if str(units) in line or "bleedwatch" in line] == []
    # The same look does find a fault, in the part that all three share too.
    shared = units / "bleedwatch-.service.d" / "10-appliance.conf"
    shared.write_text(shared.read_text().replace("WatchdogSec=", "WatchDogSec="))
    assert "WatchDogSec" in analyze(units, "verify", *names).stderr


@pytest.mark.parametrize(("program", "at_most"), [("triage", 1.2), ("courier", 1.8), ("dashboard", 1.5)])
def test_the_units_expose_little(units: Path, program: str, at_most: float) -> None:
    unit = str(units / f"bleedwatch-{program}.service")
    done = analyze(units, "security", "--offline=true", "--no-pager", f"--threshold={round(10 * at_most)}", unit)
    assert done.returncode == 0, done.stdout


def test_each_unit_starts_its_program_and_all_have_the_same_life() -> None:
    starts = {}
    for unit in SYSTEMD.glob("bleedwatch-*.service"):
        (line,) = re.findall(r"(?m)^ExecStart=(.*)$", unit.read_text())
        starts[unit.stem.removeprefix("bleedwatch-")] = line
    assert starts == {program: f"/opt/bleedwatch/venv/bin/bleedwatch {program}" for program in PROGRAMS}
    shared = (SYSTEMD / "bleedwatch-.service.d" / "10-appliance.conf").read_text()
    for line in ("Type=notify", "NotifyAccess=main", "Restart=always", "StartLimitIntervalSec=0", "User=bleedwatch"):
        assert line in shared.splitlines()
    (stop_s,) = re.findall(r"(?m)^TimeoutStopSec=(\d+)$", shared)
    assert float(stop_s) == STOP_WITHIN_S
    target = (SYSTEMD / "bleedwatch.target").read_text()
    assert all(f"bleedwatch-{program}.service" in target for program in PROGRAMS)


def test_passwords_are_for_the_courier_alone() -> None:
    folder = "/etc/bleedwatch/secrets"
    hides = {unit.stem: f"InaccessiblePaths=-{folder}\n" in unit.read_text() for unit in SYSTEMD.glob("*.service")}
    assert hides == {"bleedwatch-triage": True, "bleedwatch-courier": False, "bleedwatch-dashboard": True}
    text = commented_toml(root=Path("/r"), inbox=Path("/i"), engine=Path("/e"))
    named = re.findall(r'(?m)^# (?:secret|password)_file = "(.*)"', text)
    assert named and all(Path(one).parent == Path(folder) for one in named)


def test_the_installer_is_whole() -> None:
    made("sh", "-n", SYSTEMD / "install.sh")
    text = (SYSTEMD / "install.sh").read_text()
    for place in SYSTEMD.rglob("*"):
        if place.is_file() and place.parent.name not in ("sysusers.d", "tmpfiles.d") and place.name != "install.sh":
            assert place.name in text, f"{place.name} would not be installed"
    for word in re.findall(r"\$here/([\w./-]+)", text):
        assert (ROOT / word).exists(), word


def test_user_and_folders_are_made_as_the_units_need_them(tmp_path: Path) -> None:
    for tool in ("systemd-sysusers", "systemd-tmpfiles"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed here")
    if os.geteuid() != 0:
        pytest.skip("only root can give folders to another user")
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    made("systemd-sysusers", f"--root={root}", SYSTEMD / "sysusers.d" / "bleedwatch.conf")
    users = {line.split(":")[0]: line.split(":") for line in (root / "etc/passwd").read_text().splitlines()}
    groups = {line.split(":")[0]: line.split(":") for line in (root / "etc/group").read_text().splitlines()}
    uid, gid = int(users["bleedwatch"][2]), int(users["bleedwatch"][3])
    assert users["bleedwatch"][6].endswith("nologin")
    assert "bleedwatch" in groups["bleedwatch-inbox"][3].split(",")

    folders = tmp_path / "tmpfiles.conf"
    # Below a root folder systemd does not know the user's name in an access list, only its number.
    text = (SYSTEMD / "tmpfiles.d" / "bleedwatch.conf").read_text()
    folders.write_text(text.replace("default:user:bleedwatch:", f"default:user:{uid}:"))
    made("systemd-tmpfiles", f"--root={root}", "--create", folders)
    state = root / "var/lib/bleedwatch"
    for name in ("state", "store"):
        found = (state / name).stat()
        assert (found.st_uid, found.st_gid, found.st_mode & 0o7777) == (uid, gid, 0o700)
    inbox = (state / "inbox").stat()
    assert (inbox.st_uid, inbox.st_gid) == (uid, int(groups["bleedwatch-inbox"][2]))
    assert inbox.st_mode & 0o7777 == 0o2770
    # What anybody puts there, triage may read and take away: the folder hands an entry for its user on.
    assert uid.to_bytes(4, "little") in os.getxattr(state / "inbox", "system.posix_acl_default")


def made(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_a_box_gets_what_the_house_was_tested_with() -> None:
    house = _pins((ROOT / "requirements.lock").read_text())
    box = _pins((ROOT / "requirements-box.lock").read_text())
    assert box and box.items() <= house.items()
    assert not {name for name in box if name.split("==")[0] in ("pytest", "playwright", "mypy", "ruff", "torch")}


def _pins(text: str) -> dict[str, frozenset[str]]:
    """Of each pinned release with its condition: its hashes."""
    found: dict[str, frozenset[str]] = {}
    for block in re.split(r"\n(?=\S)", text.strip()):
        head, *hashes = [part.strip() for part in block.split("\\\n")]
        found[head] = frozenset(hashes)
    return found


def _open_pages(config: Path) -> int:
    status = read_status(config.parent / "run", "dashboard")
    return len(status.pages) if status else 0
