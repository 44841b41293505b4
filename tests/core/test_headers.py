"""Headers to frozen values, places, and stored values to Hounsfield units: every trap has its case."""

import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataelem import DataElement

from appliance.core.reads import ReadFile
from appliance.core.reasons import REASONS, Of
from appliance.core.words import FileVerdict
from appliance.imaging.hounsfield import AIR_HU, to_hounsfield
from appliance.imaging.picture import PictureSpec, Rescale
from appliance.imaging.reading import read_bytes
from tests.dicoms import AIR, BRAIN, file_of, head, slice_of, stored

# The files here are wrong on purpose; the library that writes them says so.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

GOOD = file_of(slice_of())


def taken(read: ReadFile) -> ReadFile:
    """The same, proven to be TAKEN."""
    assert read.verdict is FileVerdict.TAKEN, read.reason
    assert read.header is not None and read.header.geometry is not None and read.hu is not None
    assert read.hu.dtype == np.int16 and read.hu.flags.c_contiguous
    assert read.hu.shape == (read.header.geometry.rows, read.header.geometry.columns)
    assert all((Of.CORRECTION, code) in REASONS for code in read.header.corrections)
    return read


def read_slice(**changes: Any) -> ReadFile:
    """What comes of a slice that was changed."""
    return read_bytes(file_of(slice_of(**changes)))


def marks(read: ReadFile) -> set[str]:
    """The corrections."""
    assert read.header is not None
    return set(read.header.corrections)


def test_a_plain_slice() -> None:
    read = taken(read_bytes(GOOD))
    assert np.array_equal(read.hu, head())
    header = read.header
    assert header is not None and header.geometry is not None
    assert header.corrections == ()
    assert (header.sop_uid[-1], header.study.study_uid[-1], header.series.series_uid[-1]) == ("1", "2", "3")
    assert header.study.patient.identity == "FAKE-0001" and header.study.patient.birth_date == "1950-01-02"
    assert header.study.age_years == pytest.approx(76.0, abs=0.01)
    assert header.study.scanner == "MAKER MODEL 1 ROOM2"
    assert header.series.image_type == ("ORIGINAL", "PRIMARY", "AXIAL") and header.series.kernel == ("STANDARD",)
    assert header.acquired == "20260102120001.500000"
    assert header.geometry.position_mm == 30.0 and header.geometry.tilt_deg == 0.0
    assert header.geometry.thickness_mm == 5.0 and header.geometry.pixel_mm == (0.5, 0.5)


def test_the_issuer_is_a_part_of_the_identity() -> None:
    one = read_slice(IssuerOfPatientID="EAST")
    other = read_slice(IssuerOfPatientID="WEST")
    assert one.header is not None and other.header is not None
    assert one.header.study.patient.identity != other.header.study.patient.identity


@pytest.mark.parametrize(
    ("age", "birth", "years"),
    [("076Y", "", 76.0), ("018M", "", 1.5), ("", "20250102", 1.0), ("", "", None), ("OLD", "20270101", None)],
)
def test_age(age: str, birth: str, years: float | None) -> None:
    header = read_slice(PatientAge=age, PatientBirthDate=birth).header
    assert header is not None
    assert header.study.age_years == (None if years is None else pytest.approx(years, abs=0.01))


@pytest.mark.parametrize(
    ("charset", "name", "raw"),
    [
        ("ISO_IR 100", "Müller^Jörg", None),
        ("ISO_IR 192", "Wałęsa^Żółć", None),
        ("ISO_IR 144", "Люкceмбypг", None),
        ("GB18030", "王^小东", None),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎", b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B"),
    ],
)
def test_names_come_out_right(charset: Any, name: str, raw: bytes | None) -> None:
    ds = slice_of(SpecificCharacterSet=charset)
    ds.PatientName = name if raw is None else raw
    read = taken(read_bytes(file_of(ds)))
    assert read.header is not None and read.header.study.patient.name == name
    assert "charset-guessed" not in marks(read)


def patched(data: bytes, keyword_value: bytes, new: bytes) -> bytes:
    """The file with a value of the same length in another's place."""
    assert len(keyword_value) == len(new) and data.count(keyword_value) == 1
    return data.replace(keyword_value, new)


