"""Several screens of one box: a bleed reaches all of them, one answer silences all, none of them believes a dead box."""

import math
import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.core.alerts import Happening
from appliance.core.ledger import AlertRow
from appliance.core.words import Level, Outcome
from appliance.dashboard.live.stream import STREAMS_PER_BROWSER
from appliance.phantoms.demo import demo_exam
from appliance.phantoms.dicom import PhantomFile, Study, exam_files
from appliance.phantoms.exam import HELD_OUT_SEED
from appliance.phantoms.scanner import Landing, send
from appliance.processes.status_file import read_status
from appliance.records.alerts import events_of, open_alerts
from appliance.records.ledger import Ledger
from appliance.records.readings import reading_by_id
from appliance.records.slices import slice_by_id
from tests.conftest import MakePrograms
from tests.real.browsing import station, until, wait_for
from tests.real.scenes import Scanned, Scene, hump, raised, step

MS = 1000.0
COMMITTED_PAINTED_P95_MS, COMMITTED_PAINTED_AT_MOST_MS = 250.0, 1000.0
EVIDENCE_PAINTED_P95_MS = 600.0
ALERTS_MEASURED = 25
ATTEMPTS = 3
"""The pages are drawn by the machine that also works here, whatever else it does: noise adds time and takes none away."""
EXAMS_MEASURED = 10
RATE_HZ = 10.0

# The moment at which each alert's card is first in the page, in the page's own clock: that of this machine.
NOTE_PAINTS = """() => {
  window.paints = {};
  const look = () => {
    for (const card of document.querySelectorAll('[data-key^="alert-"]')) {
      const key = card.dataset.key;
      if (!(key in paints)) {
        paints[key] = 0;
        // Behind the frame that shows it.
        requestAnimationFrame(() => {
          const behind = new MessageChannel();
          behind.port1.onmessage = () => { paints[key] = performance.timeOrigin + performance.now(); };
          behind.port2.postMessage(null);
        });
      }
    }
  };
  new MutationObserver(look).observe(document.querySelector('main'), { childList: true, subtree: true });
}"""


def alert_of(ledger: Ledger) -> AlertRow:
    with ledger.reading() as r:
        (alert,) = [one for one in open_alerts(r) if one.level is Level.CRITICAL]
    return alert


def happenings(ledger: Ledger, alert_id: int, happening: Happening) -> list[dict[str, str]]:
    with ledger.reading() as r:
        return [event.details for event in events_of(r, alert_id) if event.happening is happening]


def bleeding(number: int, again: int = 0) -> list[PhantomFile]:
    """A whole exam with a bleed, as a scanner sends it; `again`: the same head in another study."""
    exam = demo_exam(HELD_OUT_SEED + 500 + number, bleeding=True, slices=24)
    return exam_files(exam, Study(seed=HELD_OUT_SEED + 500 + number, token=f"screens-{number}-{again}"))


def scan(files: Sequence[PhantomFile], inbox: Path, prefix: str) -> dict[str, int]:
    """Sends an exam; by SOP UID when each file was closed, in ns."""
    sent = send(
        [file.data for file in files], inbox, rate_hz=RATE_HZ, landing=Landing.TEMP_RENAME, clock_ns=time.time_ns,
        sleep=time.sleep, prefix=prefix,
    )  # fmt: skip
    return {files[one.sop_index].sop_uid: one.closed_ns for one in sent}


