"""The study page: the real console on loopback, and a real browser."""

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import sqlalchemy as sa

from appliance.core.alerts import Happening, Judged
from appliance.core.ledger import AlertRow
from appliance.core.studies import StudyJudged
from appliance.core.words import Level, Outcome, SeriesVerdict
from appliance.dashboard.words.moments import Calendar
from appliance.records.alerts import append_event, events_of, existing_alert
from appliance.records.check import check
from appliance.records.ledger import Ledger
from appliance.records.models import slice_
from appliance.records.series import series_of, update_series_facts
from appliance.records.studies import study_by_id, study_events_of, update_study_facts
from tests.conftest import MakeBox
from tests.phantom_exams import series_files, small_exam
from tests.real.browsing import station, until
from tests.real.scenes import S, Scene, hump, raised, step
from tests.real.served import Served, served
from tests.real.study_pages import SLICE, critical, shows, study_address
from tests.real.test_board import Station
from tests.real.test_series import send

HOSTILE = "<img src=x onerror=window.owned=1>\u202e\x07<script>window.owned=2</script>"


@pytest.fixture
def board(ledger_path: Path, scene: Scene) -> Iterator[Served]:
    with served(ledger_path, scene.store) as running:
        yield running


def judged(ledger: Ledger, alert: AlertRow) -> list[tuple[str, Judged | None]]:
    with ledger.reading() as r:
        return [(one.by, one.judged) for one in events_of(r, alert.id) if one.happening is Happening.JUDGED]


def answer(alert: AlertRow, word: object = "confirmed", **more: Any) -> dict[str, Any]:
    return {
        "page": "a" * 16,
        "alert": alert.id,
        "event": alert.last_event_id,
        "judged": word,
        "by": "R. Example",
        **more,
    }


# ---- what a stranger may do


def test_only_studies_there_are_have_a_page(board: Served, scene: Scene) -> None:
    scanned, _ = critical(scene)
    assert httpx.get(study_address(board, scanned.study_id)).status_code == 200
    for path in ("999", str(2**63), str(2**80), "9" * 5000, "x", "0", "999/parts", "-1", "1e3", "%D9%A1"):
        assert httpx.get(f"{board.address}study/{path}").status_code == 404, path
    for number in (0, 2**63, 2**80, "9" * 5000):
        assert httpx.get(f"{board.address}picture/{number}.png").status_code == 404, number
        assert httpx.get(f"{board.address}picture/{number}/brain.png").status_code == 404, number
    for series in ("x", "-1", "9" * 40, "9" * 5000, "99999", "٣"):
        assert httpx.get(study_address(board, scanned.study_id), params={"series": series}).status_code == 200


def test_the_page_holds_no_inline_script_or_style_and_its_address_no_name(board: Served, scene: Scene) -> None:
    scanned, _ = critical(scene)
    text = httpx.get(study_address(board, scanned.study_id)).text
    assert " style=" not in text and "<style" not in text
    assert "PHANTOM" in text and "PHANTOM" not in text.split("</title>")[0]
    assert scanned.facts.study_uid not in text


# ---- judging


def test_a_judgement_needs_origin_token_name_and_word(board: Served, scene: Scene, ledger: Ledger) -> None:
    _, alert = critical(scene)
    at = Station(board)
    assert at.post("judge", answer(alert), origin="http://evil.example").status_code == 403
    assert at.post("judge", answer(alert), token="x" * 43).status_code == 403
    assert httpx.get(board.address + "judge").status_code == 405
    for word in ("", "yes", 1, None, ["confirmed"], {"a": 1}, "CONFIRMED"):
        assert at.post("judge", answer(alert, word)).status_code == 422, word
    assert at.post("judge", answer(alert, by=" \u202e ")).status_code == 422
    assert at.post("judge", {**answer(alert), "alert": 999}).status_code == 404
    fault = scene.technical("engine-fault")
    assert at.post("judge", answer(fault)).status_code == 409
    assert judged(ledger, alert) == [] and judged(ledger, fault) == []


