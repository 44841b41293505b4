"""A bleed that the box cannot write down is on every page and sounds all the same, until it is written as what it is."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.core.status import Unrecorded
from appliance.core.words import Finality, Level
from appliance.records.alerts import raise_alert
from tests.real.browsing import station
from tests.real.scenes import Scanned, Scene
from tests.real.served import Served, served


@pytest.fixture
def board(ledger_path: Path, scene: Scene) -> Iterator[Served]:
    with served(ledger_path, scene.store) as running:
        yield running


def unrecorded_of(study: Scanned) -> Unrecorded:
    return Unrecorded(
        study_id=study.study_id,
        happening="RAISED",
        level="CRITICAL",
        finality="PROVISIONAL",
        at_ns=time.time_ns(),
        label="edh",
        side="patient’s left",
        key_number=3,
    )


def recorded(scene: Scene, study: Scanned, at_ns: int) -> int:
    with scene.ledger.writing() as w:
        row = raise_alert(
            w, study.key, Level.CRITICAL, study_id=study.study_id, series_id=study.series_id, reading_id=None,
            at_ns=at_ns, details={}, by="triage", finality=Finality.PROVISIONAL,
        )  # fmt: skip
    return row.id


def test_it_is_shown_and_sounds_and_becomes_the_alert_that_it_is(browser: Any, board: Served, scene: Scene) -> None:
    study = scene.study("PHANTOM^<b>ONE</b>", number=1, before_s=3.0)
    scene.land(study, [0.02, 0.9, 0.9], before_s=1.0)
    told: list[str] = []
    with station(browser, board.address) as page:
        page.on("response", lambda heard: told.append(f"{heard.status} {heard.url}"))
        page.wait_for_selector("#landing .row, #landing [data-key]")
        assert page.locator("#bands .band").count() == 0
        one = unrecorded_of(study)
        board.facts, board.unrecorded = {"ledger": "ledger-not-writable"}, (one,)
        page.wait_for_selector(f"#bands [data-key=unrecorded-{study.study_id}]")
        assert page.locator("body.alarmed").count() == 1
        bleed, ledger_band = (page.locator("#bands .band").nth(n) for n in range(2))
        assert bleed.locator("strong").inner_text() == "CRITICAL" and "BLIND" not in bleed.inner_text()
        assert "Suspected bleed" in bleed.inner_text() and "(EDH), patient’s left" in bleed.inner_text()
        assert "<b>ONE</b>" in bleed.inner_text(), "a header is text"
        assert bleed.locator("button").count() == 0
        assert "cannot write its records" in ledger_band.inner_text()
        page.wait_for_function("document.getElementById('shout').textContent.includes('Look at the scan now')")

        alert_id = recorded(scene, study, one.at_ns)
        page.wait_for_selector(f"[data-action=acknowledge][data-target='{alert_id}']")
        assert page.locator(f"#bands [data-key=unrecorded-{study.study_id}]").count() == 0, "said once"
        board.facts, board.unrecorded = {}, ()
        page.wait_for_selector("#bands .band", state="detached")
        assert page.locator("body.alarmed").count() == 1
    refused = [one for one in told if "/told" in one and not one.startswith("2")]
    assert refused == [], "what has no row is not reported as shown"


def test_another_alert_of_the_study_that_rang_before_does_not_hide_it(
    browser: Any, board: Served, scene: Scene
) -> None:
    study = scene.study("PHANTOM^ONE", number=1, before_s=30.0)
    recorded(scene, study, time.time_ns() - 20_000_000_000)
    with station(browser, board.address) as page:
        board.unrecorded = (unrecorded_of(study),)
        page.wait_for_selector(f"#bands [data-key=unrecorded-{study.study_id}]")


def test_of_a_triage_that_has_died_the_bleed_stays_and_its_word_on_the_ledger_goes(
    browser: Any, board: Served, scene: Scene
) -> None:
    study = scene.study("PHANTOM^ONE", number=1, before_s=30.0)
    with station(browser, board.address) as page:
        board.facts, board.unrecorded = {"ledger": "ledger-not-writable"}, (unrecorded_of(study),)
        page.wait_for_selector("#bands [data-key=ledger-not-writable]")
        board.triage_quiet_s = 60.0
        page.wait_for_selector("#bands [data-key=ledger-not-writable]", state="detached")
        assert page.locator(f"#bands [data-key=unrecorded-{study.study_id}]").count() == 1