def test_a_bleed_lands_on_two_pages_and_a_kiosk_and_one_answer_silences_all(
    browser: Any, make_programs: MakePrograms
) -> None:
    box = make_programs("triage", "courier", "dashboard")
    with (
        Ledger.open(box.settings.database) as ledger,
        station(browser, box.address) as board,
        station(browser, box.address + "system") as other,
        station(browser, box.address + "kiosk", name="", size_px=(1920, 1080)) as kiosk,
    ):
        screens = (board, other, kiosk)
        for page in screens:
            until(page, "bleedwatch.soundState === 'armed'")
            page.evaluate("window.same = 1")
            assert page.evaluate("bleedwatch.pulsesScheduled") == 0
        scan(bleeding(1), box.settings.inbox.folder, "ONE")
        for page in screens:
            until(page, "document.body.classList.contains('alarmed')", within_s=20)
            assert "CRITICAL" in page.inner_text("main")
            until(page, "bleedwatch.pulsesScheduled >= 10", within_s=2)
            assert page.evaluate("window.same") == 1, "painted without a reload"
        alert = alert_of(ledger)
        told = wait_for_reports(ledger, alert.id, pages=3)
        assert {details["sounded"] for details in told.values()} == {"yes"}
        # One burst each 5 s, scheduled at most 12 s ahead: three bursts of ten, on each screen, not stacked.
        assert all(page.evaluate("bleedwatch.pulsesScheduled") <= 40 for page in screens)
        wait_for(lambda: box_is_quiet(board), within_s=20)
        board.click(".alarm .ack")
        pressed_s = time.monotonic()
        for page in screens:
            until(page, "!document.body.classList.contains('alarmed')", within_s=1.0)
        assert time.monotonic() - pressed_s < 1.0
        counted = [page.evaluate("bleedwatch.pulsesScheduled") for page in screens]
        board.wait_for_timeout(5500)
        assert [page.evaluate("bleedwatch.pulsesScheduled") for page in screens] == counted, "silent, for good"
        assert len(happenings(ledger, alert.id, Happening.ACKNOWLEDGED)) == 1


def wait_for_reports(ledger: Ledger, alert_id: int, *, pages: int) -> dict[str, dict[str, str]]:
    """What each page said last of this alert."""

    def reports() -> dict[str, dict[str, str]]:
        told = happenings(ledger, alert_id, Happening.DELIVERED)
        return {details["page"]: details for details in told if "page" in details}

    wait_for(lambda: sum(one["sounded"] == "yes" for one in reports().values()) >= pages, within_s=8)
    return reports()


def box_is_quiet(page: Any) -> bool:
    """Nothing has moved on the stage for a while: a press is not refused."""
    text = page.inner_text(".stage")
    page.wait_for_timeout(900)
    return bool(text.split("\n")[0] == page.inner_text(".stage").split("\n")[0])


def test_a_killed_dashboard_is_told_by_every_page_and_they_come_back_by_themselves(
    browser: Any, make_programs: MakePrograms, tmp_path: Path
) -> None:
    box = make_programs("dashboard")
    with Ledger.open(box.settings.database) as ledger, ExitStack() as open_pages:
        scene = Scene(ledger=ledger, store=box.settings.store_folder, now_ns=time.time_ns())
        first = scene.critical("PHANTOM^ONE", 1)
        board = open_pages.enter_context(station(browser, box.address))
        kiosk = open_pages.enter_context(station(browser, box.address + "kiosk", name=""))
        alerts = open_pages.enter_context(station(browser, box.address + "alerts"))
        screens = (board, kiosk, alerts)
        for page in screens:
            until(page, "document.body.classList.contains('alarmed')")
            page.evaluate("window.same = 1")
        box.kill("dashboard")
        killed_s = time.monotonic()
        for page in screens:
            until(page, "!document.getElementById('no-life').hidden", within_s=8)
        assert 3.5 < time.monotonic() - killed_s < 7.5, "no sign of life at 5 s"
        scheduled = board.evaluate("bleedwatch.pulsesScheduled")
        for page in screens:
            until(page, "!document.getElementById('lost').hidden", within_s=8)
            assert "NO CONNECTION" in page.inner_text("#lost")
            assert page.inner_text("#shout").startswith("NO CONNECTION")
        assert 8.5 < time.monotonic() - killed_s < 12.5, "NO CONNECTION at 10 s"
        until(board, f"bleedwatch.pulsesScheduled > {scheduled}", within_s=8)  # an open CRITICAL goes on sounding
        board.click(".alarm .ack")
        until(board, "document.getElementById('refused').textContent.startsWith('Not sent.')", within_s=4)
        # What happens while nobody shows it, and while every page sleeps.
        scene.now_ns = time.time_ns()
        for number in (2, 3, 4):
            scene.critical(f"PHANTOM^{number}", number, before_s=1.0)
        box.start("dashboard")
        for page in screens:
            until(page, "document.getElementById('lost').hidden", within_s=8)
            assert page.evaluate("window.same") == 1
        until(board, "document.querySelectorAll('.stage .alarm').length === 4")
        until(kiosk, "document.querySelectorAll('[data-key^=\"alert-\"]').length === 4")
        until(alerts, "document.querySelectorAll('#bar [data-key^=\"alert-\"]').length === 4")
        until(board, "document.getElementById('said').textContent.includes('3 raised')")
        assert alert_count(ledger) == 4
        assert happenings(ledger, first.id, Happening.ACKNOWLEDGED) == [], "nothing was taken as sent"


