"""The wall screen: nothing to press, no name that the site does not allow, and a channel like any other page."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from appliance.core.alerts import Happening
from appliance.core.headers import Patient
from appliance.core.words import Outcome, SeriesVerdict
from appliance.dashboard.words.wording import id_end, initials
from appliance.records.alerts import events_of
from appliance.records.ledger import Ledger
from tests.real.browsing import station, until, wait_for
from tests.real.scenes import Scene
from tests.real.served import CONFIG, Served, served

WALL_PX = (1920, 1080)
PATIENT = ("ZWILLING", "QUENTIN", "FAKE-0001", "1951-01-01", "ACC-FAKE-101")


@pytest.fixture
def board(ledger_path: Path, scene: Scene) -> Iterator[Served]:
    with served(ledger_path, scene.store) as running:
        yield running


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("PHANTOM^ONE", "P. O."),
        ("phantom^one^two^dr", "P. O."),
        ("SHIKEN^HANAKO=試験^花子", "S. H."),
        ("=試験^花子", "試. 花."),
        ("<img src>^<script>", "I. S."),
        ("\u202eØstergård^\x07élise", "Ø. É."),
        ("^ONE", "O."),
        ("", "(no name)"),
        ("^^--^", "(no name)"),
    ],
)
def test_a_name_becomes_initials(name: str, said: str) -> None:
    assert initials(Patient(identity="x", name=name)) == said


@pytest.mark.parametrize(
    ("patient_id", "said"), [("FAKE-0001", "ends 0001"), ("12345", "ends 45"), ("1", ""), ("", ""), ("12", "ends 2")]
)
def test_an_id_is_never_told_whole(patient_id: str, said: str) -> None:
    assert id_end(Patient(identity="x", patient_id=patient_id)) == said


def test_no_name_reaches_the_wall_screen_by_any_road(browser: Any, board: Served, scene: Scene) -> None:
    scene.critical("ZWILLING^QUENTIN", 1)
    unread = scene.study("ZWILLING^QUENTIN", number=1001, verdict=SeriesVerdict.DECLINED, reasons=(("contrast", {}),))
    scene.close(unread, Outcome.NOT_ANALYSED, (("no-eligible-series", {"why": "contrast"}),))
    text = httpx.get(board.address + "kiosk").text
    with station(browser, board.address + "kiosk", name="", size_px=WALL_PX) as page:
        page.wait_for_selector(".alarm")
        scene.now_ns = time.time_ns()
        scene.critical("ZWILLING^QUENTIN", 2001, before_s=0.0)
        until(page, "document.querySelectorAll('.alarm').length === 3")
        text += page.evaluate("document.documentElement.outerHTML")
        assert "Z. Q., ID ends 2001" in page.inner_text("#stage")
        assert "names are hidden on this screen by site rule" in page.inner_text("#stage")
        assert page.inner_text("#shout").startswith("CRITICAL.")
        assert "Press A" not in page.inner_text("#shout")
        cookie = "; ".join(f"{one['name']}={one['value']}" for one in page.context.cookies())
    with httpx.stream(
        "GET", board.address + "stream?page=" + "e" * 16 + "&place=kiosk", headers={"Cookie": cookie}
    ) as stream:
        for chunk in stream.iter_text():
            text += chunk
            if text.count("event: alive") > 1:
                break
    assert "event: board" in text
    for part in PATIENT:
        assert part not in text


def test_it_shows_whole_names_where_the_site_allows_them(browser: Any, ledger_path: Path, scene: Scene) -> None:
    scene.critical("ZWILLING^QUENTIN", 1)
    with (
        served(ledger_path, scene.store, config=replace(CONFIG, kiosk_names=True)) as board,
        station(browser, board.address + "kiosk", name="", size_px=WALL_PX) as page,
    ):
        assert page.inner_text(".alarm .who") == "ZWILLING, QUENTIN"
        assert "FAKE-0001" in page.inner_text(".alarm .id")


def test_nothing_can_be_pressed_and_the_words_are_larger(browser: Any, board: Served, scene: Scene) -> None:
    scene.critical("PHANTOM^ONE", 1)
    scene.technical("engine-older", version="1.3.2")
    with station(browser, board.address + "kiosk", name="", size_px=WALL_PX) as page:
        page.wait_for_selector(".alarm .beacon")
        assert page.locator("nav, main a, main button, #bands button, #person").count() == 0
        assert page.locator("button:visible").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        word = "parseFloat(getComputedStyle(document.querySelector('.word strong')).fontSize)"
        assert page.evaluate(word) >= 125, "capitals of 25.9 mm on a wall screen of 24 inches"
        card = page.locator(".alarm").bounding_box()
        assert card["y"] + card["height"] <= WALL_PX[1], "the whole card is on the screen"


def test_it_sounds_reports_and_counts_as_a_channel(browser: Any, board: Served, scene: Scene, ledger: Ledger) -> None:
    with station(browser, board.address + "kiosk", name="", size_px=WALL_PX) as page:
        until(page, "bleedwatch.soundState === 'armed'")
        wait_for(lambda: [(one.place, one.armed) for one in board.pages] == [("kiosk", True)], within_s=6)
        scene.now_ns = time.time_ns()
        alert = scene.critical("PHANTOM^ONE", 1, before_s=0.0)
        until(page, "bleedwatch.pulsesScheduled >= 10", within_s=2)

        def told() -> list[str]:
            with ledger.reading() as r:
                return [
                    one.details["sounded"] for one in events_of(r, alert.id) if one.happening is Happening.DELIVERED
                ]

        wait_for(lambda: told() == ["yes"])


def test_a_kiosk_that_may_not_sound_says_so_and_can_be_armed(silent_browser: Any, board: Served) -> None:
    with station(silent_browser, board.address + "kiosk", name="", size_px=WALL_PX) as page:
        page.wait_for_selector("#silent:not([hidden])")
        wait_for(lambda: [one.armed for one in board.pages] == [False], within_s=6)
        page.click("#silent [data-arm]")
        until(page, "bleedwatch.soundState === 'armed'")


def test_a_box_that_has_never_seen_a_scan_asks_nothing_of_the_wall(browser: Any, board: Served) -> None:
    with station(browser, board.address + "kiosk", name="", size_px=WALL_PX) as page:
        assert page.inner_text(".calm h1") == "Nothing landed yet"
        assert page.locator(".steps").count() == 0
