"""The board as people meet it: the real program on loopback, and a real browser where there is one."""

import http.client
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from appliance.core.alerts import Happening
from appliance.core.errors import CannotStart
from appliance.core.ledger import AlertEventRow, AlertRow
from appliance.core.words import Level, Outcome, SeriesVerdict
from appliance.dashboard.guard import COOKIE
from appliance.dashboard.program import run
from appliance.processes.clock import now
from appliance.records.alerts import append_event, events_of, existing_alert, open_alerts
from appliance.records.check import check
from appliance.records.ledger import Ledger
from appliance.records.studies import study_by_id
from tests.real.scenes import Scene, hump, raised, step
from tests.real.served import CONFIG, Served, served

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HOSTILE = "<img src=x onerror=window.owned=1>^<script>window.owned=2</script>"


@pytest.fixture
def board(ledger_path: Path, scene: Scene) -> Iterator[Served]:
    with served(ledger_path, scene.store) as running:
        yield running


def events(ledger: Ledger, alert: AlertRow, *happenings: Happening) -> list[AlertEventRow]:
    with ledger.reading() as r:
        return [event for event in events_of(r, alert.id) if event.happening in happenings]


def wait_for(what: Callable[[], bool], *, within_s: float = 3.0) -> float:
    """Waits until it holds; how long that took."""
    began_s = time.monotonic()
    while time.monotonic() - began_s < within_s:
        if what():
            return time.monotonic() - began_s
        time.sleep(0.01)
    raise AssertionError("it did not happen in time")


# ---- what a browser and a stranger may do


