"""Part (c): the whole appliance. A simulated scanner that keeps to its schedule, whatever the box does meanwhile.

Every latency begins at the instant at which the slice was due, not when the scanner got round to it: a loop that waits
for the box would hide how long slices queue.
"""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from appliance.bench.browser import BrowserFailed, Painting
from appliance.bench.figures import NS_PER_MS, row
from appliance.bench.page import Page
from appliance.bench.processes_seen import idle_cost, memory
from appliance.bench.run import Run
from appliance.bench.starting import Starting
from appliance.bench.waterfall import waterfall_of
from appliance.core.alerts import Happening
from appliance.core.engine import EngineCard
from appliance.core.ledger import AlertRow, SliceRow
from appliance.core.status import PROGRAMS
from appliance.core.words import Level
from appliance.operations.demo_box import ThrowAway, running, throw_away
from appliance.operations.measuring import Outside, evidence_slice
from appliance.operations.observer import Observer
from appliance.phantoms.dicom import PhantomFile, Study, exam_files
from appliance.phantoms.exam import PhantomExam
from appliance.phantoms.scanner import Landing, Sent, send
from appliance.processes.clock import now
from appliance.processes.status_file import read_status
from appliance.records.alerts import alerts_of_studies, append_event, open_alerts
from appliance.records.ledger import Ledger
from appliance.records.series import series_of
from appliance.records.slices import slices_of
from appliance.records.studies import studies_since

