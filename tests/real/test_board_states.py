"""What the board says in each of its states, and what it does when a person presses."""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from appliance.core.alerts import Happening
from appliance.core.escalation import EscalationPolicy, EscalationStep
from appliance.core.ledger import AlertEventRow, AlertRow
from appliance.core.quiet import WorkingTime
from appliance.core.times import Now
from appliance.core.words import Level, Outcome, SeriesVerdict
from appliance.processes.clock import now
from appliance.records.alerts import append_event, events_of, open_alerts
from appliance.records.engines import record_engine_event
from appliance.records.ledger import Ledger
from tests.real.browsing import station, until, wait_for
from tests.real.scenes import S, Scene, hump, raised, step
from tests.real.served import CONFIG, Served, served

WEDNESDAY_NOON_NS = round(datetime(2026, 3, 4, 12, tzinfo=UTC).timestamp()) * S
POLICY = EscalationPolicy(
    steps=(
        EscalationStep(name="stroke team", after_s=120, channels=("pager",)),
        EscalationStep(name="on-call lead", after_s=240, channels=("mail",)),
    )
)


@pytest.fixture
def board(ledger_path: Path, scene: Scene) -> Iterator[Served]:
    with served(ledger_path, scene.store, config=replace(CONFIG, escalation=POLICY)) as running:
        yield running


def closed_one(scene: Scene, *, before_s: float = 900.0) -> None:
    study = scene.study("SAMPLE^FOUR", number=904, before_s=before_s)
    scene.land(study, [0.02] * 4, before_s=before_s)
    scene.read(study, Outcome.NO_FINDING, final=True, close=True, before_s=before_s)


def courier_says(scene: Scene, alert: AlertRow, happening: Happening, by: str = "courier", **details: str) -> AlertRow:
    with scene.ledger.writing() as w:
        return append_event(w, alert.id, happening, at_ns=time.time_ns() - 4 * S, by=by, details=details)


def escalate(scene: Scene, alert: AlertRow, why: str = "time") -> AlertRow:
    return courier_says(
        scene, alert, Happening.ESCALATED, step="1", round="1", name="stroke team", channels="pager", why=why
    )


def codes(ledger: Ledger) -> dict[str, str]:
    with ledger.reading() as r:
        return {one.key.first: one.key.second for one in open_alerts(r) if one.level is Level.TECHNICAL}


def events(ledger: Ledger, alert: AlertRow, happening: Happening) -> list[AlertEventRow]:
    with ledger.reading() as r:
        return [event for event in events_of(r, alert.id) if event.happening is happening]


# ---- before and without patients


def test_the_first_run_says_what_is_to_be_done_and_what_is(
    browser: Any, silent_browser: Any, ledger: Ledger, board: Served, scene: Scene
) -> None:
    with station(silent_browser, board.address) as page:
        assert page.inner_text(".calm h1") == "Nothing landed yet"
        assert "Five steps, one is done." in page.inner_text(".calm"), "no engine has been loaded yet"
        with ledger.writing() as w:
            record_engine_event(w, "LOADED", "e" * 64, "onnxruntime", time.time_ns(), {}, engine_name="head-ct 0.1.0")
        until(page, "document.querySelector('.calm p').innerText.includes('Five steps, two are done.')")
        page.click(".steps [data-arm]")
        until(page, "document.querySelector('.calm p').innerText.includes('three are done.')")
        assert "3 of 5" in page.inner_text(".facts")
        page.click(".steps [data-action='test-alarm']")
        page.wait_for_selector(".alarm.test .ack")
        page.wait_for_timeout(600)
        page.click(".alarm.test .ack")
        until(page, "(document.querySelector('.calm p') || {innerText: ''}).innerText.includes('four are done.')")
        scene.now_ns = time.time_ns()
        scene.land(scene.study("PHANTOM^ONE", number=1), [0.02], before_s=0)
        until(page, "document.querySelector('.calm h1').textContent === 'Watching'")


