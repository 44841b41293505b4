"""Every local way in which a file comes to lie in the inbox, by the system calls that do it, with a real watcher."""

import ctypes
import io
import logging
import mmap
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from appliance.core.words import FileVerdict
from appliance.inference.loading import LoadedEngine
from appliance.intake.reader_pool import ReaderPool
from appliance.triage.leaving import AGAIN_S
from tests.conftest import MakeBox
from tests.dicoms import ROOT, file_of, head, slice_of
from tests.real.appliance import Box, Clock

SET_ASIDE_AFTER_S = 600.0


def dicom(number: int = 1, mark_hu: int = 700) -> bytes:
    """A whole head slice of one study; `mark_hu` makes other pixels of the same slice."""
    hu = head()
    hu[30, 30] = np.int16(mark_hu)
    changes = {"SOPInstanceUID": f"{ROOT}1.{number}", "InstanceNumber": str(number)}
    return file_of(slice_of(hu, **changes, ImagePositionPatient=["-120", "-110", str(5 * number)]))


A, B = dicom(1), dicom(2)
HALF = len(A) // 2
LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Landed:
    """What a way must end with."""

    sums: dict[str, int]
    taken: list[bytes] = field(default_factory=list)
    stays: list[str] = field(default_factory=list)


ONE = Landed({"TAKEN": 1}, [A])
BOTH = Landed({"TAKEN": 2}, [A, B])


