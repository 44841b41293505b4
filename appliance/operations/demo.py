"""`bleedwatch demo`: the whole appliance on a throw-away folder, a simulated scanner, three invented patients."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from appliance.inference.manifest import read_engine
from appliance.operations.demo_box import LOOK_EVERY_S, Stopped, ThrowAway, running, throw_away
from appliance.operations.demo_patients import Drawing, Patient
from appliance.operations.demo_report import report
from appliance.operations.demo_story import Story
from appliance.operations.measuring import Outside
from appliance.operations.observer import Observer
from appliance.phantoms.scanner import Landing, send
from appliance.processes.signals import stop_on_signals
from appliance.records.ledger import Ledger

CLOSE_WITHIN_S: Final = 60.0
PAUSE_BETWEEN_S: Final = 1.0
INTERRUPTED: Final = 130  # as a shell says it of Ctrl-C


def run_demo(*, headless: bool, seed: int, rate_hz: float, port: int | None, engine: Path) -> int:
    """Runs until Ctrl-C, or with `headless` until every study has closed. Returns 0 if all came out as it must."""
    stop = stop_on_signals()
    console = Console(stderr=headless, highlight=False)
    drawing = Drawing(seed)
    try:
        with throw_away(engine, port=port, gateway=headless) as box:
            _say(console, f"A throw-away appliance in {box.root}. Starting it and drawing two heads …")
            with running(box, stop), Ledger.open(box.settings.database) as ledger:
                _say(console, f"Board: {box.address}   Open it and arm its sound. Ctrl-C ends the demo.")
                _wait_for(drawing, stop)
                code = _show(box, ledger, drawing.patients(time.gmtime()), console, stop, rate_hz, headless)
                if not headless:
                    _say(console, "All three scans are closed. The board stays up; Ctrl-C ends the demo.")
                    stop.wait()
                return code
    except Stopped:
        _say(console, "Stopped before the end.")
        return INTERRUPTED if headless else 0


def _wait_for(drawing: Drawing, stop: threading.Event) -> None:
    while not drawing.done:
        if stop.wait(LOOK_EVERY_S):
            raise Stopped


def _show(
    box: ThrowAway,
    ledger: Ledger,
    patients: Sequence[Patient],
    console: Console,
    stop: threading.Event,
    rate_hz: float,
    headless: bool,
) -> int:
    """Scans the patients, and tells until all their studies have closed."""
    scanner = _Scanner(patients, box.settings.inbox.folder, rate_hz)
    with _bars(console) as bars, Observer(ledger) as observer, scanner:
        outside = Outside(
            seen=observer.seen,
            landed_ns=scanner.landed_ns,
            received=box.receiver.received if box.receiver else (),
            card=read_engine(box.settings.engine.folder).card,
        )
        story = Story(console, ledger, patients, outside)
        bar = bars.add_task("landed", total=sum(len(patient.files) for patient in patients))
        deadline_s: float | None = None
        while not story.all_closed and (deadline_s is None or time.monotonic() < deadline_s):
            scanner.tell(story)
            story.look()
            bars.update(bar, completed=len(scanner.landed_ns), visible=not scanner.done)
            if scanner.done and deadline_s is None:
                deadline_s = time.monotonic() + CLOSE_WITHIN_S
            if stop.wait(LOOK_EVERY_S):
                raise Stopped
    story.look()
    return report(ledger, patients, story.rows, outside) if headless else 0


class _Scanner:
    """Sends the files in a thread of its own, so that its pace does not depend on who looks on."""

    def __init__(self, patients: Sequence[Patient], inbox: Path, rate_hz: float) -> None:
        self._patients = patients
        self._inbox = inbox
        self._rate_hz = rate_hz
        self._ended = threading.Event()
        self._begun: list[Patient] = []
        self._told = 0
        self._thread = threading.Thread(target=self._scan, name="scanner", daemon=True)
        self.landed_ns: dict[str, int] = {}  # by SOP UID; written by the scanner alone

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def done(self) -> bool:
        """Every file has landed."""
        return not self._thread.is_alive()

    def tell(self, story: Story) -> None:
        """Says whose scan has begun since the last call."""
        for patient in self._begun[self._told :]:
            self._told += 1
            story.say(patient.study.patient_id, "scanning", f"{len(patient.files)} files, {self._rate_hz:g} a second")

    def _scan(self) -> None:
        for patient in self._patients:
            self._begun.append(patient)
            files = [file.data for file in patient.files]
            for sent in send(
                files, self._inbox, rate_hz=self._rate_hz, landing=Landing.TEMP_RENAME, clock_ns=time.time_ns,
                sleep=time.sleep, prefix=patient.study.patient_id,
            ):  # fmt: skip
                self.landed_ns[patient.files[sent.sop_index].sop_uid] = sent.closed_ns
                if self._ended.is_set():
                    return
            self._ended.wait(PAUSE_BETWEEN_S)


@contextmanager
def _bars(console: Console) -> Iterator[Progress]:
    """A bar below the lines, on a terminal only."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        yield bars


def _say(console: Console, said: str) -> None:
    console.print(said, markup=False, soft_wrap=True)
