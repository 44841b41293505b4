"""A bleed that the box has missed, from the command line: kept with who saw it, listed, and never beside an alert."""

import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from appliance.cli import bleedwatch
from appliance.core.pseudonyms import study_hash
from appliance.core.words import Outcome
from appliance.dashboard import desk
from appliance.records.check import check
from appliance.records.ledger import Ledger
from appliance.records.studies import see_study, study_events_of
from appliance.records.upgrade import upgrade
from tests.real.appliance import settings_of, settings_text
from tests.real.scenes import Scanned, Scene


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    (tmp_path / "bleedwatch.toml").write_text(settings_text(tmp_path))
    path = settings_of(tmp_path).database
    upgrade(path)
    return Scene(ledger=Ledger.open(path), store=tmp_path / "store", now_ns=time.time_ns())


def called(tmp_path: Path, *words: str) -> Result:
    return CliRunner().invoke(bleedwatch, [*words, "--config", str(tmp_path / "bleedwatch.toml")])


def nothing_found(scene: Scene) -> Scanned:
    study = scene.study("HOSTILE^NAME", number=4, before_s=60)
    scene.land(study, [0.02] * 5, before_s=40)
    scene.read(study, Outcome.NO_FINDING, final=True, close=True)
    return study


def test_a_missed_bleed_is_kept_and_listed_without_a_name(scene: Scene, tmp_path: Path) -> None:
    study = nothing_found(scene)
    first = called(tmp_path, "judge", str(study.study_id), "--as", "unclear", "--by", "R. Example")
    assert (first.exit_code, first.output) == (0, "Your answer is on record.\n")
    again = called(tmp_path, "judge", study.facts.study_uid, "--as", "bleed", "--by", "S. Sample")
    assert (again.exit_code, again.output) == (0, "Your new answer counts. The old one stays on record.\n")
    listed = called(tmp_path, "alerts", "--without-alert", "--json")
    (one,) = [json.loads(line) for line in listed.output.splitlines()]
    assert (one["study_number"], one["judged"], one["outcome"]) == (study.study_id, "bleed", "NO FINDING")
    assert one["study"] == study_hash(study.facts.study_uid)
    assert [(said["judged"], said["by"], said["details"]) for said in one["judgements"]] == [
        ("unclear", "R. Example", {"via": "command"}),
        ("bleed", "S. Sample", {"via": "command"}),
    ]
    assert one["readings"][0]["probabilities"]["any"] < 0.5
    table = called(tmp_path, "alerts", "--without-alert").output
    assert "bleed by S." in table and "before: unclear by R." in table
    assert "HOSTILE" not in listed.output + table and study.facts.study_uid not in listed.output
    named = called(tmp_path, "alerts", "--without-alert", "--json", "--with-identity").output
    assert json.loads(named)["patient"]["name"] == "HOSTILE^NAME"
    assert check(scene.ledger) == []


def test_a_study_with_an_alert_is_judged_by_its_alert_alone(scene: Scene, tmp_path: Path) -> None:
    alert = scene.critical("PHANTOM^ONE", 1)
    refused = called(tmp_path, "judge", str(alert.study_id), "--as", "no-bleed", "--by", "R. Example")
    assert (refused.exit_code, refused.output.strip()) == (1, desk.HAS_AN_ALERT)
    assert called(tmp_path, "alerts", "--without-alert").output.strip() == "No study without an alert was judged."


@pytest.mark.parametrize("study", ["99", "2.25.404", "HOSTILE", ""])
def test_a_study_that_is_not_here_is_said_so(scene: Scene, tmp_path: Path, study: str) -> None:
    said = called(tmp_path, "judge", study, "--as", "bleed", "--by", "R. Example")
    assert said.exit_code == 1 and "Next step" in said.output


def test_an_answer_needs_a_name(scene: Scene, tmp_path: Path) -> None:
    study = nothing_found(scene)
    said = called(tmp_path, "judge", str(study.study_id), "--as", "bleed", "--by", " ")
    assert (said.exit_code, said.output.strip()) == (1, desk.NO_NAME)


def test_who_has_seen_a_study_names_the_screen(scene: Scene) -> None:
    study = scene.study("SAMPLE^FIVE", number=5, before_s=60)
    scene.read(study, Outcome.NOT_ANALYSED, final=True, close=True)
    where = {"place": "kiosk", "screen": "3f2a"}
    answer = desk.see(
        scene.ledger, study_id=study.study_id, by="R. Example", page="a" * 16, now_ns=time.time_ns(), where=where
    )
    assert answer.status == 200
    with scene.ledger.reading() as r:
        assert study_events_of(r, study.study_id)[-1].details == {"page": "a" * 16, **where}
    with scene.ledger.writing() as w:
        see_study(w, study.study_id, "S. Sample", time.time_ns())
    assert check(scene.ledger) == []
