"""Header strings that would rather be markup: every field that is shown, on every page, is text and nothing else."""

import time
from contextlib import ExitStack
from io import BytesIO
from typing import Any

import pytest
from pydicom import config, dcmread
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset

from appliance.core.words import Level
from appliance.phantoms.demo import demo_exam
from appliance.phantoms.dicom import Study, exam_files
from appliance.phantoms.exam import HELD_OUT_SEED
from appliance.phantoms.scanner import Landing, send
from appliance.records.alerts import open_alerts
from appliance.records.ledger import Ledger
from tests.conftest import MakePrograms
from tests.real.browsing import station, until, wait_for

MARKUP = "\"'><img src=http://elsewhere.example/{n}.png onerror=window.owned={n}><script>window.owned={n}</script>"
UNREADABLE = "A\u202eB\u2066C\x07D\x1b[31mE\u200fF\x00G"
UNREADABLE_ASCII = "A\x07D\x1b[31mE\x00G"  # where a value knows no other letters
FREE_TEXT = ("PN", "LO", "SH", "ST", "LT")
TEXT_TAGS = (
    "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "PatientAge", "AccessionNumber",
    "StudyID", "StudyDescription", "SeriesDescription", "ProtocolName", "ConvolutionKernel", "Manufacturer",
    "ManufacturerModelName", "StationName", "InstitutionName", "StudyDate", "StudyTime", "AcquisitionTime",
    "ReferringPhysicianName", "OperatorsName", "PatientComments", "ImageComments", "RequestedProcedureDescription",
)  # fmt: skip
PAGES = ("", "alerts", "system", "kiosk", "study/1")


def markup(ds: Dataset) -> None:
    for number, tag in enumerate(TEXT_TAGS, start=1):
        ds.__setattr__(tag, MARKUP.format(n=number))


def unreadable(ds: Dataset) -> None:
    for tag in TEXT_TAGS:
        ds.__setattr__(tag, UNREADABLE if dictionary_VR(tag) in FREE_TEXT else UNREADABLE_ASCII)


def endless(ds: Dataset) -> None:
    for tag in TEXT_TAGS:
        ds.__setattr__(tag, "LONG " * 13_100)  # 65,500 characters: as many as the length of a value can say


@pytest.mark.parametrize("spoil", [markup, unreadable, endless])
def test_hostile_strings_in_every_field_are_text_on_every_page(
    spoil: Any, browser: Any, make_programs: MakePrograms
) -> None:
    box = make_programs("triage", "courier", "dashboard")
    with Ledger.open(box.settings.database) as ledger, ExitStack() as stations:
        asked: list[str] = []
        pages = [stations.enter_context(station(browser, box.address, asked=asked))]
        sent = send(
            spoiled(spoil), box.settings.inbox.folder, rate_hz=20, landing=Landing.TEMP_RENAME, clock_ns=time.time_ns,
            sleep=time.sleep,
        )  # fmt: skip
        assert len(list(sent)) == 24
        until(pages[0], "document.body.classList.contains('alarmed')", within_s=20)
        wait_for(lambda: criticals(ledger) == 1, within_s=5)
        for path in PAGES[1:]:
            pages.append(stations.enter_context(station(browser, box.address + path, asked=asked)))
        until(pages[0], "document.querySelectorAll('#today tr[data-key^=\"day-\"]').length >= 1", within_s=60)
        for page in pages:
            page.wait_for_timeout(700)
            assert page.evaluate("window.owned") is None
            assert page.evaluate("document.querySelectorAll('main script, main img[onerror], main iframe').length") == 0
            text = page.evaluate("document.body.innerText + [...document.querySelectorAll('*')].flatMap("
                                 "(one) => [...one.attributes].map((a) => a.value)).join(' ')")  # fmt: skip
            assert not any(character in text for character in "\u202e\u2066\u200f\x07\x1b\x00")
            assert "CRITICAL" in page.inner_text("main")
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth + 1"), page.url
        assert [url for url in asked if not url.startswith((box.address, "data:", "blob:"))] == []


def spoiled(spoil: Any) -> list[bytes]:
    """A bleeding exam whose every text is hostile."""
    exam = demo_exam(HELD_OUT_SEED + 511, bleeding=True, slices=24)
    files = []
    with config.disable_value_validation():
        for file in exam_files(exam, Study(seed=HELD_OUT_SEED + 511, token="hostile")):
            ds = dcmread(BytesIO(file.data))
            spoil(ds)
            buffer = BytesIO()
            ds.save_as(buffer)
            files.append(buffer.getvalue())
    return files


def criticals(ledger: Ledger) -> int:
    with ledger.reading() as r:
        return sum(one.level is Level.CRITICAL for one in open_alerts(r))
