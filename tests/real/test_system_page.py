"""The page System: the ledger's sum holds, and is said to fail where it fails; what it knows of the box is true."""

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from appliance.core.alerts import Happening
from appliance.core.delivery import ChannelStanding
from appliance.core.ledger import FileRow, Identity
from appliance.core.status import ProgramStatus
from appliance.core.times import Now
from appliance.core.words import FileVerdict, Outcome, SeriesVerdict
from appliance.dashboard.board.views import Moment
from appliance.dashboard.system.folder_looks import OVERDUE_S, Disk, FolderLook, FolderLooks
from appliance.dashboard.system.page import equation
from appliance.dashboard.system.tiles import Tile, channel_tiles, clock_tile, disk_meters, duty_tiles, size
from appliance.dashboard.words.moments import Ages, Calendar
from appliance.phantoms.demo import demo_exam
from appliance.phantoms.dicom import Study, exam_files
from appliance.phantoms.exam import HELD_OUT_SEED
from appliance.processes.clock import now
from appliance.processes.status_file import read_status
from appliance.records.alerts import append_event
from appliance.records.engines import current_engine, last_golden
from appliance.records.files import record_file, verdict_sums
from appliance.records.ledger import Ledger
from appliance.records.system_sums import FilesLanded, files_landed, recorded_paths
from tests.conftest import MakePrograms
from tests.real.browsing import station, until, wait_for
from tests.real.scenes import S, Scene, hump
from tests.real.served import Served, served

DAY_S = 24 * 3600.0


@pytest.fixture
def board(ledger_path: Path, scene: Scene) -> Iterator[Served]:
    with served(ledger_path, scene.store) as running:
        yield running


def landed(ledger: Ledger, path: str, verdict: FileVerdict, reason: str = "", *, at_ns: int) -> None:
    identity = Identity(device=1, inode=hash(path) % 2**31, size=1, mtime_ns=1, ctime_ns=1)
    row = FileRow(path=path, identity=identity, sha256="a" * 64, verdict=verdict, reason=reason, landed_ns=at_ns)
    with ledger.writing() as w:
        record_file(w, row)


def triage_status(**facts: int) -> ProgramStatus:
    return ProgramStatus(program="triage", pid=1, started_ns=0, beat_monotonic_s=time.monotonic(), facts={**facts})


def seen_in(inbox: Path, ledger: Ledger, *, later_s: float = 0.0) -> FolderLook:
    """What the page sees of a folder, that much later."""
    looks = FolderLooks(ledger, {"Store": inbox}, inbox, lambda: now().plus(later_s))
    wait_for(lambda: looks.last() is not None)
    look = looks.last()
    assert look is not None
    return look