def test_what_no_screen_may_meet_is_removed() -> None:
    name = "EVIL\u202eNAME\x1b[31m\x07X"
    ds = slice_of(SpecificCharacterSet="ISO_IR 192", PatientName="A" * 24)
    evil = name.encode()[:24].ljust(24, b"Y")
    read = taken(read_bytes(patched(file_of(ds), b"A" * 24, evil)))
    assert read.header is not None
    assert read.header.study.patient.name.isprintable() and "\u202e" not in read.header.study.patient.name
    assert "text-cleaned" in marks(read)


@pytest.mark.parametrize("raw", [b"M\xfcller^\xff\xfe", b"\xe9\xe8"])
def test_letters_without_a_character_set_are_guessed(raw: bytes) -> None:
    ds = slice_of(SpecificCharacterSet="ISO_IR 192", PatientName="A" * len(raw) + "^B")
    read = taken(read_bytes(patched(file_of(ds), b"A" * len(raw) + b"^B", raw + b"^B")))
    assert "charset-guessed" in marks(read)


# --- places ----------------------------------------------------------------------------------------------------------

TILTED = ["1", "0", "0", "0", "0.9483237", "-0.3173047"]


@pytest.mark.parametrize("tag", ["18.5", "-18.5", "0", None])
def test_tilt_comes_from_the_orientation_alone(tag: str | None) -> None:
    changes = {} if tag is None else {"GantryDetectorTilt": tag}
    read = taken(read_slice(ImageOrientationPatient=TILTED, **changes))
    assert read.header is not None and read.header.geometry is not None
    assert read.header.geometry.tilt_deg == pytest.approx(18.5, abs=0.01)
    assert "tilt" in marks(read)


def test_position_grows_towards_the_head_along_the_normal() -> None:
    def position(z: float) -> float:
        header = read_slice(ImageOrientationPatient=TILTED, ImagePositionPatient=["-120", "-110", str(z)]).header
        assert header is not None and header.geometry is not None
        return header.geometry.position_mm

    assert position(10.0) - position(5.0) == pytest.approx(5 * 0.9483, abs=1e-3)


@pytest.mark.parametrize(
    ("orientation", "as_stored"),
    [
        (["1", "0", "0", "0", "-1", "0"], lambda hu: hu[::-1]),
        (["-1", "0", "0", "0", "1", "0"], lambda hu: hu[:, ::-1]),
        (["-1", "0", "0", "0", "-1", "0"], lambda hu: hu[::-1, ::-1]),
        (["0", "1", "0", "1", "0", "0"], lambda hu: hu.T),
    ],
)
def test_a_picture_in_another_direction_is_turned(orientation: list[str], as_stored: Any) -> None:
    straight = taken(read_bytes(GOOD))
    assert straight.header is not None and straight.header.geometry is not None and straight.hu is not None
    place = straight.header.geometry
    hu = np.ascontiguousarray(as_stored(straight.hu))
    # The corner of the stored picture, so that every pixel stays where it is in the patient.
    far = (place.columns - 1) * place.pixel_mm[1], (place.rows - 1) * place.pixel_mm[0]
    corner = list(place.corner_mm)
    if orientation[0] == "-1":
        corner[0] += far[0]
    if orientation[4] == "-1":
        corner[1] += far[1]
    ds = slice_of(hu, ImageOrientationPatient=orientation, ImagePositionPatient=[str(value) for value in corner])
    turned = taken(read_bytes(file_of(ds)))
    assert np.array_equal(turned.hu, straight.hu)
    assert turned.header is not None and turned.header.geometry == place
    assert marks(turned) == {"rows-flipped"}


def test_pixels_are_made_square() -> None:
    hu = head()[:, ::2]
    read = taken(read_bytes(file_of(slice_of(np.ascontiguousarray(hu), PixelSpacing=["0.5", "1.0"]))))
    assert read.hu is not None and read.hu.shape == (64, 64) and marks(read) == {"resampled"}
    assert read.header is not None and read.header.geometry is not None
    assert read.header.geometry.pixel_mm == (0.5, 0.5)
    assert np.median(np.abs(read.hu.astype(int) - head())) == 0
    assert read.header.geometry.corner_mm[0] == -120.25  # the outer edge stays


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("ImageOrientationPatient", ["0", "0", "0", "0", "0", "0"]),
        ("ImageOrientationPatient", ["1", "0", "0", "0.5", "1", "0"]),
        ("ImageOrientationPatient", None),
        ("ImagePositionPatient", None),
        ("PixelSpacing", ["0", "0"]),
        ("PixelSpacing", None),
    ],
)
def test_a_slice_without_a_place_is_set_aside(keyword: str, value: Any) -> None:
    read = read_slice(**{keyword: value})
    assert (read.verdict, read.reason) == (FileVerdict.SET_ASIDE, "bad-geometry")
    assert read.study_uid.endswith(".2")


