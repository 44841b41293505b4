"""What a DICOM header says, as frozen values with units. Made in `imaging`, read in every room."""

from dataclasses import dataclass

Vector = tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """As received, cleaned of control characters. `identity` is ID and issuer: never merge by less, never by name."""

    identity: str
    patient_id: str = ""
    name: str = ""
    birth_date: str = ""  # ISO, empty if absent or impossible
    sex: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyFacts:
    """What the header says of the study."""

    study_uid: str
    patient: Patient
    accession: str = ""
    description: str = ""
    scanner: str = ""  # manufacturer, model and station in one line
    age_years: float | None = None  # from PatientAge, else birth date and study date


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesFacts:
    """What the header says of the series, as far as the rules of an exam ask for it. Text is stripped."""

    series_uid: str
    sop_class_uid: str
    modality: str = ""
    image_type: tuple[str, ...] = ()
    series_number: int | None = None
    description: str = ""
    protocol: str = ""
    body_part: str = ""
    kernel: tuple[str, ...] = ()
    contrast_agent: str = ""
    rescale_type: str = ""
    frame_of_reference_uid: str = ""
    window_center: tuple[float, ...] = ()
    window_width: tuple[float, ...] = ()
    kvp: float | None = None
    multi_energy: bool = False
    images_in_acquisition: int | None = None  # (0020,1002); often absent, sometimes wrong


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceGeometry:
    """Where a slice lies. Lengths in mm, patient coordinates (LPS) as in PS3.3 C.7.6.2."""

    rows: int
    columns: int
    pixel_mm: tuple[float, float]  # between rows, between columns
    row_direction: Vector  # unit vector along a row (towards growing column)
    column_direction: Vector
    corner_mm: Vector  # centre of the first pixel
    position_mm: float  # corner projected on the normal; grows from foot to head in a supine axial scan
    tilt_deg: float  # angle between the normal and the long axis of the patient, from the orientation alone
    thickness_mm: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """One file's header. `geometry` is None only where no slice is in the file (a declined file that opens its series).

    `acquired` is the acquisition time as DICOM text, date then time, comparable as text; empty if absent.
    """

    sop_uid: str
    study: StudyFacts
    series: SeriesFacts
    geometry: SliceGeometry | None = None
    instance_number: int | None = None
    acquisition_number: int | None = None
    acquired: str = ""
    syntax_uid: str = ""
    corrections: tuple[str, ...] = ()  # codes of `core.reasons`, family correction
