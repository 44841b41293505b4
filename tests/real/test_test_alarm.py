"""The test alarm: the whole road, marked TEST, and never in the way of a patient."""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.core.alerts import AlertState, Happening
from appliance.core.ledger import AlertEventRow, AlertRow
from appliance.dashboard.board.cards import TEST_ENDS_AFTER_S
from appliance.records.alerts import append_event, events_of
from appliance.records.check import check
from appliance.records.ledger import Ledger
from appliance.records.test_alarms import last_test, raise_test
from tests.real.appliance import settings_of, settings_text
from tests.real.browsing import station, until, wait_for
from tests.real.scenes import S, Scene
from tests.real.served import Served, served

ROOT = Path(__file__).resolve().parents[2]
ENDED = "document.querySelectorAll('.alarm.test').length === 0"


@pytest.fixture
def board(ledger_path: Path, scene: Scene) -> Iterator[Served]:
    with served(ledger_path, scene.store) as running:
        yield running


def the_test(ledger: Ledger) -> AlertRow:
    with ledger.reading() as r:
        found = last_test(r)
    assert found is not None
    return found


def events(ledger: Ledger) -> list[AlertEventRow]:
    with ledger.reading() as r:
        return events_of(r, the_test(ledger).id)


def start(ledger: Ledger, *, before_s: float = 1.0) -> None:
    with ledger.writing() as w:
        raise_test(w, by="R. Example", at_ns=time.time_ns() - round(before_s * S), details={})


def test_it_is_shown_and_sounds_once_on_every_screen_and_ends_with_an_answer(
    browser: Any, board: Served, ledger: Ledger
) -> None:
    with (
        station(browser, board.address) as page,
        station(browser, board.address + "alerts", name="S. Sample") as other,
        station(browser, board.address + "kiosk", name="") as kiosk,
    ):
        screens = (page, other, kiosk)
        for one in screens:
            until(one, "bleedwatch.soundState === 'armed'")
        page.click("footer [data-action='test-alarm']")
        for one in screens:
            one.wait_for_selector(".alarm.test")
            assert "Practice alert. This is not a patient." in one.inner_text(".alarm.test")
            until(one, "bleedwatch.pulsesScheduled === 4", within_s=3)
        assert page.title().startswith("TEST")
        assert page.locator(".alarm.test .beacon").count() == 0
        until(page, "/Ends by itself in 2:5\\d\\./.test(document.querySelector('.alarm.test .next').innerText)")
        assert kiosk.locator(".alarm.test button").count() == 0
        wait_for(lambda: sum(one.details.get("sounded") == "yes" for one in events(ledger)) == 3)
        page.wait_for_timeout(2000)
        assert [one.evaluate("bleedwatch.pulsesScheduled") for one in screens] == [4, 4, 4], "once"
        assert page.inner_text("#shout") == "", "nobody is shouted at for practice"
        other.click(".alarm.test .ack")
        for one in screens:
            until(one, ENDED, within_s=2)
        until(page, "document.getElementById('tested').textContent.includes('seen and heard by S. Sample')")
        screen = page.get_attribute("body", "data-screen")
    raised, answered = (next(one for one in events(ledger) if one.happening is kind)
                        for kind in (Happening.RAISED, Happening.ACKNOWLEDGED))  # fmt: skip
    assert (raised.by, raised.details["place"], raised.details["screen"]) == ("R. Example", "board", screen)
    assert (answered.by, answered.details["place"]) == ("S. Sample", "alerts")
    assert the_test(ledger).state is AlertState.TEST_SEEN
    assert check(ledger) == []


def test_who_starts_it_is_asked_for_a_name_and_no_sound_is_paused(browser: Any, board: Served, ledger: Ledger) -> None:
    with station(browser, board.address, name="") as page:
        page.click("footer [data-action='test-alarm']")
        page.wait_for_selector("#who[open]")
        assert page.inner_text("#who-h") == "Who starts the test?"
        assert page.locator("#who-pause").is_hidden()
        page.click("#who [data-person] >> nth=1")
        page.wait_for_selector(".alarm.test")
        page.wait_for_timeout(700)
        page.click("footer [data-action='test-alarm']")
        until(page, "document.getElementById('said').textContent === 'A test alarm is running already.'")
    (raised,) = [one for one in events(ledger) if one.happening is Happening.RAISED]
    assert raised.by == "S. Sample"