def words(markup: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", markup).split())


def part(board: Served, name: str) -> str:
    parts: dict[str, Any] = httpx.get(board.address + "system/parts").json()["parts"]
    return words(parts[f"system-{name}"])


# ---- the sum


def test_the_sum_adds_up_and_names_every_verdict(scene: Scene, tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    (inbox / "answered.dcm").write_bytes(b"x")
    (inbox / "fresh.dcm").write_bytes(b"x")
    at_ns = scene.now_ns
    landed(scene.ledger, "answered.dcm", FileVerdict.DECLINED, "mr", at_ns=at_ns)
    for n, verdict in enumerate((FileVerdict.TAKEN, FileVerdict.TAKEN, FileVerdict.POISON)):
        landed(scene.ledger, f"{n}", verdict, at_ns=at_ns)
    landed(scene.ledger, "old", FileVerdict.TAKEN, at_ns=at_ns - round(3 * DAY_S) * S)
    look = seen_in(inbox, scene.ledger)
    with scene.ledger.reading() as r:
        said = equation(files_landed(r, at_ns - S), triage_status(waiting_files=1), look)
    assert (said.landed, said.fault) == ("5", "")
    assert [number for number, _ in said.terms] == ["2", "1", "0", "0", "0", "1", "1"]
    assert said.terms[-1] == ("1", "still waiting")


def test_a_file_that_triage_does_not_count_breaks_the_sum(scene: Scene, tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    (inbox / "deep").mkdir(parents=True)
    for name in ("one.dcm", "deep/two.dcm"):
        (inbox / name).write_bytes(b"x")
    fresh, old = seen_in(inbox, scene.ledger), seen_in(inbox, scene.ledger, later_s=OVERDUE_S + 60)
    with scene.ledger.reading() as r:
        files = files_landed(r, 0)
    assert equation(files, triage_status(waiting_files=0), fresh).fault == "", "triage has time to find it"
    assert equation(files, triage_status(waiting_files=2), old).fault == "", "triage counts them: they wait"
    said = equation(files, triage_status(waiting_files=0), old)
    assert said.fault.startswith("2 files have lain in the landing folder without a verdict, the oldest for 3 min.")
    assert said.lead == "This does not add up."
    assert "1 file has lain" in equation(files, triage_status(waiting_files=1), old).fault


def test_a_silent_triage_leaves_the_counting_to_the_page(scene: Scene, tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    (inbox / "one.dcm").write_bytes(b"x")
    with scene.ledger.reading() as r:
        files = files_landed(r, 0)
    said = equation(files, None, seen_in(inbox, scene.ledger))
    assert said.terms[-1] == ("1", "still waiting")
    assert said.lead == "Nobody is reading what lands."
    unknown = equation(files, None, None)
    assert (unknown.landed, unknown.terms[-1][0]) == ("0 and more", "?")


def test_a_folder_that_is_gone_is_said_and_not_waited_for(scene: Scene, tmp_path: Path) -> None:
    look = seen_in(tmp_path / "nowhere", scene.ledger)
    assert look.lying is not None
    assert look.lying.error == "No such file or directory"
    assert look.disks[0].error == "the folder is not there"


# ---- the rest of the page


def test_technical_alerts_say_what_to_do_and_when_they_were_mended(board: Served, scene: Scene) -> None:
    assert part(board, "technical") == "None is open, and none was mended today."
    standing = scene.technical("disk-low", before_s=60, percent="4")
    fallen = scene.technical("backend-fell-back", before_s=50, time="14:12")
    with scene.ledger.writing() as w:
        append_event(w, fallen.id, Happening.MENDED, at_ns=scene.now_ns - 5 * S, by="triage", details={})
        append_event(w, standing.id, Happening.ACKNOWLEDGED, at_ns=scene.now_ns, by="P. Admin", details={})
    said = part(board, "technical")
    assert "4 % of the store is free." in said
    assert "Next step: Tell the administrator. Seen by P. Admin. disk-low" in said
    if Calendar.of("").midnight_ns(time.time_ns()) < scene.now_ns - 60 * S:
        assert "It stood for 45 s. backend-fell-back" in said
    assert part(board, "head") == "1 technical alert is open."


def duty_seen(**facts: str | float) -> list[Tile]:
    calm = Now(1000.0, time.time_ns())
    status = ProgramStatus(
        program="triage", pid=1, started_ns=0, beat_monotonic_s=999.0, facts={"backend": "onnxruntime 1", **facts}
    )
    return duty_tiles(status, calm)


def test_who_is_on_duty_and_why() -> None:
    (card,) = duty_seen(backend="tensorrt 10", engine_duty="ON_GPU", engine_why="it has proven itself")
    assert (card.name, card.value, card.words) == ("The graphics card reads", "tensorrt 10", "it has proven itself")
    assert not card.bad and not card.icon
    (fallen,) = duty_seen(engine_duty="DEGRADED", engine_why="its process was ended by signal 9.", engine_retry_s=300.0)
    assert (fallen.bad, fallen.icon) == (True, "technical")
    assert fallen.words == "its process was ended by signal 9; tried again in 5 min"
    (building,) = duty_seen(engine_duty="REBUILDING", engine_why="another card", engine_build="step 3 of 4")
    assert building.words == "another card; the builder says: step 3 of 4"
    (stopped,) = duty_seen(engine_duty="STOPPED", engine_why="no plan")
    assert (stopped.name, stopped.bad, stopped.icon) == ("Nobody reads", True, "blind")
    assert duty_seen() == duty_seen(engine_duty="NONSENSE") == duty_tiles(None, Now(1000.0, 0)) == []


def test_what_was_not_analysed_is_counted_by_its_reason_with_a_link_to_the_last(board: Served, scene: Scene) -> None:
    contrast = {"why": "Contrast was given. This engine reads native head CT only.", "reason": "contrast"}
    last = 0
    for n in range(3):
        study = scene.study("NOBODY^ONE", number=10 + n, verdict=SeriesVerdict.DECLINED, before_s=DAY_S)
        scene.close(study, Outcome.NOT_ANALYSED, (("no-eligible-series", contrast),), before_s=DAY_S)
        last = study.study_id
    hostile = scene.study("NOBODY^TWO", number=20, verdict=SeriesVerdict.DECLINED, may_be_head=False)
    odd = {"why": "<b onclick=x>no</b>", "reason": "odd"}
    scene.close(hostile, Outcome.NOT_ANALYSED, (("no-head", odd),))
    old = scene.study("NOBODY^OLD", number=30, verdict=SeriesVerdict.DECLINED, before_s=40 * DAY_S)
    scene.close(old, Outcome.NOT_ANALYSED, (("no-eligible-series", contrast),), before_s=40 * DAY_S)
    read = scene.study("PHANTOM^READ", number=40)
    scene.land(read, hump(13, 6, 0.1))
    scene.read(read, Outcome.NO_FINDING, final=True, close=True)
    html = httpx.get(board.address + "system").text
    assert "4 of 5 studies" in html
    row = re.search(r'<tr data-key="unread-contrast">.*?</tr>', html, re.S)
    assert row is not None
    assert f'href="/study/{last}"' in row.group(0)
    assert re.search(r"Contrast was given\. .* contrast 3 Read it in its usual turn", words(row.group(0)))
    assert "<b onclick" not in html
    assert "&lt;b onclick=x&gt;" in html
    assert httpx.get(f"{board.address}study/{last}").status_code == 200, "no link leads nowhere"


def test_files_that_were_not_taken_stand_by_their_reason(board: Served, scene: Scene) -> None:
    at_ns = time.time_ns()
    for n in range(3):
        landed(scene.ledger, f"mr{n}", FileVerdict.DECLINED, "mr", at_ns=at_ns)
    landed(scene.ledger, "text", FileVerdict.IGNORED, "not-dicom", at_ns=at_ns)
    landed(scene.ledger, "slice", FileVerdict.TAKEN, at_ns=at_ns)
    said = part(board, "files")
    assert "This is an MR picture. Bleedwatch reads CT only. mr DECLINED 3" in said
    assert "This is not a DICOM file. not-dicom IGNORED 1" in said
    assert "TAKEN" not in said


def test_a_silent_program_is_said_to_be_silent(board: Served) -> None:
    board.silent.add("courier")
    said = part(board, "beats")
    assert "courier, tells people no sign of life" in said
    assert "triage, reads slices no sign" not in said


def test_a_wall_clock_that_jumps_shows_and_a_steady_one_does_not() -> None:
    started = Now(100.0, 1_900_000_000 * S)
    steady, jumped = started.plus(60.0), Now(160.0, started.wall_ns + (60 + 180) * S)
    tiles = [
        clock_tile(
            started,
            at,
            Moment(now_ns=at.wall_ns, monotonic_s=at.monotonic_s, calendar=Calendar.of("UTC"), ages=Ages()),
        )
        for at in (steady, jumped)
    ]
    assert [tile.bad for tile in tiles] == [False, True]
    assert "moved by 3:00" in tiles[1].words


def test_large_sums_can_be_read_and_no_line_of_the_sum_ends_in_a_plus(board: Served) -> None:
    many = FilesLanded(
        landed=5_412, by_reason=((FileVerdict.TAKEN, "", 4_103), (FileVerdict.DECLINED, "not-ct", 1_309))
    )
    said = equation(many, triage_status(waiting_files=0), None)
    assert (said.landed, said.terms[0], said.fault) == ("5\u202f412", ("4\u202f103", "taken"), "")
    html = httpx.get(board.address + "system").text
    assert len(re.findall(r'<span class="term"><i>[=+]</i> <span>[\d?]+<small>', html)) == 7


def test_a_disk_says_how_much_of_it_is_used() -> None:
    disk = Disk(name="Store", total_bytes=200 * 10**9, free_bytes=56 * 10**9)
    meters, _ = disk_meters(FolderLook(at_s=0.0, disks=(disk,), lying=None), 0.0)
    assert [meter.words for meter in meters] == ["Store: 72 % of 200 GB used, 56 GB free"]


def test_files_that_are_gone_are_not_read_again_to_find_those_that_lie_there(ledger: Ledger) -> None:
    plans: list[str] = []

    def explain(_connection: Any, cursor: Any, statement: str, *_more: Any) -> None:
        if statement.startswith("SELECT file.path"):
            plans.extend(row[3] for row in cursor.connection.execute(f"EXPLAIN QUERY PLAN {statement}"))

    with ledger.reading() as r:
        sa.event.listen(r.engine, "before_cursor_execute", explain)
        recorded_paths(r)
        sa.event.remove(r.engine, "before_cursor_execute", explain)
    assert plans == ["SCAN file USING INDEX ix_file_landed"]


def test_a_channel_that_was_never_asked_is_not_drawn_as_one_that_answers() -> None:
    at = now()
    moment = Moment(now_ns=at.wall_ns, monotonic_s=at.monotonic_s, calendar=Calendar.of("UTC"), ages=Ages())
    silent = ChannelStanding(name="pager", failing=False, taken_ns=None, due=0, dead=0, last_error="")
    icons = [tile.icon for tile in channel_tiles([silent, replace(silent, taken_ns=at.wall_ns)], moment)]
    assert icons == ["", "sound"]


def test_sizes_are_said_as_people_say_them() -> None:
    assert [size(n) for n in (1.9e12, 740e9, 4.2e9, 12e6, 3e5)] == ["1.9 TB", "740 GB", "4.2 GB", "12 MB", "0.3 MB"]


# ---- the real box


def test_the_page_of_a_running_box_is_true_and_a_killed_triage_turns_it_red(
    browser: Any, make_programs: MakePrograms
) -> None:
    box = make_programs("triage", "courier", "dashboard")
    inbox = box.settings.inbox.folder
    seed = HELD_OUT_SEED + 700
    files = exam_files(demo_exam(seed, bleeding=True, slices=16), Study(seed=seed, token="system"))
    with Ledger.open(box.settings.database) as ledger, station(browser, box.address + "system") as page:
        page.evaluate("window.same = true")
        for n, one in enumerate(files):
            draft = inbox / f"draft{n}.tmp"
            draft.write_bytes(one.data)
            draft.rename(inbox / f"{n:03d}.dcm")
        (inbox / "notes.txt").write_text("not a picture")

        def all_answered() -> bool:
            with ledger.reading() as r:
                return sum(verdict_sums(r).values()) == len(files) + 1

        wait_for(all_answered, within_s=40)
        equal = f"{len(files) + 1}\nlanded\n=\n{len(files)}\ntaken\n+\n0\ndeclined, with reason\n+\n1\nignored"
        until(
            page,
            f"document.getElementById('system-sum').innerText.replace(/\\s*\\n\\s*/g, '\\n').startsWith({equal!r})",
            within_s=8,
        )
        assert "Every one of them is accounted for." in page.inner_text("#system-sum")
        assert page.evaluate("window.same") is True
        with ledger.reading() as r:
            engine, golden = current_engine(r), last_golden(r)
        assert engine is not None
        assert golden is not None
        assert float(golden.details["largest"]) <= float(golden.details["allowed"])
        assert engine.engine_sha256[:16] in page.inner_text("#system-engine")
        assert f"largest difference {golden.details['largest']}" in page.inner_text("#system-engine")
        until(
            page,
            "/Screen [0-9a-f]{4}, system\\s+armed/.test(document.getElementById('system-hearing').innerText)",
            within_s=8,
        )
        status = read_status(box.settings.runtime_folder, "triage")
        assert status is not None
        assert {"open_series", "oldest_waiting_s", "swept_s_ago"} <= set(status.facts)

        box.kill("triage")
        (inbox / "later.dcm").write_bytes(files[0].data)
        until(
            page,
            "document.getElementById('system-sum').innerText.includes('Nobody is reading what lands')",
            within_s=15,
        )
        until(page, "/1\\s+still waiting/.test(document.getElementById('system-sum').innerText)", within_s=8)
        assert "triage, reads slices" in page.inner_text("#system-beats .tile.bad")
