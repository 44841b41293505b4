"""The history of alerts: as a page, as a file, and on the command line. What it counts is counted here by hand."""

import json
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from appliance.cli import bleedwatch
from appliance.core.alerts import Happening, Judged
from appliance.core.escalation import EscalationPolicy, EscalationStep
from appliance.core.ledger import AlertKey, AlertRow
from appliance.core.pseudonyms import study_hash, uid_hash
from appliance.core.words import Level, Outcome, Side
from appliance.dashboard.alerts.page import Asked
from appliance.dashboard.words.moments import Calendar
from appliance.records.alert_export import Depth, export_steps
from appliance.records.alert_history import ROWS_A_PAGE, Show, read_history
from appliance.records.alert_sums import sum_alerts
from appliance.records.alerts import append_event, existing_alert, raise_alert
from appliance.records.check import check
from appliance.records.deliveries import (
    Owed,
    delivery_dead,
    delivery_done,
    delivery_failed,
    enqueue,
    waiting_deliveries,
)
from appliance.records.ledger import Ledger
from appliance.records.studies import update_study_facts
from tests.real.appliance import settings_text
from tests.real.browsing import Browsers, station, until
from tests.real.scenes import S, Scene, hump, raised, step
from tests.real.served import CONFIG, Served, served

MINUTE = 60
HOSTILE = "<img src=x onerror=window.owned=1>^<script>window.owned=2</script>"
POLICY = EscalationPolicy(
    steps=(
        EscalationStep(name="Gateway", after_s=0, channels=("webhook",)),
        EscalationStep(name="Stroke team", after_s=120, channels=("pager",)),
    )
)


@pytest.fixture
def board(ledger_path: Path, scene: Scene) -> Iterator[Served]:
    with served(ledger_path, scene.store, config=replace(CONFIG, escalation=POLICY)) as running:
        yield running


def final(
    scene: Scene,
    name: str,
    number: int,
    *,
    before_s: float,
    outcome: Outcome = Outcome.CRITICAL,
    label: str = "iph",
    side: Side = Side.LEFT,
) -> AlertRow:
    """A study that is closed and has raised its alert."""
    scanned = scene.study(name, number=number, before_s=before_s + 20)
    scene.land(scanned, hump(14, 7, 0.95 if outcome is Outcome.CRITICAL else 0.6), before_s=before_s)
    level = Level.CRITICAL if outcome is Outcome.CRITICAL else Level.REVIEW
    alert = scene.read(
        scanned,
        outcome,
        final=True,
        step=raised(level, final=True),
        label=label,
        side=side,
        before_s=before_s,
        close=True,
    )
    assert alert is not None
    return alert


def happens(
    scene: Scene,
    alert: AlertRow,
    what: Happening,
    *,
    before_s: float,
    by: str,
    judged: Judged | None = None,
    **said: str,
) -> None:
    at_ns = scene.now_ns - round(before_s * S)
    with scene.ledger.writing() as w:
        append_event(w, alert.id, what, at_ns=at_ns, by=by, details=said, judged=judged)