def outside(box: Box) -> Path:
    """A folder on the same disk that nobody watches."""
    folder = box.inbox.parent / "outside"
    folder.mkdir(exist_ok=True)
    return folder


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def pieces(data: bytes, count: int) -> list[bytes]:
    step = -(-len(data) // count)
    return [data[begin : begin + step] for begin in range(0, len(data), step)]


def taken_at_once(box: Box, name: str) -> None:
    """Heard and read, with no time to settle."""
    box.hear(lambda: any(one.verdict is FileVerdict.TAKEN for one in box.files(name)), within_s=10)


def refused(box: Box, reason: str) -> None:
    """The one file that lies there gets this for a verdict, after a while."""
    box.pass_time_until(lambda: bool(box.sums()), at_most_s=80)
    assert [one.reason for one in box.files()] == [reason]


# -- written and closed ------------------------------------------------------------------------------


def temp_name_then_rename(box: Box) -> Landed:
    box.put("a.dcm", A)
    return ONE


def in_place(box: Box) -> Landed:
    written(box.inbox / "a.dcm", A)
    return ONE


def in_place_slowly(box: Box) -> Landed:
    with (box.inbox / "a.dcm").open("wb", buffering=0) as file:
        for piece in pieces(A, 6):
            file.write(piece)
            box.pass_time(0.7)
    return ONE


def in_place_with_pauses_longer_than_any_settling(box: Box) -> Landed:
    with (box.inbox / "a.dcm").open("wb", buffering=0) as file:
        for piece in pieces(A, 3):
            file.write(piece)
            box.pass_time(6)
            assert box.sums() == {}, "somebody is writing it"
    return ONE


def in_place_by_a_writer_that_hangs(box: Box) -> Landed:
    with (box.inbox / "a.dcm").open("wb", buffering=0) as file:
        file.write(A[:HALF])
        refused(box, "truncated")
        file.write(A[HALF:])
    return ONE


def opened_appended_and_closed_many_times(box: Box) -> Landed:
    for piece in pieces(A, 5):
        with (box.inbox / "a.dcm").open("ab") as file:
            file.write(piece)
        box.pass_time(0.7)
    return ONE


def appended_after_long_pauses(box: Box) -> Landed:
    written(box.inbox / "a.dcm", A[:HALF])
    refused(box, "truncated")
    with (box.inbox / "a.dcm").open("ab") as file:
        file.write(A[HALF:])
    return ONE


def copied_with_its_old_times(box: Box) -> Landed:
    source = written(outside(box) / "a.dcm", A)
    os.utime(source, (1, 1))
    subprocess.run(["cp", "-p", source, box.inbox / "a.dcm"], check=True)
    return ONE


def installed(box: Box) -> Landed:
    subprocess.run(["install", "-m", "640", written(outside(box) / "a.dcm", A), box.inbox / "a.dcm"], check=True)
    return ONE


def out_of_an_archive(box: Box) -> Landed:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, data in (("a.dcm", A), ("sub/b.dcm", B)):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime = len(data), 1
            archive.addfile(entry, io.BytesIO(data))
    packed.seek(0)
    with tarfile.open(fileobj=packed) as archive:
        archive.extractall(box.inbox, filter="data")
    return BOTH


def rights_and_times_changed_after_it_was_taken(box: Box) -> Landed:
    path = written(box.inbox / "a.dcm", A)
    taken_at_once(box, "a.dcm")
    path.chmod(0o400)
    os.utime(path, (1, 1))
    return ONE


def as_rsync_does(box: Box) -> Landed:
    hidden = box.inbox / ".a.dcm.Xk3F9q"
    with hidden.open("wb", buffering=0) as file:
        for piece in pieces(A, 3):
            file.write(piece)
            box.pass_time(5)
    hidden.chmod(0o644)
    os.utime(hidden, (1, 1))
    box.pass_time(5)
    assert box.sums() == {}, "its name says that it is not finished"
    hidden.rename(box.inbox / "a.dcm")
    return ONE


def a_transfer_that_is_given_up(box: Box) -> Landed:
    written(box.inbox / "a.dcm.part", A)
    return Landed({"IGNORED": 1}, stays=["a.dcm.part"])


# -- a name given or changed -------------------------------------------------------------------------


def renamed_in_from_elsewhere(box: Box) -> Landed:
    written(outside(box) / "x", A).rename(box.inbox / "a.dcm")
    return ONE


def renamed_over_a_taken_one(box: Box) -> Landed:
    box.put("a.dcm", A)
    taken_at_once(box, "a.dcm")
    written(outside(box) / "x", B).rename(box.inbox / "a.dcm")
    return BOTH


def overwritten_in_place_after_it_was_taken(box: Box) -> Landed:
    written(box.inbox / "a.dcm", A)
    taken_at_once(box, "a.dcm")
    written(box.inbox / "a.dcm", B)
    return BOTH


def overwritten_with_other_pixels_of_the_same_slice(box: Box) -> Landed:
    other = dicom(1, mark_hu=-500)
    written(box.inbox / "a.dcm", A)
    taken_at_once(box, "a.dcm")
    written(box.inbox / "a.dcm", other)
    return Landed({"TAKEN": 2}, [A, other])


def hard_linked_in(box: Box) -> Landed:
    os.link(written(outside(box) / "x", A), box.inbox / "a.dcm")
    return ONE


def hard_linked_in_while_the_other_name_is_written(box: Box) -> Landed:
    with (outside(box) / "x").open("wb", buffering=0) as file:
        file.write(A[:HALF])
        os.link(outside(box) / "x", box.inbox / "a.dcm")
        box.pass_time(8)
        assert box.sums() == {}, "somebody is writing it under its other name"
        file.write(A[HALF:])
    return ONE


def hard_linked_in_and_finished_later_by_the_other_name(box: Box) -> Landed:
    os.link(written(outside(box) / "x", A[:HALF]), box.inbox / "a.dcm")
    refused(box, "truncated")
    with (outside(box) / "x").open("ab") as file:
        file.write(A[HALF:])
    return ONE


def linked_out_of_nowhere(box: Box) -> Landed:
    descriptor = os.open(box.inbox, os.O_TMPFILE | os.O_WRONLY, 0o644)
    os.write(descriptor, A)
    at_fdcwd, at_symlink_follow = -100, 0x400
    link, name = f"/proc/self/fd/{descriptor}".encode(), bytes(box.inbox / "a.dcm")
    assert LIBC.linkat(at_fdcwd, link, at_fdcwd, name, at_symlink_follow) == 0, os.strerror(ctypes.get_errno())
    os.close(descriptor)
    return ONE


def exchanged_with_a_taken_one(box: Box) -> Landed:
    box.put("a.dcm", A)
    taken_at_once(box, "a.dcm")
    exchange(written(outside(box) / "x", B), box.inbox / "a.dcm")
    return BOTH


def exchange(one: Path, other: Path) -> None:
    """renameat2 with RENAME_EXCHANGE."""
    at_fdcwd, rename_exchange = -100, 2
    said = LIBC.renameat2(at_fdcwd, bytes(one), at_fdcwd, bytes(other), rename_exchange)
    assert said == 0, os.strerror(ctypes.get_errno())


# -- its size is there before its bytes --------------------------------------------------------------


def room_taken_then_filled(box: Box) -> Landed:
    with (box.inbox / "a.dcm").open("wb", buffering=0) as file:
        os.posix_fallocate(file.fileno(), 0, len(A))
        for piece in pieces(A, 3):
            file.write(piece)
            box.pass_time(5)
            assert box.sums() == {}, "somebody is writing it"
    return ONE


def stretched_then_filled(box: Box) -> Landed:
    with (box.inbox / "a.dcm").open("wb", buffering=0) as file:
        file.truncate(len(A))
        for piece in pieces(A, 3):
            file.write(piece)
            box.pass_time(5)
            assert box.sums() == {}, "somebody is writing it"
    return ONE


def stretched_closed_and_filled_by_a_second_open(box: Box) -> Landed:
    subprocess.run(["truncate", "-s", str(len(A)), box.inbox / "a.dcm"], check=True)
    box.pass_time(5)
    assert box.sums() == {}, "nothing is in it yet"
    with (box.inbox / "a.dcm").open("r+b") as file:
        file.write(A)
    return ONE


def mapped_and_closed_before_it_is_filled(box: Box) -> Landed:
    with (box.inbox / "a.dcm").open("w+b") as file:
        file.truncate(len(A))
        filled = mmap.mmap(file.fileno(), len(A))
    for begin in range(0, len(A), 4096):
        filled[begin : begin + 4096] = A[begin : begin + 4096]
        box.pass_time(5)
        assert box.sums() == {}, "somebody is filling it"
    filled.close()
    return ONE


def looked_whole_and_was_filled_later(box: Box) -> Landed:
    """Nothing told that it was not whole: both pictures are kept, and both are read."""
    zeros = A[:HALF] + bytes(len(A) - HALF)
    written(box.inbox / "a.dcm", zeros)
    taken_at_once(box, "a.dcm")
    with (box.inbox / "a.dcm").open("r+b") as file:
        file.seek(HALF)
        file.write(A[HALF:])
    return Landed({"TAKEN": 2}, [zeros, A])


# -- no whole file, or none at all --------------------------------------------------------------------


def a_writer_killed_half_way(box: Box) -> Landed:
    program = "import sys, time; f = open(sys.argv[1], 'wb', 0); f.write(sys.stdin.buffer.read()); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", program, box.inbox / "a.dcm"], stdin=subprocess.PIPE) as writer:
        assert writer.stdin is not None
        writer.stdin.write(A[:HALF])
        writer.stdin.close()
        box.hear(lambda: size_of(box.inbox / "a.dcm") == HALF, within_s=20)
        writer.send_signal(signal.SIGKILL)
    return Landed({"SET_ASIDE": 1}, stays=["a.dcm"])


