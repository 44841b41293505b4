"""The ledger on real files: its form, its transactions, and what comes back of what was written."""

import shutil
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from pysqlite3 import dbapi2
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from appliance.core.alerts import Happening, ImpossibleEvent, Judged, Step
from appliance.core.errors import CannotStart, Fault
from appliance.core.headers import Header
from appliance.core.ledger import AlertChange, AlertKey, Judgement, OutcomeSaid, ScoredSlice, SeriesChange
from appliance.core.studies import StudyJudged
from appliance.core.words import FileVerdict, Finality, Level, Outcome, SeriesState, SeriesVerdict, StudyState
from appliance.records import alerts, deliveries, engines, escalations, files, readings, series, slices, studies
from appliance.records.check import check
from appliance.records.judgement import commit_judgement
from appliance.records.ledger import (
    Connection,
    Ledger,
    open_engine,
    refuse_unsound_sqlite,
    revision_of,
    sqlite_is_sound,
)
from appliance.records.migrations import REVISIONS
from appliance.records.models import metadata
from appliance.records.upgrade import MIGRATIONS, alembic_config, script_directory, upgrade
from tests.real import invented

CRITICAL, FINAL = Level.CRITICAL, Finality.FINAL


# --- its form -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "sound"),
    [
        ((3, 40, 1), False),
        ((3, 44, 5), False),
        ((3, 44, 6), True),
        ((3, 45, 0), False),
        ((3, 50, 6), False),
        ((3, 50, 7), True),
        ((3, 51, 2), False),
        ((3, 51, 3), True),
        ((3, 52, 0), False),
        ((3, 53, 0), True),
        ((3, 54, 1), True),
        ((4, 0, 0), True),
    ],
)
def test_which_sqlite_is_sound(version: tuple[int, int, int], sound: bool) -> None:
    assert sqlite_is_sound(version) is sound
    if not sound:
        with pytest.raises(CannotStart, match="WAL-reset"):
            refuse_unsound_sqlite(version)


def test_the_sqlite_that_ships_is_sound_and_is_the_one_in_use(ledger: Ledger) -> None:
    refuse_unsound_sqlite()
    with ledger.reading() as r:
        assert r.exec_driver_sql("SELECT sqlite_version()").scalar() == dbapi2.sqlite_version


def test_every_connection_has_every_pragma(ledger: Ledger) -> None:
    wanted = {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "busy_timeout": 5000,
        "trusted_schema": 0,
        "cell_size_check": 1,
        "secure_delete": 1,
        "auto_vacuum": 2,
    }
    for transaction in (ledger.writing, ledger.reading):
        with transaction() as connection:
            found = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in wanted}
        assert found == wanted


def test_the_migrations_make_what_the_models_say(migrated: Path, tmp_path: Path) -> None:
    by_models = tmp_path / "models.db"
    engine = open_engine(by_models)
    with engine.begin() as connection:
        metadata.create_all(connection)
    engine.dispose()
    assert _schema(by_models) == _schema(migrated)

    engine = open_engine(Path(shutil.copy(migrated, tmp_path / "copy.db")))
    with engine.begin() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def _schema(path: Path) -> dict[str, set[str]]:
    """Each table's and index's parts, whatever their order."""
    with dbapi2.connect(str(path)) as connection:
        made = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    ours = [(name, sql) for name, sql in made if not name.startswith(("alembic", "sqlite"))]
    # A table that a migration has made anew has its name in quotes.
    plain = [(name, sql.replace(f'TABLE "{name}"', f"TABLE {name}")) for name, sql in ours]
    return {name: {line.strip().rstrip(",") for line in sql.splitlines()} for name, sql in plain}