def test_who_judges_has_looked_and_may_say_it_again(board: Served, scene: Scene, ledger: Ledger) -> None:
    _, alert = critical(scene)
    at = Station(board)
    first = at.post("judge", answer(alert, "unclear"))
    assert (first.status_code, first.json()["message"]) == (200, "Your answer is on record.")
    with ledger.reading() as r:
        row = existing_alert(r, alert.id)
    assert not row.sounds and row.acknowledged_by == "R. Example"
    again = at.post("judge", answer(alert, "refuted", by="S. Sample"))
    assert again.json()["message"] == "Your new answer counts. The old one stays on record."
    assert judged(ledger, alert) == [("R. Example", Judged.UNCLEAR), ("S. Sample", Judged.REFUTED)]
    with ledger.reading() as r:
        assert existing_alert(r, alert.id).judged is Judged.REFUTED


def test_a_judgement_does_not_silence_what_the_page_has_not_shown(board: Served, scene: Scene, ledger: Ledger) -> None:
    _, alert = critical(scene)
    scene.acknowledge(alert, "S. Sample")
    with ledger.writing() as w:
        append_event(w, alert.id, Happening.WITHDRAWN, at_ns=scene.now_ns, by="triage", details={})
        anew = append_event(
            w, alert.id, Happening.RAISED, at_ns=scene.now_ns, by="triage", details={}, level=Level.CRITICAL
        )
    time.sleep(0.6)
    at = Station(board)
    assert at.post("judge", answer(alert, "refuted")).status_code == 409
    assert at.post("judge", answer(anew, "refuted")).status_code == 200
    fresh = scene.critical("PHANTOM^TWO", 2, before_s=0.0)
    with ledger.writing() as w:
        now_ns = time.time_ns()
        doubted = append_event(w, fresh.id, Happening.DOUBTED, at_ns=now_ns, by="triage", details={})
    assert at.post("judge", answer(doubted)).status_code == 409, "changed in the last half second"


# ---- in a browser: what is said and answered


def test_what_was_found_where_how_large_and_who_was_told(browser: Any, board: Served, scene: Scene) -> None:
    scanned, _ = critical(scene)
    with station(browser, study_address(board, scanned.study_id)) as page:
        until(page, "document.querySelector('#study-side').textContent.includes('sound played on 1')")
        finding = page.inner_text("[data-key=finding]")
        assert "Suspected bleed inside the brain (IPH), patient’s left" in finding
        assert "provisional: 19 of 28 slices read, the scan is still running" in finding
        assert "Slices 14 to 18, about 25 mm tall; warm area " in finding
        assert "on slice 16. Rough: from the heat map, not a volume." in finding
        assert page.locator(".probs dt").count() == 6
        assert page.locator(".probs .meter line").count() == 12, "both points on each"
        assert "0.95" in page.inner_text(".probs")
        log = page.inner_text(".log")
        assert "Slice 17 landed" in log and "0 ms" in log
        assert "CRITICAL raised, provisional, slices 16 and 17" in log
        assert "On 1 screen, sound played on 1" in log
        page.click("#study-record summary")
        record = page.inner_text("#study-record")
        assert "head-ct 0.1.0, onnxruntime" in record and "e" * 64 in record and "0.80 and 0.40" in record


def test_acknowledge_stands_in_the_verdict_and_only_there(
    browser: Any, board: Served, scene: Scene, ledger: Ledger
) -> None:
    scanned, alert = critical(scene)
    other = scene.critical("PHANTOM^TWO", 2, before_s=3.0)
    with station(browser, study_address(board, scanned.study_id)) as page:
        until(page, "document.querySelectorAll('#bar article').length === 1")
        assert "PHANTOM, TWO" in page.inner_text("#bar")
        page.wait_for_timeout(600)
        page.click(".verdict .ack")
        page.wait_for_selector(".verdict.critical.seen")
        assert "Acknowledged" in page.inner_text(".verdict") and "R. Example" in page.inner_text(".verdict")
        assert page.locator(".verdict .ack").count() == 0 and page.locator(".verdict .beacon").count() == 0
        assert "Acknowledged by R. Example on the page of the study, screen " in page.inner_text(".log")
        until(page, "document.querySelectorAll('#bar article').length === 1")
    with ledger.reading() as r:
        assert not existing_alert(r, alert.id).sounds and existing_alert(r, other.id).sounds


