"""Files read by real limited children: compressed, hostile, killed, hanging, orphaned."""

import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from struct import pack
from typing import Any

import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.core.reads import ReadFile
from appliance.core.words import FileVerdict
from appliance.imaging.reading import read_bytes
from appliance.imaging.sniffing import sniff
from appliance.intake.reader_pool import Answer, Died, ReaderPool
from appliance.intake.reader_protocol import packed_read, unpacked_read
from appliance.processes.children import MIB, Frame, FrameReader, GarbledFrame, packed
from tests.dicoms import compressed, file_of, head, slice_of

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

GOOD = file_of(slice_of())
_UNCOMPRESSED = "1.2.840.10008.1.2"
JPEG_LOSSLESS, JPEG_LS, JPEG_2000, RLE, DEFLATED = (
    f"{_UNCOMPRESSED}.{end}" for end in ("4.70", "4.80", "4.90", "5", "1.99")
)


@pytest.fixture(scope="module")
def pool() -> Iterator[ReaderPool]:
    """Two readers, ready."""
    with ReaderPool(time.monotonic()) as made:
        until_ready(made, 2)
        yield made


def until_ready(pool: ReaderPool, readers: int) -> None:
    """Waits for readers to load their decoders."""
    end = time.monotonic() + 60
    while pool.ready < readers:
        assert time.monotonic() < end, "the readers do not start"
        pool.wait(0.2)
        assert pool.poll(time.monotonic()) == []


def answers(pool: ReaderPool, count: int) -> list[Answer]:
    """As many answers, in the order in which they came."""
    found: list[Answer] = []
    end = time.monotonic() + 60
    while len(found) < count:
        assert time.monotonic() < end, "no answer"
        pool.wait(0.2)
        found += pool.poll(time.monotonic())
    assert len(found) == count
    return found


def read(pool: ReaderPool, data: bytes, name: str = "") -> ReadFile:
    """One file through the pool."""
    pool.submit("one", data, name, now_s=time.monotonic())
    result = answers(pool, 1)[0].result
    assert isinstance(result, ReadFile)
    return result


def pids(pool: ReaderPool) -> list[int]:
    """The readers' process ids."""
    return [reader.child.pid for reader in pool._readers]


def same(one: ReadFile, other: ReadFile) -> bool:
    """Whether two readings agree in everything."""
    return packed_read(one)[0] == packed_read(other)[0] and np.array_equal(
        one.hu if one.hu is not None else 0, other.hu if other.hu is not None else 0
    )


def test_a_slice_comes_through_whole(pool: ReaderPool) -> None:
    through = read(pool, GOOD)
    assert same(through, read_bytes(GOOD)) and through.hu is not None
    assert np.array_equal(through.hu, head()) and not through.hu.flags.writeable


def test_names_and_beginnings_come_through(pool: ReaderPool) -> None:
    assert read(pool, GOOD, "slice.dcm.part").reason == "temp-name"
    assert read(pool, b"").reason == "empty-file"
    assert read(pool, b"%PDF-1.7 and more").reason == "not-dicom"


def test_the_beginning_of_a_file_too_large_is_never_taken(pool: ReaderPool) -> None:
    pool.submit("large", GOOD, size=1 << 33, now_s=time.monotonic())
    result = answers(pool, 1)[0].result
    assert isinstance(result, ReadFile)
    assert (result.verdict, result.reason) == (FileVerdict.SET_ASIDE, "too-large")
    assert result.study_uid.endswith(".2")
    assert read_bytes(GOOD + bytes(64 * MIB)).reason == "too-large"
    report = file_of(slice_of(SOPClassUID="1.2.840.10008.5.1.4.1.1.88.33"))
    assert read_bytes(report, "", 1 << 33).reason == "no-picture"