@pytest.mark.parametrize("bad", [b"nan", b"inf", b"1,0", b"1_0", b"---"])
def test_numbers_that_are_none(bad: bytes) -> None:
    data = patched(file_of(slice_of(PixelSpacing=["0.123", "0.456"])), b"0.123\\0.456 ", bad + b"\\0.456".ljust(9))
    assert read_bytes(data).reason == "bad-geometry"


# --- Hounsfield units ------------------------------------------------------------------------------------------------

HU = head().astype(np.int32)
SIGNED = {"BitsStored": 16, "HighBit": 15, "PixelRepresentation": 1, "RescaleIntercept": "0"}
PADDED = np.where(HU == AIR, -2000, HU)


def _padding(vr: str, value: int) -> DataElement:
    return DataElement(0x00280120, vr, value)


@pytest.mark.parametrize(
    ("changes", "expected", "marked"),
    [
        ({"PixelData": stored((HU + 1024) | 0xA000)}, HU, {"high-bits-masked"}),
        ({"PixelData": stored((HU + 1024) << 4), "HighBit": 15}, HU, {"bits-shifted"}),
        ({"PixelData": stored(HU & 0xFFF), "PixelRepresentation": 1, "RescaleIntercept": "0"}, HU, set()),
        ({"PixelData": stored(HU), "PixelRepresentation": 1, "RescaleIntercept": "0"}, HU, set()),
        ({"PixelData": stored(HU), **SIGNED}, HU, set()),
        ({"PixelData": stored(PADDED), **SIGNED}, np.where(HU == AIR, AIR_HU, HU), {"padding-removed"}),
        ({"PixelData": stored((HU + 1000) % 4096), "RescaleIntercept": "-1000"}, HU, set()),
        # Air was -1000, the offset was lost, and the 12 bits ran over.
        ({"PixelData": stored(HU % 4096), "RescaleIntercept": "0"}, HU, {"wrapped-12-bit"}),
        ({"PixelData": stored((HU + 1024) * 2), "RescaleSlope": "0.5", "BitsStored": 16, "HighBit": 15}, HU, set()),
        ({"PixelData": stored(HU + 1024) + b"\0" * 400}, HU, {"pixels-trimmed"}),
        ({"PhotometricInterpretation": "MONOCHROME1"}, HU, set()),
        ({"LossyImageCompression": "01"}, HU, {"lossy"}),
    ],
)
def test_traps(changes: dict[str, Any], expected: Any, marked: set[str]) -> None:
    read = taken(read_slice(**changes))
    assert np.array_equal(read.hu, expected)
    assert marks(read) == marked


@pytest.mark.parametrize(("vr", "value", "marked"), [("SS", -2000, set()), ("US", 63536, {"unsigned-padding"})])
def test_declared_filling(vr: str, value: int, marked: set[str]) -> None:
    ds = slice_of(PixelData=stored(PADDED), **SIGNED)
    ds.add(_padding(vr, value))
    read = taken(read_bytes(file_of(ds)))
    assert np.array_equal(read.hu, np.where(HU == AIR, AIR_HU, HU))
    assert marks(read) == {"padding-removed", *marked}


def test_filling_that_looks_like_tissue_is_taken_from_the_border_only() -> None:
    hu = HU.copy()
    hu[HU == AIR] = 0
    hu[30:33, 30:33] = 0  # water inside the head
    ds = slice_of(PixelData=stored(hu), **SIGNED)
    ds.add(_padding("SS", 0))
    read = taken(read_bytes(file_of(ds)))
    assert read.hu is not None and read.hu[0, 0] == AIR_HU and read.hu[31, 31] == 0


def test_a_true_12_bit_picture_is_not_unwrapped() -> None:
    read = taken(read_slice(PixelData=stored(np.clip(HU + 1024, 0, 4095)), RescaleIntercept="0"))
    assert "wrapped-12-bit" not in marks(read)


