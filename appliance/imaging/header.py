"""What the header of a CT file says, as frozen values."""

import re
from datetime import date
from typing import Final

from appliance.core.headers import Header, Patient, SeriesFacts, SliceGeometry, StudyFacts
from appliance.imaging import tags
from appliance.imaging.fields import Fields

DAYS_A_YEAR: Final = 365.25

_AGE: Final = re.compile(r"(\d{1,3})([YMWD])")
_AGE_YEARS: Final = {"Y": 1.0, "M": 1 / 12, "W": 7 / DAYS_A_YEAR, "D": 1 / DAYS_A_YEAR}
_DATE: Final = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})")  # the form with dots is of ACR-NEMA
_TIME: Final = re.compile(r"(\d{2}):?(\d{2}):?(\d{2})?(\.\d{1,6})?")
_DATE_TIME: Final = re.compile(r"(\d{8})(\d{4,6}(?:\.\d{1,6})?)(?:[+-]\d{4})?")


def read_study(fields: Fields, study_uid: str) -> StudyFacts:
    """The study, its patient and the scanner."""
    studied, born = _date(fields, tags.STUDY_DATE), _date(fields, tags.PATIENT_BIRTH_DATE)
    scanner = [fields.text(tag) for tag in (tags.MANUFACTURER, tags.MANUFACTURER_MODEL_NAME, tags.STATION_NAME)]
    return StudyFacts(
        study_uid=study_uid,
        patient=_patient(fields, born),
        accession=fields.text(tags.ACCESSION_NUMBER),
        description=fields.text(tags.STUDY_DESCRIPTION) or fields.text(tags.REQUESTED_PROCEDURE_DESCRIPTION),
        scanner=" ".join(filter(None, scanner)),
        age_years=_age_years(fields, studied, born),
    )


def read_series(fields: Fields, series_uid: str, sop_class_uid: str) -> SeriesFacts:
    """What the rules of an exam ask of a series."""
    modality = fields.codes(tags.MODALITY)
    return SeriesFacts(
        series_uid=series_uid,
        sop_class_uid=sop_class_uid,
        modality=modality[0] if modality else "",
        image_type=fields.codes(tags.IMAGE_TYPE),
        series_number=fields.whole(tags.SERIES_NUMBER),
        description=fields.text(tags.SERIES_DESCRIPTION),
        protocol=fields.text(tags.PROTOCOL_NAME),
        body_part=fields.text(tags.BODY_PART_EXAMINED),
        kernel=fields.texts(tags.CONVOLUTION_KERNEL),
        contrast_agent=_contrast(fields),
        rescale_type=fields.text(tags.RESCALE_TYPE).upper(),
        frame_of_reference_uid=fields.uid(tags.FRAME_OF_REFERENCE_UID) or "",
        window_center=fields.numbers(tags.WINDOW_CENTER) or (),
        window_width=fields.numbers(tags.WINDOW_WIDTH) or (),
        kvp=fields.number(tags.KVP),
        multi_energy=fields.codes(tags.MULTIENERGY_CT_ACQUISITION)[:1] == ("YES",),
        images_in_acquisition=_count(fields),
    )


def read_header(
    fields: Fields,
    uids: tuple[str, str, str],
    sop_class_uid: str,
    syntax_uid: str,
    geometry: SliceGeometry | None = None,
    corrections: frozenset[str] = frozenset(),
) -> Header:
    """The header of one file. `uids` are those of study, series and slice, already proven."""
    study_uid, series_uid, sop_uid = uids
    study, series = read_study(fields, study_uid), read_series(fields, series_uid, sop_class_uid)
    acquired = _acquired(fields)
    instance, acquisition = fields.whole(tags.INSTANCE_NUMBER), fields.whole(tags.ACQUISITION_NUMBER)
    incomplete = {"header-incomplete"} if _incomplete(fields, series) else set()
    return Header(
        sop_uid=sop_uid,
        study=study,
        series=series,
        geometry=geometry,
        instance_number=instance,
        acquisition_number=acquisition,
        acquired=acquired,
        syntax_uid=syntax_uid,
        corrections=tuple(sorted({*corrections, *fields.corrections, *incomplete})),
    )


def _incomplete(fields: Fields, series: SeriesFacts) -> bool:
    """Whether a part is missing that a rule would have asked for: unknown is read, and marked."""
    thickness = fields.number(tags.SLICE_THICKNESS)
    known = (
        series.modality,
        len(series.image_type) >= 3,
        series.body_part,
        thickness is not None and thickness > 0,
        _date(fields, tags.STUDY_DATE),
    )
    return not all(known)


def _patient(fields: Fields, born: date | None) -> Patient:
    patient_id, issuer = fields.text(tags.PATIENT_ID), fields.text(tags.ISSUER_OF_PATIENT_ID)
    sex = fields.codes(tags.PATIENT_SEX)
    return Patient(
        # No ID holds a backslash (PS3.5 6.2), so ID and issuer stay apart.
        identity=f"{patient_id}\\{issuer}" if issuer else patient_id,
        patient_id=patient_id,
        name=fields.text(tags.PATIENT_NAME, person=True),
        birth_date=born.isoformat() if born else "",
        sex=sex[0] if sex and sex[0] in ("F", "M", "O") else "",
    )


def _date(fields: Fields, tag: int) -> date | None:
    found = _DATE.fullmatch(fields.text(tag))
    if found is None:
        return None
    year, month, day = map(int, found.groups())
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _age_years(fields: Fields, studied: date | None, born: date | None) -> float | None:
    """PatientAge, else birth date and study date. Unknown stays unknown."""
    said = _AGE.fullmatch(fields.text(tags.PATIENT_AGE).upper())
    if said is not None:
        return int(said[1]) * _AGE_YEARS[said[2]]
    if studied is None or born is None or born > studied:
        return None
    return (studied - born).days / DAYS_A_YEAR


def _contrast(fields: Fields) -> str:
    """What the header says of contrast, whatever it means: agent, else route, else that a sequence names one."""
    said = fields.text(tags.CONTRAST_BOLUS_AGENT) or fields.text(tags.CONTRAST_BOLUS_ROUTE)
    return said or ("agent in a sequence" if fields.has_items(tags.CONTRAST_BOLUS_AGENT_SEQUENCE) else "")


def _count(fields: Fields) -> int | None:
    count = fields.whole(tags.IMAGES_IN_ACQUISITION)
    return count if count is not None and 0 < count <= 100_000 else None


def _acquired(fields: Fields) -> str:
    """YYYYMMDDHHMMSS.ffffff of the acquisition; empty where date or time is absent."""
    both = _DATE_TIME.fullmatch(fields.text(tags.ACQUISITION_DATE_TIME))
    if both is not None:
        day, time = both[1], both[2]
    else:
        acquired = _date(fields, tags.ACQUISITION_DATE) or _date(fields, tags.STUDY_DATE)
        found = _TIME.fullmatch(fields.text(tags.ACQUISITION_TIME))
        if acquired is None or found is None:
            return ""
        day, time = acquired.strftime("%Y%m%d"), found[1] + found[2] + (found[3] or "00") + (found[4] or "")
    whole, _, part = time.partition(".")
    return f"{day}{whole:0<6}.{part:0<6}"
