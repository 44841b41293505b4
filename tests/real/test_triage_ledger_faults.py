"""Triage while the ledger cannot be written or the disk is full: the bleed is found, told of, and recorded in the end."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from appliance.core.alerts import Happening
from appliance.core.errors import Fault
from appliance.core.words import FileVerdict, Finality, Level, Outcome, StudyState
from appliance.inference.loading import LoadedEngine
from appliance.phantoms.dicom import PhantomFile
from appliance.processes.clock import now
from appliance.records.check import check
from appliance.records.engines import last_golden
from appliance.records.files import verdict_sums
from appliance.records.ledger import Connection, Ledger
from appliance.records.slices import forget_scores
from appliance.records.studies import study_events_of
from appliance.triage.ballast import Ballast
from appliance.triage.engine_duty import WRITE_AGAIN_S, EngineDuty
from appliance.triage.self_test import EVERY_S
from appliance.triage.technical import TechnicalAlerts
from tests.conftest import MakeBox
from tests.phantom_exams import series_files, small_exam
from tests.real.appliance import BALLAST_MIB, CALM, KEEN, SWEEP_AND_SECOND_LOOK_S, Box, settings_of, with_points
from tests.real.couriers import PAGE, all_at_once, messages, wait_until, webhook
from tests.real.couriers import Box as Surroundings
from tests.real.gateways import open_gateway
from tests.real.programs import Programs
from tests.real.small_disk import empty, fill, held_by_another, small_disk


def bleeding_first() -> list[PhantomFile]:
    """The files of an exam that bleeds, those that show it before the others."""
    bled = set(np.flatnonzero(small_exam().labels[:, 0]) + 1)
    return sorted(series_files("fault"), key=lambda file: (file.number not in bled, file.number))


def land(box: Box, files: list[PhantomFile]) -> None:
    for file in files:
        box.put(f"IM{file.number:03}", file.data)


def unread(box: Box, head_engine: LoadedEngine) -> None:
    """All but a last slice has been taken, and none is scored: the program starts again, and will find the bleed."""
    land(box, bleeding_first()[:-1])
    box.pass_time_until(lambda: len(box.slices()) == 29)
    with box.ledger.writing() as write:
        for series in box.series():
            forget_scores(write, series.id)
    box.engine = with_points(head_engine, KEEN)


def told_of(box: Box) -> None:
    """Ticks until the box tells of an alert that it could not record: before the last slice is scored."""
    for _ in range(25):
        if box.triage.keeping.unrecorded:
            return
        box.tick()
    raise AssertionError("nothing is told")


@pytest.fixture
def calm_box(make_box: MakeBox, head_engine: LoadedEngine) -> Box:
    return make_box(engine=with_points(head_engine, CALM))


def test_a_bleed_is_found_while_another_program_holds_the_ledger(calm_box: Box, head_engine: LoadedEngine) -> None:
    box = calm_box
    unread(box, head_engine)
    box.restart()
    with held_by_another(box.settings.database):
        told_of(box)
        assert box.alerts() == []
        (told,) = box.triage.keeping.unrecorded
        assert (told.level, told.finality, told.study_id) == (Level.CRITICAL, Finality.PROVISIONAL, box.study().id)
        assert told.key_number > 0 and told.label
        assert "ledger" not in box.triage.facts(box.clock.now()), "others may write for a moment"
        box.pass_time(20)
        assert box.triage.facts(box.clock.now())["ledger"] == "ledger-not-writable"
        assert box.triage.keeping.unrecorded == (told,), "the final reading confirms it, and is no second alert"
    box.pass_time(1)
    raised, confirmed = [event for event in box.events() if event.alert_id == box.alert().id]
    assert (raised.at_ns, raised.happening, raised.finality) == (told.at_ns, Happening.RAISED, Finality.PROVISIONAL)
    assert (confirmed.happening, confirmed.finality, confirmed.sounds) == (Happening.RAISED, Finality.FINAL, False)
    assert box.triage.keeping.unrecorded == () and "ledger" not in box.triage.facts(box.clock.now())
    box.rest()
    assert (box.study().outcome, box.study().state) == (Outcome.CRITICAL, StudyState.CLOSED)
    box.assert_sound(*(file.data for file in bleeding_first()[:-1]))


def test_killed_with_an_alert_that_is_not_recorded_it_finds_the_bleed_again(
    calm_box: Box, head_engine: LoadedEngine
) -> None:
    box = calm_box
    unread(box, head_engine)
    box.restart()
    with held_by_another(box.settings.database):
        told_of(box)
        (told,) = box.triage.keeping.unrecorded
        box.restart()
        told_of(box)
        (again,) = box.triage.keeping.unrecorded
        assert (again.study_id, again.level) == (told.study_id, told.level)
    box.rest()
    assert [event.sounds for event in box.events() if event.alert_id == box.alert().id] == [True, False]
    box.assert_sound(*(file.data for file in bleeding_first()[:-1]))


def fails(*_: object, **__: object) -> None:
    raise Fault("ledger-damaged", "SQLite: SQLITE_CORRUPT")


def test_a_bleed_is_found_while_the_ledger_cannot_even_be_read(
    calm_box: Box, head_engine: LoadedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = calm_box
    unread(box, head_engine)
    box.restart()
    study_id = box.study().id
    with monkeypatch.context() as patched:
        for name in ("reading", "writing"):
            patched.setattr(box.ledger, name, fails)
        told_of(box)
        (told,) = box.triage.keeping.unrecorded
        assert (told.level, told.study_id) == (Level.CRITICAL, study_id)
    box.rest()
    assert [event.sounds for event in box.events() if event.alert_id == box.alert().id] == [True, False]
    box.assert_sound(*(file.data for file in bleeding_first()[:-1]))


def test_an_alert_that_stands_is_not_raised_anew_while_the_ledger_cannot_be_read(
    calm_box: Box, head_engine: LoadedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = calm_box
    unread(box, head_engine)
    box.restart()
    while not box.alerts():  # not one slice more: nothing is asked of the ledger once the alert is written
        box.tick()
    with monkeypatch.context() as patched:
        for name in ("reading", "writing"):
            patched.setattr(box.ledger, name, fails)
        box.pass_time(40)
        assert box.triage.keeping.unrecorded == ()
    box.rest()
    assert [event.sounds for event in box.events() if event.alert_id == box.alert().id] == [True, False]


def test_what_becomes_of_the_engine_does_not_make_each_slice_wait_for_a_ledger_that_is_held(
    ledger: Ledger, head_engine: LoadedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = now()
    duty = EngineDuty(
        spare=head_engine, fast=None, why="a test", ledger=ledger, technical=TechnicalAlerts(ledger), now=at
    )
    tried = 0

    def held(**_: object) -> None:
        nonlocal tried
        tried += 1
        raise Fault("ledger-not-writable", "SQLite: SQLITE_BUSY")

    with monkeypatch.context() as patched:
        patched.setattr(ledger, "writing", held)
        for _ in range(len(head_engine.golden)):  # a whole round of test pictures, which is an event
            at = at.plus(EVERY_S)
            duty.tick(at, idle=True)
        assert tried == 1
        for _ in range(20):
            duty.tick(at.plus(1.0), idle=False)
        assert tried == 1
    duty.tick(at.plus(WRITE_AGAIN_S), idle=False)
    with ledger.reading() as r:
        assert last_golden(r) is not None


def test_a_late_slice_whose_study_cannot_be_opened_again_at_the_commit_is_read_in_the_end(
    calm_box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full says so when a transaction is committed, after all its statements have passed."""
    box = calm_box
    *first, late = bleeding_first()
    land(box, first)
    box.rest()
    assert box.study().state is StudyState.CLOSED
    writing = box.ledger.writing

    @contextlib.contextmanager
    def full(**more: int) -> Iterator[Connection]:
        with writing(**more) as write:
            yield write
            raise Fault("ledger-not-writable", "SQLite: SQLITE_FULL")

    box.put("late", late.data)
    with monkeypatch.context() as patched:
        patched.setattr(box.ledger, "writing", full)
        box.pass_time(2 * SWEEP_AND_SECOND_LOOK_S)
        assert len(box.slices()) == len(first)
    box.rest()
    assert (len(box.slices()), box.study().state) == (30, StudyState.CLOSED)
    assert all(one.score is not None for one in box.slices())
    with box.ledger.reading() as r:
        happened = [one.happening.value for one in study_events_of(r, box.study().id)]
    assert happened == ["OPENED", "CLOSED", "REOPENED", "CLOSED"]
    box.assert_sound(*(file.data for file in bleeding_first()))