def test_an_empty_day_says_when_something_landed_last(browser: Any, board: Served, scene: Scene) -> None:
    closed_one(scene, before_s=26 * 3600)
    with station(browser, board.address) as page:
        words = page.inner_text(".calm")
        assert "Watching" in words
        assert "No head CT today. Last slice" in words


def test_nothing_landed_in_working_time_is_a_violet_band_that_goes_by_itself(
    browser: Any, ledger_path: Path, ledger: Ledger, scene: Scene
) -> None:
    """The box's wall clock shows noon of a Wednesday, whenever this runs."""
    ahead_ns = WEDNESDAY_NOON_NS - time.time_ns()

    def wednesday() -> Now:
        at = now()
        return replace(at, wall_ns=at.wall_ns + ahead_ns)

    scene.now_ns = wednesday().wall_ns
    closed_one(scene, before_s=3 * 3600 + 660)
    on = replace(CONFIG, time_zone="Etc/GMT", working_time=WorkingTime(from_hour=0, to_hour=24, quiet_h=3.0))
    off = replace(on, working_time=WorkingTime(from_hour=0, to_hour=24, quiet_h=0))
    with served(ledger_path, scene.store, config=off, clock=wednesday) as board:
        wait_for(lambda: board.beats >= 3)
        assert "nothing-landed" not in codes(ledger)
    with (
        served(ledger_path, scene.store, config=on, clock=wednesday) as board,
        station(browser, board.address) as page,
    ):
        until(page, "document.querySelector('#bands .band') !== null", within_s=8)
        assert "Nothing has landed for 3 h 11. That is unusual at this hour." in page.inner_text("#bands")
        assert page.locator("#bands .blind").count() == 0
        assert page.inner_text(".calm h1") == "Watching"
        scene.now_ns = wednesday().wall_ns
        scene.land(scene.study("PHANTOM^ONE", number=1), [0.02], before_s=0)
        until(page, "document.querySelector('#bands .band') === null", within_s=8)


def test_a_page_that_has_heard_nothing_asks_and_is_lost_after_five_seconds(
    browser: Any, board: Served, scene: Scene
) -> None:
    with station(browser, board.address) as page:
        page.route("**/stream?*", lambda route: route.abort())
        page.reload()
        page.wait_for_selector("#asking:not([hidden])")
        assert "Asking the box" in page.inner_text("#asking")
        assert page.locator(".calm").count() == 0 or page.locator(".calm").is_hidden()
        page.wait_for_selector("#lost:not([hidden])", timeout=6000)
        assert page.locator("#asking").is_hidden()
        page.unroute("**/stream?*")
        page.wait_for_selector("#lost", state="hidden")


# ---- cards


def test_the_card_says_whom_the_box_has_paged_and_who_is_next(browser: Any, board: Served, scene: Scene) -> None:
    alert = scene.critical("PHANTOM^ONE", 1, before_s=5.0)
    with station(browser, board.address) as page:
        until(
            page,
            "/Nobody has answered\\. Stroke team next in 1:5\\d\\./.test(document.querySelector('.next').innerText)",
        )
        first = page.inner_text(".alarm [data-style='down']")
        until(page, f"document.querySelector('.alarm [data-style=\"down\"]').textContent !== {first!r}")
        event = escalate(scene, alert)
        until(page, "document.querySelector('.next').innerText.includes('Stroke team is being paged since')")
        courier_says(scene, alert, Happening.DELIVERED, "pager", event=str(event.last_event_id))
        until(
            page,
            "/^Stroke team paged \\d\\d:\\d\\d:\\d\\d, no answer yet\\. On-call lead next in 1:5\\d\\./"
            ".test(document.querySelector('.next').innerText)",
        )
        assert page.inner_text("#shout").endswith(
            "stroke team paged, no answer yet. Press A, then Enter, to acknowledge."
        )