SETTLE_S: Final = 3.0
FINAL_WITHIN_S: Final = 45.0
SEEN_WITHIN_S: Final = 5.0
_LOOK_EVERY_S: Final = 0.02
_MANY: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """How slices come: `rate_hz` over all studies together, 0 for all at once; `times`: how often anew."""

    rate_hz: float
    studies: int
    times: int = 1
    browser: bool = False

    @property
    def row_id(self) -> str:
        """The same in every run."""
        pace = f"{self.rate_hz:g}-a-second" if self.rate_hz else "burst"
        return f"whole/{pace}/{self.studies}{'-browser' if self.browser else ''}"

    @property
    def said(self) -> str:
        """In words."""
        pace = f"{self.rate_hz:g} slices/s" if self.rate_hz else "burst"
        studies = "one study" if self.studies == 1 else f"{self.studies} studies at once"
        return f"{pace}, {studies}{', a browser on this machine' if self.browser else ''}"

    def expected_s(self, slices: int, start_s: float) -> float:
        """How long it will take, start and stop of the programs too."""
        scan_s = self.studies * slices / self.rate_hz if self.rate_hz else self.studies * 0.7
        return start_s + 2.0 + self.times * (scan_s + 1.5) + (4.0 if self.browser else 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exam:
    """What is scanned: a head that bleeds, drawn once, sent as another patient's study each time."""

    exam: PhantomExam
    seed: int

    def files(self, number: int) -> list[PhantomFile]:
        """The files of the n-th study."""
        study = Study(
            seed=self.seed,
            token=f"benchmark-{number}",
            patient_name=f"PHANTOM^{number:04d}",
            patient_id=f"FAKE-B{number:04d}",
            accession=f"FAKE-BA{number:04d}",
        )
        return exam_files(self.exam, study)


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """What the throw-away appliance reads with."""

    engine: Path
    plans: Path | None = None
    python: Path | None = None


@dataclass(slots=True)
class _Measured:
    """All latencies of one condition, in milliseconds, by the end of a row's id."""

    values: dict[str, list[float]]
    in_service: dict[str, list[float]]
    missing: dict[str, int]

    def add(self, name: str, begin_ns: int | None, end_ns: int | None) -> None:
        """One latency; what never ended is counted as missing."""
        if begin_ns is None or end_ns is None:
            self.missing[name] = self.missing.get(name, 0) + 1
        else:
            # A page may be told before the onlooker's next look: that is no time at all, and not less.
            self.values.setdefault(name, []).append(max(0.0, (end_ns - begin_ns) / NS_PER_MS))


_SAID: Final = {
    "landed-to-score": "slice to its score",
    "evidence-to-alert": "evidence to the alert committed",
    "alert-to-page": "alert committed to a page's stream",
    "evidence-to-page": "evidence to a page's stream",
    "alert-to-browser": "alert committed to painted in a browser",
    "evidence-to-browser": "evidence to painted in a browser",
    "evidence-to-message": "evidence to the gateway's message",
    "last-to-final": "last slice to the FINAL reading",
    "schedule": "slice to its file whole: the scanner itself",
}
"""A slice counts from the instant at which it was due, evidence from that of the slice which completes it."""


def measure_whole(
    condition: Condition, exam: Exam, named: Box, card: EngineCard, run: Run, *, idle_s: float = 0.0
) -> Iterator[tuple[str, Any]]:
    """What one condition came to, as (section of the document, value). CannotStart if the programs do not start.

    `idle_s`: first the box is left alone for so long, and what it takes meanwhile is measured.
    """
    with ExitStack() as stack:
        box = stack.enter_context(
            throw_away(named.engine, port=None, gateway=True, plans=named.plans, python=named.python)
        )
        starting = stack.enter_context(Starting(box.settings.runtime_folder))
        stack.enter_context(running(box, run.stop))
        yield "starts", starting.ready_s()
        if idle_s:
            yield "idle", _left_alone(box, run, idle_s)
        ledger = stack.enter_context(Ledger.open(box.settings.database))
        observer = stack.enter_context(Observer(ledger))
        page = stack.enter_context(Page(box.address))
        if not page.wait_until_open():
            run.leave_out(f"{condition.said}: alerts on a page", "the live stream did not open")
        scanner = _Scanner(box, exam, condition)
        browser = _browser(condition, box, run)
        with browser or ExitStack():
            for _ in range(condition.times):
                scanner.scan(run)
                _wait_for_finals(observer, scanner, run)
                _wait_for_page(ledger, page, run)
                if browser:
                    run.wait(1.0)
                _acknowledge(ledger)
        yield "memory", memory(_pids(box))
        triage = read_status(box.settings.runtime_folder, "triage")
        yield "served_by", str(triage.facts.get("backend", "")) if triage else ""
        outside = Outside(
            seen=observer.seen, landed_ns=scanner.due_ns,
            received=box.receiver.received if box.receiver else (), card=card,
        )  # fmt: skip
        measured = _Measured({}, {}, {})
        studies = _studies(ledger)
        for rows, alert in studies:
            _add(measured, rows, alert, outside, page.seen_ns, browser.painted_ns if browser else None)
        for due_ns, closed_ns in scanner.schedule:
            measured.add("schedule", due_ns, closed_ns)
        yield from _rows(condition, measured)
        if studies and not condition.browser:
            rows, alert = studies[0]
            yield "waterfall", waterfall_of(condition.said, rows, alert, outside, scanner.closed_ns, page.seen_ns)


def _browser(condition: Condition, box: ThrowAway, run: Run) -> Painting | None:
    if not condition.browser:
        return None
    painting = Painting(box.address)
    try:
        painting.open()
    except BrowserFailed as failed:
        run.leave_out(f"{condition.said}: alerts painted in a browser", str(failed))
        return None
    return painting


def _left_alone(box: ThrowAway, run: Run, idle_s: float) -> dict[str, dict[str, Any]]:
    run.wait(SETTLE_S)
    pids = _pids(box)
    costs = idle_cost(pids, run.wait, idle_s)
    resident = memory(pids)
    return {program: {**costs[program], **resident[program]} for program in costs}


def _pids(box: ThrowAway) -> dict[str, int]:
    found = {program: read_status(box.settings.runtime_folder, program) for program in PROGRAMS}
    return {program: status.pid for program, status in found.items() if status}


class _Scanner:
    """Sends studies side by side, each slice when it is due. Every study is another patient's."""

    def __init__(self, box: ThrowAway, exam: Exam, condition: Condition) -> None:
        self._inbox = box.settings.inbox.folder
        self._exam = exam
        self._condition = condition
        self._numbers = 0
        self.due_ns: dict[str, int] = {}  # by SOP UID; written by the thread that sends, read when it has ended
        self.closed_ns: dict[str, int] = {}
        self.schedule: list[tuple[int, int]] = []

    def scan(self, run: Run) -> None:
        """Sends them all, in a thread that nothing holds up. Stopped if a person asks for the end."""
        studies = []
        for _ in range(self._condition.studies):
            self._numbers += 1
            studies.append(self._exam.files(self._numbers))
        files = [file for slices in zip(*studies, strict=True) for file in slices]
        counted: list[Sent] = []
        thread = threading.Thread(target=self._send, args=(files, counted, run.stop), name="scanner", daemon=True)
        thread.start()
        told = 0
        while thread.is_alive():
            run.wait(_LOOK_EVERY_S)
            run.count(len(counted) - told)
            told = len(counted)
        thread.join()

    def _send(self, files: Sequence[PhantomFile], counted: list[Sent], stop: threading.Event) -> None:
        for sent in send(
            [file.data for file in files], self._inbox, rate_hz=self._condition.rate_hz, landing=Landing.TEMP_RENAME,
            clock_ns=time.time_ns, sleep=time.sleep, prefix=f"FAKE-B{self._numbers:04d}",
        ):  # fmt: skip
            sop_uid = files[sent.sop_index].sop_uid
            self.due_ns[sop_uid], self.closed_ns[sop_uid] = sent.due_ns, sent.closed_ns
            self.schedule.append((sent.due_ns, sent.closed_ns))
            counted.append(sent)
            if stop.is_set():
                return

    @property
    def sent_studies(self) -> int:
        """How many studies have been sent."""
        return self._numbers


def _wait_for_finals(observer: Observer, scanner: _Scanner, run: Run) -> None:
    """Until every series has its final reading. A box that is too slow for it leaves figures missing, not a hang."""
    end_s = time.monotonic() + min(FINAL_WITHIN_S, run.left_s)
    while len(observer.seen.final_ns) < scanner.sent_studies and time.monotonic() < end_s:
        run.wait(_LOOK_EVERY_S)


def _wait_for_page(ledger: Ledger, page: Page, run: Run) -> None:
    end_s = time.monotonic() + min(SEEN_WITHIN_S, run.left_s)
    while time.monotonic() < end_s:
        with ledger.reading() as read:
            raised = {one.id for one in open_alerts(read) if one.level is Level.CRITICAL}
        if raised <= page.seen_ns.keys():
            return
        run.wait(_LOOK_EVERY_S)


def _acknowledge(ledger: Ledger) -> None:
    """As a person would before the next scan: else each study finds more open alarms on the board than the last."""
    with ledger.writing() as write:
        for alert in open_alerts(write):
            if alert.level in (Level.CRITICAL, Level.REVIEW):
                append_event(
                    write, alert.id, Happening.ACKNOWLEDGED, at_ns=now().wall_ns, by="the benchmark", details={}
                )


def _studies(ledger: Ledger) -> list[tuple[list[SliceRow], AlertRow | None]]:
    """Of every study that came its slices and its alert, the first that landed first."""
    with ledger.reading() as read:
        found = sorted(studies_since(read, 0, _MANY), key=lambda study: study.id)
        alerts = alerts_of_studies(read, [study.id for study in found])
        return [
            ([one for each in series_of(read, study.id) for one in slices_of(read, each.id)], alerts.get(study.id))
            for study in found
        ]


def _add(
    measured: _Measured,
    rows: Sequence[SliceRow],
    alert: AlertRow | None,
    outside: Outside,
    seen_ns: Mapping[int, int],
    painted_ns: Mapping[int, int] | None,
) -> None:
    due_ns, seen = outside.landed_ns, outside.seen
    for one in rows:
        measured.add("landed-to-score", due_ns.get(one.sop_uid), seen.scored_ns.get(one.id))
        for stage, ms in one.ms.items():
            measured.in_service.setdefault(stage, []).append(ms)
    evidence = evidence_slice(rows, outside)
    begin_ns = due_ns[evidence.sop_uid] if evidence else None
    alert_id = alert.id if alert else -1
    committed_ns = next((at_ns for event, at_ns in seen.events if event.alert_id == alert_id), None)
    told_ns = next((one.arrived_ns for one in outside.received if one.document["alert"] == alert_id), None)
    measured.add("evidence-to-alert", begin_ns, committed_ns)
    measured.add("alert-to-page", committed_ns, seen_ns.get(alert_id))
    measured.add("evidence-to-page", begin_ns, seen_ns.get(alert_id))
    measured.add("evidence-to-message", begin_ns, told_ns)
    if painted_ns is not None:
        measured.add("alert-to-browser", committed_ns, painted_ns.get(alert_id))
        measured.add("evidence-to-browser", begin_ns, painted_ns.get(alert_id))
    last_ns = max((due_ns[one.sop_uid] for one in rows if one.sop_uid in due_ns), default=None)
    final_ns = seen.final_ns.get(rows[0].series_id) if rows else None
    measured.add("last-to-final", last_ns, final_ns)


def _rows(condition: Condition, measured: _Measured) -> Iterator[tuple[str, Any]]:
    shared = {
        "condition": condition.said,
        "rate_hz": condition.rate_hz,
        "studies": condition.studies,
        "times": condition.times,
        "browser": condition.browser,
    }
    for name, said in _SAID.items():
        missing = measured.missing.get(name, 0)
        if values := measured.values.get(name):
            yield "whole", row(f"{condition.row_id}/{name}", said, values, missing=missing, **shared)
        elif missing:
            yield "not_measured", {"what": f"{condition.said}: {said}", "why": "it did not happen in time"}
    if not condition.browser:
        for stage, values in measured.in_service.items():
            yield "in_service", row(f"{condition.row_id}/in-service/{stage}", stage, values, **shared)