def size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def empty_and_then_filled(box: Box) -> Landed:
    (box.inbox / "a.dcm").touch()
    refused(box, "empty-file")
    written(box.inbox / "a.dcm", A)
    return ONE


def empty_for_ever(box: Box) -> Landed:
    (box.inbox / "a.dcm").touch()
    return Landed({"IGNORED": 1}, stays=["a.dcm"])


def links_pipes_and_sockets(box: Box) -> Landed:
    target = written(outside(box) / "x", A)
    (box.inbox / "good.dcm").symlink_to(target)
    (box.inbox / "dangling.dcm").symlink_to(outside(box) / "later")
    (box.inbox / "folder").symlink_to(outside(box))
    os.mkfifo(box.inbox / "pipe.dcm")
    with socket.socket(socket.AF_UNIX) as listening, working_in(box.inbox):
        listening.bind("socket.dcm")
    box.pass_time(5)
    written(outside(box) / "later", B)
    stays = ["dangling.dcm", "folder", "good.dcm", "pipe.dcm", "socket.dcm"]
    return Landed({"IGNORED": 5}, stays=stays)


@contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """The name of a socket may have 108 bytes at most."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def foreign_files(box: Box) -> Landed:
    written(box.inbox / "Thumbs.db", b"\xd0\xcf\x11\xe0" + bytes(500))
    written(box.inbox / "page.xml", b"<xml/>" * 100)
    written(box.inbox / "zeros", bytes(4096))
    return Landed({"IGNORED": 3}, stays=["Thumbs.db", "page.xml", "zeros"])


# -- folders and names -------------------------------------------------------------------------------


def a_folder_moved_in(box: Box) -> Landed:
    folder = outside(box) / "study"
    (folder / "deep").mkdir(parents=True)
    written(folder / "a.dcm", A)
    written(folder / "deep" / "b.dcm", B)
    folder.rename(box.inbox / "study")
    return BOTH


def folders_filled_before_anybody_watches_them(box: Box) -> Landed:
    files = []
    for number in range(60):
        folder = box.inbox / f"one{number % 20}" / f"two{number}"
        folder.mkdir(parents=True)
        files.append(dicom(number))
        if number % 2:
            written(folder / "a.dcm", files[-1])
        else:
            written(folder / ".x.part", files[-1]).rename(folder / "a.dcm")
    return Landed({"TAKEN": 60}, files)


def strange_names(box: Box) -> Landed:
    names: list[bytes] = [b"IM0001", b"\xff\xfe.dcm", b"line\nbreak.dcm", b"<b>bold", b"n" * 255, b"a.dcm.gz", b"-rf"]
    files = [dicom(number) for number in range(len(names))]
    for name, data in zip(names, files, strict=True):
        written(box.inbox / os.fsdecode(name), data)
    return Landed({"TAKEN": len(names)}, files)


def the_same_slice_under_two_names(box: Box) -> Landed:
    box.put("a.dcm", A)
    box.put("b.dcm", A)
    return Landed({"TAKEN": 1, "DUPLICATE": 1}, [A])


WAYS: list[Callable[[Box], Landed]] = [
    temp_name_then_rename,
    in_place,
    in_place_slowly,
    in_place_with_pauses_longer_than_any_settling,
    in_place_by_a_writer_that_hangs,
    opened_appended_and_closed_many_times,
    appended_after_long_pauses,
    copied_with_its_old_times,
    installed,
    out_of_an_archive,
    rights_and_times_changed_after_it_was_taken,
    as_rsync_does,
    a_transfer_that_is_given_up,
    renamed_in_from_elsewhere,
    renamed_over_a_taken_one,
    overwritten_in_place_after_it_was_taken,
    overwritten_with_other_pixels_of_the_same_slice,
    hard_linked_in,
    hard_linked_in_while_the_other_name_is_written,
    hard_linked_in_and_finished_later_by_the_other_name,
    linked_out_of_nowhere,
    exchanged_with_a_taken_one,
    room_taken_then_filled,
    stretched_then_filled,
    stretched_closed_and_filled_by_a_second_open,
    mapped_and_closed_before_it_is_filled,
    looked_whole_and_was_filled_later,
    a_writer_killed_half_way,
    empty_and_then_filled,
    empty_for_ever,
    links_pipes_and_sockets,
    foreign_files,
    a_folder_moved_in,
    folders_filled_before_anybody_watches_them,
    strange_names,
    the_same_slice_under_two_names,
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_way_of_landing(make_box: MakeBox, way: Callable[[Box], Landed]) -> None:
    box = make_box(watched=True)
    landed = way(box)
    box.rest(at_least_s=70)
    assert box.sums() == landed.sums
    box.assert_sound(*landed.taken)
    assert box.in_inbox() == landed.stays


@pytest.mark.parametrize(
    "way", [temp_name_then_rename, in_place, copied_with_its_old_times, as_rsync_does], ids=lambda way: way.__name__
)
def test_what_is_closed_or_renamed_is_taken_at_once(make_box: MakeBox, way: Callable[[Box], Landed]) -> None:
    box = make_box(watched=True)
    landed = way(box)
    box.hear(lambda: box.sums() == landed.sums, within_s=10)
    assert "a.dcm" in box.in_inbox(), "it leaves at its second look"


def test_what_is_taken_leaves_at_its_second_look(make_box: MakeBox) -> None:
    box = make_box(watched=True)
    box.put("a.dcm", A)
    taken_at_once(box, "a.dcm")
    taken_s = box.clock.now().monotonic_s
    while box.in_inbox():
        box.pass_time(0.1)
    assert 2.0 <= round(box.clock.now().monotonic_s - taken_s, 3) <= 2.1
    assert [one.removed for one in box.files()] == [True]
    box.assert_sound(A)


def test_what_somebody_still_writes_does_not_leave(make_box: MakeBox) -> None:
    box = make_box(watched=True)
    box.put("a.dcm", A)
    taken_at_once(box, "a.dcm")
    with (box.inbox / "a.dcm").open("r+b", buffering=0) as file:
        box.pass_time(30)
        assert box.in_inbox() == ["a.dcm"]
        file.write(B)
    box.rest()
    assert (box.sums(), box.in_inbox()) == ({"TAKEN": 2}, [])
    box.assert_sound(A, B)


def test_what_rests_without_being_taken_moves_aside(make_box: MakeBox) -> None:
    box = make_box(watched=True)
    box.put("half.dcm", A[:HALF])
    box.put("note.txt", b"no picture")
    os.mkfifo(box.inbox / "pipe")
    box.rest(at_least_s=SET_ASIDE_AFTER_S - 10)
    assert box.in_inbox() == ["half.dcm", "note.txt", "pipe"]
    box.pass_time(60)
    assert box.in_inbox() == ["pipe"], "a pipe is not touched"
    assert box.set_aside() == sorted([A[:HALF], b"no picture"])
    assert box.sums() == {"SET_ASIDE": 1, "IGNORED": 2}
    assert {one.path: one.removed for one in box.files()} == {"half.dcm": True, "note.txt": True, "pipe": False}


def test_what_changes_at_the_last_moment_does_not_move_aside(make_box: MakeBox) -> None:
    """No event tells of a change through another name."""
    box = make_box()
    hidden = written(outside(box) / "x", A[:HALF])
    os.link(hidden, box.inbox / "a.dcm")
    box.pass_time_until(lambda: bool(box.sums()))
    answered_s = box.clock.now().monotonic_s
    while box.clock.now().monotonic_s - answered_s < SET_ASIDE_AFTER_S - 3:
        box.pass_time(1)
    written(hidden, A)
    box.rest()
    assert (box.sums(), box.set_aside()) == ({"TAKEN": 1}, [])


@pytest.mark.parametrize("told", [True, False], ids=["an overflow is told", "nothing is told"])
def test_lost_events_are_made_good_by_the_sweep(make_box: MakeBox, told: bool) -> None:
    box = make_box(watched=True)
    assert box.watcher is not None
    files = [dicom(number) for number in range(12)]
    for number, data in enumerate(files):
        box.put(f"{number}.dcm", data)
    time.sleep(0.3)
    assert box.watcher.take_hints(), "the watcher has heard of them"
    if told:
        logging.getLogger("watchdog.observers.inotify_c").warning("Inotify queue overflowed")
        box.tick()
        assert box.triage.waiting_files == len(files), "swept at once"
    else:
        box.tick()
        assert box.triage.waiting_files == 0
    box.rest()
    assert (box.sums(), box.in_inbox()) == ({"TAKEN": 12}, [])
    box.assert_sound(*files)


def test_a_folder_that_was_made_anew_is_watched_again(make_box: MakeBox) -> None:
    box = make_box(watched=True)
    shutil.rmtree(box.inbox)
    box.inbox.mkdir()
    box.pass_time_until(lambda: box.watcher is not None and box.watcher.is_alive())
    box.pass_time(31)
    box.put("a.dcm", A)
    taken_at_once(box, "a.dcm")


def test_what_landed_while_nobody_ran_is_taken(make_box: MakeBox) -> None:
    box = make_box(start=False)
    box.put("a.dcm", A)
    written(box.inbox / "b.dcm", B)
    box.start()
    box.rest()
    assert (box.sums(), box.in_inbox()) == ({"TAKEN": 2}, [])
    box.assert_sound(A, B)


def test_a_restart_knows_what_it_answered(make_box: MakeBox) -> None:
    """A taken file that could not leave in time leaves; one that has changed meanwhile is read anew; the others rest."""
    box = make_box()
    for name, data in (("a.dcm", A), ("b.dcm", B), ("half.dcm", A[:HALF]), ("note.txt", b"no picture")):
        written(box.inbox / name, data)
    box.pass_time_until(lambda: sum(box.sums().values()) == 4)
    assert len(box.in_inbox()) == 4
    box.stop()
    other = dicom(3)
    written(box.inbox / "b.dcm", other)
    box.restart()
    box.rest()
    assert box.sums() == {"TAKEN": 3, "SET_ASIDE": 1, "IGNORED": 1}
    assert box.in_inbox() == ["half.dcm", "note.txt"]
    box.assert_sound(A, B, other)


@contextmanager
def without_rights(folder: Path) -> Iterator[None]:
    """Root may read everything, so as root the test runs as nobody, to whom everything in the folder belongs."""
    if os.geteuid() != 0:
        yield
        return
    nobody = 65534
    for path in (folder, *folder.rglob("*")):
        os.chown(path, nobody, nobody)
    os.seteuid(nobody)
    try:
        yield
    finally:
        os.seteuid(0)


def test_what_may_not_be_read_is_set_aside_until_it_may(
    migrated: Path, head_engine: LoadedEngine, readers: ReaderPool, clock: Clock
) -> None:
    with tempfile.TemporaryDirectory(prefix="bleedwatch-") as made:
        folder = Path(made)
        shutil.copy(migrated, folder / "ledger")
        with without_rights(folder):
            box = Box(
                folder / "box",
                migrated=folder / "ledger",
                engine=head_engine,
                readers=readers,
                clock=clock,
                watched=True,
            )
            path = box.put("a.dcm", A)
            path.chmod(0)
            refused(box, "not-readable")
            path.chmod(0o400)
            box.rest()
            assert (box.sums(), box.in_inbox()) == ({"TAKEN": 1}, [])
            box.assert_sound(A)
            box.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a folder read-only")
def test_a_file_that_may_not_be_removed_stops_nothing(make_box: MakeBox) -> None:
    """The receiver's folder gives no right to remove: the slice is read, the file waits, and leaves when it may."""
    box = make_box()
    folder = box.inbox / "patient"
    folder.mkdir()
    box.put("patient/IM1", file_of(slice_of()))
    subprocess.run(["mount", "--bind", str(folder), str(folder)], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)
        box.pass_time(40)
        assert box.sums() == {"TAKEN": 1}
        assert box.in_inbox() == ["patient/IM1"]
    finally:
        subprocess.run(["umount", str(folder)], check=True)
    box.pass_time(AGAIN_S + 5)
    assert box.in_inbox() == []
    assert box.sums() == {"TAKEN": 1}