def told_history(scene: Scene) -> dict[str, AlertRow]:
    """One alert of each kind that the page tells apart."""
    test_key = AlertKey(kind="test", first="test", second="1")
    with scene.ledger.writing() as w:
        test = raise_alert(
            w,
            test_key,
            Level.TEST,
            study_id=None,
            series_id=None,
            reading_id=None,
            at_ns=scene.now_ns - 30 * MINUTE * S,
            details={},
            by="R. Example",
        )
    happens(scene, test, Happening.ACKNOWLEDGED, before_s=30 * MINUTE - 21, by="R. Example")

    escalated = final(scene, "DEMO^THIRTEEN", 13, before_s=25 * MINUTE, label="sah", side=Side.BOTH)
    start = str(escalated.last_event_id)
    for page, sounded in (("a", "yes"), ("b", "no")):
        happens(
            scene, escalated, Happening.DELIVERED, before_s=25 * MINUTE - 1, by="page",
            page=page * 16, event=start, sounded=sounded,
        )  # fmt: skip
    happens(scene, escalated, Happening.DELIVERED, before_s=25 * MINUTE - 2, by="webhook", event=start)
    happens(
        scene, escalated, Happening.ESCALATED, before_s=25 * MINUTE - 120, by="courier",
        step="2", round="1", name="Stroke team", channels="pager", why="time",
    )  # fmt: skip
    happens(scene, escalated, Happening.FAILED, before_s=25 * MINUTE - 121, by="pager", event=start, error="Timeout")
    happens(scene, escalated, Happening.ACKNOWLEDGED, before_s=25 * MINUTE - 154, by="Dr. Fictional")
    happens(scene, escalated, Happening.JUDGED, before_s=900, by="S. Sample", judged=Judged.REFUTED)
    happens(scene, escalated, Happening.JUDGED, before_s=600, by="Dr. Fictional", judged=Judged.CONFIRMED)

    scanned = scene.study("NOBODY^EIGHT", number=8, before_s=21 * MINUTE)
    scene.land(scanned, hump(14, 7, 0.95), before_s=20 * MINUTE)
    withdrawn = scene.read(
        scanned, Outcome.CRITICAL, final=False, step=raised(Level.CRITICAL), label="sdh", before_s=20 * MINUTE
    )
    assert withdrawn is not None
    scene.read(
        scanned,
        Outcome.NO_FINDING,
        final=True,
        step=step(Happening.WITHDRAWN, Level.CRITICAL),
        label="sdh",
        before_s=20 * MINUTE - 33,
        close=True,
        details={"why": "all 14 slices together do not look like a bleed"},
    )
    happens(scene, withdrawn, Happening.ACKNOWLEDGED, before_s=20 * MINUTE - 99, by="R. Example")

    mended = scene.technical("backend-fell-back", before_s=15 * MINUTE, time="14:12")
    happens(scene, mended, Happening.MENDED, before_s=5 * MINUTE, by="triage")
    standing = scene.technical("sop-conflict", before_s=8 * MINUTE)
    review = final(scene, "PHANTOM^TWO", 2, before_s=11 * MINUTE, outcome=Outcome.REVIEW, label="sdh", side=Side.RIGHT)
    fresh = scene.critical("PHANTOM^ONE", 1, before_s=5)
    return {
        "test": test,
        "escalated": escalated,
        "withdrawn": withdrawn,
        "mended": mended,
        "standing": standing,
        "review": review,
        "fresh": fresh,
    }


def row_words(address: str, alert: AlertRow) -> list[str]:
    """The cells of an alert's row, as text."""
    html = httpx.get(address).text
    found = re.search(rf'<tr data-key="history-{alert.id}".*?</tr>', html, re.S)
    assert found is not None
    cells = re.findall(r"<t[dh].*?</t[dh]>", found.group(0), re.S)
    return [" ".join(re.sub(r"<[^>]*>", " ", cell).split()) for cell in cells]


# ---- what the page says


def test_each_kind_of_alert_has_its_own_words(board: Served, scene: Scene) -> None:
    alerts = told_history(scene)
    address = board.address + "alerts"

    level, _, who, what, told, seen, judged = row_words(address, alerts["escalated"])
    assert (level, who, what) == ("CRITICAL", "DEMO, THIRTEEN FAKE-0013", "SAH, both sides, final")
    assert told == "2 screens, sounded on 1; pager does not answer; webhook; Stroke team told after 2:00"
    assert re.fullmatch(r"(yesterday )?[\d:]+ Dr\. Fictional, after 2:34", seen)
    assert re.fullmatch(
        r"Right Dr\. Fictional, .* Judge again Right Wrong Unclear before: Wrong, by S\. Sample, .*", judged
    )

    level, _, who, what, told, seen, judged = row_words(address, alerts["withdrawn"])
    assert (level, who) == ("WITHDRAWN", "NOBODY, EIGHT FAKE-0008")
    assert what == "SDH, patient’s left, withdrawn after 33 s: all 14 slices together do not look like a bleed"
    assert seen.endswith("R. Example, after 1:39")
    assert judged == "Right Wrong Unclear"

    level, _, who, what, told, seen, judged = row_words(address, alerts["mended"])
    assert (level, who) == ("TECHNICAL", "this box backend-fell-back")
    assert what.startswith("Slower than usual")
    assert seen == "nobody pressed"
    assert re.fullmatch(r"mended .* by itself", judged)
    assert row_words(address, alerts["standing"])[6] == "not mended yet"

    level, _, who, what, told, seen, judged = row_words(address, alerts["review"])
    assert (level, told, seen) == ("REVIEW", "on the list, no sound by rule", "Not yet")
    assert judged == "when it is acknowledged", "nobody judges what nobody has answered"

    level, _, who, what, told, seen, judged = row_words(address, alerts["fresh"])
    assert (what, told) == ("IPH, patient’s left, provisional", "nobody yet")
    at = Calendar.of("").clock(alerts["fresh"].raised_ns + 120 * S)
    assert seen == f"Not yet Stroke team next {at}"

    assert row_words(address, alerts["test"])[:1] == ["TEST"]
    assert row_words(address, alerts["test"])[6] == ""
    assert check(scene.ledger) == []