def test_a_patient_takes_stage_and_sound_from_a_test_at_once(
    browser: Any, board: Served, scene: Scene, ledger: Ledger
) -> None:
    with station(browser, board.address) as page:
        until(page, "bleedwatch.soundState === 'armed'")
        start(ledger)
        page.wait_for_selector(".alarm.test:not(.slim)")
        scene.now_ns = time.time_ns()
        scene.critical("PHANTOM^ONE", 1, before_s=0.0)
        page.wait_for_selector(".alarm.test.slim")
        assert page.locator("#stage > .alarm").first.inner_text().startswith("CRITICAL")
        until(page, "bleedwatch.pulsesScheduled >= 10", within_s=2)
        assert page.title().startswith("CRITICAL: 1 open")
        assert page.inner_text("#shout").startswith("CRITICAL.")


def test_a_test_beside_a_sounding_patient_makes_no_sound_and_says_so(
    browser: Any, board: Served, scene: Scene, ledger: Ledger
) -> None:
    scene.critical("PHANTOM^ONE", 1)
    with station(browser, board.address) as page:
        until(page, "bleedwatch.pulsesScheduled >= 10")
        start(ledger)
        page.wait_for_selector(".alarm.test.slim")
        wait_for(lambda: [one.details.get("sounded") for one in events(ledger)][1:] == ["no"])
        assert page.evaluate("bleedwatch.pulsesScheduled % 10") == 0, "bursts alone"
        page.wait_for_timeout(600)
        page.click(".alarm:not(.test) .ack")
        until(page, "bleedwatch.pulsesScheduled % 10 === 4", within_s=3)
        wait_for(lambda: [one.details.get("sounded") for one in events(ledger)][1:] == ["no", "yes"])


def test_a_test_that_nobody_answers_ends_by_itself_and_that_is_said(
    browser: Any, board: Served, ledger: Ledger
) -> None:
    start(ledger, before_s=TEST_ENDS_AFTER_S - 3)
    with station(browser, board.address) as page:
        page.wait_for_selector(".alarm.test")
        until(page, ENDED, within_s=8)
        until(page, "document.getElementById('tested').textContent.includes('nobody answered')")
    assert the_test(ledger).state is AlertState.MENDED
    last = events(ledger)[-1]
    assert (last.happening, last.by, last.details["note"]) == (Happening.MENDED, "dashboard", "nobody answered")
    assert check(ledger) == []
    start(ledger)
    assert the_test(ledger).state is AlertState.TEST_UNSEEN, "the next one is a row of its own"


@pytest.fixture
def config(tmp_path: Path, migrated: Path) -> Path:
    root = tmp_path / "box"
    shutil.copy(migrated, settings_of(root).database)
    path = root / "bleedwatch.toml"
    path.write_text(settings_text(root), encoding="utf-8")
    return path


def command(config: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "appliance.cli", "test-alarm", "--config", str(config), *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT,
    )  # fmt: skip


def test_a_timer_starts_one_from_the_command_line_and_learns_what_came_of_it(config: Path) -> None:
    database = settings_of(config.parent).database
    with Ledger.open(database) as ledger:
        started = command(config, "--by", "the morning timer", "--wait")
        wait_for(lambda: _runs(ledger), within_s=20)
        with ledger.writing() as w:
            append_event(
                w, the_test(ledger).id, Happening.ACKNOWLEDGED, at_ns=time.time_ns(), by="R. Example", details={}
            )
        said, _ = started.communicate(timeout=20)
        assert started.returncode == 0
        assert said.splitlines() == ["The test alarm has started.", "Seen and heard by R. Example."]
        assert events(ledger)[0].by == "the morning timer"
        again = command(config, "--wait")
        wait_for(lambda: _runs(ledger), within_s=20)
        with ledger.writing() as w:
            append_event(w, the_test(ledger).id, Happening.MENDED, at_ns=time.time_ns(), by="dashboard", details={})
        said, _ = again.communicate(timeout=20)
        assert again.returncode == 1
        assert "Nobody has answered." in said


def _runs(ledger: Ledger) -> bool:
    with ledger.reading() as r:
        found = last_test(r)
    return found is not None and found.state is AlertState.TEST_UNSEEN