def test_a_missing_screen_is_said(browser: Any, board: Served, scene: Scene) -> None:
    alert = scene.critical("PHANTOM^ONE", 1, before_s=30.0)
    event = escalate(scene, alert, why="no-screen")
    courier_says(scene, alert, Happening.DELIVERED, "pager", event=str(event.last_event_id))
    with station(browser, board.address) as page:
        assert "No screen answered: stroke team paged at once," in page.inner_text(".next")


def test_a_review_that_was_raised_says_at_which_slice(browser: Any, board: Served, scene: Scene) -> None:
    study = scene.study("PHANTOM^ONE", number=1, before_s=60)
    scene.land(study, hump(28, 15, 0.95)[:15], before_s=30)
    scene.read(study, Outcome.REVIEW, final=True, step=raised(Level.REVIEW, final=True), before_s=29)
    with station(browser, board.address) as page:
        page.wait_for_selector(".alarm.review")
        assert page.evaluate("bleedwatch.pulsesScheduled") == 0
        assert page.inner_text("#said").startswith("REVIEW. Possible bleed inside the brain (IPH)")
        scene.now_ns = time.time_ns()
        scene.land(study, hump(28, 15, 0.95)[15:21], before_s=0)
        upgrade = step(Happening.UPGRADED, Level.CRITICAL, final=False)
        scene.read(study, Outcome.CRITICAL, final=False, step=upgrade, before_s=0)
        page.wait_for_selector(".alarm:not(.review) .ack")
        assert "Was REVIEW, raised to CRITICAL at slice 21." in page.inner_text(".where")
        until(page, "bleedwatch.pulsesScheduled >= 10")
        assert page.inner_text("#shout").startswith("CRITICAL.")


def test_a_doubt_changes_the_words_and_neither_colour_nor_sound(browser: Any, board: Served, scene: Scene) -> None:
    study = scene.study("PHANTOM^ONE", number=1, before_s=60)
    scene.land(study, hump(28, 15, 0.95)[:20], before_s=30)
    scene.read(study, Outcome.CRITICAL, final=False, step=raised(Level.CRITICAL), before_s=29)
    with station(browser, board.address) as page:
        until(page, "bleedwatch.pulsesScheduled >= 10")
        shouted = page.inner_text("#shout")
        doubt = step(Happening.DOUBTED, Level.CRITICAL, final=False)
        scene.read(study, Outcome.REVIEW, final=False, step=doubt, before_s=0)
        until(
            page, "document.querySelector('.where').innerText.includes('Later slices disagree. Please look yourself.')"
        )
        assert page.locator(".alarm:not(.seen) .beacon").count() == 1
        before = page.evaluate("bleedwatch.pulsesScheduled")
        until(page, f"bleedwatch.pulsesScheduled > {before}", within_s=8)
        assert page.inner_text("#shout") == shouted, "said once"


def test_what_was_withdrawn_stays_on_the_board_struck_through(browser: Any, board: Served, scene: Scene) -> None:
    study = scene.study("NOBODY^EIGHT", number=8, before_s=200)
    scene.land(study, hump(28, 15, 0.95), before_s=150)
    alert = scene.read(study, Outcome.CRITICAL, final=False, step=raised(Level.CRITICAL), before_s=140)
    gone = step(Happening.WITHDRAWN, Level.CRITICAL)
    scene.read(study, Outcome.NO_FINDING, final=True, step=gone, before_s=90, close=True)
    assert alert is not None
    scene.acknowledge(alert, "R. Example", before_s=30)
    with station(browser, board.address) as page:
        row = page.wait_for_selector("tr.r-withdrawn")
        words = row.inner_text()
        assert "CRITICAL, taken back after all 28 slices." in words
        assert "Withdrawn" in words and ", seen" in words and "by R. Example" in words
        struck = "getComputedStyle(document.querySelector('.out.withdrawn > span')).textDecorationLine"
        assert page.evaluate(struck) == "line-through"
        assert page.locator(".alarm").count() == 0