def test_the_filters_count_what_they_show(board: Served, scene: Scene) -> None:
    alerts = told_history(scene)
    shown = {
        Show.ALL: set(alerts),
        Show.OPEN: {"standing", "review", "fresh"},
        Show.TO_JUDGE: {"withdrawn"},
        Show.CRITICAL: {"escalated", "withdrawn", "fresh"},
        Show.REVIEW: {"review"},
        Show.TECHNICAL: {"mended", "standing"},
        Show.TEST: {"test"},
    }
    for show, names in shown.items():
        html = httpx.get(f"{board.address}alerts?show={show}").text
        keys = [int(key) for key in re.findall(r'data-key="history-(\d+)"', html)]
        assert keys == sorted((alerts[name].id for name in names), reverse=True), show
        counts = [int(count) for count in re.findall(r'<span class="many">(\d+)</span>', html)]
        assert counts == [len(names) for names in shown.values()]


def test_an_address_that_cannot_be_read_asks_for_everything(board: Served, scene: Scene) -> None:
    scene.critical("PHANTOM^ONE", 1)
    for query in ("show=nonsense", "from=31-31-31", "page=-1", "page=9999999", "page=١", "from=0001-01-01", "show=<b>"):
        answer = httpx.get(f"{board.address}alerts?{query}")
        assert answer.status_code == 200
        assert answer.text.count('data-key="history-') == 1
        assert httpx.get(f"{board.address}alerts/parts?{query}").status_code == 200
    assert Asked.of({"from": "2031-05-14", "show": "open", "page": "3"}).address("/alerts", page=3) == (
        "/alerts?show=open&from=2031-05-14&page=3"
    )


def test_from_a_day_on_is_that_day_where_the_box_stands(scene: Scene) -> None:
    calendar = Calendar.of("Asia/Tokyo")
    asked = Asked(since=date(2031, 5, 14))
    assert calendar.at(asked.since_ns(calendar)).isoformat() == "2031-05-14T00:00:00+09:00"
    old = final(scene, "OLD^ONE", 3, before_s=3 * 24 * 3600)
    new = final(scene, "NEW^ONE", 4, before_s=60)
    with scene.ledger.reading() as r:
        history = read_history(r, Show.ALL, since_ns=scene.now_ns - 24 * 3600 * S, page=1)
    assert [story.alert.id for story in history.stories] == [new.id]
    assert history.counts[Show.CRITICAL] == 1
    assert old.id != new.id


def test_header_text_is_shown_as_text(board: Served, scene: Scene) -> None:
    scene.critical(HOSTILE, 1)
    html = httpx.get(board.address + "alerts").text
    assert "<img" not in html
    assert "&lt;img src=x onerror=window.owned=1&gt;" in html
    assert " style=" not in html


def test_an_endless_id_is_cut_and_turns_nothing_round(board: Served, scene: Scene) -> None:
    scanned = scene.study("PHANTOM^ONE", number=1)
    scene.land(scanned, hump(14, 7, 0.95))
    scene.read(scanned, Outcome.CRITICAL, final=False, step=raised(Level.CRITICAL))
    patient = replace(scanned.facts.patient, patient_id="\u202e\x07FAKE" + "A" * 65_536)
    with scene.ledger.writing() as w:
        update_study_facts(w, scanned.study_id, replace(scanned.facts, patient=patient))
    html = httpx.get(board.address + "alerts").text
    assert "FAKEAAAA" in html and "A" * 200 not in html
    assert "\u202e" not in html and "\x07" not in html