def test_a_judgement_is_given_twice_and_both_stay(browser: Any, board: Served, scene: Scene, ledger: Ledger) -> None:
    scanned, alert = critical(scene)
    scene.acknowledge(alert, "R. Example")
    with station(browser, study_address(board, scanned.study_id)) as page:
        page.wait_for_timeout(600)
        page.click("text=Unclear")
        until(page, "document.querySelectorAll('.said').length === 1")
        assert page.inner_text("#said") == "Your answer is on record."
        page.wait_for_timeout(600)
        page.click("text=Right: there is a bleed")
        until(page, "document.querySelectorAll('.said').length === 2")
        assert page.inner_text("#said") == "Your new answer counts. The old one stays on record."
        newest, before = page.locator(".said").all_inner_texts()
        assert newest.startswith("Right: there is a bleed. R. Example, ") and before.startswith("Before: Unclear.")
        assert page.locator(".judge [aria-pressed=true]").inner_text() == "Right: there is a bleed"
        assert "Judged right: there is a bleed" in page.inner_text(".verdict")
        assert "1 of 1 judged CRITICAL were right (100 %, 95 % interval 21 to 100 %)" in page.inner_text("#study-side")
    assert judged(ledger, alert) == [("R. Example", Judged.UNCLEAR), ("R. Example", Judged.CONFIRMED)]


def test_the_page_follows_and_keeps_the_slice_that_a_person_looks_at(browser: Any, board: Served, scene: Scene) -> None:
    scanned = scene.study("PHANTOM^ONE", number=1, expected=28)
    chances = hump(28, 15, 0.95)
    scene.land(scanned, chances[:10], before_s=3.0)
    with station(browser, study_address(board, scanned.study_id)) as page:
        until(page, f"{SLICE} === 'Slice 6 of 10 so far'")
        assert "SCANNING" in page.inner_text(".verdict")
        assert "Nothing flagged so far." in page.inner_text("[data-key=finding]")
        page.keyboard.press("Home")
        shows(page, scanned.slice_ids[0])
        page.evaluate("window.same = document.querySelector('#view')")
        scene.now_ns = time.time_ns()
        scene.land(scanned, chances[10:19], before_s=0.0)
        scene.read(scanned, Outcome.CRITICAL, final=False, step=raised(Level.CRITICAL), before_s=0.0)
        page.wait_for_selector(".verdict.critical .ack")
        until(page, f"{SLICE} === 'Slice 1 of 19 so far'")
        shows(page, scanned.slice_ids[0])
        assert page.locator("#study-strip .b-crit").count() == 3 and page.locator("#study-strip .b-wait").count() == 9
        page.keyboard.press("k")
        shows(page, scanned.slice_ids[15])
        assert page.evaluate("window.same === document.querySelector('#view')")


def test_a_page_that_nobody_has_turned_goes_to_the_key_slice(browser: Any, board: Served, scene: Scene) -> None:
    scanned = scene.study("PHANTOM^ONE", number=1, expected=28)
    chances = hump(28, 15, 0.95)
    with station(browser, study_address(board, scanned.study_id)) as page:
        assert page.locator("#viewer").is_hidden(), "nothing has landed"
        scene.now_ns = time.time_ns()
        scene.land(scanned, chances[:19], before_s=0.0)
        until(page, f"{SLICE} === 'Slice 10 of 19 so far'")
        scene.read(scanned, Outcome.CRITICAL, final=False, step=raised(Level.CRITICAL), before_s=0.0)
        shows(page, scanned.slice_ids[15])
        assert page.inner_text("#study-corners .or.W") == "R"


