"""Everything about one study, asked of a real ledger."""

from dataclasses import replace

from appliance.core.alerts import Happening, Judged
from appliance.core.words import FileVerdict, Level, Outcome, SeriesVerdict
from appliance.records.alerts import append_event
from appliance.records.files import record_file
from appliance.records.ledger import Ledger
from appliance.records.series import open_series, series_of
from appliance.records.studies import open_study
from appliance.records.whole_study import FileSum, JudgedSums, judged_critical, read_whole_study
from tests.real import invented
from tests.real.scenes import Scanned, Scene, hump, raised, step


def alerted(scene: Scene, number: int = 1) -> Scanned:
    scanned = scene.study("PHANTOM^ONE", number=number, before_s=60)
    scene.land(scanned, hump(28, 15, 0.95), before_s=30)
    scene.read(scanned, Outcome.CRITICAL, final=False, step=raised(Level.CRITICAL), before_s=29)
    return scanned


def test_there_is_no_such_study(ledger: Ledger) -> None:
    with ledger.reading() as r:
        assert read_whole_study(r, 1) is None


def test_files_are_summed_by_verdict_and_reason(scene: Scene, ledger: Ledger) -> None:
    scanned = alerted(scene)
    uid = scanned.facts.study_uid
    with ledger.writing() as w:
        for n, verdict in enumerate([FileVerdict.TAKEN] * 3 + [FileVerdict.SET_ASIDE] * 2, start=1):
            record_file(w, invented.file(f"{n}.dcm", inode=n, verdict=verdict, study_uid=uid))
        record_file(w, invented.file("other.dcm", inode=9, study_uid="2.25.99"))
    with ledger.reading() as r:
        whole = read_whole_study(r, scanned.study_id)
    assert whole is not None
    assert whole.files == (
        FileSum(verdict=FileVerdict.SET_ASIDE, reason="truncated", files=2),
        FileSum(verdict=FileVerdict.TAKEN, reason="", files=3),
    )
    assert whole.others_with_uid == 0


def test_two_patients_under_one_number_are_said(scene: Scene, ledger: Ledger) -> None:
    scanned = alerted(scene)
    patient = replace(scanned.facts.patient, identity="OTHER")
    with ledger.writing() as w:
        open_study(w, replace(scanned.facts, patient=patient), scene.now_ns)
    with ledger.reading() as r:
        whole = read_whole_study(r, scanned.study_id)
    assert whole is not None and whole.others_with_uid == 1


def test_the_alerted_series_speaks_and_another_that_is_read_may_be_shown(scene: Scene, ledger: Ledger) -> None:
    scanned = alerted(scene)
    with ledger.writing() as w:
        facts = replace(series_of(w, scanned.study_id)[0].facts, series_uid="2.25.5")
        thin = open_series(w, scanned.study_id, facts, SeriesVerdict.READ, (), True, scene.now_ns)
        declined = open_series(
            w, scanned.study_id, replace(facts, series_uid="2.25.6"), SeriesVerdict.DECLINED, (("contrast", {}),),
            True, scene.now_ns,
        )  # fmt: skip
    for series in (thin, declined):
        scene.land(replace(scanned, series_id=series.id, slice_ids=[], probabilities=[]), [0.1] * 12)
    for asked, shown in ((None, scanned.series_id), (thin.id, thin.id), (declined.id, scanned.series_id),
                         (999, scanned.series_id)):  # fmt: skip
        with ledger.reading() as r:
            whole = read_whole_study(r, scanned.study_id, series_id=asked)
        assert whole is not None and whole.speaking is not None and whole.shown is not None
        assert (whole.speaking.series.id, whole.shown.series.id) == (scanned.series_id, shown)
        assert [one.slices for one in whole.series] == [28, 12, 12]


def test_a_withdrawn_alert_keeps_what_it_was_for(scene: Scene, ledger: Ledger) -> None:
    scanned = alerted(scene)
    scanned.probabilities = [0.2] * 28
    scene.read(scanned, Outcome.NO_FINDING, final=True, step=step(Happening.WITHDRAWN, Level.CRITICAL), close=True)
    with ledger.reading() as r:
        whole = read_whole_study(r, scanned.study_id)
    assert whole is not None and whole.speaking is not None and whole.speaking.finding is not None
    assert whole.speaking.finding.key_slice_id == scanned.slice_ids[15]


def test_of_each_critical_the_last_word_counts(scene: Scene, ledger: Ledger) -> None:
    words = [(Judged.CONFIRMED, Judged.REFUTED), (Judged.CONFIRMED,), (Judged.UNCLEAR,), ()]
    for number, said in enumerate(words, start=1):
        scanned = alerted(scene, number)
        with ledger.writing() as w:
            whole = read_whole_study(w, scanned.study_id)
            assert whole is not None and whole.alert is not None
            for word in said:
                append_event(w, whole.alert.alert.id, Happening.JUDGED, at_ns=scene.now_ns, by="R. Example", details={},
                             judged=word)  # fmt: skip
    with ledger.reading() as r:
        assert judged_critical(r) == JudgedSums(confirmed=1, refuted=1, unclear=1)