def alert_count(ledger: Ledger) -> int:
    with ledger.reading() as r:
        return len([one for one in open_alerts(r) if one.level is Level.CRITICAL])


def test_a_page_that_may_not_sound_is_no_channel(
    browser: Any, silent_browser: Any, make_programs: MakePrograms
) -> None:
    box = make_programs("courier", "dashboard")

    def seen() -> list[bool]:
        status = read_status(box.settings.runtime_folder, "dashboard")
        return sorted(page.armed for page in status.pages) if status else []

    def codes() -> set[str]:
        with ledger.reading() as r:
            return {one.key.first for one in open_alerts(r) if one.level is Level.TECHNICAL}

    with Ledger.open(box.settings.database) as ledger, station(silent_browser, box.address) as page:
        page.wait_for_selector("#silent")
        assert page.evaluate("bleedwatch.soundState") != "armed"
        wait_for(lambda: seen() == [False], within_s=8)
        # No other channel is set: nobody can be told, and the box knows it.
        wait_for(lambda: "nobody-can-be-told" in codes(), within_s=25)
        with station(browser, box.address, name="") as armed:
            until(armed, "bleedwatch.soundState === 'armed'")
            wait_for(lambda: seen() == [False, True], within_s=8)
            wait_for(lambda: "nobody-can-be-told" not in codes(), within_s=8)
        page.click("#arm")
        until(page, "bleedwatch.soundState === 'armed'", within_s=8)
        wait_for(lambda: seen() == [True], within_s=8)


def test_a_window_too_many_is_put_to_rest_and_says_so(browser: Any, make_programs: MakePrograms) -> None:
    box = make_programs("dashboard")
    with station(browser, box.address) as first:
        windows = [first.context.new_page() for _ in range(STREAMS_PER_BROWSER)]
        for page in windows:
            page.goto(box.address)
            page.wait_for_selector("body.live")
        first.wait_for_selector("#rested:not([hidden])")
        assert "This window is not live." in first.inner_text("#rested")
        assert first.evaluate("document.body.classList.contains('live')") is False
        assert windows[-1].is_hidden("#rested"), "never the one that was opened last"


def painted_ms(pages: list[Any], key: str, since_ns: int) -> list[float]:
    """How long after `since_ns` the card of `key` was on each page."""
    for page in pages:
        until(page, f"(window.paints[{key!r}] || 0) > 0", within_s=5)
    return [page.evaluate(f"window.paints[{key!r}]") - since_ns / 1e6 for page in pages]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_committed_alert_is_painted_on_four_pages_within_a_quarter_of_a_second(
    browser: Any, make_programs: MakePrograms, capsys: pytest.CaptureFixture[str]
) -> None:
    box = make_programs("dashboard")
    with Ledger.open(box.settings.database) as ledger, ExitStack() as open_pages:
        scene = Scene(ledger=ledger, store=box.settings.store_folder, now_ns=time.time_ns())
        places = ("", "kiosk", "alerts", "system")
        pages = [open_pages.enter_context(station(browser, box.address + place, name="")) for place in places]
        for page in pages:
            page.evaluate(NOTE_PAINTS)
        holds_once(
            lambda attempt: [
                one
                for number in range(1, ALERTS_MEASURED + 1)
                for one in one_alert_painted_ms(scene, pages, 100 * attempt + number)
            ],
            "committed to painted on four pages",
            p95_ms=COMMITTED_PAINTED_P95_MS,
            at_most_ms=COMMITTED_PAINTED_AT_MOST_MS,
            capsys=capsys,
        )


