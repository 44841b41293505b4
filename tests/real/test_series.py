"""What becomes of a series that comes out of order, twice, torn, late or again; through the whole triage."""

from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest

from appliance.core.alerts import Happening
from appliance.core.ledger import ReadingRow
from appliance.core.words import Finality, Level, Outcome, SeriesState, SeriesVerdict, StudyState
from appliance.inference.loading import LoadedEngine
from appliance.phantoms.dicom import PhantomFile
from appliance.records.alerts import append_event
from tests.conftest import MakeBox
from tests.dicoms import file_of, slice_of
from tests.phantom_exams import SLICES, series_files, small_exam
from tests.real.appliance import CALM, KEEN, Box, with_points

SAYS_NO_IN_THE_END = replace(KEEN, critical=2.0, review=2.0)
"""Two neighbours raise the alert, all slices together never confirm it."""


def send(box: Box, files: list[PhantomFile], prefix: str = "IM") -> None:
    for file in files:
        box.put(f"{prefix}{file.number:03}", file.data)


def finals(box: Box) -> list[ReadingRow]:
    """Every final reading of the one study, in order."""
    read = [one for series in box.series() for one in box.readings(series)]
    return [one for one in read if one.finality is Finality.FINAL]


def happenings(box: Box) -> list[Happening]:
    return [event.happening for event in box.events()]


def acknowledge(box: Box) -> None:
    with box.ledger.writing() as write:
        append_event(
            write,
            box.alert().id,
            Happening.ACKNOWLEDGED,
            at_ns=box.clock.now().wall_ns,
            by="A. Technologist",
            details={},
        )


@pytest.fixture
def keen(head_engine: LoadedEngine) -> LoadedEngine:
    return with_points(head_engine, KEEN)


@pytest.fixture
def calm(head_engine: LoadedEngine) -> LoadedEngine:
    return with_points(head_engine, CALM)


def test_a_bleed_is_told_while_its_slices_land_and_its_twin_is_not(make_box: MakeBox) -> None:
    """The engine and the points as they ship."""
    box = make_box("bleeds")
    send(box, series_files("bleeds"))
    box.rest()
    raised, confirmed = box.events()
    assert (raised.happening, raised.level, raised.finality) == (
        Happening.RAISED,
        Level.CRITICAL,
        Finality.PROVISIONAL,
    )
    assert (confirmed.finality, confirmed.sounds) == (Finality.FINAL, False)
    assert (box.study().outcome, box.study().state) == (Outcome.CRITICAL, StudyState.CLOSED)
    finding = finals(box)[0].finding
    assert finding is not None
    bled = np.flatnonzero(small_exam().labels[:, 0]) + 1
    assert bled[0] <= finding.key_number <= bled[-1]
    assert box.alert().sounds and box.in_inbox() == []

    twin = make_box("twin")
    send(twin, series_files("twin", bleeding=False))
    twin.rest()
    assert (twin.study().outcome, twin.events()) == (Outcome.NO_FINDING, [])


def test_shuffled_and_sent_twice(make_box: MakeBox, keen: LoadedEngine) -> None:
    files = series_files("twice")
    plain = make_box("plain", engine=keen)
    send(plain, files)
    plain.rest()
    order = np.random.default_rng(7).permutation(SLICES)
    box = make_box("shuffled", engine=keen)
    send(box, [files[index] for index in order])
    box.pass_time(5)
    send(box, [files[index] for index in order[::-1]], "again")
    box.rest()
    assert box.sums() == {"TAKEN": SLICES, "DUPLICATE": SLICES}
    assert finals(box)[-1].probabilities == finals(plain)[-1].probabilities
    assert (box.study().outcome, box.study().reasons) == (plain.study().outcome, plain.study().reasons)
    assert len(box.alerts()) == len(plain.alerts()) == 1
    assert [one.revision for one in finals(box)] == [1]
    box.assert_sound(*[file.data for file in files])


def test_one_missing_and_late(make_box: MakeBox, calm: LoadedEngine) -> None:
    """INCOMPLETE without it; with it a second revision of the same study, and the same answer as at once."""
    files = series_files("late", bleeding=False)
    whole = make_box("whole", engine=calm)
    send(whole, files)
    whole.rest()
    box = make_box("late", engine=calm)
    late = files.pop(14)
    send(box, files)
    box.rest()
    first = box.study()
    assert (first.outcome, first.state) == (Outcome.INCOMPLETE, StudyState.CLOSED)
    assert first.reasons == (("slices-missing", {"first": "15", "last": "15"}),)
    send(box, [late])
    box.rest()
    assert box.study().id == first.id
    assert (box.study().outcome, box.study().state) == (Outcome.NO_FINDING, StudyState.CLOSED)
    assert [one.revision for one in finals(box)] == [1, 2]
    assert finals(box)[-1].probabilities == finals(whole)[-1].probabilities
    assert box.alerts() == []


