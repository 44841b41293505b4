"""Every file of the real and crafted data has the verdict that the table beside it rules, and so has every series."""

import csv
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from appliance.core.ledger import Reasons
from appliance.core.reads import ReadFile
from appliance.core.reasons import REASONS, Of
from appliance.core.words import FileVerdict, SeriesVerdict
from appliance.exams.head_ct.anatomy import find_anatomy
from appliance.exams.head_ct.eligibility import PixelFacts
from appliance.exams.registry import EXAMS
from appliance.imaging.geometry import Placed, survey
from appliance.imaging.reading import read_bytes

DATA = Path(os.environ.get("BLEEDWATCH_TEST_DATA", ""))
pytestmark = pytest.mark.skipif(
    "BLEEDWATCH_TEST_DATA" not in os.environ, reason="BLEEDWATCH_TEST_DATA names no folder of real DICOM"
)

HEAD_CT = EXAMS["head_ct"]
AGES_YEARS = (18.0, 120.0)


@dataclass(frozen=True)
class Row:
    """One row of a table of rules; `|` parts alternatives."""

    fields: dict[str, str]

    def alternatives(self, column: str) -> set[str]:
        """What a column allows."""
        return {part for part in self.fields[column].split("|") if part}

    def corrections(self) -> set[str]:
        """The corrections that a note owes."""
        owed = re.search(r"corrections:? ([a-z0-9 -]+)", self.fields["note"])
        return set(owed[1].split()) if owed else set()


def rows(table: str) -> list[Row]:
    """The rows of a table; none where there is no data."""
    path = DATA / table
    if "BLEEDWATCH_TEST_DATA" not in os.environ or not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as lines:
        return [Row(fields) for fields in csv.DictReader(lines)]


def series_verdict(read: ReadFile) -> tuple[SeriesVerdict, Reasons] | None:
    """What the header makes of the series that a file opens; None if it opens none."""
    if read.header is None or read.verdict not in (FileVerdict.TAKEN, FileVerdict.DECLINED):
        return None
    header = read.header
    said = HEAD_CT.header_verdict(header.series, header.geometry, header.study, AGES_YEARS, read.reason)
    assert (said.verdict is SeriesVerdict.DECLINED) is bool(said.reasons)
    assert all((Of.SERIES, code) in REASONS for code, _ in said.reasons)
    return said.verdict, said.reasons


@pytest.mark.parametrize("row", rows("verdicts.csv"), ids=lambda row: row.fields["path"])
def test_file(row: Row) -> None:
    path = DATA / row.fields["path"]
    read = read_bytes(path.read_bytes(), path.name)

    assert read.verdict.value in row.alternatives("file_verdict")
    if read.verdict is FileVerdict.TAKEN:
        assert read.reason == "" and read.hu is not None and read.hu.dtype == np.int16
    else:
        assert read.reason in row.alternatives("file_reason")
        assert REASONS[(Of.FILE, read.reason)].leads_to == read.verdict.value
        assert read.hu is None

    series = series_verdict(read)
    if not row.alternatives("series_verdict"):
        assert series is None or series[0] is not SeriesVerdict.READ
    elif series is not None:
        verdict, reasons = series
        assert verdict.value in row.alternatives("series_verdict")
        if verdict is SeriesVerdict.DECLINED:
            assert reasons[0][0] in row.alternatives("series_reason")
        else:
            assert read.header is not None
            assert row.corrections() <= set(read.header.corrections)


def reads_of(row: Row) -> Iterator[ReadFile]:
    """The files of one series."""
    for path in sorted((DATA / "head-ct" / row.fields["folder"]).iterdir()):
        read = read_bytes(path.read_bytes(), path.name)
        if read.header is not None and str(read.header.series.series_number) == row.fields["series"]:
            yield read