# ---- in a browser: the other states


def test_withdrawn_is_struck_through_only_once_a_person_has_seen_it(browser: Any, board: Served, scene: Scene) -> None:
    scanned = scene.study("NOBODY^EIGHT", number=8, before_s=60)
    scene.land(scanned, hump(28, 15, 0.95), before_s=40)
    scene.read(scanned, Outcome.CRITICAL, final=False, step=raised(Level.CRITICAL), before_s=38)
    scanned.probabilities = [0.21] * 28
    scene.read(
        scanned, Outcome.NO_FINDING, final=True, step=step(Happening.WITHDRAWN, Level.CRITICAL), before_s=5, close=True,
        details={"why": "all 28 slices together do not look like a bleed"},
    )  # fmt: skip
    with station(browser, study_address(board, scanned.study_id)) as page:
        shows(page, scanned.slice_ids[15])
        assert "Withdrawn after 33 s, nobody has seen it" in page.inner_text(".verdict.critical")
        assert "it goes on until a person has pressed" in page.inner_text("[data-key=finding]")
        page.wait_for_timeout(600)
        page.click(".verdict .ack")
        page.wait_for_selector(".verdict.withdrawn")
        struck = page.evaluate("getComputedStyle(document.querySelector('#study-word')).textDecorationLine")
        assert struck == "line-through"
        why = page.inner_text("[data-key=finding]")
        assert "Why it was taken back" in why
        assert "All 28 slices together do not: 0.21, under the review point." in why
        assert "Please look at slice 16 yourself. A withdrawn alert stays on record." in why
        assert "Final reading" in page.inner_text("[data-key=figures]")
        assert "Withdrawn: final reading 0.21" in page.inner_text(".log")
        assert page.locator(".judge button").count() == 3


def test_a_reason_in_a_sentence_of_its_own_ends_once(board: Served, scene: Scene) -> None:
    scanned = scene.study("NOBODY^EIGHT", number=8, before_s=60)
    scene.land(scanned, hump(28, 15, 0.95), before_s=40)
    scene.read(scanned, Outcome.CRITICAL, final=False, step=raised(Level.CRITICAL), before_s=38)
    scene.read(
        scanned, Outcome.INDETERMINATE, final=True, step=step(Happening.WITHDRAWN, Level.CRITICAL), before_s=5,
        close=True, details={"why": "Bright streaks from metal in slices 8 to 10."},
    )  # fmt: skip
    html = httpx.get(study_address(board, scanned.study_id)).text
    assert "Taken back: Bright streaks from metal in slices 8 to 10. It had been" in html
    assert ".." not in re.sub(r"<[^>]*>", " ", html)


def test_what_happened_on_another_day_says_which(board: Served, scene: Scene) -> None:
    scanned = scene.study("PHANTOM^ONE", number=1, before_s=3 * 86_400 + 20)
    scene.land(scanned, hump(28, 15, 0.95), before_s=3 * 86_400)
    alert = scene.read(
        scanned, Outcome.CRITICAL, final=True, step=raised(Level.CRITICAL, final=True), before_s=3 * 86_400, close=True
    )
    assert alert is not None
    scene.acknowledge(alert, "R. Example", before_s=3 * 86_400 - 60)
    at = Calendar.of("").at(scene.now_ns - (3 * 86_400 - 60) * S)
    assert f"Acknowledged {at:%Y-%m-%d %H:%M}" in httpx.get(study_address(board, scanned.study_id)).text


@pytest.mark.parametrize("size_px", [(1280, 1024), (820, 1180), (390, 844)])
def test_the_name_stands_whole_in_the_verdict_and_nothing_runs_over_its_edge(
    browser: Any, board: Served, scene: Scene, size_px: tuple[int, int]
) -> None:
    scanned, _ = critical(scene)
    with station(browser, study_address(board, scanned.study_id), size_px=size_px) as page:
        lines = "(() => { const range = document.createRange();"
        lines += " range.selectNodeContents(document.querySelector('#study-who bdi').firstChild);"
        lines += " return range.getClientRects().length; })()"
        assert page.evaluate(lines) == 1
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        behind = page.evaluate("getComputedStyle(document.querySelector('.viewer .ct .bl')).backgroundColor")
        assert behind == "rgba(0, 0, 0, 0.7)"  # whatever the picture holds there