# -- the ballast ---------------------------------------------------------------------------------------


def test_a_ballast_without_blocks_is_made_anew_once(tmp_path: Path) -> None:
    place, at = tmp_path / "ballast", now()
    with open(place, "wb") as copied:
        copied.truncate(2**20)
    assert place.stat().st_blocks == 0
    Ballast(place, 2**20).keep(at)
    assert place.stat().st_blocks * 512 >= 2**20


def test_a_ballast_of_another_size_is_made_anew(tmp_path: Path) -> None:
    place = tmp_path / "ballast"
    Ballast(place, 2**20).keep(now())
    Ballast(place, 2**21).keep(now())
    assert place.stat().st_size == 2**21


def test_a_ballast_that_was_half_made_leaves_a_full_disk(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", mib=4) as disk:
        half = disk / "ballast.tmp"
        half.write_bytes(b"x" * 2**20)
        fill(disk)
        ballast = Ballast(disk / "ballast", 2**20)
        ballast.give_up_if_full()
        assert not half.exists() and ballast.free_bytes() >= 2**20


@pytest.fixture
def on_small_disk(tmp_path: Path) -> Iterator[Path]:
    """The state and the store of a box on one small disk, its inbox elsewhere."""
    with small_disk(tmp_path / "disk", mib=24) as disk:
        (tmp_path / "box").mkdir()
        for name in ("state", "store"):
            (disk / name).mkdir()
            (tmp_path / "box" / name).symlink_to(disk / name)
        yield disk


def test_a_bleed_that_lands_when_the_disk_is_full_to_the_last_byte_is_told_and_nothing_is_lost(
    on_small_disk: Path, make_box: MakeBox
) -> None:
    box = make_box(ballast_mib=4)
    box.tick()
    assert (box.settings.state_folder / "ballast").stat().st_blocks * 512 >= 4 * 2**20
    fill(on_small_disk)
    land(box, bleeding_first())
    box.pass_time_until(lambda: bool(box.alerts()))
    box.pass_time(3)
    assert not (box.settings.state_folder / "ballast").exists()
    assert (box.alert().level, box.alert().sounds) == (Level.CRITICAL, True)
    assert [one.key.first for one in box.alerts("technical") if one.open] == ["store-not-writable"]
    taken = len(box.slices())
    assert 0 < taken < 30 and box.study().state is StudyState.OPEN
    box.pass_time(60)
    assert len(box.slices()) == taken, "the rest of the room is for what the ledger has to write"
    empty(on_small_disk)
    box.rest()
    assert box.sums() == {"TAKEN": 30} and box.in_inbox() == []
    assert (box.study().outcome, box.study().state) == (Outcome.CRITICAL, StudyState.CLOSED)
    assert [one.key.first for one in box.alerts("technical") if one.open] == []
    assert (box.settings.state_folder / "ballast").exists()
    box.assert_sound(*(file.data for file in bleeding_first()))


def test_what_lands_while_the_ledger_is_held_stays_in_the_inbox_and_is_taken_once(
    make_box: MakeBox, head_engine: LoadedEngine
) -> None:
    box = make_box(engine=with_points(head_engine, KEEN))
    first, *rest = bleeding_first()
    box.put("first", first.data)
    box.put("empty", b"")
    box.pass_time_until(lambda: bool(box.slices()))
    with held_by_another(box.settings.database):
        for file in rest:
            box.put(f"IM{file.number:03}", file.data)
        box.pass_time(10)
        assert len(box.slices()) <= 1
        assert len(box.in_inbox()) >= len(rest)
    box.rest()
    assert box.sums() == {"TAKEN": 30, "IGNORED": 1}
    assert box.in_inbox() == ["empty"]
    assert [event.sounds for event in box.events() if event.alert_id == box.alert().id] == [True, False]
    assert check(box.ledger) == []
    box.assert_sound(*(file.data for file in bleeding_first()))


def test_a_bleed_that_is_found_while_the_ledger_is_held_goes_the_whole_road_to_a_pager_once(
    calm_box: Box, head_engine: LoadedEngine
) -> None:
    box = calm_box
    unread(box, head_engine)
    box.restart()
    with open_gateway() as pager, Ledger.open(box.settings.database) as ledger:
        # A real courier on another clock, which stands unless it is moved on.
        around = Surroundings(ledger, notebook=box.settings.runtime_folder / "courier.notebook", pages=(PAGE,))
        made = around.courier(all_at_once(webhook(pager), nobody_after_s=1e9, grace_s=1e9))
        with held_by_another(box.settings.database):
            told_of(box)
            around.unrecorded = box.triage.keeping.unrecorded
            around.settle(made)
            around.settle(made, after_s=5.0)
            (first,) = pager.received
            assert (first.document["level"], first.document["recorded"]) == ("CRITICAL", False)
        box.pass_time(1)
        around.unrecorded = box.triage.keeping.unrecorded
        assert around.unrecorded == ()
        around.settle(made, after_s=1.1)
        around.settle(made, after_s=5.0)
        (message,) = messages(ledger, box.alert().id)
        assert (message.idempotency_key, message.state) == (first.key, "DONE")
        assert len(pager.received) == 1
        assert check(ledger) == []
        made.close()


# -- the programs --------------------------------------------------------------------------------------


def taken(ledger: Ledger) -> int:
    with ledger.reading() as r:
        return verdict_sums(r)[FileVerdict.TAKEN]


def test_programs_that_are_killed_while_the_disk_is_full_tell_the_bleed_under_one_key_and_lose_nothing(
    on_small_disk: Path, tmp_path: Path, migrated: Path
) -> None:
    root = tmp_path / "box"
    shutil.copy(migrated, settings_of(root).database)
    (root / "secret").write_text("a secret of the test\n")
    programs = Programs(root)
    with open_gateway() as pager, Ledger.open(programs.settings.database) as ledger:
        channel = f'[courier.channels.pager]\nkind = "webhook"\nurl = "{pager.url}"\nsecret_file = "{root}/secret"\n'
        text = programs.config.read_text().replace(f"ballast_mib = {BALLAST_MIB}", "ballast_mib = 4")
        programs.config.write_text(text + channel)
        try:
            for program in ("triage", "courier"):
                programs.start(program)
            wait_until((root / "state" / "ballast").exists, within_s=20)
            fill(on_small_disk)
            for file in bleeding_first():
                hidden = root / "inbox" / f".{file.number}.part"
                hidden.write_bytes(file.data)
                hidden.rename(root / "inbox" / f"IM{file.number:03}")
            wait_until(lambda: any(one.document["level"] == "CRITICAL" for one in pager.received), within_s=60)
            for program in ("courier", "triage"):
                programs.kill(program)
            fill(on_small_disk)
            for program in ("courier", "triage"):
                programs.start(program)
            empty(on_small_disk)
            wait_until(lambda: taken(ledger) == 30, within_s=60)
            wait_until(lambda: not list((root / "inbox").iterdir()), within_s=60)
        finally:
            programs.end()
        first_words = [
            one for one in pager.received if one.document["happening"] == "RAISED" and not one.document["code"]
        ]
        assert len({one.key for one in first_words}) == 1
        assert check(ledger) == []