def holds_once(
    measure: Callable[[int], list[float]],
    what: str,
    *,
    p95_ms: float,
    at_most_ms: float = math.inf,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Measures again while a bound is passed."""
    for attempt in range(ATTEMPTS):
        took_ms = measure(attempt)
        p50, p95 = np.percentile(took_ms, [50, 95])
        figures = f"{what}, {len(took_ms)} paints, {os.cpu_count()} cores: p50 {p50:.0f}, p95 {p95:.0f}"
        with capsys.disabled():
            print(f"\n{figures}, longest {max(took_ms):.0f} ms")
        if p95 <= p95_ms and max(took_ms) <= at_most_ms:
            return
    raise AssertionError(f"p95 was above {p95_ms:g} ms, or an alert took more than {at_most_ms:g} ms, each time")


def one_alert_painted_ms(scene: Scene, pages: list[Any], number: int) -> list[float]:
    """From the commit of an alert to its card on each page; then it is answered, and its study closes."""
    scanned, alert, committed_ns = scanned_until_critical(scene, number)
    took_ms = painted_ms(pages, f"alert-{alert.id}", committed_ns)
    scene.now_ns = time.time_ns()
    scene.acknowledge(alert, "R. Example", before_s=0.0)
    confirmed = step(Happening.RAISED, Level.CRITICAL)
    scene.read(scanned, Outcome.CRITICAL, final=True, step=confirmed, before_s=0.0, close=True)
    time.sleep(0.4)
    return took_ms


def scanned_until_critical(scene: Scene, number: int) -> tuple[Scanned, AlertRow, int]:
    """A study whose slices land as a scanner sends them, and the alert that its last slice raises; when it was committed."""
    scene.now_ns = time.time_ns()
    scanned = scene.study(f"PHANTOM^{number}", number=number)
    risk = hump(28, 15, 0.95)
    scene.land(scanned, risk[:10])
    for probability in risk[10:17]:
        time.sleep(1 / RATE_HZ)
        scene.now_ns = time.time_ns()
        scene.land(scanned, [probability], before_s=0.0)
    alert = scene.read(scanned, Outcome.CRITICAL, final=False, step=raised(Level.CRITICAL), before_s=0.0)
    assert alert is not None
    return scanned, alert, time.time_ns()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_slice_that_shows_the_bleed_is_on_the_screen_within_six_tenths_of_a_second(
    browser: Any, make_programs: MakePrograms, capsys: pytest.CaptureFixture[str]
) -> None:
    box = make_programs("triage", "courier", "dashboard")
    with Ledger.open(box.settings.database) as ledger, ExitStack() as open_pages:
        pages = [open_pages.enter_context(station(browser, box.address, name="R. Example")) for _ in range(2)]
        for page in pages:
            page.evaluate(NOTE_PAINTS)

        def measure(attempt: int) -> list[float]:
            exams = [bleeding(10 + number, attempt) for number in range(EXAMS_MEASURED)]
            took_ms: list[float] = []
            for number, files in enumerate(exams):
                known = alert_ids(ledger)
                closed = scan(files, box.settings.inbox.folder, f"E{attempt}{number:02d}")
                alert_id = new_alert_id(ledger, known)
                evidence_ns = evidence_closed_ns(ledger, alert_id, closed)
                if evidence_ns is not None:
                    took_ms += painted_ms(pages, f"alert-{alert_id}", evidence_ns)
            assert len(took_ms) >= EXAMS_MEASURED  # half of the exams, on two pages
            return took_ms

        holds_once(
            measure,
            f"evidence slice closed to painted, {RATE_HZ:g} slices/s",
            p95_ms=EVIDENCE_PAINTED_P95_MS,
            capsys=capsys,
        )


def alert_ids(ledger: Ledger) -> set[int]:
    with ledger.reading() as r:
        return {one.id for one in open_alerts(r) if one.level is Level.CRITICAL}


def new_alert_id(ledger: Ledger, known: set[int]) -> int:
    """The one CRITICAL that was not known; waited for."""
    wait_for(lambda: alert_ids(ledger) - known, within_s=10)
    (alert_id,) = alert_ids(ledger) - known
    return alert_id


def evidence_closed_ns(ledger: Ledger, alert_id: int, closed: dict[str, int]) -> int | None:
    """When the scanner closed the last of the slices that raised the alert. None where only all slices together did."""
    with ledger.reading() as r:
        raised = next(event for event in events_of(r, alert_id) if event.happening is Happening.RAISED)
        reading = reading_by_id(r, raised.reading_id) if raised.reading_id is not None else None
        assert reading is not None and reading.finding is not None
        evidence = [slice_by_id(r, slice_id) for slice_id in reading.finding.evidence]
    return max((closed[one.sop_uid] for one in evidence if one is not None), default=None)