def test_a_night_of_telling_everybody_again_is_told_once(board: Served, scene: Scene) -> None:
    alert = final(scene, "PHANTOM^ONE", 1, before_s=3600)

    def told(after_s: float, number: int, name: str, channels: str) -> None:
        happens(
            scene, alert, Happening.ESCALATED, before_s=3600 - after_s, by="courier", step="2", round=str(number),
            name=name, channels=channels, why="time",
        )  # fmt: skip

    told(120, 1, "Stroke team", "pager")
    for number in range(10):
        told(420 + 300 * number, number + 2, "Everybody", "webhook,pager")
        with scene.ledger.reading() as r:
            told_of = str(existing_alert(r, alert.id).last_event_id)
        happens(scene, alert, Happening.DELIVERED, before_s=3179 - 300 * number, by="webhook", event=told_of)
    last = Calendar.of("").spoken(scene.now_ns - 480 * S, time.time_ns())
    said = row_words(board.address + "alerts", alert)[4]
    assert said == f"webhook; Stroke team told after 2:00; Everybody told again 10 times, last {last}"


def test_what_is_nothing_is_not_counted_in_words(board: Served) -> None:
    html = httpx.get(board.address + "alerts").text
    assert "No alert of this kind." in html
    assert "another try" not in html and "still on the way" not in html
    assert "No alert of this kind since then." in httpx.get(board.address + "alerts?from=2026-01-01").text


def test_why_it_was_withdrawn_is_said_once(board: Served, scene: Scene) -> None:
    scanned = scene.study("NOBODY^EIGHT", number=8, before_s=60)
    scene.land(scanned, hump(14, 7, 0.95), before_s=40)
    scene.read(scanned, Outcome.CRITICAL, final=False, step=raised(Level.CRITICAL), before_s=38)
    scene.read(
        scanned, Outcome.NO_FINDING, final=True, step=step(Happening.WITHDRAWN, Level.CRITICAL), before_s=5, close=True,
        details={"why": "all 14 slices together do not look like a bleed"},
    )  # fmt: skip
    card = re.search(r"<article.*?</article>", httpx.get(board.address).text, re.S)
    assert card is not None
    assert len(re.findall("14 slices together do not look like a bleed", card.group(0))) == 1


# ---- four sums


def test_the_four_sums_are_those_that_a_person_would_count(scene: Scene) -> None:
    alerts = told_history(scene)
    old = final(scene, "OLD^ONE", 99, before_s=40 * 24 * 3600)
    happens(scene, old, Happening.ACKNOWLEDGED, before_s=39 * 24 * 3600, by="R. Example")
    with scene.ledger.writing() as w:
        owed = [Owed(alert_id=alerts["fresh"].id, event_id=alerts["fresh"].last_event_id, channel=c) for c in "abcd"]
        enqueue(w, owed, scene.now_ns)
        taken, repeated, dead, _due = waiting_deliveries(w)
        delivery_done(w, taken.id, at_ns=scene.now_ns)
        delivery_failed(w, repeated.id, due_ns=scene.now_ns, status=503, error="no")
        delivery_done(w, repeated.id, at_ns=scene.now_ns)
        delivery_dead(w, dead.id, at_ns=scene.now_ns, status=None, error="Timeout")
    with scene.ledger.reading() as r:
        sums = sum_alerts(r, scene.now_ns - 30 * 24 * 3600 * S)
    assert sums.seen_s == (99.0, 154.0)
    assert (sums.median_s, sums.slowest_s, sums.unseen) == (126.5, 154.0, 1)
    assert (sums.escalated, sums.criticals) == (1, 3)
    assert (sums.dead_letters, sums.repeated, sums.owed) == (1, 1, 1)
    assert (sums.judged, sums.to_judge) == (1, 2)


# ---- the same as a file


def exported(ledger: Ledger, depth: Depth) -> list[dict[str, Any]]:
    steps = export_steps(ledger, since_ns=0, open_only=False, depth=depth)
    lines: list[dict[str, Any]] = json.loads(json.dumps([one for some in steps for one in some]))
    return lines


