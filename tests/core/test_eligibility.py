"""The rules that say which series are native head CT, one by one and in their order."""

from dataclasses import replace
from typing import Any

import pytest

from appliance.core.headers import Patient, SeriesFacts, SliceGeometry, StudyFacts
from appliance.core.reasons import REASONS, Of, sentence
from appliance.core.words import SeriesVerdict
from appliance.exams.head_ct.eligibility import (
    RULE_CODES,
    HeaderVerdict,
    PixelFacts,
    header_verdict,
    part_named,
    pixel_verdict,
)
from appliance.exams.head_ct.kernels import is_sharp
from appliance.exams.head_ct.lexicon import says_contrast, says_no_agent

CT = "1.2.840.10008.5.1.4.1.1.2"
STUDY = StudyFacts(study_uid="1.2", patient=Patient(identity="A"), description="CT HEAD", age_years=60.0)
SERIES = SeriesFacts(
    series_uid="1.3", sop_class_uid=CT, modality="CT", image_type=("ORIGINAL", "PRIMARY", "AXIAL"), body_part="HEAD"
)
PLACE = SliceGeometry(
    rows=512,
    columns=512,
    pixel_mm=(0.5, 0.5),
    row_direction=(1.0, 0.0, 0.0),
    column_direction=(0.0, 1.0, 0.0),
    corner_mm=(0.0, 0.0, 0.0),
    position_mm=0.0,
    tilt_deg=0.0,
)


def verdict(
    study: StudyFacts = STUDY, place: SliceGeometry | None = PLACE, file: str = "", **series: Any
) -> HeaderVerdict:
    """The verdict on a plain head series with changes."""
    return header_verdict(replace(SERIES, **series), place, study, (18.0, 120.0), file)


def code(said: HeaderVerdict) -> str:
    """The first reason, empty where the series is read."""
    return said.reasons[0][0] if said.reasons else ""


def test_a_plain_head_is_read() -> None:
    assert verdict() == (SeriesVerdict.READ, (), True)


def test_nothing_known_is_read() -> None:
    nothing = SeriesFacts(series_uid="1.3", sop_class_uid=CT)
    study = StudyFacts(study_uid="1.2", patient=Patient(identity=""))
    assert header_verdict(nothing, PLACE, study, (18.0, 120.0)) == (SeriesVerdict.READ, (), True)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"modality": "MR"}, "mr"),
        ({"sop_class_uid": "1.2.840.10008.5.1.4.1.1.7"}, "secondary-capture"),
        ({"image_type": ("DERIVED", "SECONDARY", "SCREEN SAVE")}, "secondary-capture"),
        ({"image_type": ("ORIGINAL", "PRIMARY", "LOCALIZER")}, "localizer"),
        ({"description": "Topogram 0.6"}, "localizer"),
        ({"image_type": ("DERIVED", "PRIMARY", "PERFUSION", "RCBF")}, "perfusion"),
        ({"description": "Head Perfusion 5.0"}, "perfusion"),
        ({"rescale_type": "US"}, "spectral-map"),
        ({"image_type": ("DERIVED", "PRIMARY", "AXIAL", "VNC")}, "spectral-map"),
        ({"description": "MonoE 70 keV"}, "spectral-map"),
        ({"image_type": ("DERIVED", "SECONDARY", "MIP")}, "derived"),
        ({"image_type": ("DERIVED", "SECONDARY", "AXIAL", "CT_SOM5 MPR")}, "derived"),
        ({"place": replace(PLACE, tilt_deg=90.0)}, "not-axial"),
        ({"contrast_agent": "IOMERON 400"}, "contrast"),
        ({"contrast_agent": "NON-IONIC 300"}, "contrast"),
        ({"description": "CTA Carotids 0.6"}, "contrast"),
        ({"description": "Schädel mit KM"}, "contrast"),
        ({"description": "HEAD +C"}, "contrast"),
        ({"body_part": "CHEST", "study": replace(STUDY, description="")}, "not-a-head"),
        ({"description": "C-SPINE 2.0", "body_part": "HEAD"}, "not-a-head"),
        ({"description": "SINUSES"}, "not-a-head"),
        ({"kernel": ("H60s",)}, "bone-kernel"),
        ({"kernel": ("Hr60f", "3")}, "bone-kernel"),
        ({"kernel": ("YA",)}, "bone-kernel"),
        ({"description": "HEAD BONE 1.0"}, "bone-kernel"),
        ({"study": replace(STUDY, age_years=3.0)}, "age"),
        ({"study": replace(STUDY, age_years=130.0)}, "age"),
        ({"file": "unsupported-picture"}, "no-brain"),
        ({"file": "mr"}, "mr"),
        ({"file": "secondary-capture"}, "secondary-capture"),
    ],
)
def test_each_rule_says_no(changes: dict[str, Any], expected: str) -> None:
    said = verdict(**changes)
    assert (said.verdict, code(said)) == (SeriesVerdict.DECLINED, expected)
    assert "…" not in sentence(Of.SERIES, expected, **said.reasons[0][1])


@pytest.mark.parametrize(
    "changes",
    [
        {"image_type": ("DERIVED", "SECONDARY", "AXIAL")},  # a lossy copy of a true slice
        {"image_type": ("DERIVED", "PRIMARY", "AXIAL")},
        {"place": replace(PLACE, tilt_deg=30.0)},
        {"contrast_agent": "C-"},
        {"contrast_agent": "NONE"},
        {"contrast_agent": "w/o contrast"},
        {"description": "Head native ohne KM"},
        {"description": "HEAD W/O CONTRAST 5.0"},
        {"study": replace(STUDY, description="CT HEAD W AND W/O CONTRAST")},
        {"body_part": "CSPINE"},  # the study says head: a wrong default of the protocol
        {"kernel": ("Hr40f", "3"), "description": "HEAD BONE REGION"},
        {"kernel": ("FC21",)},
        {"kernel": ("11",)},
        {"window_width": (4000.0,)},
        {"place": replace(PLACE, pixel_mm=(0.05, 0.05), rows=64, columns=64)},
        {"study": replace(STUDY, age_years=None)},
        {"multi_energy": True},
        {"rescale_type": "HU"},
    ],
)
def test_what_must_not_decide_does_not(changes: dict[str, Any]) -> None:
    assert verdict(**changes).verdict is SeriesVerdict.READ


