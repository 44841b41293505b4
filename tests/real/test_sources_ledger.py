"""The appliance's own database as a source of training: what people's judgements say of slices, and no more than that."""

import time
from pathlib import Path

import numpy as np
import pytest

from appliance.core.alerts import Happening
from appliance.core.ledger import AlertRow
from appliance.core.words import Level, Outcome, SeriesVerdict
from appliance.dashboard.desk import judge, judge_study
from appliance.evaluation.read_exams import UNKNOWN
from appliance.records.ledger import Ledger
from appliance.records.studies import study_events_of
from appliance.records.upgrade import upgrade
from appliance.settings import DATABASE
from appliance.training.plans import SourcePlan
from appliance.training.sources.exam import SourceExam
from appliance.training.sources.table import open_source
from tests.real.appliance import settings_text
from tests.real.scenes import Scanned, Scene, hump, raised, step

S = 1_000_000_000
PEAK = 8


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """A box below `tmp_path`, with `state` and `store`."""
    (tmp_path / "state").mkdir()
    upgrade(tmp_path / "state" / DATABASE)
    ledger = Ledger.open(tmp_path / "state" / DATABASE)
    return Scene(ledger=ledger, store=tmp_path / "store", now_ns=time.time_ns())


def alerted(scene: Scene, number: int) -> tuple[Scanned, AlertRow]:
    scanned = scene.study(f"SAMPLE^{number}", number=number, before_s=900)
    scene.land(scanned, hump(14, PEAK, 0.95), before_s=800)
    alert = scene.read(scanned, Outcome.CRITICAL, final=False, step=raised(Level.CRITICAL), before_s=700)
    assert alert is not None
    scene.acknowledge(alert, "R. Example", before_s=600)
    return scanned, alert


def quiet(scene: Scene, number: int, **more: object) -> Scanned:
    scanned = scene.study(f"SAMPLE^{number}", number=number, before_s=900, **more)  # type: ignore[arg-type]
    scene.land(scanned, [0.02] * 6, before_s=800)
    scene.read(scanned, Outcome.NO_FINDING, final=True, before_s=700, close=True)
    return scanned


def say(scene: Scene, alert: AlertRow, word: str, *, before_s: float = 500) -> None:
    said = judge(
        scene.ledger, alert_id=alert.id, shown_event=alert.last_event_id, judged=word, by="R. Example", page="a" * 16,
        now_ns=scene.now_ns - round(before_s * S),
    )  # fmt: skip
    assert said.status == 200


def say_of_study(scene: Scene, scanned: Scanned, word: str, *, before_s: float = 500) -> None:
    at_ns = scene.now_ns - round(before_s * S)
    said = judge_study(scene.ledger, study_id=scanned.study_id, judged=word, by="R. Example", details={}, now_ns=at_ns)
    assert said.status == 200


def read(place: Path) -> tuple[list[SourceExam], list[str]]:
    told: list[str] = []
    source = open_source(SourcePlan(name="box", kind="ledger", licence="own", attribution="us"), place)
    return list(source.exams(told.append)), told


def test_what_people_said_becomes_labels(scene: Scene, tmp_path: Path) -> None:
    for number, word in enumerate(("refuted", "confirmed", "unclear"), start=1):
        say(scene, alerted(scene, number)[1], word)
    alerted(scene, 4)  # nobody has judged it
    say_of_study(scene, quiet(scene, 5), "no-bleed")
    say_of_study(scene, quiet(scene, 6), "unclear")
    say_of_study(scene, quiet(scene, 7), "bleed")
    (refuted, confirmed, clean), told = read(tmp_path)
    assert [one.patient for one in (refuted, confirmed, clean)] == [f"FAKE-000{n}\\SCENE" for n in (1, 2, 5)]
    assert not refuted.labels.any() and refuted.labels.shape == (14, 6)
    assert not clean.labels.any() and clean.labels.shape == (6, 6)
    expected = np.full((14, 6), UNKNOWN)
    expected[[PEAK, PEAK + 1], 0] = 1
    assert np.array_equal(confirmed.labels, expected)
    assert confirmed.pixel_mm == (1.6, 1.6) and np.array_equal(confirmed.positions_mm, np.arange(14) * 5.0)
    assert confirmed.hu[PEAK].max() == 1100 and (confirmed.hu[PEAK] == 66).any() and not (confirmed.hu[0] == 66).any()
    assert told == ["Source box: 1 bleeding exams teach nothing: it is not said which of their slices bleed."]
    assert "SAMPLE" not in "".join((*told, *(one.exam for one in (refuted, confirmed, clean))))