def raw_get(board: Served, host: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", board.port, timeout=5)
    connection.putrequest("GET", "/", skip_host=True)
    connection.putheader("Host", host)
    connection.endheaders()
    status = connection.getresponse().status
    connection.close()
    return status


def test_only_names_of_this_box_are_answered(board: Served) -> None:
    assert raw_get(board, f"127.0.0.1:{board.port}") == 200
    assert raw_get(board, f"localhost:{board.port}") == 200
    for host in ("evil.example", f"evil.example:{board.port}", "127.0.0.1", "127.0.0.1:1", ""):
        assert raw_get(board, host) == 400


def test_every_answer_is_strict(board: Served, scene: Scene) -> None:
    scene.critical("PHANTOM^ONE", 1)
    for path in ("", "static/console.js", "picture/16.png", "nothing"):
        headers = httpx.get(board.address + path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "server" not in headers


def test_the_page_holds_no_inline_script_or_style(board: Served, scene: Scene) -> None:
    scene.critical(HOSTILE, 1)
    text = httpx.get(board.address).text
    assert " style=" not in text
    assert "<style" not in text
    assert re.findall(r"<script[^>]*>[^<]*", text) == [
        f'<script type="module" src="/static/{name}.js">' for name in ("console", "board")
    ]
    assert "onerror=window.owned=1&gt;" in text


class Station:
    """A browser without a screen: its cookie and its token."""

    def __init__(self, board: Served) -> None:
        self.origin = board.address.rstrip("/")
        self.client = httpx.Client(base_url=board.address)
        answer = self.client.get("/")
        self.token = answer.text.split('name="bleedwatch-token" content="')[1].split('"')[0]
        self.cookie_line = answer.headers["set-cookie"]

    def post(self, path: str, body: Any, *, origin: str | None = None, token: str | None = None) -> httpx.Response:
        headers = {"Origin": self.origin if origin is None else origin}
        headers["X-Bleedwatch-Token"] = self.token if token is None else token
        return self.client.post(path, json=body, headers=headers)


def press(alert: AlertRow, by: str = "R. Example", **more: Any) -> dict[str, Any]:
    return {"page": "a" * 16, "alert": alert.id, "event": alert.last_event_id, "by": by, **more}


def test_acknowledge_needs_the_origin_the_cookie_and_the_token(board: Served, scene: Scene, ledger: Ledger) -> None:
    alert = scene.critical("PHANTOM^ONE", 1)
    station = Station(board)
    assert "HttpOnly" in station.cookie_line
    assert "SameSite=strict" in station.cookie_line
    assert station.post("acknowledge", press(alert), origin="http://evil.example").status_code == 403
    assert station.post("acknowledge", press(alert), origin="").status_code == 403
    assert station.post("acknowledge", press(alert), token="x" * 43).status_code == 403
    assert station.post("acknowledge", press(alert), token="").status_code == 403
    station.client.cookies.delete(COOKIE)
    assert station.post("acknowledge", press(alert)).status_code == 403
    assert httpx.get(board.address + "acknowledge").status_code == 405
    assert events(ledger, alert, Happening.ACKNOWLEDGED) == []


def test_what_cannot_be_read_is_refused_and_changes_nothing(board: Served, scene: Scene, ledger: Ledger) -> None:
    alert = scene.critical("PHANTOM^ONE", 1)
    station = Station(board)
    headers = {"Origin": station.origin, "X-Bleedwatch-Token": station.token}
    for content in (b"", b"[]", b"nonsense", b"[" * 4000, b'{"page": 1}', b"\xff\xfe"):
        assert station.client.post("acknowledge", content=content, headers=headers).status_code == 400
    assert station.client.post("acknowledge", content=b"x" * 5000, headers=headers).status_code == 413
    for body in (press(alert, by=""), press(alert, by=" \u202e\n "), {**press(alert), "by": 7}):
        assert station.post("acknowledge", body).status_code == 422
    for wrong in (True, "1", -1, 2**70, None, 1.5):
        assert station.post("acknowledge", {**press(alert), "alert": wrong}).status_code == 404
    assert events(ledger, alert, Happening.ACKNOWLEDGED) == []


def test_a_name_is_kept_as_one_plain_line(board: Served, scene: Scene, ledger: Ledger) -> None:
    alert = scene.critical("PHANTOM^ONE", 1)
    assert Station(board).post("acknowledge", press(alert, by="  R.\x00 \u202eExample\n" + "x" * 90)).status_code == 200
    (event,) = events(ledger, alert, Happening.ACKNOWLEDGED)
    assert event.by == ("R. Example " + "x" * 90)[:60]
    assert check(ledger) == []


def test_a_press_on_what_has_just_changed_is_refused(board: Served, scene: Scene, ledger: Ledger) -> None:
    alert = scene.critical("PHANTOM^ONE", 1, before_s=0.0)
    station = Station(board)
    scanned = scene.study("PHANTOM^TWO", number=2)
    scene.land(scanned, hump(28, 15, 0.95)[:19])
    scene.now_ns = time.time_ns()
    fresh = scene.read(scanned, Outcome.CRITICAL, final=False, step=raised(Level.CRITICAL), before_s=0.0)
    assert fresh is not None
    answer = station.post("acknowledge", press(fresh))
    assert answer.status_code == 409
    assert answer.json()["message"] == "This alert has just changed. Look again, then press."
    # A doubt comes and goes; then it is raised anew after it was answered: an old page must not answer for that.
    with ledger.writing() as w:
        append_event(w, alert.id, Happening.ACKNOWLEDGED, at_ns=scene.now_ns, by="S. Sample", details={})
        append_event(w, alert.id, Happening.WITHDRAWN, at_ns=scene.now_ns, by="triage", details={})
        anew = append_event(
            w, alert.id, Happening.RAISED, at_ns=scene.now_ns, by="triage", details={}, level=Level.CRITICAL
        )
    time.sleep(0.6)
    assert station.post("acknowledge", press(alert)).status_code == 409
    assert station.post("acknowledge", press(anew)).status_code == 200
    assert station.post("acknowledge", press(anew)).json()["message"] == "Already acknowledged by R. Example."
    assert len(events(ledger, alert, Happening.ACKNOWLEDGED)) == 2


def test_a_page_is_counted_once_for_each_event_and_once_more_when_it_sounds(
    board: Served, scene: Scene, ledger: Ledger
) -> None:
    alert = scene.critical("PHANTOM^ONE", 1)
    station = Station(board)
    body = {"page": "b" * 16, "alert": alert.id, "event": alert.sounding_event_id}
    assert station.post("told", {**body, "sounded": True}).status_code == 409, "no live stream, no page"
    with station.client.stream("GET", "/stream?page=" + "b" * 16) as stream:
        heard = stream.iter_text()
        next(heard)
        for sounded in (False, False, True, True, False):
            assert station.post("told", {**body, "sounded": sounded}).status_code == 200
        assert station.post("told", {**body, "event": 99999, "sounded": True}).status_code == 404
    told = events(ledger, alert, Happening.DELIVERED)
    assert [(event.by, event.details["sounded"]) for event in told] == [("page", "no"), ("page", "yes")]


def test_the_stream_resumes_and_says_what_was_missed(board: Served, scene: Scene) -> None:
    alert = scene.critical("PHANTOM^ONE", 1)
    scene.acknowledge(alert, "R. Example")
    station = Station(board)
    headers = {"Last-Event-ID": str(alert.last_event_id)}
    heard = ""
    with station.client.stream("GET", "/stream?page=" + "c" * 16, headers=headers) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        for chunk in stream.iter_text():
            heard += chunk
            if heard.count("event: alive") == 3:
                break
    assert f"id: {alert.last_event_id + 1}\nevent: board\n" in heard
    assert "While this screen was away: 1 acknowledged." in heard
    assert httpx.get(board.address + "stream?page=" + "c" * 16).status_code == 403


def test_too_many_windows_of_one_browser_put_the_oldest_to_rest(board: Served) -> None:
    station = Station(board)
    rested = threading.Event()

    def oldest() -> None:
        with station.client.stream("GET", "/stream?page=" + "0" * 16) as stream:
            for chunk in stream.iter_text():
                if "event: rest" in chunk:
                    rested.set()

    thread = threading.Thread(target=oldest)
    thread.start()
    time.sleep(0.3)
    streams = [station.client.stream("GET", f"/stream?page={n:016x}") for n in range(1, 5)]
    opened = [stream.__enter__() for stream in streams]
    assert rested.wait(3)
    thread.join(3)
    assert not thread.is_alive()
    for stream in opened:
        stream.close()


def test_pictures_are_drawn_kept_and_missed_in_words(board: Served, scene: Scene) -> None:
    scene.critical("PHANTOM^ONE", 1)
    first = httpx.get(board.address + "picture/16.png")
    assert first.headers["content-type"] == "image/png"
    assert first.content.startswith(b"\x89PNG")
    assert httpx.get(board.address + "picture/16.png").content == first.content
    assert httpx.get(board.address + "picture/1.png").content != first.content
    (scene.store / "scene/2.npy").unlink()
    for gone in ("2", "999999999"):
        answer = httpx.get(board.address + f"picture/{gone}.png")
        assert answer.status_code == 404
        assert "The reading and the record stay." in answer.text
    for path in ("picture/../ledger.db", "picture/1/../../x.png", "static/../app.py", "static/%2e%2e/app.py"):
        assert httpx.get(board.address + path).status_code == 404


def test_an_address_that_others_reach_is_refused_in_words(ledger: Ledger, tmp_path: Path) -> None:
    for host in ("0.0.0.0", "192.0.2.1", "::", "box.example"):
        with pytest.raises(CannotStart, match=r"127\.0\.0\.1"):
            run(replace(CONFIG, host=host), ledger, tmp_path, stop=threading.Event(), clock=now,
                beat=lambda *_: None, statuses=lambda _: None)  # fmt: skip


def test_a_port_that_is_taken_is_said_in_words(board: Served, ledger: Ledger, tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match=f"port {board.port}"):
        run(replace(CONFIG, port=board.port), ledger, tmp_path, stop=threading.Event(), clock=now,
            beat=lambda *_: None, statuses=lambda _: None)  # fmt: skip


def test_it_stops_within_3_s_with_a_page_open(ledger_path: Path, scene: Scene) -> None:
    with served(ledger_path, scene.store) as board:
        station = Station(board)
        with station.client.stream("GET", "/stream?page=" + "d" * 16) as stream:
            chunks = stream.iter_text()
            next(chunks)
            began_s = time.monotonic()
            board.stop.set()
            for _ in chunks:
                pass
            assert time.monotonic() - began_s < 3
    assert time.monotonic() - began_s < 3.5


def test_a_silent_triage_makes_the_board_blind_and_is_mended(ledger_path: Path, ledger: Ledger, scene: Scene) -> None:
    with served(ledger_path, scene.store) as board:
        wait_for(lambda: board.beats >= 2)
        board.silent.add("triage")
        wait_for(lambda: "BLIND" in httpx.get(board.address).text, within_s=7)
        stage = httpx.get(board.address).text
        assert "Watching" not in stage
        wait_for(lambda: bool(technical(ledger)), within_s=3)
        assert technical(ledger) == ["triage-silent"]
        board.silent.clear()
        wait_for(lambda: technical(ledger) == [], within_s=3)
        assert "BLIND" not in httpx.get(board.address).text


def test_a_blind_box_says_so_again_after_5_min(ledger_path: Path, ledger: Ledger, scene: Scene) -> None:
    alert = scene.technical("inbox-unreachable", before_s=1000, time="14:02")
    with served(ledger_path, scene.store) as board:
        assert httpx.get(board.address).text.count("I have seen it") == 1
        scene.acknowledge(alert, "R. Example", before_s=290)
        bands = httpx.get(board.address).text
        assert "BLIND" in bands
        assert "I have seen it" not in bands
    assert check(ledger) == []
    before = scene.technical("ledger-not-writable", before_s=1000)
    scene.acknowledge(before, "R. Example", before_s=310)
    with served(ledger_path, scene.store) as board:
        assert httpx.get(board.address).text.count("I have seen it") == 1
        answer = Station(board).post("acknowledge", press(before))
        assert answer.status_code == 200
        assert "I have seen it" not in httpx.get(board.address).text


def test_who_has_seen_what_nothing_can_mend_ends_it(board: Served, scene: Scene, ledger: Ledger) -> None:
    """A file that stopped its reader has done so: the row must not stand on the board for years."""
    once, lasting = scene.technical("poison-file"), scene.technical("engine-fault")
    station = Station(board)
    for alert in (once, lasting):
        assert station.post("acknowledge", press(alert)).status_code == 200
    assert technical(ledger) == ["engine-fault"]


def technical(ledger: Ledger) -> list[str]:
    with ledger.reading() as r:
        return [alert.key.first for alert in open_alerts(r) if alert.level is Level.TECHNICAL]


# ---- what a person at the console meets


@pytest.fixture(scope="module")
def browsers(browser: Any, silent_browser: Any) -> dict[str, Any]:
    """One Chromium that lets pages sound by themselves, one that asks for a press first."""
    return {"kiosk": browser, "common": silent_browser}


@contextmanager
def console(browser: Any, board: Served, *, name: str = "R. Example", script: bool = True) -> Iterator[Any]:
    """A page of its own station. At the end: nothing was refused by the page's own policy, nothing threw."""
    context = browser.new_context(viewport={"width": 1280, "height": 1024}, java_script_enabled=script)
    context.set_default_timeout(6000)
    if name:
        context.add_init_script(f"localStorage.setItem('bleedwatch-name', {name!r})")
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda line: complaints.append(line.text) if "Content Security Policy" in line.text else None)
    page.goto(board.address)
    if script:
        page.wait_for_selector("body.live")
    yield page
    context.close()
    assert complaints == []


def until(page: Any, expression: str, *, within_s: float = 6.0) -> None:
    """Waits until it holds in the page, whose policy forbids what playwright's own waiting does."""
    wait_for(lambda: bool(page.evaluate(expression)), within_s=within_s)


def test_an_alert_appears_without_reload_and_sounds(
    browsers: dict[str, Any], board: Served, scene: Scene, ledger: Ledger
) -> None:
    with console(browsers["kiosk"], board) as page:
        until(page, "bleedwatch.soundState === 'armed'")
        assert page.inner_text(".calm h1") == "Nothing landed yet"
        assert page.evaluate("bleedwatch.pulsesScheduled") == 0
        page.evaluate("window.same = 1")
        scene.now_ns = time.time_ns()
        alert = scene.critical("PHANTOM^ONE", 1, before_s=0.0)
        committed_s = time.monotonic()
        page.wait_for_selector(".alarm:not(.seen) .ack", timeout=1500)
        until(page, "bleedwatch.pulsesScheduled >= 10", within_s=1.5)
        assert time.monotonic() - committed_s < 1.5
        assert page.evaluate("window.same") == 1, "the page was not loaded again"
        assert page.title() == "CRITICAL: 1 open - Bleedwatch, CT 2, Emergency"
        assert page.inner_text(".alarm .who") == "PHANTOM, ONE"
        assert "Suspected bleed inside the brain (IPH), patient’s left" in page.inner_text(".alarm .what")
        assert page.inner_text("#shout").startswith("CRITICAL. Suspected bleed inside the brain (IPH)")
        until(page, "document.querySelector('.ct img').naturalWidth > 0")
        assert [page.inner_text(f".ct .{edge}") for edge in "WENS"] == ["R", "L", "A", "P"]
        wait_for(lambda: bool(events(ledger, alert, Happening.DELIVERED)))
        told = events(ledger, alert, Happening.DELIVERED)
        assert {(event.by, event.details["sounded"]) for event in told} == {("page", "yes")}
        until(page, "document.querySelector('.alarm .next').textContent.includes('sounded on 1')")


@pytest.mark.parametrize("status", [409, 503])
def test_a_page_tells_again_what_the_box_could_not_note(
    browsers: dict[str, Any], board: Served, scene: Scene, ledger: Ledger, status: int
) -> None:
    with console(browsers["kiosk"], board) as page:
        until(page, "bleedwatch.soundState === 'armed'")
        refused: list[str] = []

        def refuse_twice(route: Any) -> None:
            if len(refused) < 2:
                refused.append(route.request.post_data)
                route.fulfill(status=status, json={"message": "busy"})
            else:
                route.continue_()

        page.route("**/told", refuse_twice)
        scene.now_ns = time.time_ns()
        alert = scene.critical("PHANTOM^ONE", 1, before_s=0.0)
        # Waiting in the page, so that its requests are handed to us meanwhile.
        for _ in range(80):
            page.wait_for_timeout(100)
            if events(ledger, alert, Happening.DELIVERED):
                break
        assert len(refused) == 2
        assert [event.by for event in events(ledger, alert, Happening.DELIVERED)] == ["page"]


def test_a_page_is_a_live_channel_only_while_armed(browsers: dict[str, Any], board: Served) -> None:
    with console(browsers["common"], board) as page:
        assert page.evaluate("bleedwatch.soundState") == "suspended"
        page.wait_for_selector("#silent:not([hidden])")
        assert "Sound is OFF" in page.inner_text(".vitals")
        assert "armed" not in page.inner_text(".vitals")
        wait_for(lambda: [page_.armed for page_ in board.pages] == [False], within_s=5)
        page.click("#arm")
        until(page, "bleedwatch.soundState === 'armed'")
        page.wait_for_selector("#silent", state="hidden")
        assert page.evaluate("bleedwatch.pulsesScheduled") == 4, "the test tone has four pulses"
        wait_for(lambda: [page_.armed for page_ in board.pages] == [True], within_s=5)
    wait_for(lambda: board.pages == (), within_s=5)


def test_acknowledging_is_seen_on_every_page_at_once_and_ends_the_sound(
    browsers: dict[str, Any], board: Served, scene: Scene, ledger: Ledger
) -> None:
    alert = scene.critical("PHANTOM^ONE", 1)
    with console(browsers["kiosk"], board) as first, console(browsers["kiosk"], board, name="S. Sample") as second:
        for page in (first, second):
            until(page, "bleedwatch.pulsesScheduled >= 10")
        first.wait_for_timeout(600)
        pressed_s = time.monotonic()
        first.click(".alarm .ack")
        second.wait_for_selector(".alarm.seen", timeout=2000)
        assert time.monotonic() - pressed_s < 1.5
        first.wait_for_selector(".alarm.seen")
        for page in (first, second):
            assert "by R. Example." in page.inner_text(".alarm.seen .next")
            assert page.locator(".alarm .ack").count() == 0
            assert page.locator(".beacon").count() == 0
            assert page.title().startswith("Watching")
        scheduled = [page.evaluate("bleedwatch.pulsesScheduled") for page in (first, second)]
        first.wait_for_timeout(5500)
        assert [page.evaluate("bleedwatch.pulsesScheduled") for page in (first, second)] == scheduled
    (event,) = events(ledger, alert, Happening.ACKNOWLEDGED)
    assert event.by == "R. Example"
    with ledger.reading() as r:
        assert not existing_alert(r, alert.id).sounds


def test_slices_that_land_do_not_disturb_a_press(
    browsers: dict[str, Any], board: Served, scene: Scene, ledger: Ledger
) -> None:
    scanned = scene.study("PHANTOM^ONE", number=1, expected=40)
    scene.land(scanned, hump(40, 8, 0.95)[:12])
    alert = scene.read(scanned, Outcome.CRITICAL, final=False, step=raised(Level.CRITICAL))
    assert alert is not None
    with console(browsers["kiosk"], board) as page:
        page.wait_for_selector(".alarm .ack")
        page.wait_for_timeout(700)
        page.hover(".alarm .ack")
        page.mouse.down()
        for read in (13, 14, 15):
            scene.land(scanned, [0.05], before_s=0)
            until(page, f"document.querySelector('.alarm .where').textContent.includes('{read} slices read')")
        page.mouse.up()
        page.wait_for_selector(".alarm.seen")
    assert len(events(ledger, alert, Happening.ACKNOWLEDGED)) == 1


def test_two_keys_acknowledge_and_no_single_letter_acts(
    browsers: dict[str, Any], board: Served, scene: Scene, ledger: Ledger
) -> None:
    alert = scene.critical("PHANTOM^ONE", 1)
    with console(browsers["kiosk"], board) as page:
        page.wait_for_selector(".alarm .ack")
        page.wait_for_timeout(700)
        page.keyboard.press("Enter")
        page.keyboard.press("a")
        assert page.evaluate("document.activeElement.className") == "ack"
        assert events(ledger, alert, Happening.ACKNOWLEDGED) == []
        page.keyboard.press("Enter")
        page.wait_for_selector(".alarm.seen")
        page.keyboard.press("t")
        assert page.evaluate("document.documentElement.dataset.theme") == "light"
        page.keyboard.press("?")
        page.wait_for_selector("#help[open]")
        page.keyboard.press("Escape")
        page.reload()
        assert page.evaluate("document.documentElement.dataset.theme") == "light", "the station keeps its theme"


def test_without_a_name_it_is_asked_over_the_lists_and_the_sound_pauses(
    browsers: dict[str, Any], board: Served, scene: Scene, ledger: Ledger
) -> None:
    alert = scene.critical("PHANTOM^ONE", 1)
    for number in range(2, 8):
        closed = scene.study(f"SAMPLE^{number}", number=number, before_s=900)
        scene.land(closed, [0.02] * 12, before_s=800)
        scene.read(closed, Outcome.NO_FINDING, final=True, close=True, reasons=(("none-flagged", {"n": "12"}),))
    with console(browsers["kiosk"], board, name="") as page:
        until(page, "bleedwatch.pulsesScheduled >= 10")
        page.wait_for_timeout(600)
        page.click(".alarm .ack")
        page.wait_for_selector("#who[open]")
        dialog, alarm = page.locator("#who").bounding_box(), page.locator(".alarm").first.bounding_box()
        assert dialog["y"] >= alarm["y"] + alarm["height"], "never over the alarm"
        assert events(ledger, alert, Happening.ACKNOWLEDGED) == []
        page.fill("#who-name", "T. Typed")
        page.click("#who-typed")
        page.wait_for_selector(".alarm.seen")
        assert page.inner_text("#person") == "T. Typed"
    (event,) = events(ledger, alert, Happening.ACKNOWLEDGED)
    assert event.by == "T. Typed"


def test_the_page_survives_a_restart_and_shows_what_it_missed(
    browsers: dict[str, Any], ledger_path: Path, scene: Scene, ledger: Ledger
) -> None:
    with served(ledger_path, scene.store) as board:
        pages = console(browsers["kiosk"], board)
        page = pages.__enter__()
        page.evaluate("window.same = 1")
        port = board.port
    page.wait_for_selector("#no-life:not([hidden])", timeout=7000)
    assert page.locator(".calm").is_hidden(), "nothing is claimed any more"
    scene.now_ns = time.time_ns()
    scene.critical("PHANTOM^ONE", 1, before_s=1.0)
    page.wait_for_selector("#lost:not([hidden])", timeout=7000)
    assert "NO CONNECTION" in page.inner_text("#lost")
    assert page.inner_text("#shout").startswith("NO CONNECTION")
    with served(ledger_path, scene.store, port=port):
        page.wait_for_selector(".alarm:not(.seen) .ack", timeout=6000)
        page.wait_for_selector("#lost", state="hidden")
        assert page.evaluate("window.same") == 1
        until(page, "document.querySelector('#shout').textContent.startsWith('CRITICAL')")
        page.wait_for_timeout(600)
        page.click(".alarm .ack")
        page.wait_for_selector(".alarm.seen")
        pages.__exit__(None, None, None)


def test_hostile_names_stay_text(browsers: dict[str, Any], board: Served, scene: Scene) -> None:
    scene.critical(HOSTILE, 1)
    with console(browsers["kiosk"], board) as page:
        page.wait_for_selector(".alarm")
        scene.now_ns = time.time_ns()
        scene.critical("\"'><svg onload=window.owned=3>", 2, before_s=0.0)
        scene.critical("", 3, before_s=0.0)
        until(page, "document.querySelectorAll('.alarm').length === 3")
        names = page.locator(".alarm .who").all_inner_texts()
        assert "<img src=x onerror=window.owned=1>, <script>window.owned=2</script>" in names
        assert "\"'><svg onload=window.owned=3>" in names
        assert "(no name in the header)" in names
        assert page.evaluate("window.owned") is None
        assert page.locator("main img").count() == 1, "the one picture of the stage"
        assert "window.owned" not in page.title()


def test_not_analysed_stands_amber_until_a_person_has_seen_it(
    browsers: dict[str, Any], board: Served, scene: Scene, ledger: Ledger
) -> None:
    contrast = (("contrast", {}),)
    study = scene.study("MOCK^FIVE", number=5, verdict=SeriesVerdict.DECLINED, reasons=contrast)
    scene.close(study, Outcome.NOT_ANALYSED, (("no-eligible-series", {"why": "contrast"}),))
    with console(browsers["kiosk"], board) as page:
        card = page.wait_for_selector(".alarm.review")
        assert "NOT ANALYSED" in card.inner_text()
        assert "Contrast was given. This engine reads native head CT only." in card.inner_text()
        assert page.evaluate("bleedwatch.pulsesScheduled") == 0, "no sound"
        page.wait_for_timeout(600)
        page.click(".alarm.review .ack")
        page.wait_for_selector(".calm")
        until(page, "document.getElementById('today').textContent.includes('Seen by R. Example')", within_s=1.0)
    with ledger.reading() as r:
        seen = study_by_id(r, study.study_id)
    assert seen is not None
    assert seen.seen_by == "R. Example"


def test_withdrawn_and_unseen_stays_red_and_sounds(browsers: dict[str, Any], board: Served, scene: Scene) -> None:
    scanned = scene.study("NOBODY^EIGHT", number=8, before_s=60)
    scene.land(scanned, hump(28, 15, 0.95), before_s=40)
    scene.read(scanned, Outcome.CRITICAL, final=False, step=raised(Level.CRITICAL), before_s=38)
    withdrawn = step(Happening.WITHDRAWN, Level.CRITICAL)
    scene.read(scanned, Outcome.NO_FINDING, final=True, step=withdrawn, before_s=5, close=True)
    with console(browsers["kiosk"], board) as page:
        until(page, "bleedwatch.pulsesScheduled >= 10")
        words = page.inner_text(".alarm")
        assert "Withdrawn after 33 s, nobody has seen it." in words
        assert "Look yourself, then press. Sounds until then." in words
        page.wait_for_timeout(600)
        page.click(".alarm .ack")
        until(page, "document.querySelector('tr.r-withdrawn').textContent.includes('R. Example')")
        assert page.locator(".alarm").count() == 0


def test_without_its_script_the_page_says_that_it_is_not_live(
    browsers: dict[str, Any], board: Served, scene: Scene
) -> None:
    with console(browsers["kiosk"], board, script=False) as page:
        page.wait_for_timeout(1500)
        assert page.locator(".band.frozen").is_visible()
        text = page.inner_text("body")
        for claim in ("Alive", "armed", "Watching", "Nothing landed yet"):
            assert claim not in text


def test_more_than_five_fold_and_newer_stand_first(browsers: dict[str, Any], board: Served, scene: Scene) -> None:
    for number in range(1, 8):
        scene.critical(f"PHANTOM^{number}", number, before_s=20.0 - number)
    with console(browsers["kiosk"], board) as page:
        page.wait_for_selector(".fold")
        assert page.inner_text(".fold summary") == "2 more CRITICAL: show"
        assert page.inner_text(".alarm .count") == "1 of 7"
        assert page.locator(".alarm .who").first.inner_text() == "PHANTOM, 7"
        assert page.locator("#stage > .alarm .ack").count() == 5
        page.click(".fold summary")
        assert page.locator(".fold .ack").first.is_visible()


def test_slices_that_land_grow_the_strip(browsers: dict[str, Any], board: Served, scene: Scene) -> None:
    scanned = scene.study("TESTCASE^THREE", number=3, expected=12)
    scene.land(scanned, [0.02] * 3)
    with console(browsers["kiosk"], board) as page:
        page.wait_for_selector("#landing .strip")
        assert page.locator("#landing .b-q").count() == 3
        assert page.locator("#landing .b-wait").count() == 9
        scene.now_ns = time.time_ns()
        scene.land(scanned, [0.02] * 2, before_s=0)
        until(page, "document.querySelectorAll('#landing .b-q').length === 5", within_s=1.0)
        assert "5 slices read, 12 expected." in page.inner_text("#landing")


def test_the_box_stays_quick_with_a_full_day(board: Served, scene: Scene) -> None:
    for number in range(1, 61):
        closed = scene.study(f"SAMPLE^{number}", number=number, before_s=900 + number)
        scene.close(closed, Outcome.NOT_ANALYSED, (("no-head", {"why": "-"}),), before_s=800 + number)
    began_s = time.monotonic()
    text = httpx.get(board.address).text
    assert time.monotonic() - began_s < 0.5
    assert text.count('<tr data-key="day-') == 50
