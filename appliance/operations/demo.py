"""`bleedwatch demo`: the whole appliance on a throw-away folder, a simulated scanner, three invented patients."""

import json
import secrets
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from appliance.core.alerts import Happening
from appliance.core.errors import CannotStart
from appliance.core.ledger import AlertEventRow, StudyRow
from appliance.core.status import PROGRAMS
from appliance.core.words import Level, Outcome, StudyState
from appliance.inference.manifest import read_engine
from appliance.operations.check_up import refuse_what_cannot_work
from appliance.operations.measuring import alert_documents, study_document
from appliance.operations.observer import Observer
from appliance.operations.receiver import Receiver
from appliance.operations.run import Programs
from appliance.phantoms.demo import demo_exam
from appliance.phantoms.dicom import PhantomFile, Study, exam_files, unsuitable_files
from appliance.phantoms.scanner import Landing, send
from appliance.processes.clock import now
from appliance.processes.signals import stop_on_signals
from appliance.processes.status_file import read_status
from appliance.records.ledger import Ledger
from appliance.records.studies import studies_since
from appliance.records.upgrade import upgrade
from appliance.settings import Settings, parse_settings

START_WITHIN_S = 60.0
CLOSE_WITHIN_S = 60.0
PAUSE_BETWEEN_S = 1.0
LOOK_EVERY_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """One invented patient and what the demo must show of the scan."""

    role: str  # "bleeding", "normal", "unsuitable"
    study: Study
    files: Sequence[PhantomFile]


def invented_patients(seed: int, *, at: time.struct_time) -> list[Patient]:
    """Three patients of one seed: a bleed, none, and a study without a series for the engine."""

    def study(number: int, name: str) -> Study:
        return Study(
            seed=seed,
            token=f"demo-{number}",
            patient_name=f"PHANTOM^{name}",
            patient_id=f"FAKE-000{number}",
            accession=f"FAKE-A{number}",
            date=time.strftime("%Y%m%d", at),
            time=time.strftime("%H%M%S", at),
        )

    bleeding, normal, unsuitable = study(1, "ONE"), study(2, "TWO"), study(3, "THREE")
    clean = demo_exam(seed + 1, bleeding=False)
    return [
        Patient(role="bleeding", study=bleeding, files=exam_files(demo_exam(seed, bleeding=True), bleeding)),
        Patient(role="normal", study=normal, files=exam_files(clean, normal)),
        Patient(role="unsuitable", study=unsuitable, files=unsuitable_files(clean, unsuitable)),
    ]


def run_demo(*, headless: bool, seed: int, rate_hz: float, port: int | None, engine: Path) -> int:
    """Runs until Ctrl-C, or with `headless` until every study has closed. Returns 0 if all came out as it must."""
    stop = stop_on_signals()
    console = Console(stderr=headless, highlight=False)
    with tempfile.TemporaryDirectory(prefix="bleedwatch-demo-") as root, _receiver(headless) as (receiver, secret):
        settings, config = _throw_away(Path(root), engine, port or _free_port(), receiver, secret)
        console.print(f"A throw-away appliance in {root}. Drawing three invented heads …")
        patients = invented_patients(seed, at=time.gmtime())
        with open(Path(root) / "programs.log", "wb") as log, _running(settings, config, log.fileno(), stop):
            ledger = Ledger.open(settings.database)
            console.print(
                f"Board: http://127.0.0.1:{settings.dashboard.port}/   (open it and arm its sound; Ctrl-C ends)"
            )
            try:
                with Observer(ledger, _teller(console)) as observer:
                    landed_ns = _scan(patients, settings.inbox.folder, rate_hz, console, stop)
                    _wait_until_closed(ledger, len(patients), console, stop)
                    if not headless:
                        console.print("All three studies are closed. The board stays up; Ctrl-C ends the demo.")
                        stop.wait()
                        return 0
                    time.sleep(LOOK_EVERY_S)  # the observer's last look
                return _report(ledger, patients, observer, landed_ns, receiver, engine)
            finally:
                ledger.close()


# -- putting it together --------------------------------------------------------------------------------


@contextmanager
def _receiver(headless: bool) -> Iterator[tuple[Receiver | None, str]]:
    secret = secrets.token_hex(16)
    if not headless:
        yield None, secret
        return
    with Receiver(secret.encode()) as receiver:
        yield receiver, secret


def _throw_away(root: Path, engine: Path, port: int, receiver: Receiver | None, secret: str) -> tuple[Settings, Path]:
    for name in ("state", "store", "run", "inbox"):
        (root / name).mkdir()
    gateway = ""
    if receiver is not None:
        secret_file = root / "webhook.secret"
        secret_file.write_text(secret)
        secret_file.chmod(0o600)
        gateway = f'[courier.webhook]\nurl = "{receiver.url}"\nsecret_file = "{secret_file}"\n'
    text = f"""state_folder = "{root}/state"
store_folder = "{root}/store"
runtime_folder = "{root}/run"
[inbox]
folder = "{root}/inbox"
[engine]
folder = "{engine.resolve()}"
[dashboard]
port = {port}
scanner = "CT 1 (simulated)"
people = ["R. Example", "T. Sample"]
{gateway}"""
    config = root / "bleedwatch.toml"
    config.write_text(text)
    settings = parse_settings(text, str(config))
    upgrade(settings.database)
    refuse_what_cannot_work(settings)
    return settings, config


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def _running(settings: Settings, config: Path, output: int, stop: threading.Event) -> Iterator[None]:
    """The three programs, ready; ended when the block ends."""
    programs = Programs(config, output)
    ended = threading.Event()

    def keep() -> None:
        while not ended.wait(LOOK_EVERY_S):
            programs.keep_running()

    keeper = threading.Thread(target=keep, name="keeper")
    keeper.start()
    try:
        deadline_s = time.monotonic() + START_WITHIN_S
        while not all(_is_ready(settings, program) for program in PROGRAMS):
            if stop.wait(LOOK_EVERY_S) or time.monotonic() > deadline_s:
                log = (settings.state_folder.parent / "programs.log").read_text(errors="replace")
                raise CannotStart(f"The programs did not start.\n{log[-2000:]}")
        yield
    finally:
        ended.set()
        keeper.join()
        programs.end()