def test_the_answer_is_stored_with_its_screen_and_the_focus_goes_on(
    browser: Any, board: Served, scene: Scene, ledger: Ledger
) -> None:
    first = scene.critical("PHANTOM^ONE", 1, before_s=20.0)
    scene.critical("PHANTOM^TWO", 2, before_s=10.0)
    with station(browser, board.address) as page:
        page.wait_for_selector(".alarm.slim .ack")
        page.wait_for_timeout(700)
        page.keyboard.press("a")
        page.keyboard.press("Enter")
        page.wait_for_selector(".alarm.seen")
        until(page, f"(document.activeElement.dataset || {{}}).target === '{first.id}'")
        page.wait_for_timeout(700)
        page.keyboard.press("Enter")
        until(page, "document.querySelectorAll('.alarm.seen').length === 2")
        until(page, "document.activeElement.textContent === 'Open study'")
        assert page.evaluate("document.activeElement.getAttribute('href')") == f"/study/{first.study_id}"
        screen = page.get_attribute("body", "data-screen")
    (event,) = events(ledger, first, Happening.ACKNOWLEDGED)
    assert (event.details["place"], event.details["screen"]) == ("board", screen)
    with station(browser, board.address) as page:
        assert f"On the board, screen {screen}." in page.inner_text(".alarm.seen:not(.slim) .next")


def test_a_new_critical_ends_a_pause_that_was_meant_for_another(browser: Any, board: Served, scene: Scene) -> None:
    scene.critical("PHANTOM^ONE", 1)
    with station(browser, board.address, name="") as page:
        until(page, "bleedwatch.pulsesScheduled >= 10")
        page.wait_for_timeout(700)
        page.click(".alarm .ack")
        page.wait_for_selector("#who[open]")
        left = page.inner_text("#who-left")
        until(page, f"document.getElementById('who-left').textContent !== {left!r}", within_s=3)
        before = page.evaluate("bleedwatch.pulsesScheduled")
        scene.now_ns = time.time_ns()
        scene.critical("PHANTOM^TWO", 2, before_s=0.0)
        until(page, f"bleedwatch.pulsesScheduled >= {before + 10}", within_s=2)


def test_many_heads_that_nobody_has_read_fold(browser: Any, board: Served, scene: Scene) -> None:
    for number in range(1, 9):
        study = scene.study(
            f"MOCK^{number}", number=number, verdict=SeriesVerdict.DECLINED, reasons=(("contrast", {}),)
        )
        scene.close(study, Outcome.NOT_ANALYSED, (("no-eligible-series", {"why": "contrast"}),))
    with station(browser, board.address) as page:
        page.wait_for_selector(".fold.waits")
        assert page.inner_text(".fold.waits summary") == "3 more to look at: show"
        assert page.locator("#stage > .alarm").count() == 5


@pytest.mark.parametrize("width_px", [1280, 1024, 820, 390])
def test_the_name_on_a_slim_card_is_never_squeezed_away(
    browser: Any, board: Served, scene: Scene, width_px: int
) -> None:
    for number in (1, 2):
        scene.critical("PHANTOM^NUMBER", number, before_s=20.0 - number)
    with station(browser, board.address, size_px=(width_px, 1000)) as page:
        name = page.locator(".alarm.slim .who")
        assert name.evaluate("one => one.scrollHeight <= one.clientHeight + 2")
        assert name.bounding_box()["height"] < 60, "on one line"
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


# ---- bands


def test_two_bands_at_most_and_the_rest_is_a_number_at_system(browser: Any, board: Served, scene: Scene) -> None:
    closed_one(scene)
    for code, details in (
        ("engine-older", {"version": "1.3.2"}), ("dead-letters", {"channel": "pager", "time": "14:20"}), ("sop-conflict", {}), ("disk-low", {"percent": "4"}),
    ):  # fmt: skip
        scene.technical(code, **details)
    with station(browser, board.address) as page:
        assert page.locator("#bands .band:not(.more)").count() == 2
        assert page.inner_text("#bands .more") == "1 more technical alert: open System"
        assert page.get_attribute("#bands .more a", "href") == "/system"
        assert page.inner_text("#elsewhere").split() == ["2", "technical", "alerts"]
        assert "free" not in page.inner_text("#bands"), "a disk is no work for who stands here"
        assert "Four technical alerts are open." in page.inner_text(".calm")
        scene.technical("inbox-unreachable", time="14:02")
        page.wait_for_selector("#bands .blind")
        assert page.locator("#bands > .band").first.get_attribute("class") == "band blind"