def test_not_analysed_says_why_and_is_seen(browser: Any, board: Served, scene: Scene, ledger: Ledger) -> None:
    contrast = (("contrast", {}),)
    scanned = scene.study("MOCK^FIVE", number=5, verdict=SeriesVerdict.DECLINED, reasons=contrast)
    scene.close(scanned, Outcome.NOT_ANALYSED, (("no-eligible-series", {"why": "contrast"}),))
    with station(browser, study_address(board, scanned.study_id)) as page:
        assert page.inner_text("#study-word") == "NOT ANALYSED"
        why = page.inner_text("[data-key=unread]")
        assert "Contrast was given. This engine reads native head CT only." in why and "contrast" in why
        assert "Nobody has looked at this scan for you." in why
        assert "Declined. Contrast was given." in page.inner_text("[data-key=every-series]")
        assert page.locator("#viewer").is_hidden() and page.locator("[data-action=judge]").count() == 0
        page.wait_for_timeout(600)
        page.click(".verdict .ack")
        until(page, "document.querySelector('.verdict').textContent.includes('seen by R. Example')")
        assert "Seen by R. Example" in page.inner_text(".log")
    with ledger.reading() as r:
        seen = study_by_id(r, scanned.study_id)
        assert seen is not None and seen.seen_by == "R. Example"
        assert len(study_events_of(r, scanned.study_id)) == 3


def test_no_finding_is_never_called_normal(browser: Any, board: Served, scene: Scene) -> None:
    scanned = scene.study("SAMPLE^FOUR", number=4, before_s=60)
    scene.land(scanned, [0.02] * 30, before_s=40)
    scene.read(scanned, Outcome.NO_FINDING, final=True, close=True, reasons=(("none-flagged", {"n": "30"}),))
    with station(browser, study_address(board, scanned.study_id)) as page:
        text = page.inner_text("main")
        assert "All 30 slices read, none flagged. A person still has to read it." in text
        assert "NO FINDING does not mean normal" in text
        assert text.lower().replace("does not mean normal", "").count("normal") == 0
        assert "No alert was raised for this scan" in text


def test_hostile_headers_stay_text(browser: Any, board: Served, scene: Scene, ledger: Ledger) -> None:
    scanned, alert = critical(scene)
    huge = HOSTILE + "A" * 65536
    patient = replace(scanned.facts.patient, name=huge, patient_id=huge, birth_date=HOSTILE, sex=HOSTILE)
    with ledger.writing() as w:
        update_study_facts(w, scanned.study_id, replace(scanned.facts, patient=patient, accession=huge,
                                                        description=huge, scanner=huge))  # fmt: skip
        series = series_of(w, scanned.study_id)[0]
        hostile = replace(series.facts, description=huge, protocol=huge, kernel=(huge,), modality=huge, body_part=huge)
        update_series_facts(w, series.id, hostile)
        append_event(w, alert.id, Happening.DELIVERED, at_ns=scene.now_ns, by=HOSTILE, details={})
        w.execute(sa.update(slice_).values(acquired=HOSTILE))
    asked: list[str] = []
    with station(browser, board.address) as page:
        page.on("request", lambda request: asked.append(request.url))
        page.goto(study_address(board, scanned.study_id))
        page.wait_for_selector("body.live")
        shows(page, scanned.slice_ids[15])
        page.click("#study-record summary")
        page.wait_for_timeout(500)
        assert page.evaluate("window.owned") is None
        assert page.locator("main script").count() == 0 and page.locator("main img:not(#grey):not(#warm)").count() == 0
        for place in (".verdict .who", ".verdict .sub", "#study-corners .tl", ".log", "#study-record"):
            text = page.inner_text(place)
            assert "<img src=x onerror=window.owned=1>" in text, place
            assert "\u202e" not in text and "\x07" not in text, place
        assert all(one.startswith(board.address) for one in asked), "no request leaves"
        assert page.locator(".verdict .ack").is_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_on_paper_everything_is_open_and_nothing_can_be_pressed(
    browser: Any, board: Served, scene: Scene, tmp_path: Path
) -> None:
    scanned, _ = critical(scene)
    with station(browser, study_address(board, scanned.study_id)) as page:
        shows(page, scanned.slice_ids[15])
        page.emulate_media(media="print")
        for hidden in (".verdict .ack", ".tools", ".judge", "#slice", "nav"):
            assert page.locator(hidden).first.is_hidden(), hidden
        assert (
            page.evaluate("getComputedStyle(document.querySelector('.verdict')).backgroundColor")
            == "rgb(255, 255, 255)"
        )
        assert page.locator("#view").is_visible()
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert page.locator("#study-record table").is_visible()
        page.screenshot(path=tmp_path / "print.png")
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        pdf = page.pdf(format="A4")
        assert pdf.count(b"/Type /Page\n") <= 2