def _is_ready(settings: Settings, program: str) -> bool:
    status = read_status(settings.runtime_folder, program)
    return status is not None and status.ready


def _scan(
    patients: Sequence[Patient], inbox: Path, rate_hz: float, console: Console, stop: threading.Event
) -> dict[str, int]:
    """Sends every file. Returns the clock at its landing by SOP UID."""
    landed_ns: dict[str, int] = {}
    for patient in patients:
        if stop.is_set():
            break
        console.print(f"{_clock()}  scanning {patient.study.patient_id}: {len(patient.files)} files")
        files = [file.data for file in patient.files]
        for sent in send(
            files, inbox, rate_hz=rate_hz, landing=Landing.TEMP_RENAME, clock_ns=time.time_ns, sleep=time.sleep,
            prefix=patient.study.patient_id,
        ):  # fmt: skip
            landed_ns[patient.files[sent.sop_index].sop_uid] = sent.closed_ns
            if stop.is_set():
                break
        stop.wait(PAUSE_BETWEEN_S)
    return landed_ns


def _wait_until_closed(ledger: Ledger, studies: int, console: Console, stop: threading.Event) -> None:
    told: dict[int, tuple[StudyState, Outcome | None]] = {}
    deadline_s = time.monotonic() + CLOSE_WITHIN_S
    while time.monotonic() < deadline_s:
        rows = _studies(ledger)
        for row in rows:
            if told.get(row.id) != (row.state, row.outcome) and row.outcome:
                told[row.id] = (row.state, row.outcome)
                console.print(f"{_clock()}  {row.facts.patient.patient_id}: {row.outcome} ({row.state.lower()})")
        if len(rows) == studies and all(row.state is StudyState.CLOSED for row in rows):
            return
        if stop.wait(LOOK_EVERY_S):
            return


def _studies(ledger: Ledger) -> list[StudyRow]:
    with ledger.reading() as read:
        return studies_since(read, 0, 100)


def _teller(console: Console) -> Callable[[AlertEventRow], None]:
    def tell(event: AlertEventRow) -> None:
        level = f" {event.level}" if event.level else ""
        why = " ".join(event.details.get(name, "") for name in ("place", "side", "why", "note")).strip()
        console.print(f"{_clock()}  alert {event.alert_id}: {event.happening}{level} by {event.by or '?'}  {why}")

    return tell


def _clock() -> str:
    return time.strftime("%H:%M:%S", time.localtime(now().wall_ns / 1e9))


# -- what came of it ---------------------------------------------------------------------------------------


def _report(
    ledger: Ledger,
    patients: Sequence[Patient],
    observer: Observer,
    landed_ns: dict[str, int],
    receiver: Receiver | None,
    engine: Path,
) -> int:
    """Prints JSON Lines on standard output and what failed on standard error."""
    received = receiver.received if receiver else []
    rows = {row.facts.study_uid: row for row in _studies(ledger)}
    card = read_engine(engine).card
    faults: list[str] = []
    for patient in patients:
        row = rows.get(patient.study.uid)
        if row is None:
            faults.append(f"the {patient.role} study never arrived")
            continue
        alerts = alert_documents(ledger, row, patient.role)
        document = study_document(ledger, row, patient.role, observer.seen, landed_ns, received, card)
        for line in (document, *alerts):
            sys.stdout.write(json.dumps(line) + "\n")
        faults += _faults(patient, row, alerts, received)
    for fault in faults:
        sys.stderr.write(f"FAILED: {fault}\n")
    return 1 if faults else 0


def _faults(
    patient: Patient,
    row: StudyRow,
    alerts: Sequence[dict[str, Any]],
    received: Sequence[tuple[dict[str, Any], int]],
) -> list[str]:
    """What must not be: a bleed untold, a normal told, a study that was not analysed without a reason."""
    critical = [alert["alert"] for alert in alerts if alert["level"] == Level.CRITICAL]
    told = {message["alert"] for message, _ in received}
    if patient.role == "bleeding":
        if row.outcome is not Outcome.CRITICAL or not critical:
            return [f"the bleed ended {row.outcome}"]
        return [] if set(critical) <= told else ["the bleed was not told: no signed message came"]
    if patient.role == "normal":
        raised = [event for alert in alerts for event in alert["events"] if event == Happening.RAISED]
        return ["the normal head was told"] if raised or row.outcome is not Outcome.NO_FINDING else []
    if row.outcome is not Outcome.NOT_ANALYSED or not row.reasons:
        return [f"the unsuitable study ended {row.outcome} with {len(row.reasons)} reasons"]
    return []