def test_an_upgrade_from_the_first_form_keeps_every_row(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    engine = open_engine(path, migrating=True)
    with engine.begin() as connection:
        command.upgrade(alembic_config(connection), REVISIONS[0])
        connection.exec_driver_sql(
            "INSERT INTO study (id, study_uid, patient_identity, patient_id, patient_name, birth_date, sex, accession, "
            "description, scanner, age_years, state, outcome, reasons, opened_ns, last_landed_ns, closed_ns, seen_by) "
            "VALUES (7, '2.25.1', 'X', 'FAKE-1', 'SAMPLE^ONE', '', 'F', '', '', '', 60, 'CLOSED', 'NOT ANALYSED', "
            "'[]', 1, 1, 2, 'R. Example')"
        )
        for number, (kind, by, outcome) in enumerate(
            [("OPENED", "", None), ("CLOSED", "", "NOT ANALYSED"), ("SEEN", "R. Example", None)], start=1
        ):
            connection.exec_driver_sql(
                "INSERT INTO study_event (id, study_id, kind, at_ns, by, outcome) VALUES (?, 7, ?, ?, ?, ?)",
                (number, kind, number, by, outcome),
            )
    engine.dispose()
    assert upgrade(path) == (REVISIONS[0], REVISIONS[-1])
    with Ledger.open(path) as ledger:
        assert check(ledger) == []
        with ledger.reading() as r:
            (row,) = studies.studies_of_uid(r, "2.25.1")
            assert (row.id, row.seen_by, row.judged) == (7, "R. Example", None)
            assert [(one.id, one.details) for one in studies.study_events_of(r, 7)] == [(1, {}), (2, {}), (3, {})]
        with ledger.writing() as w:
            studies.judge_study(w, 7, StudyJudged.BLEED, by="R. Example", at_ns=9, details={"via": "command"})
        with ledger.reading() as r:
            assert [one.judged for one in studies.judged_studies(r, 0, 10)] == [StudyJudged.BLEED]
        assert check(ledger) == []


def test_the_list_of_revisions_is_that_of_the_scripts() -> None:
    scripts = list(script_directory().walk_revisions())
    assert tuple(reversed([script.revision for script in scripts])) == REVISIONS


def test_every_table_can_be_made_on_postgresql() -> None:
    dialect = postgresql.dialect()
    for table in metadata.sorted_tables:
        made = str(CreateTable(table).compile(dialect=dialect))
        assert "BLOB" not in made
        assert f"CONSTRAINT pk_{table.name} PRIMARY KEY" in made
        for index in table.indexes:
            CreateIndex(index).compile(dialect=dialect)
    unnamed = [one for table in metadata.sorted_tables for one in table.constraints if not one.name]
    assert unnamed == []
    event_id = str(CreateTable(metadata.tables["alert_event"]).compile(dialect=dialect))
    assert "id BIGSERIAL" in event_id


def test_a_new_ledger_is_private_and_a_second_upgrade_does_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    assert upgrade(path) == (None, REVISIONS[-1])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert upgrade(path) == (REVISIONS[-1], REVISIONS[-1])


def test_an_upgrade_that_fails_leaves_nothing_behind(
    ledger_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(MIGRATIONS, tmp_path / "migrations"))
    (folder / "versions" / "r9999_broken.py").write_text(
        f"from alembic import op\nrevision = '9999'\ndown_revision = {REVISIONS[-1]!r}\n"
        "def upgrade():\n"
        "    op.execute('CREATE TABLE half (id INTEGER PRIMARY KEY)')\n"
        "    op.execute('INSERT INTO nowhere VALUES (1)')\n",
    )
    monkeypatch.setattr("appliance.records.upgrade.MIGRATIONS", folder)
    engine = open_engine(ledger_path, migrating=True)
    with pytest.raises(sa.exc.OperationalError, match="nowhere"), engine.begin() as connection:
        command.upgrade(alembic_config(connection), "head")
    with engine.begin() as connection:
        assert revision_of(connection) == REVISIONS[-1]
        assert not sa.inspect(connection).has_table("half")
    engine.dispose()


# --- what does not open, and says so --------------------------------------------------------------------------------


def _at_revision(path: Path, revision: str | None) -> Path:
    with dbapi2.connect(str(path)) as connection:
        connection.execute("DELETE FROM alembic_version")
        if revision is not None:
            connection.execute("INSERT INTO alembic_version VALUES (?)", (revision,))
    return path


def test_a_missing_ledger_names_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match=r"does not exist yet\. Next step: bleedwatch db upgrade"):
        Ledger.open(tmp_path / "ledger.db")


def test_an_older_ledger_is_refused(ledger_path: Path) -> None:
    with pytest.raises(CannotStart, match=r"older than this Bleedwatch.*bleedwatch db upgrade"):
        Ledger.open(_at_revision(ledger_path, None))


def test_a_newer_ledger_is_refused_by_programs_and_upgrade(ledger_path: Path) -> None:
    _at_revision(ledger_path, "9999")
    for way in (Ledger.open, upgrade):
        with pytest.raises(CannotStart, match=r"newer than this Bleedwatch \(it is at 9999"):
            way(ledger_path)


def test_what_is_no_ledger_is_refused_and_left_alone(tmp_path: Path) -> None:
    text = tmp_path / "text.db"
    text.write_text("This is not a database. " * 100)
    other = tmp_path / "other.db"
    with dbapi2.connect(str(other)) as connection:
        connection.execute("CREATE TABLE things (id INTEGER PRIMARY KEY)")
    for path in (text, other):
        before = path.read_bytes()
        for way in (Ledger.open, upgrade):
            with pytest.raises(CannotStart, match="Next step"):
                way(path)
        assert path is other or path.read_bytes() == before


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match=r"does not exist. Next step: mkdir -p .*/state"):
        upgrade(tmp_path / "state" / "ledger.db")