def test_what_only_the_administrator_can_mend_makes_no_sound(browser: Any, board: Served, scene: Scene) -> None:
    closed_one(scene)
    with station(browser, board.address) as page:
        until(page, "bleedwatch.soundState === 'armed'")
        scene.technical("disk-low", percent="4")
        page.wait_for_selector("#elsewhere b")
        page.wait_for_timeout(600)
        assert page.evaluate("bleedwatch.pulsesScheduled") == 0
        scene.technical("engine-older", version="1.3.2")
        until(page, "bleedwatch.pulsesScheduled === 2")
        page.wait_for_timeout(1500)
        assert page.evaluate("bleedwatch.pulsesScheduled") == 2, "once"
        scene.technical("inbox-unreachable", time="14:02")
        until(page, "bleedwatch.pulsesScheduled >= 4")


def test_a_slow_box_says_so_on_the_stage(browser: Any, board: Served, scene: Scene) -> None:
    closed_one(scene)
    scene.technical("gpu-lost", time="14:12:40")
    with station(browser, board.address) as page:
        assert page.inner_text(".calm h1") == "Watching, slowly"
        assert "the graphics card is lost, the processor has taken over" in page.inner_text("#bands")


# ---- who cannot sound


def test_a_screen_that_cannot_sound_is_told_on_the_others_and_mended(
    browser: Any, silent_browser: Any, board: Served, scene: Scene, ledger: Ledger
) -> None:
    closed_one(scene)
    with station(silent_browser, board.address) as silent, station(browser, board.address) as other:
        until(other, "document.querySelector('#bands .band') !== null", within_s=10)
        screen = silent.get_attribute("body", "data-screen")
        assert codes(ledger) == {"screen-silent": screen}
        assert f"The screen {screen} (board) cannot sound since" in other.inner_text("#bands")
        assert silent.locator("#silent").is_visible()
        assert not silent.locator(f"[data-of-screen='{screen}']").is_visible(), "it says so itself"
        silent.click("#silent [data-arm]")
        until(other, "document.querySelector('#bands .band') === null", within_s=8)
        wait_for(lambda: codes(ledger) == {}, within_s=4)


def test_a_page_behind_others_is_no_channel(browser: Any, board: Served, scene: Scene) -> None:
    closed_one(scene)
    with station(browser, board.address) as page:
        wait_for(
            lambda: [(one.armed, one.hidden, one.place) for one in board.pages] == [(True, False, "board")], within_s=6
        )
        page.evaluate(
            "Object.defineProperty(document, 'hidden', { value: true, configurable: true });"
            "document.dispatchEvent(new Event('visibilitychange'))"
        )
        wait_for(lambda: [(one.armed, one.hidden) for one in board.pages] == [(False, True)], within_s=6)
        assert board.pages[0].screen == page.get_attribute("body", "data-screen")


# ---- keys


def test_two_keys_go_to_a_page_and_typing_goes_nowhere(browser: Any, board: Served, scene: Scene) -> None:
    closed_one(scene)
    with station(browser, board.address) as page:
        page.focus("#sought")
        page.keyboard.type("gl ta?")
        assert page.input_value("#sought") == "gl ta?"
        assert page.url == board.address
        page.evaluate("document.activeElement.blur()")
        page.keyboard.press("l")
        assert page.url == board.address, "no single letter acts"
        page.keyboard.press("g")
        page.keyboard.press("l")
        page.wait_for_url("**/alerts")
        page.wait_for_selector("body.live")
        page.keyboard.press("g")
        page.keyboard.press("b")
        page.wait_for_url(board.address)
        page.wait_for_selector("body.live")