def test_a_late_slice_of_a_bleed_is_the_same_alert(make_box: MakeBox, keen: LoadedEngine) -> None:
    files = series_files("late")
    box = make_box(engine=keen)
    send(box, files[:-1])
    box.rest()
    acknowledge(box)
    assert box.study().outcome is Outcome.CRITICAL
    send(box, files[-1:])
    box.rest()
    assert [one.revision for one in finals(box)] == [1, 2]
    assert not box.alert().sounds
    box.assert_sound(*[file.data for file in files])


def test_a_repeat_scan_sounds_again_and_nothing_else_does(make_box: MakeBox, keen: LoadedEngine) -> None:
    box = make_box(engine=keen)
    send(box, series_files("repeat", number=2, acquired="120000"))
    box.rest()
    first = box.alert()
    assert first.sounds
    acknowledge(box)

    send(box, series_files("repeat", number=2, acquired="120000"), "resent")
    send(box, series_files("repeat", number=3, acquired="120000"), "reconstruction")
    box.rest()
    assert len(box.series()) == 2 and not box.alert().sounds

    send(box, series_files("repeat", number=4, acquired="124500"), "repeat")
    box.rest()
    again = box.alert()
    assert again.id == first.id and again.sounds and again.acknowledged_by == ""
    raised = [event for event in box.events() if event.sounds]
    assert [event.new_acquisition for event in raised] == [False, True]
    assert box.study().outcome is Outcome.CRITICAL


def test_two_pictures_under_one_number_are_both_read(make_box: MakeBox, keen: LoadedEngine) -> None:
    clean, bleeding = series_files("conflict", bleeding=False), series_files("conflict", bleeding=True)
    bled = int(np.flatnonzero(small_exam().labels[:, 0])[2])
    assert clean[bled].sop_uid == bleeding[bled].sop_uid
    box = make_box(engine=keen)
    send(box, clean)
    send(box, [bleeding[bled]], "other")
    box.rest()
    assert box.sums() == {"TAKEN": SLICES + 1}
    slices = box.slices()
    assert all(row.score is not None for row in slices)
    two = [row.score.logits[0] for row in slices if row.sop_uid == clean[bled].sop_uid and row.score]
    assert len(set(two)) == 2

    (alert,) = box.alerts("technical")
    assert (alert.key.first, alert.level, alert.study_id) == ("sop-conflict", Level.TECHNICAL, box.study().id)

    higher = make_box("higher", engine=keen)
    send(
        higher,
        [*clean[:bled], max(clean[bled], bleeding[bled], key=lambda file: any_of(box, file)), *clean[bled + 1 :]],
    )
    higher.rest()
    assert finals(box)[-1].probabilities == finals(higher)[-1].probabilities


def any_of(box: Box, file: PhantomFile) -> float:
    """The logit of "any" that the box gave a file."""
    (row,) = (row for row in box.slices() if row.file_sha256 == sha256(file.data).hexdigest())
    assert row.score is not None
    return float(row.score.logits[0])


def test_studies_that_agree_in_all_but_their_numbers_stay_two(make_box: MakeBox, keen: LoadedEngine) -> None:
    one, two = series_files("one"), series_files("two")
    box = make_box(engine=keen)
    for first, second in zip(one, two, strict=True):
        box.put(f"a{first.number}", first.data)
        box.put(f"b{second.number}", second.data)
    box.rest()
    first_study, second_study = box.studies()
    assert first_study.facts.patient == second_study.facts.patient
    assert len(box.alerts()) == 2
    readings = [[one.probabilities for one in box.readings(box.series(study)[0])] for study in box.studies()]
    assert readings[0][-1] == readings[1][-1]
    assert [len(box.slices(box.series(study)[0])) for study in box.studies()] == [SLICES, SLICES]