@pytest.mark.parametrize("call", ["upgrade", "Ledger.open"])
def test_a_folder_that_may_not_be_written_is_named(migrated: Path, call: str) -> None:
    """In a process of its own, because root may write everywhere.

    Below no folder of the test's, which that process may not enter: other runs use their parents at the same time.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ledger_path = Path(shutil.copy(migrated, folder / "ledger.db"))
        ledger_path.chmod(0o644)
        folder.chmod(0o555)
        ran = _run_as_nobody(call, ledger_path)
    assert ran.stderr == ""
    assert str(folder) in ran.stdout
    assert "not writable. Next step" in ran.stdout


def _run_as_nobody(call: str, ledger_path: Path) -> subprocess.CompletedProcess[str]:
    program = (
        "import os, sys, pathlib\n"
        "from appliance.core.errors import CannotStart\n"
        "from appliance.records.ledger import Ledger\n"
        "from appliance.records.upgrade import upgrade\n"
        "if os.getuid() == 0: os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        f"try: {call}(pathlib.Path(sys.argv[1]))\n"
        "except CannotStart as error: print(error)\n"
    )
    return subprocess.run(
        [sys.executable, "-c", program, str(ledger_path)], capture_output=True, text=True, timeout=60, check=False
    )


# --- transactions ---------------------------------------------------------------------------------------------------


@contextmanager
def _second(path: Path) -> Iterator[Ledger]:
    with Ledger.open(path) as other:
        yield other


def test_an_exception_undoes_everything(ledger: Ledger) -> None:
    with pytest.raises(ZeroDivisionError), ledger.writing() as w:
        invented.opened(w)
        w.exec_driver_sql("CREATE TABLE leftover (id INTEGER PRIMARY KEY)")
        raise ZeroDivisionError
    with ledger.reading() as r:
        assert studies.open_studies(r) == []
        assert not sa.inspect(r).has_table("leftover")


def test_a_reader_sees_one_state_and_is_not_blocked_by_a_writer(ledger: Ledger, ledger_path: Path) -> None:
    with _second(ledger_path) as other, other.reading() as r:
        assert studies.open_studies(r) == []
        with ledger.writing() as w:
            invented.opened(w)
            assert studies.open_studies(r) == []
        assert studies.open_studies(r) == []
        with other.reading() as later:
            assert len(studies.open_studies(later)) == 1


def test_writers_wait_for_each_other_and_none_reads_what_is_outdated(ledger: Ledger, ledger_path: Path) -> None:
    """Each reads, then writes what it read plus one. A lost update or a refused writer would show in the sum."""
    with ledger.writing() as w:
        study, _ = invented.opened(w)
    failures: list[BaseException] = []

    def add(own: Ledger, times: int) -> None:
        try:
            for _ in range(times):
                with own.writing() as w:
                    last_ns = studies.study_by_id(w, study.id).last_landed_ns  # type: ignore[union-attr]
                    studies.note_landing(w, study.id, None, last_ns + 1)
        except BaseException as error:  # noqa: BLE001  a thread's border
            failures.append(error)

    with _second(ledger_path) as other:
        threads = [threading.Thread(target=add, args=(own, 10)) for own in (ledger, ledger, other, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
    assert failures == []
    with ledger.reading() as r:
        found = studies.study_by_id(r, study.id)
        assert found is not None
        assert found.last_landed_ns == study.last_landed_ns + 40


def test_a_writer_inside_a_writer_is_refused_at_once(ledger: Ledger) -> None:
    with ledger.writing(), pytest.raises(RuntimeError, match="wait for itself"), ledger.writing():
        pass
    with ledger.writing() as w:
        invented.opened(w)


def test_data_version_changes_with_every_commit_of_anybody_and_with_nothing_else(
    ledger: Ledger, ledger_path: Path
) -> None:
    with _second(ledger_path) as other:
        first = other.data_version()
        with ledger.reading() as r:
            studies.open_studies(r)
        assert other.data_version() == first
        with ledger.writing() as w:
            invented.opened(w)
            assert other.data_version() == first
        second = other.data_version()
        assert second != first
        own = ledger.data_version()
        with ledger.writing() as w:
            studies.note_landing(w, 1, None, 99)
        assert ledger.data_version() != own
        assert other.data_version() != second


def test_a_full_disk_is_a_fault_that_undoes_the_whole_and_passes(ledger: Ledger) -> None:
    with ledger.writing() as w:
        _, one = invented.opened(w)
        used = w.exec_driver_sql("PRAGMA page_count").scalar()
    with pytest.raises(Fault) as caught, ledger.writing() as w:
        w.exec_driver_sql(f"PRAGMA max_page_count = {used + 2}")
        for n in range(200):
            slices.score_slice(w, invented.taken(w, one.id, n).id, invented.score(n), {})
    assert (caught.value.reason, caught.value.message) == ("ledger-not-writable", "SQLite: SQLITE_FULL")
    with ledger.writing() as w:
        w.exec_driver_sql("PRAGMA max_page_count = 1000000")
        assert slices.slices_of(w, one.id) == []
        invented.taken(w, one.id, 1)
    assert check(ledger) == []


def test_a_damaged_file_is_said(ledger: Ledger, ledger_path: Path) -> None:
    with ledger.writing() as w:
        _, one = invented.opened(w)
        for n in range(100):
            slices.score_slice(w, invented.taken(w, one.id, n).id, invented.score(n), {})
    ledger.close()
    data = bytearray(ledger_path.read_bytes())
    for offset in range(8192, len(data) - 4096, 4096):
        if data[offset] in (2, 5, 10, 13):
            data[offset : offset + 40] = b"\xff" * 40
    ledger_path.write_bytes(bytes(data))
    try:
        damaged = Ledger.open(ledger_path)
    except CannotStart as refused:
        assert "Next step" in str(refused)
        return
    with damaged:
        assert check(damaged)
        with pytest.raises(Fault) as caught, damaged.reading() as r:
            slices.slices_of(r, one.id)
        assert caught.value.reason == "ledger-damaged"


def test_a_broken_rule_names_no_patient(ledger: Ledger) -> None:
    with pytest.raises(sa.exc.IntegrityError) as caught, ledger.writing() as w:
        invented.opened(w)
        invented.opened(w)
    assert "PHANTOM" not in str(caught.value)
    assert "FAKE" not in str(caught.value)


def test_rows_that_refer_to_nothing_are_refused(ledger: Ledger) -> None:
    with pytest.raises(sa.exc.IntegrityError), ledger.writing() as w:
        series.open_series(w, 99, invented.SERIES, SeriesVerdict.READ, (), True, 1)


# --- what comes back ------------------------------------------------------------------------------------------------


def test_files_come_back_and_their_sums_are_all_that_landed(ledger: Ledger) -> None:
    high = invented.file("high.dcm", inode=2**64 - 1)
    with ledger.writing() as w:
        ids = [files.record_file(w, invented.file(f"{n}.dcm", inode=n)) for n in range(3)]
        ids.append(files.record_file(w, high))
        ids.append(files.record_file(w, invented.file("bad.dcm", inode=9, verdict=FileVerdict.SET_ASIDE)))
        files.mark_removed(w, ids[:2])
    with ledger.reading() as r:
        assert files.verdict_sums(r) == {
            **dict.fromkeys(FileVerdict, 0),
            FileVerdict.TAKEN: 4,
            FileVerdict.SET_ASIDE: 1,
        }
        assert files.files_still_landed(r)[1] == (ids[3], high)
        assert [row.path for row in files.recent_files(r, [FileVerdict.SET_ASIDE], 5)] == ["bad.dcm"]


def test_any_number_of_files_may_have_gone(ledger: Ledger) -> None:
    with ledger.writing() as w:
        kept = files.record_file(w, invented.file())
        files.mark_removed(w, range(kept + 1, 300_000))
        assert [number for number, _ in files.files_still_landed(w)] == [kept]
        files.mark_removed(w, range(300_000))
        assert files.files_still_landed(w) == []


def test_a_file_that_grew_keeps_its_row_and_another_under_its_path_does_not(ledger: Ledger) -> None:
    with ledger.writing() as w:
        first = files.record_file(w, invented.file(verdict=FileVerdict.SET_ASIDE))
        assert files.record_file(w, invented.file(verdict=FileVerdict.TAKEN, attempts=2)) == first
        assert files.record_file(w, invented.file(inode=2)) != first
        assert [row.identity.inode for _, row in files.files_still_landed(w)] == [2]
        assert sum(files.verdict_sums(w).values()) == 2


def test_held_back_files_are_counted_on_their_study_while_they_are_held_back(ledger: Ledger) -> None:
    with ledger.writing() as w:
        files.record_file(w, invented.file("x.dcm", verdict=FileVerdict.SET_ASIDE))
        study, _ = invented.opened(w)
        assert study.set_aside == 1
        files.record_file(w, invented.file("x.dcm", verdict=FileVerdict.TAKEN))
        assert [one.set_aside for one in studies.open_studies(w)] == [0]


def test_a_study_comes_back_and_two_patients_under_one_uid_are_two(ledger: Ledger) -> None:
    other = replace(invented.STUDY, patient=replace(invented.STUDY.patient, identity="FAKE-0002\\BOX"))
    with ledger.writing() as w:
        study, _ = invented.opened(w)
        second = studies.open_study(w, other, 11)
        studies.update_study_facts(w, study.id, replace(invented.STUDY, description="corrected"))
    with ledger.reading() as r:
        found = studies.find_study(r, "2.25.1", "FAKE-0001\\BOX")
        assert found == replace(study, facts=replace(invented.STUDY, description="corrected"))
        assert studies.find_study(r, "2.25.1", "FAKE-0002\\BOX") == second
        assert studies.find_study(r, "2.25.1", "") is None
        assert [one.id for one in studies.studies_since(r, 11, 9)] == [second.id]


def test_the_life_of_a_study_is_stored_with_its_events(ledger: Ledger) -> None:
    with ledger.writing() as w:
        study, _ = invented.opened(w)
        studies.say_outcome(w, study.id, Outcome.REVIEW, (("possible-bleed", {}),))
        studies.close_study(w, study.id, Outcome.NOT_ANALYSED, (("no-head", {"why": "x"}),), 20)
        studies.see_study(w, study.id, "A. Example", 21)
        studies.say_outcome(w, study.id, Outcome.CRITICAL, ())
        closed = studies.study_by_id(w, study.id)
        assert closed is not None
        assert (closed.state, closed.outcome, closed.seen_by, closed.closed_ns) == (
            StudyState.CLOSED,
            Outcome.NOT_ANALYSED,
            "A. Example",
            20,
        )
        with pytest.raises(ImpossibleEvent):
            studies.close_study(w, study.id, Outcome.REVIEW, (), 22)
        studies.reopen_study(w, study.id, 23)
        assert [one.outcome for one in studies.open_studies(w)] == [Outcome.NOT_ANALYSED]
        assert [one.happening for one in studies.study_events_of(w, study.id)] == [
            "OPENED",
            "CLOSED",
            "SEEN",
            "REOPENED",
        ]
    assert check(ledger) == []


def test_a_series_comes_back_and_changes_only_in_what_is_given(ledger: Ledger) -> None:
    with ledger.writing() as w:
        study, one = invented.opened(w)
        assert one.facts == invented.SERIES
        assert series.series_of(w, study.id) == [one]
        series.change_series(
            w, one.id, verdict=SeriesVerdict.DECLINED, reasons=(("no-brain", {}),), corrections=("tilt",)
        )
        series.change_series(w, one.id, state=SeriesState.CLOSED, closed_ns=30)
        changed = replace(
            one,
            verdict=SeriesVerdict.DECLINED,
            reasons=(("no-brain", {}),),
            corrections=("tilt",),
            state=SeriesState.CLOSED,
            closed_ns=30,
        )
        assert series.series_of(w, study.id) == [changed]
        series.change_series(w, one.id, state=SeriesState.OPEN)
        assert series.series_of(w, study.id) == [replace(changed, state=SeriesState.OPEN, closed_ns=None)]


def test_a_score_comes_back_bit_for_bit(ledger: Ledger) -> None:
    with ledger.writing() as w:
        _, one = invented.opened(w)
        rows = [invented.taken(w, one.id, n) for n in (3, 1, 2)]
        for n, row in enumerate(rows):
            slices.score_slice(w, row.id, invented.score(n), {"score": 12.5})
    with ledger.reading() as r:
        found = slices.slices_of(r, one.id)
        assert [row.geometry.position_mm for row in found] == [5.0, 10.0, 15.0]
        for n, row in enumerate(rows):
            back = slices.slice_by_id(r, row.id)
            assert back is not None
            assert replace(back, score=None, ms=row.ms) == row
            assert back.ms == {"read": 4.5, "score": 12.5}
            written, read = invented.score(n), back.score
            assert read is not None
            for name in ("logits", "embedding", "heat"):
                assert np.array_equal(getattr(read, name), getattr(written, name))
                assert getattr(read, name).dtype == getattr(written, name).dtype
            rest = ("probabilities", "box", "peak_rc", "has_brain", "brain_hu", "skull_area_mm2", "ms", "facts")
            assert [getattr(read, name) for name in rest] == [getattr(written, name) for name in rest]
    with ledger.writing() as w:
        slices.forget_scores(w, one.id)
        assert [row.score for row in slices.slices_of(w, one.id)] == [None, None, None]


def test_a_score_from_before_facts_were_measured_has_none(ledger: Ledger) -> None:
    with ledger.writing() as w:
        _, one = invented.opened(w)
        row = invented.taken(w, one.id, 1)
        slices.score_slice(w, row.id, invented.score(), {})
        w.exec_driver_sql("UPDATE slice SET seen = json_remove(seen, '$.facts', '$.backend')")
        (back,) = slices.slices_of(w, one.id)
    assert back.score is not None and back.score.facts is None and back.score.has_brain


def test_two_pictures_under_one_sop_uid_are_both_kept_and_the_same_twice_is_not(ledger: Ledger) -> None:
    with ledger.writing() as w:
        _, one = invented.opened(w)
        for pixels in ("1" * 64, "2" * 64):
            slices.take_slice(w, one.id, invented.header("2.25.7", 5.0), pixels, "b" * 64, "s", 1, {})
        assert [row.sop_uid for row in slices.slices_of(w, one.id)] == ["2.25.7", "2.25.7"]
    with pytest.raises(sa.exc.IntegrityError), ledger.writing() as w:
        slices.take_slice(w, one.id, invented.header("2.25.7", 5.0), "1" * 64, "b" * 64, "s", 1, {})


def test_hostile_text_and_numbers_of_a_header_are_stored(ledger: Ledger) -> None:
    hostile = "x\0y\ud800'; DROP TABLE study; --<img src=x>"
    study = replace(invented.STUDY, patient=replace(invented.STUDY.patient, identity=hostile, name=hostile))
    with ledger.writing() as w:
        row = studies.open_study(w, study, 1)
        assert studies.find_study(w, study.study_uid, hostile) == row
        assert row.facts.patient.name == "xy?'; DROP TABLE study; --<img src=x>"
        facts = replace(invented.SERIES, description=hostile, series_number=10**30)
        one = series.open_series(w, row.id, facts, SeriesVerdict.READ, (("not-a-head", {"part": hostile}),), True, 1)
        head: Header = replace(invented.header("2.25.7", 5.0), instance_number=10**30, acquisition_number=-(10**30))
        taken = slices.take_slice(w, one.id, head, "1" * 64, "b" * 64, "s", 1, {})
        assert (taken.instance_number, taken.acquisition_number) == (None, None)
    with ledger.reading() as r:
        assert series.series_of(r, row.id)[0].facts == facts


def test_readings_and_engine_events_come_back(ledger: Ledger) -> None:
    with ledger.writing() as w:
        _, one = invented.opened(w)
        first = readings.record_reading(w, invented.reading(one.id, finality=Finality.PROVISIONAL))
        empty = replace(invented.reading(one.id), probabilities=(), finding=None, reasons=())
        second = readings.record_reading(w, empty)
        assert engines.current_engine(w) is None
        engines.record_engine_event(
            w, "LOADED", "e" * 64, "onnxruntime", 1, {"version": "0.1.0"}, engine_name="head-ct"
        )
        engines.record_engine_event(w, "GOLDEN", "e" * 64, "onnxruntime", 2, {"ok": "yes"})
    with ledger.reading() as r:
        assert readings.readings_of(r, one.id) == [
            replace(invented.reading(one.id, finality=Finality.PROVISIONAL), id=first),
            replace(empty, id=second),
        ]
        assert readings.latest_readings(r, [one.id]) == {one.id: replace(empty, id=second)}
        serving = engines.current_engine(r)
        assert serving is not None
        assert (serving.kind, serving.engine_name, serving.details) == ("LOADED", "head-ct", {"version": "0.1.0"})


# --- judgements and alerts ------------------------------------------------------------------------------------------


def judgement(
    study_id: int, series_id: int, slice_id: int, happening: Happening = Happening.RAISED, **more: bool
) -> Judgement:
    step = Step(happening=happening, level=CRITICAL, finality=FINAL, **more)
    return Judgement(
        at_ns=100,
        scores=(ScoredSlice(slice_id=slice_id, score=invented.score(), ms={"score": 9.0}),),
        series=(SeriesChange(series_id=series_id, state=SeriesState.CLOSED, closed_ns=100),),
        reading=invented.reading(series_id),
        outcome=OutcomeSaid(
            study_id=study_id, outcome=Outcome.CRITICAL, reasons=(("suspected-bleed", {}),), close=True
        ),
        alert=AlertChange(key=invented.KEY, step=step, study_id=study_id, series_id=series_id, details={"place": "x"}),
    )


def test_a_judgement_stands_whole(ledger: Ledger) -> None:
    with ledger.writing() as w:
        study, one = invented.opened(w)
        taken = invented.taken(w, one.id, 1)
    committed = commit_judgement(ledger, judgement(study.id, one.id, taken.id))
    with ledger.reading() as r:
        assert committed.alert == alerts.find_alert(r, invented.KEY)
        assert committed.alert is not None
        assert (committed.alert.sounds, committed.alert.reading_id) == (True, committed.reading_id)
        assert (committed.alert.study_id, committed.alert.series_id) == (study.id, one.id)
        assert committed.alert_event_id == alerts.last_event_id(r)
        assert slices.slices_of(r, one.id)[0].score is not None
        assert [row.state for row in series.series_of(r, study.id)] == [SeriesState.CLOSED]
        closed = studies.study_by_id(r, study.id)
        assert closed is not None
        assert (closed.state, closed.outcome) == (StudyState.CLOSED, Outcome.CRITICAL)
    assert check(ledger) == []


def test_a_judgement_whose_step_cannot_happen_leaves_nothing(ledger: Ledger) -> None:
    with ledger.writing() as w:
        study, one = invented.opened(w)
        taken = invented.taken(w, one.id, 1)
    with pytest.raises(LookupError):
        commit_judgement(ledger, judgement(study.id, one.id, taken.id, Happening.WITHDRAWN))
    with ledger.reading() as r:
        assert readings.readings_of(r, one.id) == []
        assert slices.slices_of(r, one.id)[0].score is None
        assert [row.id for row in studies.open_studies(r)] == [study.id]


def _raise(w: Connection, key: AlertKey = invented.KEY, level: Level = CRITICAL, at_ns: int = 1, **more: object) -> int:
    where = {"study_id": None, "series_id": None, "reading_id": None, "details": {}, "by": "triage", **more}
    return alerts.raise_alert(w, key, level, at_ns=at_ns, **where).id  # type: ignore[arg-type]


def test_one_row_for_one_exam_whatever_happens(ledger: Ledger) -> None:
    with ledger.writing() as w:
        first = _raise(w)
        alerts.append_event(w, first, Happening.ACKNOWLEDGED, at_ns=2, by="A. Example", details={})
        assert _raise(w, at_ns=3) == first
        assert not alerts.open_alerts(w)
        assert _raise(w, at_ns=4, new_acquisition=True, series_id=None) == first
        row = alerts.find_alert(w, invented.KEY)
        assert row is not None
        assert (row.sounds, row.acknowledged_by, row.sounding_event_id) == (True, "", row.last_event_id)
        assert [one.sounds for one in alerts.events_of(w, first)] == [True, False, False, True]
        assert [one.id for one in alerts.events_after(w, 2, 10)] == [3, 4]
    assert check(ledger) == []


def test_a_technical_alert_stands_once_and_comes_back_as_a_new_row(ledger: Ledger) -> None:
    key = AlertKey(kind="technical", first="engine-fault", second="box")
    with ledger.writing() as w:
        first = _raise(w, key, Level.TECHNICAL)
        assert _raise(w, key, Level.TECHNICAL, at_ns=2) == first
        assert len(alerts.events_of(w, first)) == 1
        alerts.append_event(w, first, Happening.MENDED, at_ns=3, by="triage", details={"note": "back"})
        assert alerts.find_alert(w, key) is None
        assert _raise(w, key, Level.TECHNICAL, at_ns=4) != first
        assert len(alerts.open_alerts(w)) == 1
    assert check(ledger) == []


def test_what_the_board_shows(ledger: Ledger) -> None:
    def key(name: str) -> AlertKey:
        return AlertKey(kind="clinical", first=name, second="2.25.1", third="head_ct")

    with ledger.writing() as w:
        old = _raise(w, key("open"), at_ns=1)
        seen = _raise(w, key("seen"), at_ns=2)
        alerts.append_event(w, seen, Happening.ACKNOWLEDGED, at_ns=100, by="x", details={})
        judged = _raise(w, key("judged"), at_ns=3)
        alerts.append_event(w, judged, Happening.JUDGED, at_ns=100, by="x", details={}, judged=Judged.CONFIRMED)
        withdrawn = _raise(w, key("withdrawn"), Level.REVIEW, at_ns=4)
        alerts.append_event(w, withdrawn, Happening.WITHDRAWN, at_ns=101, by="triage", details={})
        assert [row.id for row in alerts.alerts_on_board(w, 150, 60)] == [withdrawn, seen, old]
        assert [row.id for row in alerts.alerts_on_board(w, 1000, 60)] == [old]


def test_the_outbox_makes_each_message_once_and_counts_its_attempts(ledger: Ledger) -> None:
    with ledger.writing() as w:
        first = _raise(w)
        owed = [deliveries.Owed(alert_id=first, event_id=1, channel=name) for name in ("pager", "mail")]
        assert deliveries.not_yet_owed(w, owed) == owed
        assert deliveries.enqueue(w, owed[:1], 10) == 1
        assert deliveries.enqueue(w, owed, 11) == 1
        assert (deliveries.enqueue(w, owed, 12), deliveries.not_yet_owed(w, owed)) == (0, [])
        [due, other] = deliveries.waiting_deliveries(w)
        assert (due.channel, due.alert_id, due.event_id, due.attempts, due.due_ns) == ("pager", first, 1, 0, 10)
        assert due.idempotency_key != other.idempotency_key
        deliveries.delivery_done(w, other.id, at_ns=21, status=250)
        deliveries.delivery_failed(w, due.id, due_ns=50, status=503, error="busy")
        [waits] = deliveries.waiting_deliveries(w)
        assert (waits.id, waits.attempts, waits.due_ns) == (due.id, 1, 50)
        deliveries.delivery_postponed(w, due.id, due_ns=70)
        [waits] = deliveries.waiting_deliveries(w)
        assert (waits.attempts, waits.due_ns) == (1, 70)
        deliveries.delivery_dead(w, due.id, at_ns=51, status=410, error="gone")
        [dead] = deliveries.dead_letters(w)
        assert (dead.id, dead.attempts, dead.last_status) == (due.id, 2, 410)
        assert deliveries.waiting_deliveries(w) == []

        [taken] = deliveries.taken_for(w, 1)
        deliveries.delivery_again(w, taken.id, now_ns=80)
        [again] = deliveries.waiting_deliveries(w)
        assert (again.id, again.idempotency_key, again.attempts, again.due_ns) == (
            other.id,
            taken.idempotency_key,
            1,
            80,
        )
        assert deliveries.taken_for(w, 1) == []


def test_what_is_known_of_a_channel(ledger: Ledger) -> None:
    def standing(w: Connection) -> tuple[bool, int | None, int, int, str]:
        found = deliveries.channel_standing(w, "pager")
        return found.failing, found.taken_ns, found.due, found.dead, found.last_error

    with ledger.writing() as w:
        assert standing(w) == (False, None, 0, 0, "")
        ids = []
        for number in range(1, 4):
            alert_id = _raise(w, AlertKey(kind="clinical", first=str(number), second="s"), at_ns=number)
            event_id = alerts.existing_alert(w, alert_id).last_event_id
            deliveries.enqueue(w, [deliveries.Owed(alert_id=alert_id, event_id=event_id, channel="pager")], 10)
            ids.append(deliveries.waiting_deliveries(w)[-1].id)
        assert standing(w) == (False, None, 3, 0, "")
        deliveries.delivery_done(w, ids[0], at_ns=20, status=204)
        assert standing(w) == (False, 20, 2, 0, "")
        deliveries.delivery_failed(w, ids[1], due_ns=50, status=503, error="HTTP 503")
        assert standing(w) == (True, 20, 2, 0, "HTTP 503")
        deliveries.delivery_needless(w, ids[1], at_ns=60)
        assert standing(w) == (True, 20, 1, 0, deliveries.NEEDLESS), "nobody has taken it"
        deliveries.delivery_done(w, ids[2], at_ns=70, status=204)
        assert standing(w) == (False, 70, 0, 0, "")
        deliveries.delivery_again(w, ids[2], now_ns=80)
        assert standing(w) == (False, 20, 1, 0, ""), "told again after a restart it is not failing"
        deliveries.delivery_dead(w, ids[2], at_ns=90, status=401, error="HTTP 401")
        assert standing(w) == (True, 20, 0, 1, "HTTP 401")


def test_what_rings_is_read_with_its_steps_and_a_step_is_refused_that_comes_too_late(ledger: Ledger) -> None:
    details = {"step": "2", "round": "1", "name": "Team", "channels": "phone", "why": "time"}
    with ledger.writing() as w:
        first = _raise(w)
        _raise(w, AlertKey(kind="clinical", first="r", second="s"), Level.REVIEW)
        [ringing] = escalations.ringing_alerts(w)
        assert (ringing.alert.id, [one.sounds for one in ringing.events], ringing.code) == (first, [True], "")
        for number in range(escalations.EVENTS_READ + 5):
            step = escalations.escalate(w, ringing, {**details, "round": str(number)}, at_ns=50 + number)
            assert step is not None
            assert (step.happening, step.by, step.sounds) == (Happening.ESCALATED, "courier", False)
        [ringing] = escalations.ringing_alerts(w)
        rounds = [int(one.details["round"]) for one in ringing.events[1:]]
        assert rounds == list(range(5, escalations.EVENTS_READ + 5))
        assert ringing.events[0].sounds
        assert not escalations.was_told(w, first, step.id, "phone")
        alerts.append_event(w, first, Happening.DELIVERED, at_ns=90, by="phone", details={"event": str(step.id)})
        assert escalations.was_told(w, first, step.id, "phone")
        assert not escalations.was_told(w, first, step.id, "pager")

        alerts.append_event(w, first, Happening.ACKNOWLEDGED, at_ns=91, by="x", details={})
        assert escalations.ringing_alerts(w) == []
        assert escalations.escalate(w, ringing, details, at_ns=92) is None
        _raise(w, at_ns=93, new_acquisition=True)
        assert escalations.escalate(w, ringing, details, at_ns=94) is None, "it rings anew"
        [anew] = escalations.ringing_alerts(w)
        assert len(anew.events) == 1
        assert escalations.escalate(w, anew, details, at_ns=95) is not None
        fault = _raise(w, AlertKey(kind="technical", first="disk-low", second="box"), Level.TECHNICAL, at_ns=96)
        assert {(one.alert.id, one.code) for one in escalations.ringing_alerts(w)} == {(first, ""), (fault, "disk-low")}


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        ("UPDATE alert SET sounds = 0", "its events come to"),
        ("UPDATE alert SET state = 'SEEN', open = 0, sounds = 0", "its events come to SOUNDING"),
        ("UPDATE alert SET acknowledged_by = 'nobody'", "its events come to"),
        ("UPDATE alert SET last_event_id = 7", "names another last event"),
        ("UPDATE alert_event SET sounds = 0", "another word about sounding"),
        ("UPDATE alert_event SET kind = 'MENDED'", "cannot have happened"),
        ("DELETE FROM alert_event", "has no events"),
        ("UPDATE study SET state = 'CLOSED', closed_ns = 3, outcome = 'REVIEW'", "its events come to OPEN"),
        ("UPDATE study SET seen_by = 'nobody'", "its events come to"),
        (
            "INSERT INTO study_event (study_id, kind, at_ns, by, details) VALUES (1, 'REOPENED', 1, '', '{}')",
            "cannot have happened",
        ),
        ("UPDATE series SET study_id = 99", "refer to rows of study"),
    ],
)
def test_the_check_finds_what_was_changed_behind_its_back(
    ledger: Ledger, ledger_path: Path, spoil: str, said: str
) -> None:
    with ledger.writing() as w:
        invented.opened(w)
        _raise(w)
    assert check(ledger) == []
    with dbapi2.connect(str(ledger_path)) as connection:
        connection.execute(spoil)
    found = check(ledger)
    assert any(said in line for line in found), found