@pytest.mark.parametrize(
    ("changes", "verdict", "reason"),
    [
        ({"RescaleSlope": None}, "SET_ASIDE", "no-rescale"),
        ({"RescaleIntercept": ""}, "SET_ASIDE", "no-rescale"),
        ({"RescaleSlope": "0"}, "SET_ASIDE", "no-rescale"),
        ({"BitsStored": 17, "HighBit": 16}, "SET_ASIDE", "high-bit"),
        ({"HighBit": 5}, "SET_ASIDE", "high-bit"),
        ({"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}, "DECLINED", "unsupported-picture"),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "DECLINED", "unsupported-picture"),
        ({"PixelData": None}, "SET_ASIDE", "no-pixels"),
        ({"PixelData": b"\0" * 100}, "SET_ASIDE", "pixel-length"),
        ({"Rows": 65535, "Columns": 65535}, "SET_ASIDE", "too-large"),
        ({"Rows": 128}, "SET_ASIDE", "pixel-length"),
        ({"NumberOfFrames": "3"}, "SET_ASIDE", "pixel-length"),
        ({"Modality": "MR"}, "DECLINED", "mr"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.4"}, "DECLINED", "mr"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, "DECLINED", "secondary-capture"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.22"}, "DECLINED", "no-picture"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.128"}, "DECLINED", "not-ct"),
        ({"SeriesInstanceUID": None}, "SET_ASIDE", "no-identity"),
    ],
)
def test_refusals(changes: dict[str, Any], verdict: str, reason: str) -> None:
    read = read_slice(**changes)
    assert (read.verdict.value, read.reason) == (verdict, reason)
    assert read.hu is None and (Of.FILE, reason) in REASONS


@pytest.mark.parametrize("uid", ["../../../../etc/passwd", "1.2.3\n", "1.2;3", "1.2 3", "1." + "2" * 63])
@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
def test_a_uid_that_is_none_never_comes_through(keyword: str, uid: str) -> None:
    data = file_of(slice_of(**{keyword: "9" * 66}))
    at = data.rindex(b"9" * 66)
    read = read_bytes(data[:at] + uid.encode().ljust(66, b"\0") + data[at + 66 :])
    assert (read.verdict, read.reason, read.header) == (FileVerdict.SET_ASIDE, "bad-uid", None)
    assert uid not in read.study_uid


def test_units_of_half_a_million_pixels_take_less_than_three_milliseconds() -> None:
    cells = np.tile(stored_cells(), (8, 8))
    spec = PictureSpec(rows=512, columns=512, bits_stored=12, high_bit=11, signed=False)
    rescale = Rescale(slope=1.0, intercept=-1024.0, padding=(63536, 63536))
    best = float("inf")
    for _ in range(20):
        begun = time.perf_counter()
        to_hounsfield(cells, spec, rescale)
        best = min(best, time.perf_counter() - begun)
    assert best < 3e-3


def stored_cells() -> Any:
    """64 x 64 cells, uint16."""
    return (head().astype(np.int32) + 1024).astype(np.uint16)


# --- anything at all -------------------------------------------------------------------------------------------------


@given(st.integers(0, len(GOOD) - 1))
@settings(max_examples=150, deadline=None)
def test_a_file_cut_anywhere_is_never_taken(length: int) -> None:
    read = read_bytes(GOOD[:length])
    if length >= 132:
        # Cut exactly between two elements, it lacks its picture; anywhere else it lacks a part of an element.
        assert read.verdict is FileVerdict.SET_ASIDE
        assert read.reason in ("truncated", "no-pixels", "no-identity")
    else:
        assert read.verdict is FileVerdict.IGNORED


@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), min_size=1, max_size=12))
@settings(max_examples=300, deadline=None)
def test_a_file_changed_anywhere_gets_a_verdict(changes: list[tuple[int, int]]) -> None:
    data = bytearray(GOOD)
    for at, value in changes:
        data[at] = value
    read = read_bytes(bytes(data))
    if read.verdict is FileVerdict.TAKEN:
        taken(read)
    else:
        assert (Of.FILE, read.reason) in REASONS
        assert read.verdict.value in REASONS[(Of.FILE, read.reason)].leads_to


@given(st.binary(max_size=400))
@settings(max_examples=200, deadline=None)
def test_noise_behind_the_magic_gets_a_verdict(noise: bytes) -> None:
    assert read_bytes(b"\0" * 128 + b"DICM" + noise).verdict is not FileVerdict.TAKEN
    assert read_bytes(b"\x08\0\x05\0" + noise).verdict is not FileVerdict.TAKEN


def test_brain_is_brain() -> None:
    read = taken(read_bytes(GOOD))
    assert read.hu is not None and int(np.median(read.hu[24:40, 24:40])) == BRAIN
