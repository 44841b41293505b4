"""The list of the day: narrowed, turned over and searched, with 200 studies and with names that a header should not hold."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from appliance.core.alerts import Happening
from appliance.core.seeking import words_of
from appliance.core.words import Level, Outcome, SeriesVerdict
from appliance.records.day_list import Shown, count_shown, day_list
from appliance.records.ledger import Ledger
from appliance.records.search import search_studies
from tests.real.browsing import station, until
from tests.real.scenes import Scanned, Scene, hump, raised, step
from tests.real.served import Served, served

HOSTILE = (
    "<img src=x onerror=window.owned=1>^<script>window.owned=2</script>",
    "\"'><svg onload=window.owned=3>",
    "PHAN\u202eTOM\x07^\u200bONE",
    "X" * 65000,
    "",
    "شبح^تجريبي",
    "SHIKEN^HANAKO=試験^花子",
)


@pytest.fixture
def board(ledger_path: Path, scene: Scene) -> Iterator[Served]:
    with served(ledger_path, scene.store) as running:
        yield running


def closed(scene: Scene, name: str, number: int, *, outcome: Outcome = Outcome.NO_FINDING) -> Scanned:
    """A study of a minute of its own, the later numbers the older."""
    before_s = 600.0 + 20 * number
    head = outcome is not Outcome.NOT_ANALYSED
    verdict = SeriesVerdict.READ if head else SeriesVerdict.DECLINED
    study = scene.study(name, number=number, before_s=before_s, verdict=verdict, may_be_head=head)
    why = (("none-flagged", {"n": "30"}),) if head else (("no-head", {"why": "-"}),)
    scene.close(study, outcome, why, before_s=before_s)
    return study


def alerted(scene: Scene, name: str, number: int, level: Level, *, withdrawn: bool = False) -> Scanned:
    outcome = Outcome.CRITICAL if level is Level.CRITICAL else Outcome.REVIEW
    study = scene.study(name, number=number, before_s=300)
    scene.land(study, hump(28, 15, 0.95), before_s=280)
    alert = scene.read(study, outcome, final=True, step=raised(level, final=True), before_s=270, close=not withdrawn)
    assert alert is not None
    if withdrawn:
        gone = step(Happening.WITHDRAWN, level)
        none = (("none-flagged", {"n": "28"}),)
        scene.read(study, Outcome.NO_FINDING, final=True, step=gone, before_s=200, close=True, reasons=none)
    scene.acknowledge(alert, "R. Example", before_s=100)
    return study


def names(page: Any) -> list[str]:
    return [str(one) for one in page.locator("#today .name").all_inner_texts()]


def full_day(scene: Scene, studies: int) -> None:
    for number in range(1, studies + 1):
        closed(scene, f"SAMPLE^{number:03d}", number)


# ---- what the ledger says of the list


def test_a_study_stands_under_one_word_and_an_alert_that_was_withdrawn_under_its_level(
    scene: Scene, ledger: Ledger
) -> None:
    critical = alerted(scene, "PHANTOM^ONE", 1, Level.CRITICAL)
    withdrawn = alerted(scene, "PHANTOM^TWO", 2, Level.CRITICAL, withdrawn=True)
    review = alerted(scene, "PHANTOM^THREE", 3, Level.REVIEW)
    early = closed(scene, "PHANTOM^FOUR", 4, outcome=Outcome.INDETERMINATE)
    none = closed(scene, "PHANTOM^FIVE", 5)
    no_head = closed(scene, "PHANTOM^SIX", 6, outcome=Outcome.NOT_ANALYSED)
    scene.study("PHANTOM^OPEN", number=7)
    with ledger.reading() as r:
        assert count_shown(r, 0) == {
            Shown.CRITICAL: 2, Shown.REVIEW: 1, Shown.EARLY: 1, Shown.NO_FINDING: 1, Shown.NO_HEAD: 1
        }  # fmt: skip
        of = {shown: set(day_list(r, 0, shown, limit=50)) for shown in Shown}
        everything = day_list(r, 0, None, limit=50)
    assert of[Shown.CRITICAL] == {critical.study_id, withdrawn.study_id}
    assert of[Shown.REVIEW] == {review.study_id}
    assert of[Shown.EARLY] == {early.study_id}
    assert of[Shown.NO_FINDING] == {none.study_id}
    assert of[Shown.NO_HEAD] == {no_head.study_id}
    assert sorted(everything) == sorted(one for ids in of.values() for one in ids)


def test_a_search_goes_through_name_id_and_accession_of_all_days(scene: Scene, ledger: Ledger) -> None:
    old = scene.study("MÜLLER-LÜDENSCHEIDT^Zoë", number=1, before_s=40 * 86400)
    scene.close(old, Outcome.NO_FINDING, (), before_s=40 * 86400)
    other = closed(scene, "100%^PER_CENT", 2)
    with ledger.reading() as r:
        for typed in ("zoe muller", "FAKE-0001", "acc-fake-101", "müller 0001"):
            assert search_studies(r, words_of(typed)) == [old.study_id]
        assert search_studies(r, words_of("fake")) == [other.study_id, old.study_id], "the newest first"
        assert search_studies(r, words_of("100%")) == [other.study_id]
        for typed in ("%", "_"):
            assert search_studies(r, words_of(typed)) == [other.study_id], "a sign like any other"
        assert search_studies(r, words_of("zoe fake-0002")) == []


# ---- what a person meets


def test_two_hundred_studies_are_turned_over_fifty_at_a_time(browser: Any, board: Served, scene: Scene) -> None:
    full_day(scene, 120)
    with station(browser, board.address) as page:
        until(page, "document.querySelectorAll('#today tbody tr').length === 50")
        assert names(page)[0] == "SAMPLE, 001"
        assert "1 to 50 of 120, newest first" in page.inner_text("#today .head")
        page.click("[data-number='2']")
        until(page, "document.querySelector('#today .name').textContent === 'SAMPLE, 051'")
        page.click("[data-number='3']")
        until(page, "document.querySelectorAll('#today tbody tr').length === 20")
        assert page.locator("[data-number='4']").count() == 0
        assert "101 to 120 of 120" in page.inner_text("#today .head")
        page.click("[data-number='2']")
        until(page, "document.querySelector('#today .name').textContent === 'SAMPLE, 051'")


def test_a_choice_survives_what_happens_meanwhile_and_counts_go_on(browser: Any, board: Served, scene: Scene) -> None:
    alerted(scene, "PHANTOM^ONE", 1, Level.REVIEW)
    full = [closed(scene, f"SAMPLE^{number}", number) for number in range(2, 5)]
    assert full
    with station(browser, board.address) as page:
        page.click("[data-show='review']")
        until(page, "document.querySelectorAll('#today tbody tr').length === 1")
        assert page.get_attribute("[data-show='review']", "aria-pressed") == "true"
        scene.now_ns = time.time_ns()
        closed(scene, "SAMPLE^LATER", 9)
        until(page, "document.querySelector('[data-show=\"\"] .n').textContent === '5'")
        assert names(page) == ["PHANTOM, ONE"]
        alerted(scene, "PHANTOM^LATER", 10, Level.REVIEW)
        until(page, "document.querySelectorAll('#today tbody tr').length === 2")
        page.click("[data-show='']")
        until(page, "document.querySelectorAll('#today tbody tr').length === 6")
        assert page.get_attribute("#today a.name", "href").startswith("/study/")


def test_a_search_stands_in_no_address_and_is_not_taken_for_a_pattern(
    browser: Any, board: Served, scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    full_day(scene, 12)
    closed(scene, "MÜLLER-LÜDENSCHEIDT^Zoë", 99)
    with station(browser, board.address) as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.fill("#sought", "zoe muller")
        page.keyboard.press("Enter")
        until(page, "document.querySelectorAll('#today tbody tr').length === 1")
        assert names(page) == ["MÜLLER-LÜDENSCHEIDT, Zoë"]
        assert page.inner_text("#h-day") == "Found"
        assert page.input_value("#sought") == "zoe muller", "what was typed stands where it was typed"
        scene.now_ns = time.time_ns()
        scene.critical("PHANTOM^ONE", 100, before_s=0.0)  # the page goes on living, and the search stands
        page.wait_for_selector(".alarm .ack")
        page.wait_for_timeout(800)
        assert names(page) == ["MÜLLER-LÜDENSCHEIDT, Zoë"]
        page.fill("#sought", "%")
        page.click("#search button")
        until(page, "document.querySelectorAll('#today tbody tr[data-key=\"empty\"]').length === 1")
        page.click("[data-show='']")
        until(page, "document.querySelectorAll('#today tbody tr').length === 13")
        assert page.input_value("#sought") == ""
        assert not any(word in address.lower() for address in asked for word in ("zoe", "muller", "%25"))
        assert "muller" not in page.evaluate("location.href + JSON.stringify(history.state)")
    assert "muller" not in caplog.text.lower()


def test_what_is_asked_for_is_not_believed(board: Served, scene: Scene) -> None:
    full_day(scene, 3)
    client = httpx.Client(base_url=board.address)
    token = client.get("/").text.split('name="bleedwatch-token" content="')[1].split('"')[0]
    headers = {"Origin": board.address.rstrip("/"), "X-Bleedwatch-Token": token}
    page = {"page": "a" * 16}
    for body in (
        {"show": "'; DROP TABLE study; --"}, {"show": 7}, {"number": -1}, {"number": 10**30}, {"number": "2"},
        {"words": 7}, {"words": ["x"]}, {"words": ""}, {"words": "x" * 3000}, {"words": "\x00\ud800"},
    ):  # fmt: skip
        answer = client.post("/list", content=json.dumps({**page, **body}), headers=headers)
        assert answer.status_code == 200
        assert "today" in answer.json()["parts"]
    assert client.post("/list", json={**page, "words": "sample"}).status_code == 403, "no token"
    assert client.get("/list").status_code == 405


def test_names_that_no_header_should_hold_stay_text(browser: Any, board: Served, scene: Scene) -> None:
    for number, name in enumerate(HOSTILE, start=1):
        closed(scene, name, number)
        scene.critical(name, 100 + number, before_s=20.0)
    with station(browser, board.address) as page:
        outside: list[str] = []
        page.on("request", lambda request: outside.append(request.url))
        until(page, f"document.querySelectorAll('#today tbody tr').length === {len(HOSTILE)}")
        shown = " ".join(names(page))
        for part in ("<img src=x onerror=window.owned=1>, <script>window.owned=2</script>", "PHANTOM, ONE",
                     "(no name in the header)", "شبح, تجريبي", "SHIKEN, HANAKO (試験, 花子)"):  # fmt: skip
            assert part in shown
        assert max(len(name) for name in names(page)) <= 120
        assert page.evaluate("window.owned") is None
        everything = page.evaluate("document.documentElement.outerHTML")
        assert not any(mark in everything for mark in ("\u202e", "\u200b", "\x07"))
        assert len(everything) < 400_000, "a name of 64 kB is not carried about"
        assert "3 unreadable characters removed" in page.inner_text("#stage")
        rows = page.locator("#today tbody tr").evaluate_all(
            "all => all.map((one) => one.getBoundingClientRect().height)"
        )
        assert max(rows) < 140, "two lines and an ellipsis"
        page.wait_for_timeout(500)
        assert all(address.startswith(board.address) for address in outside)


def test_a_row_that_comes_pushes_the_others_down_and_takes_no_focus(browser: Any, board: Served, scene: Scene) -> None:
    full_day(scene, 5)
    with station(browser, board.address) as page:
        until(page, "document.querySelectorAll('#today tbody tr').length === 5")
        page.focus("#today a.name")
        page.evaluate("window.row = document.activeElement.closest('tr')")
        scene.now_ns = time.time_ns()
        alerted(scene, "PHANTOM^ONE", 50, Level.REVIEW)
        until(page, "document.querySelectorAll('#today tbody tr').length === 6")
        assert page.evaluate("window.row.isConnected && window.row === document.activeElement.closest('tr')")
        assert page.evaluate("window.row.previousElementSibling.textContent").strip().startswith("REVIEW")