def stream_of(codec: str, cells: np.ndarray) -> bytes:
    """A code stream of uint16 cells."""
    if codec == RLE:
        planes = [cells.astype(">u2").tobytes()[part::2] for part in (0, 1)]
        coded = [b"".join(bytes([127]) + plane[at : at + 128] for at in range(0, len(plane), 128)) for plane in planes]
        return pack("<16I", 2, 64, 64 + len(coded[0]), *[0] * 13) + b"".join(coded)
    if codec == JPEG_LS:
        return bytes(imagecodecs.jpegls_encode(cells))
    if codec == JPEG_2000:
        return bytes(imagecodecs.jpeg2k_encode(cells, level=0, codecformat="j2k", reversible=True))
    return bytes(imagecodecs.ljpeg_encode(cells, bitspersample=16))


CELLS = (head().astype(np.int32) + 1024).astype(np.uint16)
CODECS = (JPEG_LOSSLESS, JPEG_LS, JPEG_2000, RLE)


@pytest.mark.parametrize("codec", CODECS)
def test_compressed_slices(pool: ReaderPool, codec: str) -> None:
    through = read(pool, compressed(slice_of(BitsStored=16, HighBit=15), stream_of(codec, CELLS), codec))
    assert through.verdict is FileVerdict.TAKEN, through.reason
    assert np.array_equal(through.hu, head()) and through.pixel_sha256 == read_bytes(GOOD).pixel_sha256


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("shape", [(32, 64), (64, 128), (128, 128)])
def test_a_stream_of_another_size_is_refused(codec: str, shape: tuple[int, int]) -> None:
    other = np.resize(CELLS, shape)
    found = read_bytes(compressed(slice_of(BitsStored=16, HighBit=15), stream_of(codec, other), codec))
    assert found.verdict is FileVerdict.SET_ASIDE
    assert found.reason in ("codec-mismatch", "decode-failed")


@pytest.mark.parametrize("codec", CODECS)
def test_a_stream_of_another_codec_is_refused(codec: str) -> None:
    for other in CODECS:
        if other != codec:
            found = read_bytes(compressed(slice_of(BitsStored=16, HighBit=15), stream_of(other, CELLS), codec))
            assert (found.verdict, found.reason) == (FileVerdict.SET_ASIDE, "codec-mismatch")


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("part", [0.02, 0.3, 0.7, 0.95])
def test_a_torn_stream_is_never_a_whole_picture(codec: str, part: float) -> None:
    stream = stream_of(codec, CELLS)
    torn = stream[: int(len(stream) * part)]
    for end in (b"", b"\xff\xd9"):
        found = read_bytes(compressed(slice_of(BitsStored=16, HighBit=15), torn + end, codec))
        assert found.verdict is FileVerdict.SET_ASIDE


@given(st.sampled_from(CODECS), st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), min_size=1, max_size=5))
@settings(max_examples=80, deadline=None)
def test_a_damaged_stream_stops_nobody(codec: str, changes: list[tuple[int, int]]) -> None:
    stream = bytearray(stream_of(codec, CELLS))
    for at, value in changes:
        stream[at % len(stream)] = value
    found = read_bytes(compressed(slice_of(BitsStored=16, HighBit=15), bytes(stream), codec))
    assert found.verdict in (FileVerdict.TAKEN, FileVerdict.SET_ASIDE)
    assert found.hu is None or found.hu.shape == (64, 64)


def bomb_of_jpeg() -> bytes:
    """A kilobyte that says 65535 x 65535."""
    stream = b"\xff\xd8\xff\xc3" + pack(">HBHHBBBB", 11, 16, 65535, 65535, 1, 1, 0x11, 0) + b"\0" * 60 + b"\xff\xd9"
    return compressed(slice_of(BitsStored=16, HighBit=15), stream, JPEG_LOSSLESS)