def test_mr_under_the_class_of_ct(make_box: MakeBox) -> None:
    box = make_box()
    box.put("mr", file_of(slice_of(Modality="MR")))
    box.rest()
    assert [(one.verdict, one.reason) for one in box.files()] == [("DECLINED", "mr")]
    (series,) = box.series()
    assert (series.verdict, series.reasons[0][0]) == (SeriesVerdict.DECLINED, "mr")
    assert box.study().outcome is Outcome.NOT_ANALYSED


@pytest.mark.parametrize("first", [True, False], ids=["the torn file first", "the torn file last"])
def test_a_torn_file_leaves_its_study_incomplete(make_box: MakeBox, calm: LoadedEngine, first: bool) -> None:
    files = series_files("torn", bleeding=False)
    torn = files[10].data[: len(files[10].data) // 2]
    box = make_box(engine=calm)
    if first:
        box.put("torn", torn)
        box.pass_time(35)
    send(box, files)
    if not first:
        box.rest()
        assert box.study().outcome is Outcome.NO_FINDING
        box.put("torn", torn)
    box.rest()
    assert box.sums() == {"TAKEN": SLICES, "SET_ASIDE": 1}
    assert box.study().outcome is Outcome.INCOMPLETE
    assert [code for code, _ in box.study().reasons] == ["set-aside-file"]


def test_a_withdrawn_alert_sounds_until_a_person_answers(make_box: MakeBox, head_engine: LoadedEngine) -> None:
    box = make_box(engine=with_points(head_engine, SAYS_NO_IN_THE_END))
    send(box, series_files("withdrawn"))
    box.pass_time_until(lambda: bool(box.alerts()))
    assert box.alert().sounds
    box.rest()
    assert happenings(box) == [Happening.RAISED, Happening.WITHDRAWN]
    assert box.alert().withdrawn and box.alert().sounds and box.alert().open
    assert box.alert().details["why"] == f"all {SLICES} slices together do not look like a bleed"
    acknowledge(box)
    assert box.alert().withdrawn and not box.alert().sounds


def test_slices_that_show_no_brain_decline_nothing_that_comes_later(make_box: MakeBox, keen: LoadedEngine) -> None:
    """The top of the scan alone is no head; with the rest it is read."""
    files = series_files("top first")
    box = make_box(engine=keen)
    send(box, files[-3:])
    box.rest()
    (series,) = box.series()
    assert not any(row.score.has_brain for row in box.slices() if row.score)
    assert (series.verdict, series.reasons[0][0]) == (SeriesVerdict.DECLINED, "no-brain")
    assert (box.study().outcome, box.alerts()) == (Outcome.NOT_ANALYSED, [])
    send(box, files[:-3])
    box.rest()
    (series,) = box.series()
    assert (series.verdict, series.reasons) == (SeriesVerdict.READ, ())
    assert box.study().outcome is Outcome.CRITICAL


def test_quiet_is_broken_by_what_lies_unread(make_box: MakeBox, head_engine: LoadedEngine) -> None:
    """Slices that have landed and still settle are awaited: nothing is withdrawn for want of them."""
    files = series_files("unread")
    box = make_box(engine=with_points(head_engine, SAYS_NO_IN_THE_END), watched=True)
    send(box, files[:15])
    box.hear(lambda: len(box.slices()) == 15)
    box.pass_time(2.0)
    elsewhere = box.inbox.parent / "elsewhere"
    elsewhere.mkdir()
    for file in files[15:]:
        (elsewhere / "x").write_bytes(file.data)
        (elsewhere / "x").rename(box.inbox / f"late{file.number}")
    box.hear(lambda: box.triage.waiting_files == 15)
    box.rest()
    assert [(one.revision, one.slices) for one in finals(box)] == [(1, SLICES)]


def test_a_restart_in_the_middle_waits_for_what_landed_meanwhile(make_box: MakeBox, head_engine: LoadedEngine) -> None:
    files = series_files("restart")
    box = make_box(engine=with_points(head_engine, SAYS_NO_IN_THE_END))
    send(box, files[:15])
    box.pass_time_until(lambda: len(box.slices()) == 15)
    assert box.alert().sounds
    send(box, files[15:])
    box.stop()
    box.clock.move(120)
    box.restart()
    box.rest()
    assert [(one.revision, one.slices) for one in finals(box)] == [(1, SLICES)]
    assert happenings(box) == [Happening.RAISED, Happening.WITHDRAWN]
    box.assert_sound(*[file.data for file in files])


def test_a_closed_study_is_what_it_was_after_a_restart(make_box: MakeBox, keen: LoadedEngine) -> None:
    """A repeat of an old slice opens nothing; a late slice finds the study with all that it had."""
    files = series_files("known")
    box = make_box(engine=keen)
    send(box, files[:-1])
    box.rest()
    closed = box.study()
    box.restart()
    send(box, files[:3], "again")
    box.rest()
    assert box.study() == replace(closed, last_landed_ns=box.study().last_landed_ns)
    send(box, files[-1:])
    box.rest()
    assert [(one.revision, one.slices) for one in finals(box)] == [(1, SLICES - 1), (2, SLICES)]
    assert len(box.alerts()) == 1


def test_interleaved_reconstructions_of_one_scan_sound_once(make_box: MakeBox, keen: LoadedEngine) -> None:
    """Each slice has a time of its own; the second reconstruction comes from the other end."""
    up = [series_files("both", number=2, acquired=f"1200{n:02}")[n] for n in range(SLICES)]
    down = [series_files("both", number=3, acquired=f"1200{n:02}")[n] for n in reversed(range(SLICES))]
    box = make_box(engine=keen)
    for one, other in zip(up, down, strict=True):
        send(box, [one], "up")
        send(box, [other], "down")
        box.pass_time(0.5)
    box.rest()
    assert len(box.alerts()) == 1
    assert sum(event.sounds for event in box.events()) == 1


def test_a_page_that_lands_in_a_closed_series_leaves_nothing_open(make_box: MakeBox, calm: LoadedEngine) -> None:
    files = series_files("page", bleeding=False)
    box = make_box(engine=calm)
    send(box, files)
    box.rest()
    (series,) = box.series()
    page = slice_of(
        StudyInstanceUID=box.study().facts.study_uid,
        SeriesInstanceUID=series.facts.series_uid,
        PatientID=box.study().facts.patient.patient_id,
        SOPInstanceUID="1.2.3.4",
        SOPClassUID="1.2.840.10008.5.1.4.1.1.7",
    )
    box.put("page", file_of(page))
    box.rest()
    assert box.sums() == {"TAKEN": SLICES, "DECLINED": 1}
    assert (box.study().state, box.study().outcome) == (StudyState.CLOSED, Outcome.NO_FINDING)
    assert [(one.verdict, one.state) for one in box.series()] == [(SeriesVerdict.READ, SeriesState.CLOSED)]


def test_a_repeat_leaves_a_declined_series_declined(make_box: MakeBox) -> None:
    """Its pixels declined it; the same pixels again say nothing new."""
    plain = np.full((64, 64), -1000, dtype=np.int16)
    plain[20:40, 20:40] = 1200
    files = [
        file_of(slice_of(plain, SOPInstanceUID=f"1.2.3.{n}", ImagePositionPatient=[-16, -16, 5.0 * n]))
        for n in range(4)
    ]
    box = make_box()
    for number, data in enumerate(files):
        box.put(f"IM{number}", data)
    box.rest()
    (declined,) = box.series()
    assert (declined.verdict, declined.reasons) == (SeriesVerdict.DECLINED, (("no-brain", {}),))
    box.put("again", files[0])
    box.rest()
    assert box.series() == [declined]


def test_another_engine_reads_all_slices_anew(make_box: MakeBox, keen: LoadedEngine) -> None:
    """A late slice after a change of engines: no reading mixes the answers of two."""
    files = series_files("engines")
    box = make_box(engine=keen)
    send(box, files[:-1])
    box.rest()
    box.engine = replace(keen, card=replace(keen.card, sha256="another", calibration_bias=(0.5,) * 6))
    box.restart()
    send(box, files[-1:])
    box.rest()
    assert [(one.revision, one.engine_sha256) for one in finals(box)] == [(1, keen.card.sha256), (2, "another")]
    fresh = make_box("fresh", engine=box.engine)
    send(fresh, files)
    fresh.rest()
    assert finals(box)[-1].probabilities == finals(fresh)[-1].probabilities


def test_a_stray_temporary_file_holds_no_final_reading_up(make_box: MakeBox, calm: LoadedEngine) -> None:
    box = make_box(engine=calm)
    send(box, series_files("stray", bleeding=False)[:20])  # the count in the header is not reached: quiet decides
    (box.inbox / "transfer.part").write_bytes(b"half")
    box.pass_time_until(lambda: bool(box.studies() and box.series() and finals(box)), at_most_s=45)