def test_an_export_holds_what_figures_and_training_need(scene: Scene) -> None:
    alerts = told_history(scene)
    by_id = {one["alert"]: one for one in exported(scene.ledger, Depth.UIDS)}
    assert list(by_id) == sorted(alert.id for alert in alerts.values())
    one = by_id[alerts["escalated"].id]
    assert one["schema_version"] == 1
    assert (one["study_uid"], one["series_uid"]) == ("2.25.900013", "2.25.900013.1")
    assert (one["study"], one["series"]) == (study_hash("2.25.900013"), uid_hash("2.25.900013.1"))
    assert [said["judged"] for said in one["judgements"]] == ["refuted", "confirmed"]
    assert one["judged"] == "confirmed"
    (reading,) = one["readings"]
    assert reading["engine_sha256"] == "e" * 64
    assert reading["probabilities"]["any"] == pytest.approx(0.95)
    assert list(reading["probabilities"]) == ["any", "edh", "iph", "ivh", "sah", "sdh"]
    assert reading["finding"]["key_slice"] == 8
    assert reading["finding"]["key_slice_uid"] == "2.25.77.8"
    assert reading["series_uid"] == "2.25.900013.1"
    assert [event["happening"] for event in one["events"]] == [
        "RAISED", "DELIVERED", "DELIVERED", "DELIVERED", "ESCALATED", "FAILED", "ACKNOWLEDGED", "JUDGED", "JUDGED",
    ]  # fmt: skip
    assert by_id[alerts["standing"].id]["code"] == "sop-conflict"


def test_who_does_not_ask_for_patients_gets_none(scene: Scene) -> None:
    told_history(scene)
    bare = json.dumps(exported(scene.ledger, Depth.HASHES))
    for word in ("DEMO", "PHANTOM", "FAKE", "1951", "2.25."):
        assert word not in bare
    with_uids = json.dumps(exported(scene.ledger, Depth.UIDS))
    assert "2.25.900013" in with_uids
    assert "FAKE" not in with_uids
    patient = next(
        one["patient"] for one in exported(scene.ledger, Depth.IDENTITY) if one["study_uid"] == "2.25.900013"
    )
    assert patient["name"] == "DEMO^THIRTEEN"
    assert (patient["id"], patient["birth_date"], patient["accession"]) == ("FAKE-0013", "1951-01-01", "ACC-FAKE-113")


def test_the_export_of_the_page_names_nobody(board: Served, scene: Scene) -> None:
    alerts = told_history(scene)
    answer = httpx.get(board.address + "alerts/export")
    assert answer.headers["content-disposition"] == 'attachment; filename="alerts.jsonl"'
    assert answer.headers["cache-control"] == "no-store"
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert len(lines) == len(alerts)
    assert not {"patient", "study_uid", "series_uid"} & set(lines[1])
    assert "DEMO" not in answer.text
    opened = httpx.get(board.address + "alerts/export?show=open").text.splitlines()
    assert {json.loads(line)["alert"] for line in opened} == {alerts[one].id for one in ("standing", "review", "fresh")}


# ---- on the command line