def deep(depth: int) -> bytes:
    """Sequences in sequences."""
    level = pack("<HH2sHIHHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF, 0xFFFE, 0xE000, 0xFFFFFFFF)
    at = GOOD.index(pack("<HH2s", 0x0010, 0x0010, b"PN"))
    return GOOD[:at] + level * depth + GOOD[at:]


@pytest.mark.parametrize(
    ("data", "reasons"),
    [
        (bomb_of_jpeg(), {"codec-mismatch"}),
        (deep(5_000), {"too-deep"}),
        (deep(200_000), {"too-deep"}),
        (file_of(slice_of(Rows=46341, Columns=46341)), {"too-large", "pixel-length"}),
        (
            GOOD.replace(
                pack("<HH2sH", 0x7FE0, 0x0010, b"OW", 0), pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, 0xFFFFFFF0)
            ),
            {"truncated"},
        ),
        (GOOD[:132] + b"\xff" * 50_000, {"broken-structure"}),
    ],
    ids=["jpeg", "deep", "deeper", "giant", "declared", "noise"],
)
def test_bombs_cost_a_reader_nothing(pool: ReaderPool, data: bytes, reasons: set[str]) -> None:
    before = pids(pool)
    begun = time.monotonic()
    found = read(pool, data)
    assert found.verdict is FileVerdict.SET_ASIDE and found.reason in reasons
    assert time.monotonic() - begun < 2
    assert pids(pool) == before
    assert max(peak_bytes(pid) for pid in before) < 512 * MIB


def test_a_bomb_of_deflate_is_stopped(pool: ReaderPool) -> None:
    data = file_of(slice_of(PixelData=bytes(200 * MIB)), DEFLATED)
    before = pids(pool)
    found = read(pool, data)
    assert (found.verdict, found.reason) == (FileVerdict.SET_ASIDE, "bomb")
    assert found.study_uid.endswith(".2")
    assert pids(pool) == before