def test_the_first_rule_that_says_no_decides() -> None:
    said = verdict(image_type=("ORIGINAL", "PRIMARY", "LOCALIZER"), contrast_agent="X", kernel=("H60s",))
    assert code(said) == "localizer"
    assert list(RULE_CODES) == sorted(RULE_CODES, key=RULE_CODES.index)
    assert all((Of.SERIES, one) in REASONS for one in RULE_CODES)


@pytest.mark.parametrize(
    ("changes", "may_be_head"),
    [
        ({"image_type": ("ORIGINAL", "PRIMARY", "LOCALIZER")}, True),  # of a head: somebody must look
        ({"image_type": ("ORIGINAL", "PRIMARY", "LOCALIZER"), "description": "Chest"}, False),
        ({"kernel": ("H60s",)}, True),
        ({"contrast_agent": "X"}, True),
        ({"modality": "MR"}, False),
        ({"body_part": "ABDOMEN", "study": replace(STUDY, description="")}, False),
        ({"body_part": "", "study": replace(STUDY, description="")}, True),
    ],
)
def test_what_may_be_a_head(changes: dict[str, Any], may_be_head: bool) -> None:
    assert verdict(**changes).may_be_head is may_be_head


HEADS = (
    "Kopf nativ",
    "SCHÄDEL 5.0",
    "Schaedel",
    "CCT",
    "tête sans injection",
    "CRÁNEO SIMPLE",
    "cabeça",
    "encefalo senza mdc",
    "hersenen blanco",
    "głowa bez kontrastu",
    "Голова",
    "головной мозг",
    "hjärna",
    "huvud",
    "beyin BT",
    "頭部単純",
    "脑部平扫",
    "뇌 CT",
    "الرأس",
    "CT ראש",
    "ADULT BRAIN/U",
    "1A TRAUMA/PLAIN HEAD DM",
    "Head_Neck",
)


@pytest.mark.parametrize("text", HEADS)
def test_heads_in_many_languages(text: str) -> None:
    assert part_named(replace(SERIES, body_part="", description=text), replace(STUDY, description="")) == "head"


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("HELICAL CHEST", "chest"),
        ("Thorax", "chest"),
        ("ГРУДНАЯ КЛЕТКА", "chest"),
        ("胸部", "chest"),
        ("HWS", "neck"),
        ("Abdomen 5.0", "abdomen"),
        ("BACINO ANCA", "pelvis"),
        ("NNH", "face"),
        ("LWS", "spine"),
        ("Knie links", "limbs"),
        ("Lv2", ""),
        ("194", ""),
        ("", ""),
    ],
)
def test_other_parts(text: str, part: str) -> None:
    assert part_named(replace(SERIES, body_part="", description=text), replace(STUDY, description="")) == part


def test_the_nearest_text_counts_first() -> None:
    assert part_named(replace(SERIES, description="Neck 3.0"), STUDY) == "neck"
    assert part_named(replace(SERIES, protocol="CHEST"), STUDY) == "chest"
    assert part_named(replace(SERIES, body_part="CHEST"), STUDY) == "head"


@pytest.mark.parametrize(
    ("name", "sharp"),
    [
        *(
            (name, True)
            for name in ("H60s", "Hr60f", "B70f", "U90u", "BONE", "BONEPLUS", "EDGE", "YC", "D", "FC30", "FC81")
        ),
        *(
            (name, False)
            for name in ("H31s", "Hr40f", "J40s", "B30s", "STANDARD", "STD+", "SOFT", "UB", "FC21", "FC64")
        ),
        *((name, None) for name in ("11", "", "XYZ", "B50s")),
    ],
)
def test_kernels(name: str, sharp: bool | None) -> None:
    assert is_sharp((name,)) is sharp


def test_words_of_contrast() -> None:
    assert all(map(says_contrast, ("Head post contrast", "avec injection", "con contraste", "ANGIO", "Head C+")))
    assert not any(map(says_contrast, ("", "ohne KM", "sans injection", "sin contraste", "non-contrast enhanced")))
    assert all(map(says_no_agent, ("", " C- ", "None", "SIN CONTRASTE", "ohne KM")))
    assert not any(map(says_no_agent, ("OMNIPAQUE", "APPLIED", "ISOVUE300/100", "NONIONIC")))


def facts(hu: float | None) -> PixelFacts:
    """One slice, with or without brain."""
    return PixelFacts(has_brain=hu is not None, brain_hu=hu, skull_area_mm2=1000.0)


@pytest.mark.parametrize(
    ("slices", "expected"),
    [
        ([], None),
        ([facts(None)] * 2, None),
        ([facts(None)] * 3, "no-brain"),
        ([facts(None)] * 20 + [facts(35.0)], None),
        ([facts(35.0)] * 5, None),
        ([facts(75.0)] * 5, "hu-implausible"),
        ([facts(2.0)], "hu-implausible"),
    ],
)
def test_pixels(slices: list[PixelFacts], expected: str | None) -> None:
    said = pixel_verdict(slices)
    assert (said[0][0] if said else None) == expected
    if said:
        assert "…" not in sentence(Of.SERIES, said[0][0], **said[0][1])