@pytest.mark.parametrize("row", rows("outcomes.csv"), ids=lambda row: f"{row.fields['folder']}-{row.fields['series']}")
def test_whole_series(row: Row) -> None:
    reads = list(reads_of(row))
    assert reads
    verdicts = {series_verdict(read) and series_verdict(read)[0] for read in reads}  # type: ignore[index]
    assert len(verdicts) == 1, "the slices of one series disagree"
    first = series_verdict(reads[0])
    assert first is not None
    verdict, reasons = first
    taken = [read for read in reads if read.hu is not None]
    if verdict is SeriesVerdict.READ:
        no = HEAD_CT.pixel_verdict([facts_of(read) for read in taken])
        if no is not None:
            verdict, reasons = SeriesVerdict.DECLINED, no
    assert verdict.value in row.alternatives("series_verdict")
    if verdict is SeriesVerdict.DECLINED:
        assert reasons[0][0] in row.alternatives("series_reason")
    marked = {code for read in reads if read.header is not None for code in read.header.corrections}
    if survey([placed(read) for read in taken]).two_thicknesses:
        marked.add("two-thicknesses")
    if SeriesVerdict(verdict) is SeriesVerdict.READ or "corrections: tilt" in row.fields["note"]:
        assert row.corrections() <= marked


def facts_of(read: ReadFile) -> PixelFacts:
    """What a slice's pixels show."""
    assert read.hu is not None and read.header is not None and read.header.geometry is not None
    seen = find_anatomy(read.hu, read.header.geometry.pixel_mm)
    return PixelFacts(
        has_brain=seen.has_brain_in_skull, brain_hu=seen.brain_median_hu, skull_area_mm2=seen.skull_area_mm2
    )


def placed(read: ReadFile) -> Placed:
    """Where a slice lies."""
    assert read.header is not None and read.header.geometry is not None
    return Placed(read.header.geometry.position_mm, read.header.geometry.thickness_mm)


def test_two_thicknesses_of_a_whole_series() -> None:
    row = next(row for row in rows("outcomes.csv") if row.fields["folder"] == "ge-tilt")
    found = survey([placed(read) for read in reads_of(row)])
    assert (len(found.places), found.repeats, found.gaps, found.two_thicknesses) == (28, 0, (), True)


SYNTAXES = DATA / "dicom-zoo" / "ct-all-syntaxes"


@pytest.mark.parametrize(
    ("syntax", "at_most_hu"),
    [
        *((syntax, 0) for syntax in ("", ".1.99", ".2", ".5", ".4.57", ".4.70", ".4.80", ".4.90")),
        *((".4.81", 1), (".4.91", 5), (".4.51", 36), (".4.53", 36), (".4.55", 36)),
    ],
)
def test_every_decoder_gives_the_same_slice(syntax: str, at_most_hu: int) -> None:
    plain = read_bytes((SYNTAXES / "CTImage_1.2.840.10008.1.2.1.dcm").read_bytes())
    read = read_bytes((SYNTAXES / f"CTImage_1.2.840.10008.1.2{syntax}.dcm").read_bytes())
    assert plain.hu is not None and read.hu is not None
    # Lossy copies smear the filling outside the circle, which has no meaning.
    inside = plain.hu > -1000
    assert int(np.abs(read.hu.astype(int) - plain.hu)[inside].max()) <= at_most_hu
    if at_most_hu == 0:
        assert read.pixel_sha256 == plain.pixel_sha256


def test_htj2k_is_the_same_slice() -> None:
    folder = DATA / "head-ct" / "toshiba-contrast"
    plain, packed = (read_bytes((folder / name).read_bytes()) for name in ("CT2_UNC", "CT2_HTJ2K"))
    assert plain.pixel_sha256 == packed.pixel_sha256 != ""


NAMES = {
    "chrArab": "قباني^لنزار",
    "chrFren": "Buc^Jérôme",
    "chrGerm": "Äneas^Rüdiger",
    "chrGreek": "Διονυσιος",
    "chrHbrw": "שרון^דבורה",
    "chrRuss": "Люкceмбypг",
    "chrH31": "Yamada^Tarou=山田^太郎=やまだ^たろう",
    "chrH32": "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
    "chrI2": "Hong^Gildong=洪^吉洞=홍^길동",
    "chrX1": "Wang^XiaoDong=王^小東",
    "chrX2": "Wang^XiaoDong=王^小东",
}


@pytest.mark.parametrize("name", NAMES)
def test_names_of_many_alphabets(name: str) -> None:
    from appliance.imaging import tags
    from appliance.imaging.fields import Fields
    from appliance.imaging.opening import open_file

    opened = open_file((DATA / "dicom-zoo" / "charsets" / f"{name}.dcm").read_bytes())
    fields = Fields(opened.body, opened.walk)
    said = fields.text(tags.PATIENT_NAME, person=True)
    assert said.startswith(NAMES[name]) or NAMES[name] in said
    assert "charset-guessed" not in fields.corrections