def command(tmp_path: Path, ledger_path: Path, *words: str) -> str:
    text = settings_text(tmp_path / "site")
    config = tmp_path / "site.toml"
    config.write_text(text)
    place = tmp_path / "site" / "state" / "bleedwatch.sqlite"
    if not place.exists():
        place.symlink_to(ledger_path)
    done = CliRunner().invoke(bleedwatch, ["alerts", "--config", str(config), *words], env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    return done.output


def test_the_command_lists_alerts_and_names_patients_only_when_asked(
    tmp_path: Path, ledger_path: Path, scene: Scene
) -> None:
    alerts = told_history(scene)
    scene.critical("EVIL\x1b[2J\x07\u202e^NAME", 5)
    said = command(tmp_path, ledger_path)
    assert "DEMO" not in said
    assert "FAKE" not in said
    assert "No names" in said
    assert study_hash("2.25.900013") in said
    assert "confirmed by Dr. Fictional; before: refuted by S. Sample" in said
    named = command(tmp_path, ledger_path, "--with-identity")
    assert "DEMO^THIRTEEN" in named
    assert "EVIL[2J^NAME" in named
    assert not re.search("[\x1b\x07\u202e]", named), "no header text may steer a terminal"
    opened = command(tmp_path, ledger_path, "--json", "--open").splitlines()
    assert {json.loads(line)["alert"] for line in opened} > {alerts["fresh"].id}
    assert "patient" not in json.loads(opened[0])
    assert "patient" in json.loads(command(tmp_path, ledger_path, "--json", "--with-identity").splitlines()[0])
    assert command(tmp_path, ledger_path, "--json", "--since", "2999-01-01") == ""
    assert command(tmp_path, ledger_path, "--since", "2999-01-01").strip() == "No alerts."


# ---- in a browser


def test_judging_from_the_list_and_again(chromium: Browsers, board: Served, scene: Scene) -> None:
    alerts = told_history(scene)
    row = f'tr[data-key="history-{alerts["withdrawn"].id}"]'
    with station(chromium.get(), board.address + "alerts?show=critical", name="") as page:
        time.sleep(0.6)  # the half second after which a press is meant for what stands
        page.click(f"{row} button[data-judged=refuted]")
        page.fill("#who-name", "Dr. Fictional")
        page.click("#who-typed")
        until(page, f"document.querySelector('{row}').innerText.includes('Wrong\\nDr. Fictional')")
        time.sleep(0.6)
        page.click(f"{row} summary")
        page.click(f"{row} button[data-judged=unclear]")
        until(page, f"document.querySelector('{row}').innerText.includes('before: Wrong, by Dr. Fictional')")
        assert page.inner_text("#said") == "Your new answer counts. The old one stays on record."
        assert (
            page.evaluate("[...document.querySelectorAll('#alerts-filters .many')].map((one) => one.textContent)")[2]
            == "0"
        )
    with scene.ledger.reading() as r:
        assert existing_alert(r, alerts["withdrawn"].id).judged is Judged.UNCLEAR
    assert check(scene.ledger) == []


def test_filters_change_the_list_without_another_page_load(chromium: Browsers, board: Served, scene: Scene) -> None:
    alerts = told_history(scene)
    with station(chromium.get(), board.address + "alerts") as page:
        page.evaluate("window.same = true")
        page.click("#alerts-filters a:has-text('TECHNICAL')")
        until(page, "document.querySelectorAll('#alerts-history tbody tr').length === 2")
        assert page.evaluate("location.search") == "?show=technical"
        page.fill("#from", "2999-01-01")
        until(page, "document.querySelector('#alerts-history tbody').innerText.includes('No alert of this kind')")
        assert page.get_attribute("#alerts-export", "href") == "/alerts/export?from=2999-01-01"
        page.go_back()
        page.go_back()
        until(page, f"document.querySelectorAll('#alerts-history tbody tr').length === {len(alerts)}")
        assert page.evaluate("window.same") is True
        assert page.get_attribute("#alerts-filters a:has-text('All')", "aria-current") == "true"
        added = scene.critical("PHANTOM^NEW", 44, before_s=0)
        until(page, f"""document.querySelector('#alerts-history tbody tr').dataset.key === 'history-{added.id}'""")


def test_many_alerts_are_paged(chromium: Browsers, board: Served, scene: Scene) -> None:
    for n in range(ROWS_A_PAGE + 3):
        scene.technical("clock-jumped" if n % 2 else "backend-fell-back", before_s=200 - n, time="14:02", jump="3 min")
        with scene.ledger.writing() as w:
            append_event(w, n + 1, Happening.MENDED, at_ns=scene.now_ns, by="triage", details={})
    with station(chromium.get(), board.address + "alerts") as page:
        assert page.inner_text("#alerts-pager").split("\n")[0].startswith(f"1 to {ROWS_A_PAGE} of {ROWS_A_PAGE + 3}")
        page.click("#alerts-pager a:has-text('Older')")
        until(page, "document.querySelectorAll('#alerts-history tbody tr').length === 3")
        assert page.evaluate("location.search") == "?page=2"
        page.click("#alerts-pager a:has-text('Newer')")
        until(page, f"document.querySelectorAll('#alerts-history tbody tr').length === {ROWS_A_PAGE}")