def peak_bytes(pid: int) -> int:
    """The most memory that a process has had."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def test_the_readers_are_limited(pool: ReaderPool) -> None:
    for pid in pids(pool):
        limits = Path(f"/proc/{pid}/limits").read_text()
        soft = {line[:25].strip(): line[26:47].strip() for line in limits.splitlines()[1:]}
        assert int(soft["Max address space"]) == 1536 * MIB
        assert soft["Max file size"] == "0" and soft["Max core file size"] == "0"
        assert int(soft["Max open files"]) == 64


def test_a_killed_reader_costs_its_file_alone() -> None:
    with ReaderPool(time.monotonic()) as pool:
        until_ready(pool, 2)
        first = pids(pool)
        for pid in first:
            os.kill(pid, signal.SIGSTOP)
        pool.submit("a", GOOD, now_s=time.monotonic())
        os.kill(next(r.child.pid for r in pool._readers if r.job), signal.SIGKILL)
        assert answers(pool, 1) == [Answer(job="a", result=Died(why="crashed"))]
        for pid in set(first) & set(pids(pool)):
            os.kill(pid, signal.SIGCONT)
        assert read(pool, GOOD).verdict is FileVerdict.TAKEN
        until_ready(pool, 2)
        assert len(set(pids(pool)) - set(first)) == 1


def test_a_hanging_reader_is_ended_at_its_deadline() -> None:
    with ReaderPool(time.monotonic(), readers=1, deadline_s=10.0) as pool:
        until_ready(pool, 1)
        (hanging,) = pids(pool)
        os.kill(hanging, signal.SIGSTOP)
        begun = time.monotonic()
        pool.submit("a", GOOD, now_s=begun)
        pool.submit("b", GOOD, now_s=begun)
        assert pool.poll(begun + 9.9) == []
        assert pool.poll(begun + 10.1) == [Answer(job="a", result=Died(why="deadline"))]
        assert not Path(f"/proc/{hanging}").exists()
        (answer,) = answers(pool, 1)
        assert answer.job == "b" and isinstance(answer.result, ReadFile)


def test_many_files_keep_their_names(pool: ReaderPool) -> None:
    files = {number: file_of(slice_of(InstanceNumber=str(number))) for number in range(40)}
    for number, data in files.items():
        pool.submit(number, data, now_s=time.monotonic())
    for answer in answers(pool, len(files)):
        assert isinstance(answer.result, ReadFile) and answer.result.header is not None
        assert answer.result.header.instance_number == answer.job
    assert pool.busy == 0


def test_readers_die_with_their_parent() -> None:
    script = (
        "import sys, time\n"
        "from appliance.intake.reader_pool import ReaderPool\n"
        "pool = ReaderPool(time.monotonic())\n"
        "while pool.ready < 2: pool.wait(0.2); pool.poll(time.monotonic())\n"
        "print(*[reader.child.pid for reader in pool._readers], flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        children = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(children) == 2
        parent.kill()
    end = time.monotonic() + 5
    while any(alive(pid) for pid in children):
        assert time.monotonic() < end, "a reader outlives its parent"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_slice_of_half_a_megabyte_takes_milliseconds(pool: ReaderPool) -> None:
    data = file_of(slice_of(head(512)))
    times = []
    for _ in range(60):
        begun = time.perf_counter()
        pool.submit("x", data, now_s=time.monotonic())
        answers(pool, 1)
        times.append((time.perf_counter() - begun) * 1000)
    print(f"512 x 512 through the pool: p50 {statistics.median(times):.1f} ms, worst {max(times):.1f} ms")
    assert statistics.median(times) <= 12


# --- what a hurt child may say ---------------------------------------------------------------------------------------


def answer_with(**changes: Any) -> Frame:
    """A right answer with changes."""
    head_of, pixels = packed_read(read_bytes(GOOD))
    return Frame(head=json.loads(json.dumps({**head_of, **changes})), body=bytes(pixels))


def test_the_right_answer_is_understood() -> None:
    assert same(unpacked_read(answer_with()), read_bytes(GOOD))


@pytest.mark.parametrize(
    "changes",
    [
        {"verdict": "FINE"},
        {"verdict": "DECLINED"},
        {"reason": 5},
        {"header": None},
        {"header": {"sop_uid": "1"}},
        {"header": []},
        {"details": [["a"]]},
        {"study_uid": None},
    ],
)
def test_a_wrong_answer_is_garbled(changes: dict[str, Any]) -> None:
    with pytest.raises(GarbledFrame):
        unpacked_read(answer_with(**changes))


def test_pixels_of_another_size_are_garbled() -> None:
    frame = answer_with()
    with pytest.raises(GarbledFrame):
        unpacked_read(Frame(head=frame.head, body=frame.body[:-2]))
    with pytest.raises(GarbledFrame):
        unpacked_read(Frame(head=frame.head, body=b""))


@pytest.mark.parametrize("stream", [b"\xff\xff\xff\xff", b"\0\0\0\0", b"\0\0\0\2[]", b"\0\0\0\x0b" + b'{"bytes":9}'])
def test_a_stream_that_makes_no_sense(stream: bytes) -> None:
    with pytest.raises(GarbledFrame):
        FrameReader(max_body=8).feed(stream)


@given(st.lists(st.binary(max_size=50), max_size=5), st.integers(1, 40))
def test_frames_come_out_of_any_pieces(bodies: list[bytes], piece: int) -> None:
    stream = b"".join(packed({"n": n}, len(body)) + body for n, body in enumerate(bodies))
    reader = FrameReader(max_body=64)
    frames = [frame for at in range(0, len(stream), piece) for frame in reader.feed(stream[at : at + piece])]
    assert [(frame.head["n"], frame.body) for frame in frames] == list(enumerate(bodies))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        *(
            (name, "temp-name")
            for name in (".x.dcm", "a.part", "b.dcm.tmp", "c~", "d.filepart", "#2392141", ".I10.Xy12ab")
        ),
        *((name, "") for name in ("I10", "1.2.840.113", "slice.IMA", "part.dcm", "tmp", "a.dcm")),
    ],
)
def test_names_of_unfinished_transfers(name: str, reason: str) -> None:
    assert sniff(GOOD, name) == reason