# ---- a scan that the real triage has read


def test_a_real_reading_is_shown_with_its_files(browser: Any, make_box: MakeBox) -> None:
    box = make_box("bleeds")
    send(box, series_files("bleeds"))
    send(box, series_files("bleeds")[3:4], prefix="again")
    box.rest()
    study = box.study()
    bled = np.flatnonzero(small_exam().labels[:, 0]) + 1
    with (
        served(box.settings.database, box.settings.store_folder) as board,
        station(browser, study_address(board, study.id)) as page,
    ):
        until(page, f"{SLICE}.includes('(key slice)')")
        finding = page.inner_text("[data-key=finding]")
        assert "Suspected bleed" in finding and "final: all 30 slices read" in finding
        first, last = (int(number) for number in re.findall(r"Slices (\d+) to (\d+)", finding)[0])
        assert bled[0] - 2 <= first <= bled[0] + 3 and bled[-1] - 3 <= last <= bled[-1] + 2
        log = page.inner_text(".log")
        assert "CRITICAL raised, provisional, slice" in log and "Confirmed: final reading" in log
        page.click("#study-record summary")
        record = page.inner_text("#study-record")
        assert "31 landed = 30 taken + 1 duplicate" in record
        assert box.engine.card.sha256 in record


def test_a_bleed_that_the_box_has_missed_is_kept_with_who_saw_it_and_where(
    browser: Any, board: Served, scene: Scene, ledger: Ledger
) -> None:
    scanned = scene.study("SAMPLE^FOUR", number=4, before_s=60)
    scene.land(scanned, [0.02] * 30, before_s=40)
    scene.read(scanned, Outcome.NO_FINDING, final=True, close=True, reasons=(("none-flagged", {"n": "30"}),))
    with station(browser, study_address(board, scanned.study_id)) as page:
        page.wait_for_timeout(600)  # a press on what has just come is not meant
        page.click("[data-action=judge-study][data-judged=unclear]")
        until(page, "document.querySelector('.said')?.textContent.includes('Unclear. R. Example')")
        page.wait_for_timeout(600)
        page.click("[data-action=judge-study][data-judged=bleed]")
        until(page, "document.querySelector('.said')?.textContent.includes('There is a bleed. R. Example')")
        assert "Before: Unclear" in page.inner_text("[data-key=judging]")
        assert "There is a bleed, says R. Example, on the page of the study, screen" in page.inner_text(".log")
    with ledger.reading() as r:
        row = study_by_id(r, scanned.study_id)
        last = study_events_of(r, scanned.study_id)[-1]
    assert row is not None and row.judged is StudyJudged.BLEED
    assert (last.by, last.details["place"]) == ("R. Example", "study") and last.details["screen"]
    assert check(ledger) == []