def test_the_last_word_counts_and_only_for_what_had_landed(scene: Scene, tmp_path: Path) -> None:
    scanned, alert = alerted(scene, 1)
    say(scene, alert, "confirmed", before_s=550)
    say(scene, alert, "refuted", before_s=500)
    scene.land(scanned, [0.02] * 3, before_s=400)
    other = quiet(scene, 2)
    say_of_study(scene, other, "bleed", before_s=550)
    say_of_study(scene, other, "no-bleed")
    (first, second), _ = read(tmp_path)
    assert not first.labels[:14].any() and (first.labels[14:] == UNKNOWN).all() and first.labels.shape == (17, 6)
    assert not second.labels.any()


def test_a_doubt_of_the_machine_changes_no_word_of_a_person(scene: Scene, tmp_path: Path) -> None:
    scanned, alert = alerted(scene, 1)
    say(scene, alert, "confirmed")
    scene.land(scanned, [0.99, 0.5], before_s=400)
    scene.read(scanned, Outcome.REVIEW, final=True, step=step(Happening.DOUBTED, Level.CRITICAL), before_s=300)
    ((exam,), _) = read(tmp_path)
    assert np.flatnonzero(exam.labels[:, 0] == 1).tolist() == [PEAK, PEAK + 1]


def test_an_answer_was_to_what_was_known_before_the_news(scene: Scene, tmp_path: Path) -> None:
    say_of_study(scene, quiet(scene, 2), "no-bleed")
    scanned, alert = alerted(scene, 1)
    say(scene, alert, "confirmed")
    scene.land(scanned, [0.99, 0.5], before_s=400)
    news = scene.read(
        scanned, Outcome.CRITICAL, final=True, step=step(Happening.UPGRADED, Level.CRITICAL), before_s=300
    )
    assert news is not None and news.judged is None
    assert [one.patient for one in read(tmp_path)[0]] == ["FAKE-0002\\SCENE"]
    say(scene, news, "confirmed", before_s=200)
    assert np.flatnonzero(read(tmp_path)[0][1].labels[:, 0] == 1).tolist() == [14, 15]


def test_an_alert_that_nobody_has_judged_stands_against_an_earlier_word(scene: Scene, tmp_path: Path) -> None:
    say_of_study(scene, quiet(scene, 2), "no-bleed")
    scanned = quiet(scene, 1)
    say_of_study(scene, scanned, "no-bleed")
    scene.land(scanned, [0.9, 0.9], before_s=400)
    scene.read(scanned, Outcome.CRITICAL, final=False, step=raised(Level.CRITICAL), before_s=300)
    assert [one.patient for one in read(tmp_path)[0]] == ["FAKE-0002\\SCENE"]


def test_declined_series_teach_nothing(scene: Scene, tmp_path: Path) -> None:
    say_of_study(scene, quiet(scene, 1, verdict=SeriesVerdict.DECLINED, reasons=(("contrast", {}),)), "no-bleed")
    say_of_study(scene, quiet(scene, 2), "no-bleed")
    assert [one.patient for one in read(tmp_path)[0]] == ["FAKE-0002\\SCENE"]


def test_pixels_that_are_gone_are_told(scene: Scene, tmp_path: Path) -> None:
    for number in (1, 2):
        say_of_study(scene, quiet(scene, number), "no-bleed")
    for path in sorted((tmp_path / "store" / "scene").iterdir())[:2]:
        path.unlink()
    found, told = read(tmp_path)
    assert sum(len(one.hu) for one in found) == 10
    assert any("the pixels of" in one and "slices are gone" in one for one in told)


def test_a_box_is_named_by_its_settings_too_and_nothing_is_written(scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "bleedwatch.toml").write_text(settings_text(tmp_path))
    scanned = quiet(scene, 1)
    say_of_study(scene, scanned, "no-bleed")
    with scene.ledger.reading() as r:
        before = study_events_of(r, scanned.study_id)
    store = sorted(path for path in (tmp_path / "store").rglob("*"))
    assert len(read(tmp_path / "bleedwatch.toml")[0]) == len(read(tmp_path)[0]) == 1
    with scene.ledger.reading() as r:
        assert study_events_of(r, scanned.study_id) == before
    assert sorted(path for path in (tmp_path / "store").rglob("*")) == store
